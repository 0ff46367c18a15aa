"""Rate limiting: a limit of concurrent contexts, and for live services one visit at a time with pauses between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from fleet.plan.pace import Pace

MAX_WAIT = 15 * 60.0
"""Seconds. A service that asks for a longer break is skipped for the rest of the run."""
MAX_SLOWNESS = 32.0
GOOD_VISITS = 5
"""Number of consecutive good visits after which a pause that a 429 has doubled is halved."""
SLOWED = 1.0
"""Seconds: the base pause, before doubling, for a service without a pace that answers 429."""
LOOK_EVERY = 60.0
"""Seconds between checks while waiting: the clock may be set, the machine may sleep, or a circuit may open."""


@dataclass
class Turn:
    """One account's turn. A turn that is not spent, because nothing was visited, costs no pause."""

    is_spent: bool = False


@dataclass
class _Gate:
    pace: Pace
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    next_at: float = 0.0
    slowness: float = 1.0
    """Factor by which pauses are lengthened."""
    good: int = 0
    """Good visits since the last 429, or since pauses were last halved."""

    @property
    def is_paced(self) -> bool:
        return self.pace.has_pauses or self.slowness > 1

    def pause(self) -> float:
        """Return the pause after a visit, in seconds."""
        drawn = random.uniform(self.pace.shortest, self.pace.longest)  # noqa: S311 - jitter is no secret
        return min(MAX_WAIT, self.slowness * (max(drawn, SLOWED) if self.slowness > 1 else drawn))


class Pacing:
    """Decides when a visit may begin. A service without a pace, as on loopback, is limited by forks alone."""

    def __init__(
        self,
        forks: int,
        paces: Mapping[str, Pace],
        is_left_alone: Callable[[str], bool] = lambda _service: False,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        """`is_left_alone` returns True for a service that will not be visited, so that its accounts do not wait."""
        self._contexts = asyncio.Semaphore(forks)
        self._gates = {service: _Gate(pace) for service, pace in paces.items()}
        self._is_left_alone = is_left_alone
        self._now = now

    @asynccontextmanager
    async def turn(self, service: str) -> AsyncIterator[Turn]:
        """Wait until a visit to `service` may begin, and hold the slot while it lasts."""
        gate, turn = self._gates.get(service), Turn()
        async with AsyncExitStack() as places:
            if gate is not None:
                await places.enter_async_context(gate.one_at_a_time)
                while not self._is_left_alone(service) and (left := self._left(gate)) > 0:
                    await asyncio.sleep(min(left, LOOK_EVERY))
                if not gate.is_paced:
                    await places.aclose()
            try:
                async with self._contexts:
                    yield turn
            finally:
                if gate is not None and turn.is_spent:
                    gate.next_at = max(gate.next_at, _clock() + gate.pause())

    def _left(self, gate: _Gate) -> float:
        """Return the seconds until a visit may begin."""
        opens_in = gate.pace.hours.opens_in(self._now()) if gate.pace.hours else 0.0
        return max(gate.next_at - _clock(), opens_in)

    def slow_down(self, service: str, retry_after: float) -> bool:
        """Handle a 429: no visit for `retry_after` seconds, and pauses twice as long afterwards.

        Returns False if `retry_after` exceeds `MAX_WAIT`.
        """
        gate = self._gates.get(service)
        if gate is not None:
            gate.slowness, gate.good = min(MAX_SLOWNESS, gate.slowness * 2), 0
            gate.next_at = max(gate.next_at, _clock() + min(retry_after, MAX_WAIT))
        return retry_after <= MAX_WAIT

    def went_well(self, service: str) -> None:
        """Record a good visit; after `GOOD_VISITS` in a row, doubled pauses are halved."""
        gate = self._gates.get(service)
        if gate is not None and gate.slowness > 1:
            gate.good += 1
            if gate.good == GOOD_VISITS:
                gate.slowness, gate.good = gate.slowness / 2, 0


def _clock() -> float:
    """Return the time in seconds on the clock that asyncio.sleep uses."""
    return asyncio.get_running_loop().time()
