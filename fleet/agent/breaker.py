"""The circuit of each service: once it opens, nobody else is visited there in this run.

A service that has begun to ask for CAPTCHAs, or for fewer visits, must not be asked again and again, and a page that
has changed is the recipe author's business before it is anybody else's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from fleet.model import Outcome, Reason
from fleet.settings.values import BreakerLimits

Trouble = Outcome | Reason


class Breaker:
    """Hears how visits end, and says whether a service may still be visited."""

    def __init__(self, limits: BreakerLimits | None) -> None:
        """Without `limits` it never opens."""
        self._limits = limits
        self._visits: dict[str, deque[tuple[str, Collection[Trouble]]]] = {}
        self._open: set[str] = set()

    def observe(self, service: str, employee: str, troubles: Collection[Trouble]) -> None:
        """A visit has ended: its outcomes, and RATE_LIMITED if the service asked for fewer visits."""
        if self._limits is None:
            return
        visits = self._visits.setdefault(service, deque(maxlen=self._limits.visits))
        visits.append((employee, troubles))
        for trouble, limit in (
            (Outcome.CHALLENGED, self._limits.challenges),
            (Outcome.PAGE_CHANGED, self._limits.page_changes),
            (Reason.RATE_LIMITED, self._limits.rate_limits),
        ):
            # Of different employees: one account may have troubles of its own.
            if len({who for who, ended in visits if trouble in ended}) >= limit:
                self.open(service)

    def open(self, service: str) -> None:
        """Leave a service alone from now on."""
        if self._limits is not None:
            self._open.add(service)

    def is_open(self, service: str) -> bool:
        """True once too much went wrong there. It stays open for the rest of the run."""
        return service in self._open
