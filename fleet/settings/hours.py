"""Hours of the day in which visits to a service may begin, in the local time of this machine (TZ)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta

_FORM = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Hours:
    """Daily from `opens` until just before `closes`; past midnight if it closes before it opens."""

    opens: time
    closes: time

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Parse `08:00-18:00`. Raises ValueError for anything else, and for two equal times."""
        form = _FORM.fullmatch(text)
        if form is None:
            raise ValueError("must be HH:MM-HH:MM, such as 08:00-18:00")
        opens = time(int(form[1]), int(form[2]))
        closes = time(int(form[3]), int(form[4])) if form[3] else time()
        if opens == closes:
            raise ValueError("must start and end at different times; omit the service to allow the whole day")
        return cls(opens, closes)

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{self.closes:%H:%M}"

    def opens_in(self, now: datetime) -> float:
        """Return seconds from `now` (local, without a zone) until visits may begin; 0 while they may."""
        opens, closes = self._window(now)
        return 0.0 if opens <= now < closes else _seconds(now, opens)

    def takes(self, seconds: float, now: datetime) -> float:
        """Return seconds until `seconds` of visits are done, starting at `now` and counting the closed hours."""
        at, left = now, seconds
        while True:
            opens, closes = self._window(at)
            at = max(at, opens)
            if left <= _seconds(at, closes):
                return _seconds(now, at) + left
            left -= max(0.0, _seconds(at, closes))
            at = closes

    def _window(self, now: datetime) -> tuple[datetime, datetime]:
        """Return the window that `now` is in, or the next one."""
        opens = datetime.combine(now.date(), self.opens) - _DAY
        while True:
            closes = datetime.combine(opens.date() + (_DAY if self.closes <= self.opens else timedelta()), self.closes)
            if now < closes:
                return opens, closes
            opens += _DAY


def _seconds(start: datetime, end: datetime) -> float:
    """Return seconds between two local times, correct across a clock change."""
    return end.timestamp() - start.timestamp()
