"""How gently live services are visited, and what a 429 changes."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from fleet.agent.pacing import Pacing
from fleet.browser.traffic import seconds_of
from fleet.configfile import Pause

PAUSE = Pause.model_construct(shortest=0.1, longest=0.1)
"""Shorter than a setting may be."""


async def begins(pacing: Pacing, *services: str, live: bool = True) -> list[float]:
    """When visits that take no time began, in seconds from now; all are asked for at once."""
    start = time.monotonic()

    async def visit(service: str) -> float:
        async with pacing.turn(service, live=live):
            return time.monotonic() - start

    return sorted(await asyncio.gather(*(visit(service) for service in services)))


async def test_live_visits_to_a_service_keep_their_distance() -> None:
    """Three visits, each a pause after the one before."""
    first, second, third = await begins(Pacing(8, PAUSE), *["linkedin"] * 3)
    assert first < 0.1 <= second < 0.2 <= third


async def test_services_do_not_wait_for_each_other() -> None:
    """Their pauses are their own."""
    assert max(await begins(Pacing(8, PAUSE), "linkedin", "intranet")) < 0.1


async def test_loopback_is_not_paced() -> None:
    """Only forks limit it."""
    assert max(await begins(Pacing(8, PAUSE), *["linkedin"] * 5, live=False)) < 0.1


async def test_a_429_doubles_the_pauses_from_then_on() -> None:
    """Of that service only."""
    pacing = Pacing(8, PAUSE)
    assert pacing.slow_down("linkedin", 0)
    _, second = await begins(pacing, "linkedin", "linkedin")
    assert second >= 0.2
    assert pacing.slow_down("linkedin", 0)
    _, third = await begins(pacing, "linkedin", "linkedin")
    assert third >= 0.4
    assert (await begins(pacing, "intranet", "intranet"))[1] < 0.2


async def test_nobody_is_visited_before_the_service_said_so() -> None:
    """Retry-After counts from the answer."""
    pacing = Pacing(8, PAUSE)
    assert pacing.slow_down("linkedin", 0.5)
    assert (await begins(pacing, "linkedin"))[0] >= 0.49


async def test_a_break_that_nobody_waits_for_is_told() -> None:
    """More than a quarter of an hour: the service is left alone for the rest of the run."""
    assert not Pacing(8, PAUSE).slow_down("linkedin", 901)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120), (" 7 ", 7), ("", 0), ("soon", 0), ("-5", 0), ("1e9", 0), ("9" * 5000, 999999999)],
)
def test_retry_after_is_read_as_seconds(header: str, seconds: float) -> None:
    """Anything that is neither a number nor a date asks for no time in particular."""
    assert seconds_of(header) == seconds


def test_retry_after_may_be_a_date() -> None:
    """One that has passed asks for nothing."""
    now = datetime.now(UTC)
    assert 55 < seconds_of(format_datetime(now + timedelta(minutes=1), usegmt=True)) <= 60
    assert seconds_of(format_datetime(now - timedelta(minutes=1), usegmt=True)) == 0
