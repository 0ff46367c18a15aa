"""Forecast of a run: what it would visit and how long it would take, from inventory, gates and pacing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from fleet.authority.blocklist import Blocklist
from fleet.authority.mandates import Revocations
from fleet.errors import InputError
from fleet.model import Result
from fleet.plan.gates import NO_SESSION, gates_of
from fleet.plan.last_run import History
from fleet.plan.pace import Pace, pace_of
from fleet.plan.plan import (
    PlannedAccount,
    RunSpec,
    check_filters,
    is_live,
    planned_accounts,
    require_safe_start,
    require_sandbox,
)
from fleet.recipes.catalog import Catalog
from fleet.recipes.recipe import Recipe
from fleet.sessions.store import SessionStore
from fleet.settings.hours import Hours
from fleet.settings.resolve import Settings

VISIT = 12.0
"""Seconds per account if no earlier run gives a number: 8 of waits, the rest for the browser (make bench)."""
START = 8.0
"""Seconds before the first visit: Ansible, the agent, a browser."""


@dataclass(frozen=True)
class ServiceForecast:
    """What would be visited at one service. `seconds` is the shortest and the longest time it would take.

    `pace` is None for a service on this machine.
    """

    service: str
    name: str
    """The display name."""
    accounts: int
    controls: int
    pace: Pace | None
    seconds: tuple[float, float]


@dataclass(frozen=True)
class Forecast:
    """`visits` in their order; `left_alone` with the outcome that each would get without a visit.

    `lacking` lists, in sentences, requirements that this machine does not meet.
    """

    visits: tuple[PlannedAccount, ...]
    left_alone: tuple[Result, ...]
    services: tuple[ServiceForecast, ...]
    lacking: tuple[str, ...] = ()

    @property
    def seconds(self) -> tuple[float, float]:
        """The shortest and the longest time for everything: services are visited side by side."""
        if not self.services:
            return 0.0, 0.0
        alone = [one.seconds for one in self.services if one.pace and (one.pace.has_pauses or one.pace.hours)]
        # The other services share the browser contexts, so their times add up.
        shared = [one.seconds for one in self.services if not one.pace or not (one.pace.has_pauses or one.pace.hours)]
        sides = [*alone, (sum(low for low, _ in shared), sum(high for _, high in shared))]
        return START + max(low for low, _ in sides), START + max(high for _, high in sides)


def forecast(spec: RunSpec, catalog: Catalog, now: datetime | None = None) -> Forecast:
    """Return the forecast of a run that begins now (local time). Starts nothing and reads no secret.

    Raises InputError if the run would be refused.
    """
    now = now or datetime.now()
    settings, rehearsal = spec.settings, spec.inventory.rehearsal
    check_filters(settings, catalog)
    planned = planned_accounts(spec, catalog)
    if not rehearsal or settings.network.resolve:
        require_safe_start(spec, [account for of_one in planned.values() for account in of_one], settings.network)
    paces: dict[str, Pace] = {}
    if not rehearsal:
        accounts = [account for of_one in planned.values() for account in of_one]
        live = {one.recipe.service: one.recipe for one in accounts if one.recipe and is_live(one, settings.network)}
        paces = {service: pace_of(recipe, settings) for service, recipe in live.items()}
    revoked, stopped = Revocations(settings.state_dir.revocations), Blocklist(settings.state_dir.stopped_services)
    gates = gates_of(settings, revoked, stopped)
    accepted = settings.accepted
    with_session = {(info.employee, info.service) for info in SessionStore(settings.state_dir).list()}
    history = History(spec)
    visits, left_alone = [], []
    for employee in dict.fromkeys([*history.turns(now), *planned]):
        for account in planned[employee]:
            free = []
            for control in account.controls:
                refused = gates.refusal(account, control, live=account.service in paces)
                # A rehearsal creates its own sessions.
                if refused is None and not rehearsal and (employee, account.service) not in with_session:
                    refused = gates.or_attested(NO_SESSION, account, str(control))
                if refused is None:
                    free.append(control)
                else:
                    left_alone.append(
                        Result(
                            employee,
                            account.service,
                            control,
                            refused.outcome,
                            reason=refused.reason,
                            attested_on=refused.attested_on,
                            accepted_by=accepted.by(account.service, refused.reason),
                        )
                    )
            if free:
                visits.append(replace(account, controls=tuple(free)))
    by_service: dict[str, list[PlannedAccount]] = {}
    for visit in visits:
        if visit.service is not None:
            by_service.setdefault(visit.service, []).append(visit)
    usual = history.usual_seconds()
    services = tuple(
        _service(catalog.recipes[service], own, usual.get(service, VISIT), settings, paces.get(service), now)
        for service, own in by_service.items()
    )
    lacking = () if rehearsal else tuple(_lacking(settings, is_live=bool(paces)))
    return Forecast(tuple(visits), tuple(catalog.named(left_alone)), services, lacking)


def hours_of(spec: RunSpec, catalog: Catalog) -> Iterator[tuple[str, Hours]]:
    """Return the live services of a run that are visited only in certain hours."""
    if spec.settings.hours and not spec.inventory.rehearsal:
        planned = planned_accounts(spec, catalog).values()
        live = {one.service for of_one in planned for one in of_one if is_live(one, spec.settings.network)}
        yield from ((service, hours) for service, hours in spec.settings.hours.items() if service in live)


def _service(
    recipe: Recipe, own: list[PlannedAccount], visit: float, settings: Settings, pace: Pace | None, now: datetime
) -> ServiceForecast:
    if pace and pace.has_pauses:
        low, high = (len(own) * visit + (len(own) - 1) * pause for pause in (pace.shortest, pace.longest))
    else:
        low = high = math.ceil(len(own) / (settings.forks * max(1, len(settings.workers)))) * visit
    if pace and pace.hours:
        low, high = pace.hours.takes(low, now), pace.hours.takes(high, now)
    controls = sum(len(account.controls) for account in own)
    return ServiceForecast(recipe.service, recipe.name, len(own), controls, pace, (low, high))


def _lacking(settings: Settings, *, is_live: bool) -> Iterator[str]:
    try:
        settings.state_dir.check()
    except InputError as error:
        yield str(error)
    for what, path in (("age identity", settings.identity), ("key of the audit log", settings.log_key)):
        if not path.is_file():
            yield f"There is no {what} at {path}; 'fleet init' creates one."
    if is_live and not settings.workers:
        try:
            require_sandbox(settings.sandbox)
        except InputError as error:
            yield str(error)
