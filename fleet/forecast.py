"""What a run would do and how long it would take, from inventory, gates and pacing: said before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleet.browser.network import Network
from fleet.gates import refusal
from fleet.history import turns, usual_seconds
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
    revoked = Revocations(settings.state_dir.revocations).all()
    with_session = {(info.employee, info.service) for info in SessionStore(settings.state_dir).list()}
    in_turn = turns(spec)
    visits, left_alone = [], []
    for employee in [*in_turn, *(name for name in planned if name not in in_turn)]:
        for account in planned[employee]:
            live = _is_live(account, settings.network, rehearsal=rehearsal)
            free = []
            for control in account.controls:
                refused = refusal(account, control, live=live, revoked=revoked, terms_accepted=settings.terms_accepted)
                # A rehearsal makes its sessions itself.
                if refused is None and not rehearsal and (employee, account.service) not in with_session:
                    refused = Outcome.SIGN_IN_NEEDED, Reason.NO_SESSION
                if refused is None:
                    free.append(control)
                else:
                    outcome, reason = refused
                    left_alone.append(Result(employee, account.service, control, outcome, reason=reason))
            if free:
                visits.append(PlannedAccount(account.employee, account.service, account.recipe, tuple(free)))
    return Forecast(tuple(visits), tuple(left_alone), tuple(_services(spec, visits)))


def _is_live(account: PlannedAccount, network: Network, *, rehearsal: bool) -> bool:
    return is_live(account, network) and not rehearsal


def _services(spec: RunSpec, visits: list[PlannedAccount]) -> list[ServiceForecast]:
    usual = usual_seconds(spec)
    return [
        _service(spec, service, visits, usual)
        for service in dict.fromkeys(visit.service for visit in visits)
        if service
    ]


def _service(spec: RunSpec, service: str, visits: list[PlannedAccount], usual: Mapping[str, float]) -> ServiceForecast:
    settings, own = spec.settings, [visit for visit in visits if visit.service == service]
    visit, pause = usual.get(service, VISIT), settings.pause
    live = _is_live(own[0], settings.network, rehearsal=spec.inventory.rehearsal)
    if live:
        seconds = tuple(len(own) * visit + (len(own) - 1) * between for between in (pause.shortest, pause.longest))
    else:
        seconds = (-(-len(own) // settings.forks) * visit,) * 2
    low, high = seconds
    return ServiceForecast(service, len(own), sum(len(visit.controls) for visit in own), live, (low, high))
