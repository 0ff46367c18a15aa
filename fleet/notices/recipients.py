"""Who gets a notice today, and about what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from fleet.audit import records
from fleet.audit.current_state import CurrentState
from fleet.audit.run_state import ControlKey
from fleet.inventory.employee import Employee
from fleet.model import Outcome, Reading, Reason, Result
from fleet.state.sent_notices import NoticeKind, SentNotices, is_unanswered, next_kind

_ASKS_THE_EMPLOYEE = frozenset(
    {Outcome.NO_MANDATE, Outcome.NOT_PERMITTED, Outcome.EMPLOYEE_NEEDED, Outcome.SIGN_IN_NEEDED}
)
"""Outcomes without a visit after which the employee can do it themselves."""


@dataclass(frozen=True)
class Recipient:
    """An employee who gets a notice about these controls (service and name); none for a receipt."""

    employee: Employee
    kind: NoticeKind
    controls: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Due:
    """What is due today. `closed` are controls of employees whose last reminder went unanswered."""

    recipients: tuple[Recipient, ...]
    closed: tuple[tuple[str, str, str], ...]
    """Employee, service, control."""


def open_controls(
    left_alone: Iterable[Result], states: Mapping[ControlKey, CurrentState], pseudonyms: Mapping[str, str]
) -> dict[str, list[tuple[str, str]]]:
    """Return by employee what a run would not visit today although it is not known to be out.

    `left_alone` is what a run would leave alone today (`forecast`), `pseudonyms` are those of employees in the log.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for result in left_alone:
        if result.outcome not in _ASKS_THE_EMPLOYEE or result.reason is Reason.CLOSED:
            continue
        if result.service is None or result.control is None:
            continue
        state = states.get((pseudonyms.get(result.employee, ""), result.service, result.control))
        if state is not None and (state.reading is Reading.OUT or state.outcome is Outcome.NOT_OFFERED):
            continue
        found.setdefault(result.employee, []).append((result.service, result.control))
    return found


def last_pressed(log: Iterable[Mapping[str, Any]]) -> dict[str, date]:
    """Return the day (UTC) on which something was last clicked for each person, by pseudonym."""
    return {
        record["subject"]: date.fromisoformat(record["at"][:10])
        for record in log
        if record["event"] == records.CONTROL_INTENDED and record["authority"] == "mandate"
    }


def due(
    employees: Iterable[Employee],
    open_to_them: Mapping[str, list[tuple[str, str]]],
    pressed: Mapping[str, date],
    sent: SentNotices,
    today: date,
) -> Due:
    """Return who gets a notice today. Raises InputError if it cannot be read what was sent."""
    recipients: list[Recipient] = []
    closed: list[tuple[str, str, str]] = []
    for employee in employees:
        if not employee.is_name_safe:
            continue
        before = sent.of(employee.name)
        receipts = [one.sent_on for one in before if one.kind is NoticeKind.RECEIPT]
        day = pressed.get(employee.name)
        if day is not None and (not receipts or receipts[-1] < day):
            recipients.append(Recipient(employee, NoticeKind.RECEIPT, ()))
        controls = [
            (service, control)
            for service, control in open_to_them.get(employee.name, ())
            if employee.accounts[service].owner == "employee"
        ]
        if not controls:
            continue
        if is_unanswered(before, today):
            closed += [(employee.name, service, control) for service, control in controls]
        elif (kind := next_kind(before, today)) is not None:
            recipients.append(Recipient(employee, kind, tuple(controls)))
    return Due(tuple(recipients), tuple(closed))
