"""What a run would do and how long it would take, from inventory, gates and pacing: said before anything is touched."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fleet.config import Settings
from fleet.gates import refusal
from fleet.history import History
from fleet.mandates import Revocations
from fleet.model import Outcome, Reason, Result
from fleet.plan import (
    PlannedAccount,
    RunSpec,
    catalogue_for,
    check_filters,
    is_live,
    planned_accounts,
    require_safe_start,
)
from fleet.register import Register
from fleet.sessions import SessionStore

VISIT = 12.0
"""Seconds that an account takes where no earlier run tells: 8 of waits, the rest for the browser (make bench)."""
START = 8.0
"""Seconds before the first visit: Ansible, the agent, a browser."""


@dataclass(frozen=True)
class ServiceForecast:
    """What would be visited at one service. `seconds` is the shortest and the longest time that it would take."""

    service: str
    accounts: int
    controls: int
    live: bool
    seconds: tuple[float, float]


@dataclass(frozen=True)
class Forecast:
    """`visits` in their order; `left_alone` with the outcome that each would get without a visit."""

    visits: tuple[PlannedAccount, ...]
    left_alone: tuple[Result, ...]
    services: tuple[ServiceForecast, ...]

    @property
    def seconds(self) -> tuple[float, float]:
        """The shortest and the longest time for all: services are visited side by side."""
        if not self.services:
            return 0.0, 0.0
        live = [one.seconds for one in self.services if one.live]
        # What is not live shares the contexts, so it takes its time one service after the other.
        local = [one.seconds for one in self.services if not one.live]
        sides = [*live, (sum(low for low, _ in local), sum(high for _, high in local))]
        return START + max(low for low, _ in sides), START + max(high for _, high in sides)


def forecast(spec: RunSpec) -> Forecast:
    """Look into the plan of a run. Raises InputError where the run would be refused."""
    settings, rehearsal = spec.settings, spec.inventory.rehearsal
    catalogue = catalogue_for(settings, rehearsal=rehearsal)
    check_filters(settings, catalogue)
    planned = planned_accounts(spec, catalogue)
    if not rehearsal or settings.network.resolve:
        require_safe_start(spec, [account for of_one in planned.values() for account in of_one], settings.network)
    live: frozenset[str] = frozenset()
    if not rehearsal:
        accounts = (account for of_one in planned.values() for account in of_one)
        live = frozenset(one.service for one in accounts if one.service and is_live(one, settings.network))
    revoked, stopped = Revocations(settings.state_dir.revocations), Register(settings.state_dir.stopped_services)
    with_session = {(info.employee, info.service) for info in SessionStore(settings.state_dir).list()}
    history = History(spec)
    in_turn = history.turns()
    visits, left_alone = [], []
    for employee in [*in_turn, *(name for name in planned if name not in in_turn)]:
        for account in planned[employee]:
            free = []
            for control in account.controls:
                refused = refusal(
                    account,
                    control,
                    live=account.service in live,
                    revoked=revoked,
                    stopped=stopped,
                    terms_accepted=settings.terms_accepted,
                    personal_sessions=settings.personal_sessions,
                )
                # A rehearsal makes its sessions itself.
                if refused is None and not rehearsal and (employee, account.service) not in with_session:
                    refused = Outcome.SIGN_IN_NEEDED, Reason.NO_SESSION
                if refused is None:
                    free.append(control)
                else:
                    outcome, reason = refused
                    left_alone.append(Result(employee, account.service, control, outcome, reason=reason))
            if free:
                visits.append(replace(account, controls=tuple(free)))
    by_service: dict[str, list[PlannedAccount]] = {}
    for visit in visits:
        if visit.service is not None:
            by_service.setdefault(visit.service, []).append(visit)
    usual = history.usual_seconds()
    services = tuple(
        _service(service, own, usual.get(service, VISIT), settings, live=service in live)
        for service, own in by_service.items()
    )
    return Forecast(tuple(visits), tuple(left_alone), services)


def _service(
    service: str, own: list[PlannedAccount], visit: float, settings: Settings, *, live: bool
) -> ServiceForecast:
    if live:
        shortest, longest = (
            len(own) * visit + (len(own) - 1) * pause for pause in (settings.pause.shortest, settings.pause.longest)
        )
    else:
        shortest = longest = math.ceil(len(own) / (settings.forks * max(1, len(settings.workers)))) * visit
    controls = sum(len(account.controls) for account in own)
    return ServiceForecast(service, len(own), controls, live, (shortest, longest))
