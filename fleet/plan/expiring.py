"""What ends soon: each date is the one that the gates, the session store or the recipes decide by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from fleet.audit.current_state import CurrentState, current_states
from fleet.audit.pseudonyms import known_subjects
from fleet.audit.segments import of_kind, read_records
from fleet.authority.attestations import Attestations
from fleet.authority.in_force import MandateInForce, Mandates
from fleet.authority.instruction import Assurance
from fleet.authority.mandates import Revocations
from fleet.inventory.employee import Employee
from fleet.model import Reading
from fleet.paths import look
from fleet.plan.gates import attestations_of, mandates_of, today
from fleet.plan.mandate_list import IN_FORCE, ListedMandate, listed
from fleet.recipes.catalog import Catalog
from fleet.recipes.recipe import Recipe
from fleet.sessions.store import SessionInfo, SessionStore
from fleet.settings.resolve import Settings

KEY_DAYS = 365
"""Days after which the log's key and the identity are due to be replaced."""
_DAY = timedelta(days=1)


class EndingKind(StrEnum):
    """What ends."""

    MANDATE = "mandate"
    WAIVER = "waiver"
    ATTESTATION = "attestation"
    SESSION = "session"
    TERMS_REVIEW = "terms_review"
    KEY = "key"


@dataclass(frozen=True)
class Ending:
    """One thing that ends: `ends_on` is the last day (UTC) on which it counts."""

    kind: EndingKind
    ends_on: date
    what: str
    """Assurance and services or controls of a mandate, the control, the service, the name of a key."""
    next: str
    employee: str | None = None


def endings(
    settings: Settings, people: Collection[Employee] | None, catalog: Catalog, until: date, *, rehearsal: bool
) -> Iterator[Ending]:
    """Yield what ends until a day, of `people` and at their services; of everybody in the state if it is None.

    Raises InputError and AuditError for what cannot be read.
    """
    state, day = settings.state_dir, today()
    employees = None if people is None else {employee.name: employee for employee in people}
    known = known_subjects(state.audit.subjects)
    found = current_states(of_kind(read_records(state.audit.log), rehearsal=rehearsal))

    def current(name: str, service: str, control: str) -> CurrentState | None:
        return found.get((known[name].pseudonym, service, control)) if name in known else None

    used = None if people is None else {service for employee in people for service in employee.accounts}
    controls = {recipe.service: tuple(recipe.controls) for recipe in catalog}
    attestations = attestations_of(settings)
    names = (name for name in attestations.names() if employees is None or name in employees)
    yield from _of_mandates(employees, mandates_of(settings, Revocations(state.revocations)), controls, day, until)
    yield from _of_waivers(people or (), day, until)
    rest = (
        _of_attestations(names, attestations, current, day),
        _of_sessions(SessionStore(state).list(), employees),
        _of_reviews((recipe for recipe in catalog if used is None or recipe.service in used), settings),
        _of_keys(settings.log_key, settings.identity),
    )
    yield from (one for each in rest for one in each if one.ends_on <= until)


def _of_mandates(
    employees: Mapping[str, Employee] | None,
    mandates: Mandates,
    controls: Mapping[str, Collection[str | None]],
    day: date,
    until: date,
) -> Iterator[Ending]:
    """Yield the mandates in force, unless another one takes their place; `employees` is None without an inventory.

    `controls` has those of each service. Raises InputError if revocations or mandates cannot be read.
    """
    for one in listed((employees or {}).values(), mandates, day):
        is_known = employees is None or one.employee in employees
        is_ending = one.state == IN_FORCE and one.expires_on <= until
        if is_ending and is_known and not _goes_on(one, employees or {}, mandates, controls):
            step = "Ask the employee for a new mandate, in the portal or at the desk."
            if one.assurance is Assurance.CLAIMED:
                step = "Ask the employee for a new mandate, and write it in the inventory."
            what = f"{one.assurance}: {', '.join(one.covers)}"
            yield Ending(EndingKind.MANDATE, one.expires_on, what, step, one.employee)


def _goes_on(
    one: ListedMandate,
    employees: Mapping[str, Employee],
    mandates: Mandates,
    controls: Mapping[str, Collection[str | None]],
) -> bool:
    """Return True if a run on the day after the last has a mandate for all that this one covers."""
    claimed = employees[one.employee].mandate if one.employee in employees else None
    covered = (covered.partition(".")[::2] for covered in one.covers)  # a service, or a service and a control
    each = (
        (service, name)
        for service, control in covered
        for name in ([control] if control else controls.get(service, [None]))
    )
    found = (mandates.find(one.employee, claimed, service, name, one.expires_on + _DAY) for service, name in each)
    return all(isinstance(mandate, MandateInForce) for mandate in found)


def _of_waivers(employees: Iterable[Employee], day: date, until: date) -> Iterator[Ending]:
    """Yield the waivers in force, unless another one takes their place."""
    for employee in employees:
        for one in employee.waivers:
            control = one.control or ""
            if one.expires_on > until or not one.covers(one.service, control, day):
                continue
            if not any(other.covers(one.service, control, one.expires_on + _DAY) for other in employee.waivers):
                what = f"{one.service}.{one.control}" if one.control else one.service
                step = f"Ask {one.owner} whether it goes on, and write the new date in the inventory."
                yield Ending(EndingKind.WAIVER, one.expires_on, what, step, employee.name)


def _of_attestations(
    names: Iterable[str],
    attestations: Attestations,
    current: Callable[[str, str, str], CurrentState | None],
    day: date,
) -> Iterator[Ending]:
    """Yield the statements that count, unless a run has read the control as opted out since.

    Raises InputError for a file that cannot be read.
    """
    for name in names:
        for said in attestations.of(name):
            seen = current(name, said.service, said.control)
            read = seen.read if seen and seen.reading is Reading.OUT else None
            is_superseded = read is not None and read.at.date() >= said.attested_on
            if not is_superseded and attestations.fresh(name, said.service, said.control, day):
                step = "Ask the employee to look again, and to say so."
                what = f"{said.service}.{said.control}"
                yield Ending(EndingKind.ATTESTATION, attestations.fresh_until(said), what, step, name)


def _of_sessions(sessions: Iterable[SessionInfo], employees: Mapping[str, Employee] | None) -> Iterator[Ending]:
    """Yield the sessions that have not expired and whose cookies say when they will."""
    for one in sessions:
        if one.expires_at is None or one.is_expired or (employees is not None and one.employee not in employees):
            continue
        step = f"Have the employee sign in at {one.service} again, and store the session."
        ends_on = datetime.fromtimestamp(one.expires_at, UTC).date()
        yield Ending(EndingKind.SESSION, ends_on, one.service, step, one.employee)


def _of_reviews(recipes: Iterable[Recipe], settings: Settings) -> Iterator[Ending]:
    """Yield the day until which each service's terms must be read again, with the decisions that rest on them."""
    for recipe in recipes:
        service, attestation = recipe.service, settings.attestation.get(recipe.service)
        decisions = {
            "terms_accepted": settings.terms_accepted.get(service),
            "personal_sessions": settings.personal_sessions.get(service),
            "attestation": attestation.accepted_by if attestation else None,
        }
        made = ", ".join(f"{name} {reference}" for name, reference in decisions.items() if reference)
        step = f"Read the terms of {recipe.name} again, and write the day in its recipe (reviewed_on)."
        if made:
            step += f" Confirm what fleet.yml decides on them: {made}."
        yield Ending(EndingKind.TERMS_REVIEW, recipe.terms.review_by, service, step)


def _of_keys(log_key: Path, identity: Path) -> Iterator[Ending]:
    """Yield when the keys on this machine are due to be replaced, by the dates of their files."""
    steps = {"log_key": "Run: fleet audit rotate-key", "identity": "Replace it as docs/operations.md describes."}
    for name, path in (("log_key", log_key), ("identity", identity)):
        there = look(path)
        if there is not None:
            ends_on = datetime.fromtimestamp(there.st_mtime, UTC).date() + timedelta(days=KEY_DAYS)
            yield Ending(EndingKind.KEY, ends_on, name, steps[name])
