"""One circuit breaker per service: once open, the service is not visited again in this run.

A service that starts to show CAPTCHAs or to ask for fewer visits must not be retried, and a changed page needs the
recipe author first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from fleet.model import Outcome, Reason
from fleet.settings.values import BreakerLimits

Trouble = Outcome | Reason


class Breaker:
    """Counts failed visits and decides whether a service may still be visited."""

    def __init__(self, limits: BreakerLimits | None) -> None:
        """Without `limits` the breaker never opens."""
        self._limits = limits
        self._visits: dict[str, deque[tuple[str, Collection[Trouble]]]] = {}
        self._open: set[str] = set()

    def observe(self, service: str, employee: str, troubles: Collection[Trouble]) -> None:
        """Record the outcomes of a finished visit, plus RATE_LIMITED if the service asked for fewer visits."""
        if self._limits is None:
            return
        visits = self._visits.setdefault(service, deque(maxlen=self._limits.visits))
        visits.append((employee, troubles))
        for trouble, limit in (
            (Outcome.CHALLENGED, self._limits.challenges),
            (Outcome.PAGE_CHANGED, self._limits.page_changes),
            (Reason.RATE_LIMITED, self._limits.rate_limits),
        ):
            # Count distinct employees: repeated failures may be due to a single account.
            if len({who for who, ended in visits if trouble in ended}) >= limit:
                self.open(service)

    def open(self, service: str) -> None:
        """Stop visiting a service for the rest of the run."""
        if self._limits is not None:
            self._open.add(service)

    def is_open(self, service: str) -> bool:
        """Return True once the service has failed too often. The circuit stays open for the rest of the run."""
        return service in self._open
