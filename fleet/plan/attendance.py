"""Who may be attended at the desk, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from fleet.audit.pseudonyms import known_subjects
from fleet.audit.segments import of_kind, read_records
from fleet.authority.countries import may_be_attended
from fleet.errors import InputError
from fleet.model import Outcome
from fleet.plan.gates import is_personal
from fleet.plan.plan import Planned, PlannedAccount, RunSpec, check_filters, new_run_id, planned_accounts
from fleet.plan.selection import NOTHING, Past, past
from fleet.recipes.catalog import Catalog


class Why(StrEnum):
    """Why somebody is attended, most urgent first."""

    APPOINTMENT = "appointment"
    CHALLENGED = "challenged"
    SPOT_CHECK = "spot_check"
    COMPANY = "company"


@dataclass(frozen=True)
class Attendance:
    """One employee to attend. `since` is the day of their appointment or of their spot check's invitation."""

    employee: str
    why: Why
    since: date | None
    only: frozenset[Planned]

    def run(self, spec: RunSpec) -> RunSpec:
        """Return the run of this employee alone."""
        inventory = spec.inventory.only({self.employee})
        return replace(spec, run_id=new_run_id(), inventory=inventory, only=self.only, attended=True)


@dataclass(frozen=True)
class Invited:
    """Whom the portal's acts bring to the desk, each since a day."""

    appointments: Mapping[str, date]
    spot_checks: Mapping[str, date]


@dataclass(frozen=True)
class Queue:
    """Who is attended, in this order, and why others are not, by employee."""

    attended: tuple[Attendance, ...]
    refused: Mapping[str, str]


def queue_of(spec: RunSpec, catalog: Catalog, invited: Invited) -> Queue:
    """Return who is attended: appointments first, the longest waiting at the front, then those who were challenged.

    Raises InputError for filters unknown to all recipes, AuditError if the log cannot be read.
    """
    check_filters(spec.settings, catalog)
    places = spec.settings.state_dir.audit
    seen = past(of_kind(read_records(places.log), rehearsal=spec.inventory.rehearsal))
    subjects = known_subjects(places.subjects)
    found, refused = list[Attendance](), dict[str, str]()
    for name, accounts in planned_accounts(spec, catalog).items():
        subject = subjects.get(name)
        chosen: dict[Why, set[Planned]] = {}
        for account in accounts:
            for control in account.controls:
                if account.recipe is not None and control in account.recipe.requests:
                    continue  # a form or letter; no page is visited for it
                known = seen.get((subject.pseudonym, account.service, control), NOTHING) if subject else NOTHING
                why = _why(account, known, invited, spec.settings.desk.countries)
                if isinstance(why, Why):
                    chosen.setdefault(why, set()).add((name, account.service, control))
                else:
                    refused[name] = why
        if chosen:
            first = min(chosen, key=list(Why).index)
            since = {Why.APPOINTMENT: invited.appointments, Why.SPOT_CHECK: invited.spot_checks}.get(first, {})
            only = frozenset(planned for each in chosen.values() for planned in each)
            found.append(Attendance(name, first, since.get(name), only))
            refused.pop(name, None)
    return Queue(tuple(sorted(found, key=_place)), refused)


def _why(account: PlannedAccount, known: Past, invited: Invited, countries: Collection[str]) -> Why | str:
    """Return why a control is visited at the desk, or in a sentence why not."""
    employee, recipe = account.employee, account.recipe
    if recipe is None or employee.problem_for(account.service) is not None:
        return "their data is invalid; see 'fleet inventory check'."
    personal = is_personal(employee.accounts[recipe.service], recipe)
    if known.is_done and employee.name not in invited.spot_checks:
        return f"{recipe.name} is done."
    if not personal:
        return Why.COMPANY
    why = None
    if employee.name in invited.appointments:
        why = Why.APPOINTMENT
    elif known.outcome is Outcome.CHALLENGED:
        why = Why.CHALLENGED
    elif employee.name in invited.spot_checks:
        why = Why.SPOT_CHECK
    if why is None:
        return "they did not ask for an appointment, were not challenged, and are not invited to a spot check."
    if not may_be_attended(employee.country, countries):
        where = f"fleet_country {employee.country}" if employee.country else "an employee without fleet_country"
        return f"desk.countries in fleet.yml does not cover {where}, and the account at {recipe.name} is personal."
    return why


def _place(one: Attendance) -> tuple[int, date]:
    return list(Why).index(one.why), one.since or date.max


def require_attended(queue: Queue, limit: str | None) -> None:
    """Raise InputError if nobody is attended, with the reasons of those that --limit names."""
    if queue.attended:
        return
    if limit is not None and queue.refused:
        raise InputError("\n".join(f"{name} is not attended: {why}" for name, why in queue.refused.items()))
    raise InputError("Nobody is to be attended: no appointment is open, nobody was challenged, and no account is left.")
