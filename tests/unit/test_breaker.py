"""The circuit of a service: when it opens, and for whom."""

from __future__ import annotations

import pytest

from fleet.agent.breaker import Breaker
from fleet.model import Outcome, Reason
from fleet.settings.values import BreakerLimits

LIMITS = BreakerLimits()


def visited(breaker: Breaker, *troubles: Outcome | Reason, first: int = 0) -> bool:
    """Visits of one employee after the other; whether the circuit is open then."""
    for number, trouble in enumerate(troubles, start=first):
        breaker.observe("linkedin", f"person.{number}", {trouble})
    return breaker.is_open("linkedin")


@pytest.mark.parametrize("trouble", [Outcome.CHALLENGED, Outcome.PAGE_CHANGED, Reason.RATE_LIMITED])
def test_it_opens_at_the_third_and_stays_open(trouble: Outcome | Reason) -> None:
    """Whatever comes after it; other services are not touched by it."""
    breaker = Breaker(LIMITS)
    assert not visited(breaker, trouble, trouble)
    assert visited(breaker, trouble, first=2)
    assert visited(breaker, *[Outcome.OPTED_OUT] * 50, first=3)
    assert not breaker.is_open("intranet")


def test_different_troubles_do_not_add_up() -> None:
    """Two challenges and two changed pages are not three of either."""
    assert not visited(Breaker(LIMITS), *[Outcome.CHALLENGED, Outcome.PAGE_CHANGED] * 2)


def test_one_employee_counts_once() -> None:
    """An account may have troubles of its own."""
    breaker = Breaker(LIMITS)
    for _ in range(5):
        breaker.observe("linkedin", "anna", {Outcome.CHALLENGED})
    assert not breaker.is_open("linkedin")


def test_only_the_last_visits_count() -> None:
    """A trouble now and then is none of the service's."""
    breaker = Breaker(LIMITS)
    good = [Outcome.OPTED_OUT] * 19
    assert not visited(breaker, Outcome.CHALLENGED, Outcome.CHALLENGED, *good)
    assert not visited(breaker, Outcome.CHALLENGED, first=21)


def test_without_limits_it_never_opens() -> None:
    """`--breaker off`."""
    assert not visited(Breaker(None), *[Outcome.CHALLENGED] * 50)


def test_it_can_be_opened_at_once() -> None:
    """A service that asks for a break longer than the run."""
    breaker = Breaker(LIMITS)
    breaker.open("linkedin")
    assert breaker.is_open("linkedin") and not breaker.is_open("intranet")


def test_limits_are_settings() -> None:
    """One is enough for the careful."""
    assert visited(Breaker(BreakerLimits(challenges=1)), Outcome.CHALLENGED)
