"""How gently services are visited: a limit of contexts for all, and one at a time with pauses where it is live."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fleet.configfile import Pause
from fleet.optout import NotBegun

MAX_WAIT = 15 * 60.0
"""Seconds. A service that asks for a longer break than this is left alone for the rest of the run."""


@dataclass
class _Gate:
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    next_at: float = 0.0
    slowness: float = 1.0
    """Pauses are so many times as long as in good times."""


class Pacing:
    """Lets visits begin. Loopback is limited by forks alone."""

    def __init__(self, forks: int, pause: Pause) -> None:
        self._contexts = asyncio.Semaphore(forks)
        self._pause = pause
        self._gates: dict[str, _Gate] = {}

    @asynccontextmanager
    async def turn(self, service: str, *, live: bool) -> AsyncIterator[None]:
        """Wait until a visit to `service` may begin, and hold its place while it lasts."""
        if not live:
            async with self._contexts:
                yield
            return
        gate = self._gates.setdefault(service, _Gate())
        async with gate.one_at_a_time:
            await asyncio.sleep(max(0.0, gate.next_at - time.monotonic()))
            pause = random.uniform(self._pause.shortest, self._pause.longest)  # noqa: S311 - jitter is no secret
            try:
                async with self._contexts:
                    yield
            except NotBegun:
                pause = 0.0
                raise
            finally:
                gate.next_at = max(gate.next_at, time.monotonic() + min(MAX_WAIT, gate.slowness * pause))

    def slow_down(self, service: str, retry_after: float) -> bool:
        """The service has asked for fewer visits (429): none before `retry_after` seconds, and all pauses twice as long
        from now on. False if that is longer than anybody waits here.
        """
        gate = self._gates.setdefault(service, _Gate())
        gate.slowness *= 2
        gate.next_at = max(gate.next_at, time.monotonic() + min(retry_after, MAX_WAIT))
        return retry_after <= MAX_WAIT
