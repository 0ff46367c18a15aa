"""Where a control stands: nothing is claimed of it that was not read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.audit.current_state import CurrentState, Drift, Sighting, current_states
from fleet.model import Outcome, Reading, Reason
from fleet.report.status import Coverage, Row
from tests.logs import FINISHED


def stands(*visits: dict[str, Any]) -> CurrentState:
    """The state after these visits of one control, one a day from 2026-01-01 on."""
    log = [
        {
            **FINISHED,
            "event": "control.finished",
            "at": f"2026-01-{day:02}T00:00:00.000000Z",
            "run": f"r{day}",
            "before": None,
            "after": None,
        }
        | visit
        for day, visit in enumerate(visits, start=1)
    ]
    [current] = current_states(log).values()
    return current


OUT = {"outcome": "already_opted_out", "before": "out", "after": "out"}
SET = {"outcome": "opted_out", "before": "in", "after": "out"}
STAYS = {"outcome": "not_saved", "reason": "still_in", "before": "in", "after": "in"}
PRESSED = {"outcome": "unknown", "reason": "browser_crashed", "before": "in"}
CANNOT = {"outcome": "sign_in_needed", "reason": "no_session"}
CHECKED = {"outcome": "would_opt_out", "before": "in", "after": "in"}
CHALLENGED = {"outcome": "challenged", "reason": "captcha"}
REVOKED = {"outcome": "no_mandate", "reason": "mandate_revoked", "before": "in", "after": "in"}
GONE = {"outcome": "not_offered"}
WAIVED = {"outcome": "waived"}


def seen(number: int) -> Sighting:
    return Sighting(day(number), f"r{number}")


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


class TestReading:
    def test_an_older_reading_stays_with_its_age(self) -> None:
        """A visit that could not look changes what is to be done, not what was read."""
        current = stands(SET, CANNOT, CANNOT)
        assert (current.reading, current.read) == (Reading.OUT, seen(1))
        assert (current.outcome, current.reason, current.last) == (
            Outcome.SIGN_IN_NEEDED,
            Reason.NO_SESSION,
            seen(3),
        )

    def test_a_press_whose_end_nobody_saw_leaves_no_reading(self) -> None:
        """It may be out or in: neither the old nor the first reading says anything any more."""
        assert stands(STAYS, PRESSED).reading is None
        assert stands(OUT, PRESSED, CANNOT).reading is None

    def test_what_was_never_read_is_not_claimed(self) -> None:
        """Only the outcome is known."""
        assert (stands(CANNOT).reading, stands(CANNOT).read) == (None, None)


class TestDrift:
    @pytest.mark.parametrize(
        ("visits", "has_drifted"),
        [
            ([SET], False),
            ([STAYS, SET], False),
            ([OUT, SET], True),  # set again, and still somebody must know
            ([SET, OUT], False),
            ([OUT, STAYS], True),
            ([OUT, STAYS, STAYS], True),
            ([OUT, STAYS, CANNOT], True),
            ([OUT, SET, OUT], False),
            ([OUT, CANNOT, SET], True),
            ([OUT, CHECKED], True),  # a run in check mode has looked as well as any
            ([OUT, CHECKED, SET, OUT], False),
            ([OUT, CHALLENGED], False),
            ([OUT, CHECKED, CHALLENGED], True),
            ([OUT, PRESSED], True),
            ([OUT, REVOKED], True),  # read, although nobody may switch it any more
            ([OUT, GONE, CHECKED], False),  # what it was before it was gone says nothing
        ],
    )
    def test_it_is_what_was_out_and_is_found_in(self, visits: list[dict[str, Any]], has_drifted: bool) -> None:
        """Until a visit finds it out."""
        assert stands(*visits).has_drifted is has_drifted

    @pytest.mark.parametrize(
        ("visits", "drift"),
        [
            ([OUT, OUT, CHECKED], Drift(seen(2), seen(3))),
            ([OUT, CANNOT, STAYS, CHECKED, CHALLENGED], Drift(seen(1), seen(3))),
            ([OUT, SET, CHECKED], Drift(seen(2), seen(3))),  # set again in between: this is another time
        ],
    )
    def test_it_is_told_since_when(self, visits: list[dict[str, Any]], drift: Drift) -> None:
        """The last reading that said out, and the first after it that said in, each with its run."""
        assert stands(*visits).drift == drift

    @pytest.mark.parametrize(
        ("visits", "could_not_look"),
        [
            ([OUT, CHALLENGED], True),
            ([CANNOT], True),
            ([OUT, CHECKED, CANNOT], True),
            ([PRESSED], True),
            ([CANNOT, OUT], False),
            ([STAYS], False),
            ([REVOKED], False),
            ([GONE], False),
            ([OUT, WAIVED], False),  # agreed: nobody was to look
        ],
    )
    def test_not_able_to_look_is_told_apart(self, visits: list[dict[str, Any]], could_not_look: bool) -> None:
        """Of the last visit alone; what could be read before stays read."""
        assert stands(*visits).could_not_look is could_not_look


class TestErasure:
    def test_somebody_who_was_erased_stands_nowhere(self) -> None:
        """What was read of them is nobody's."""
        finished = {**FINISHED, "event": "control.finished", "at": "2026-01-01T00:00:00.000000Z", "run": "r1"}
        assert current_states([finished, {"event": "subject.erased", "subject": "s_1"}]) == {}


class TestCoverage:
    def test_a_share_is_of_what_services_offer(self) -> None:
        """Not known is not out; not offered is not counted."""
        states = [stands(OUT), stands(STAYS), stands(CANNOT), stands({"outcome": "not_offered"}), None]
        rows = tuple(Row(f"e{n}", "linkedin", "ai_training", (), "en", one) for n, one in enumerate(states))
        assert [row.state for row in rows] == ["out", "in", "not known", "not offered", "not known"]
        assert Coverage("all", rows).share_out == 0.25

    def test_a_reading_gets_old(self) -> None:
        """By its own day, not by the last visit's."""
        [row] = [Row("anna", "linkedin", "ai_training", (), "en", stands(OUT, CANNOT))]
        part, now = Coverage("all", (row,)), day(1) + timedelta(days=100)
        assert part.oldest(now) == timedelta(days=100)
        assert (part.stale(now, timedelta(days=90)), part.stale(now, timedelta(days=100))) == (1, 0)
