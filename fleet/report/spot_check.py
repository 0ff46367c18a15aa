"""The result of a spot check: the share found wrong, and how large it may be among all who attested."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from fleet.audit import records
from fleet.state.spot_checks import Found

CONFIDENCE = 0.95


@dataclass(frozen=True)
class SpotCheck:
    """One spot check: how many people were drawn among how many, how many were checked, and how many were wrong."""

    drawn_on: date
    among: int
    drawn: int
    checked: int = 0
    wrong: int = 0
    ended_on: date | None = None

    @property
    def rate(self) -> float | None:
        """The share of those checked who were wrong; None if nobody was checked."""
        return self.wrong / self.checked if self.checked else None

    @property
    def upper_bound(self) -> float:
        """The largest share among all who attested that fits this result, at 95 %."""
        return upper_bound(self.wrong, self.checked)

    @property
    def not_checked(self) -> int:
        """People who were drawn and did not come, or whose setting could not be read."""
        return self.drawn - self.checked

    @property
    def sentence(self) -> str:
        """The result for people."""
        when = f"ended on {self.ended_on}" if self.ended_on else "open"
        start = f"Spot check of {self.drawn_on} ({when}): {self.drawn:,} of {self.among:,} people drawn, "
        end = f"{self.not_checked:,} did not come or could not be read."
        if self.rate is None:
            return f"{start}nobody checked yet; {end}"
        return (
            f"{start}{self.checked:,} checked, {self.wrong:,} wrong: {self.rate:.1%}, at most {self.upper_bound:.1%} "
            f"(95 %); {end}"
        )

    @property
    def fields(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "drawn_on": self.drawn_on.isoformat(),
            "ended_on": self.ended_on.isoformat() if self.ended_on else None,
            "among": self.among,
            "drawn": self.drawn,
            "checked": self.checked,
            "wrong": self.wrong,
            "rate": self.rate,
            "upper_bound_95": self.upper_bound,
            "not_checked": self.not_checked,
        }


class LastSpotCheck:
    """Finds the last spot check in a log that is read for something else, too."""

    def __init__(self) -> None:
        self._last: SpotCheck | None = None

    def result(self, found: Found) -> SpotCheck | None:
        """Return the last spot check, with what `found` has seen if it is open; None without any."""
        if self._last is None or self._last.ended_on is not None:
            return self._last
        return replace(self._last, checked=found.checked, wrong=found.wrong)

    def watch(self, log: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the records of a log and take note of them."""
        for record in log:
            if record["event"] == records.SPOT_CHECK_DRAWN:
                self._last = SpotCheck(_day(record), record["among"], record["drawn"])
            elif record["event"] == records.SPOT_CHECK_ENDED and self._last is not None:
                counts = {"checked": record["checked"], "wrong": record["wrong"]}
                self._last = replace(self._last, **counts, ended_on=_day(record))
            yield record


def _day(record: Mapping[str, Any]) -> date:
    return datetime.fromisoformat(record["at"]).date()


def upper_bound(wrong: int, checked: int, confidence: float = CONFIDENCE) -> float:
    """Return the exact one-sided upper bound of a share (Clopper and Pearson 1934): 1 if nobody was checked.

    It is the share with which so few wrong ones, or fewer, are found in 5 % of all samples.
    """
    if wrong >= checked:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(60):  # halves the distance to far below what a float can tell apart
        middle = (low + high) / 2
        if _at_most(wrong, checked, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(wrong: int, checked: int, share: float) -> float:
    """Return the probability of at most `wrong` among `checked`, each wrong with probability `share`."""

    def logarithm(count: int) -> float:
        ways = math.lgamma(checked + 1) - math.lgamma(count + 1) - math.lgamma(checked - count + 1)
        return ways + count * math.log(share) + (checked - count) * math.log1p(-share)

    return math.fsum(math.exp(logarithm(count)) for count in range(wrong + 1))
