"""How gently services are visited: a limit of contexts for all, and one at a time with pauses where it is live."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

LIVE_PAUSE = (15.0, 25.0)
"""Seconds between two visits to one live service, drawn anew each time: two to four accounts a minute."""


@dataclass
class _Gate:
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    next_at: float = 0.0


class Pacing:
    """Lets visits begin. Loopback is limited by forks alone."""

    def __init__(self, forks: int) -> None:
        self._contexts = asyncio.Semaphore(forks)
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
            try:
                async with self._contexts:
                    yield
            finally:
                gate.next_at = time.monotonic() + random.uniform(*LIVE_PAUSE)  # noqa: S311 - jitter is no secret
