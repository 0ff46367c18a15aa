"""What the last run left for the next one: whom to visit last, what to go on with, and how long a visit took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from statistics import median

from fleet.audit.ledger import Ledger
from fleet.audit.segments import read_last_run
from fleet.audit.subjects import known_names
from fleet.errors import InputError
from fleet.model import Outcome, Reason, Result
from fleet.plan import RunSpec

_STUCK = (Outcome.CHALLENGED, Outcome.PAGE_CHANGED)
_LEFT = (Outcome.NOT_RUN, Outcome.UNKNOWN)


def turns(spec: RunSpec) -> list[str]:
    """The employees in the inventory's order, last those whom the last run left challenged or before a changed page.

    If they still are, the others have been visited before the circuit opens.
    """
    stuck = {result.employee for result in _results(spec, _last_run(spec)) if result.outcome in _STUCK}
    employees = [employee.name for employee in spec.inventory.employees if employee.is_name_safe]
    return sorted(employees, key=lambda name: name in stuck)


def resume(spec: RunSpec) -> RunSpec:
    """The run that goes on where the last one stopped: with what was never reached, or is not known, and nothing else.

    A run in check mode is gone on with in check mode. `only` is empty if the last run came to its end.
    Raises InputError if there was no run.
    """
    last = _last_run(spec)
    if last is None:
        raise InputError("--resume: no run is in the log yet; run without it.")
    left = [result for result in _results(spec, last) if result.outcome in _LEFT]
    employees = {result.employee for result in left}
    return replace(
        spec,
        check=spec.check or last.check,
        inventory=spec.inventory.only(employees),
        resumes=last.run,
        only=frozenset((result.employee, result.service, result.control) for result in left),
    )


def usual_seconds(spec: RunSpec) -> Mapping[str, float]:
    """Service to the seconds that an account took there in the last run, its controls together (the median)."""
    spent: dict[tuple[str, str], int] = defaultdict(int)
    for result in _results(spec, _last_run(spec)):
        if result.service and result.duration_ms:
            spent[result.service, result.employee] += result.duration_ms
    services = {service for service, _ in spent}
    return {one: median(ms for (service, _), ms in spent.items() if service == one) / 1000 for one in services}


def _last_run(spec: RunSpec) -> Ledger | None:
    records = list(read_last_run(spec.settings.state_dir.audit.log))
    return Ledger.replay(records[0]["run"], records) if records else None


def _results(spec: RunSpec, ledger: Ledger | None) -> list[Result]:
    names = known_names(spec.settings.state_dir.audit.subjects)
    return ledger.results(names, absent=Reason.AGENT_ENDED) if ledger else []
