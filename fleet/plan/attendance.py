"""Who may be attended at the desk, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from fleet.audit.pseudonyms import known_subjects
from fleet.audit.segments import of_kind, read_records
from fleet.authority.countries import may_be_attended
from fleet.errors import InputError
from fleet.model import Outcome, control_name
from fleet.plan.gates import attestations_of, is_personal, today
from fleet.plan.plan import Planned, PlannedAccount, RunSpec, check_filters, new_run_id, planned_accounts
from fleet.plan.selection import NOTHING, Past, past
from fleet.recipes.catalog import Catalog
from fleet.state.spot_checks import Invitation


class Why(StrEnum):
    """Why somebody is attended, most urgent first."""

    APPOINTMENT = "appointment"
    CHALLENGED = "challenged"
    SPOT_CHECK = "spot_check"
    COMPANY = "company"


@dataclass(frozen=True)
class Attendance:
    """One employee to attend. `since` is when they asked for the appointment, or said that they come to the check."""

    employee: str
    why: Why
    since: datetime | None
    only: frozenset[Planned]

    def run(self, spec: RunSpec) -> RunSpec:
        """Return the run of this employee alone."""
        inventory = spec.inventory.only({self.employee})
        return replace(spec, run_id=new_run_id(), inventory=inventory, only=self.only, attended=True)


@dataclass(frozen=True)
class Invited:
    """Whom the portal's acts bring to the desk."""

    appointments: Mapping[str, datetime]
    """By employee, when they asked."""
    spot_checks: Mapping[str, Invitation]
    """By employee, of those who said that they are coming."""


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
    subjects, answers = known_subjects(places.subjects), attestations_of(spec.settings)
    found, refused = list[Attendance](), dict[str, str]()
    for name, accounts in planned_accounts(spec, catalog).items():
        subject = subjects.get(name)
        chosen: dict[Why, set[Planned]] = {}
        for account in accounts:
            for control in account.controls:
                request = account.recipe.requests.get(control or "") if account.recipe else None
                if request is not None and request.signed_by == "organization":
                    continue
                known = seen.get((subject.pseudonym, account.service, control), NOTHING) if subject else NOTHING
                if request is not None:  # a form or letter that was sent is done: there is nothing to read
                    is_sent = answers.fresh(name, str(account.service), str(control), today()) is not None
                    known = replace(known, is_done=is_sent)
                why = _why(account, control, known, invited, spec.settings.desk.countries)
                if isinstance(why, Why):
                    chosen.setdefault(why, set()).add((name, account.service, control))
                else:
                    refused[name] = why
        if chosen:
            first = min(chosen, key=list(Why).index)
            only = frozenset(planned for each in chosen.values() for planned in each)
            found.append(Attendance(name, first, _since(name, first, invited), only))
            refused.pop(name, None)
    return Queue(tuple(sorted(found, key=_place)), refused)


def _why(
    account: PlannedAccount, control: str | None, known: Past, invited: Invited, countries: Collection[str]
) -> Why | str:
    """Return why a control is visited at the desk, or in a sentence why not."""
    employee, recipe = account.employee, account.recipe
    if recipe is None or employee.problem_for(account.service) is not None:
        return "their data is invalid; see 'fleet inventory check'."
    personal = is_personal(employee.accounts[recipe.service], recipe)
    is_checked = _is_checked(account, control, known, invited.spot_checks.get(employee.name))
    if known.is_done and not is_checked:
        return f"{recipe.name} is done."
    if not personal:
        return Why.COMPANY
    why = None
    if employee.name in invited.appointments:
        why = Why.APPOINTMENT
    elif known.outcome is Outcome.CHALLENGED:
        why = Why.CHALLENGED
    elif is_checked:
        why = Why.SPOT_CHECK
    if why is None:
        return "they did not ask for an appointment, were not challenged, and are not invited to a spot check."
    if not may_be_attended(employee.country, countries):
        where = f"fleet_country {employee.country}" if employee.country else "an employee without fleet_country"
        return f"desk.countries in fleet.yml does not cover {where}, and the account at {recipe.name} is personal."
    return why


def _is_checked(account: PlannedAccount, control: str | None, known: Past, invitation: Invitation | None) -> bool:
    """Return True if a spot check reads this control, and has not read it yet."""
    if invitation is None or invitation.coming_at is None:
        return False
    is_read = known.looked_at is not None and known.looked_at >= invitation.coming_at
    return control_name(account.service, control) in invitation.controls and not is_read


def _since(name: str, why: Why, invited: Invited) -> datetime | None:
    if why is Why.SPOT_CHECK:
        return invited.spot_checks[name].coming_at
    return invited.appointments[name] if why is Why.APPOINTMENT else None


def _place(one: Attendance) -> tuple[int, datetime]:
    return list(Why).index(one.why), one.since or datetime.max.replace(tzinfo=UTC)


def require_attended(queue: Queue, limit: str | None) -> None:
    """Raise InputError if nobody is attended, with the reasons of those that --limit names."""
    if queue.attended:
        return
    if limit is not None and queue.refused:
        raise InputError("\n".join(f"{name} is not attended: {why}" for name, why in queue.refused.items()))
    raise InputError("Nobody is to be attended: no appointment is open, nobody was challenged, and no account is left.")
