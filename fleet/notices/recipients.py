"""Who gets a notice today, and about what.

An employee is asked about a control at most three times: first, and in two reminders. What they answer begins a new
count: an attestation that expired, a mandate that ended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from fleet.audit import records
from fleet.audit.current_state import CurrentState
from fleet.audit.run_state import ControlKey
from fleet.inventory.employee import Employee
from fleet.model import Outcome, Reading, Reason, control_name
from fleet.plan.forecast import Forecast
from fleet.state.sent_notices import NoticeKind, SentNotice, SentNotices

PAUSE = timedelta(days=14)
"""Between two notices to the same employee, and from the last one until it counts as unanswered."""
MOST_NOTICES = 3
"""About one control: the first and two reminders."""
_ASKS_THE_EMPLOYEE = frozenset(
    {
        Reason.NO_MANDATE_GIVEN,
        Reason.MANDATE_EXPIRED,
        Reason.MANDATE_MISSES_SERVICE,
        Reason.MANDATE_MISSES_CONTROL,
        Reason.MANDATE_TOO_WEAK,
        Reason.TERMS_FORBID,
        Reason.PERSONAL_SESSION,
        Reason.PROFILE_UNKNOWN,
        Reason.NO_SESSION,
    }
)
"""Why a control is not visited although its employee could switch it.

Not among them: a revoked mandate (the employee wants to be left alone), one that begins later, a stopped service, and
what only an administrator can fix.
"""
_ONLY_ONCE = frozenset({Reason.NO_SESSION})
"""The employee gave a mandate and so has answered: one notice that the visit failed, and no reminder."""
_NEEDS_THE_EMPLOYEE = frozenset({Outcome.SIGN_IN_NEEDED, Outcome.CHALLENGED, Outcome.WRONG_ACCOUNT})
"""How the last visit ended, where the next one can do no better without the employee."""


@dataclass(frozen=True)
class Ask:
    """A control that its employee can switch. `only_once`: no reminder follows, and it is never closed."""

    service: str
    control: str
    only_once: bool = False

    @property
    def name(self) -> str:
        """The control's name."""
        return control_name(self.service, self.control)


@dataclass(frozen=True)
class Press:
    """One click in an employee's account."""

    service: str
    control: str
    at: datetime
    is_mandated: bool
    """Under a mandate; otherwise in an account that the organization owns."""
    is_claimed: bool
    """Whether an administrator wrote the mandate down."""


@dataclass(frozen=True)
class Recipient:
    """An employee who gets a notice about these controls (service and name)."""

    employee: Employee
    kind: NoticeKind
    controls: tuple[tuple[str, str], ...]
    is_last: bool = False
    """Whether no reminder follows."""
    presses: tuple[Press, ...] = ()
    """What a receipt is about."""


@dataclass(frozen=True)
class Due:
    """What is due today. `closed` are controls of employees who did not answer the last reminder."""

    recipients: tuple[Recipient, ...]
    closed: tuple[tuple[str, str, str], ...]
    """Employee, service, control."""


def open_controls(
    planned: Forecast, states: Mapping[ControlKey, CurrentState], pseudonyms: Mapping[str, str]
) -> dict[str, list[Ask]]:
    """Return by employee what only they can switch today, and what is not known to be out.

    `planned` is a run that would begin now, `pseudonyms` are those of employees in the log.
    """
    found: dict[str, list[Ask]] = {}

    def state_of(employee: str, service: str, control: str) -> CurrentState | None:
        return states.get((pseudonyms.get(employee, ""), service, control))

    def add(employee: str, service: str, control: str, *, only_once: bool) -> None:
        state = state_of(employee, service, control)
        if state is None or (state.reading is not Reading.OUT and state.outcome is not Outcome.NOT_OFFERED):
            found.setdefault(employee, []).append(Ask(service, control, only_once))

    for result in planned.left_alone:
        if result.service is not None and result.control is not None and result.reason in _ASKS_THE_EMPLOYEE:
            add(result.employee, result.service, result.control, only_once=result.reason in _ONLY_ONCE)
    for visit in planned.visits:
        for control in filter(None, visit.controls):
            name, service = visit.employee.name, visit.service or ""
            state = state_of(name, service, control)
            if state is not None and state.outcome in _NEEDS_THE_EMPLOYEE:
                add(name, service, control, only_once=True)
    return found


def presses(log: Iterable[Mapping[str, Any]]) -> dict[str, list[Press]]:
    """Return every click by pseudonym, oldest first."""
    found: dict[str, list[Press]] = {}
    for record in log:
        if record["event"] == records.CONTROL_INTENDED:
            is_mandated, is_claimed = record["authority"] == "mandate", record["assurance"] in (None, "claimed")
            at = datetime.fromisoformat(record["at"])
            press = Press(record["service"], record["control"], at, is_mandated, is_mandated and is_claimed)
            found.setdefault(record["subject"], []).append(press)
    return found


def answers(log: Iterable[Mapping[str, Any]]) -> dict[str, list[tuple[str, datetime]]]:
    """Return when employees answered, by pseudonym: a control's or a service's name, and the moment."""
    found: dict[str, list[tuple[str, datetime]]] = {}
    for record in log:
        about: Iterable[str] = ()
        if record["event"] == records.CONTROL_ATTESTED:
            about = [control_name(record["service"], record["control"])]
        elif record["event"] == records.MANDATE_GIVEN:
            about = record["controls"]
        elif record["event"] == records.MANDATE_MET:
            about = record["services"]
        for name in about:
            found.setdefault(record["subject"], []).append((name, datetime.fromisoformat(record["at"])))
    return found


@dataclass(frozen=True)
class Notices:
    """Decides who gets what. `presses` and `answers` are those of the log, by employee.

    `waiting` are the employees with an act in the portal's inbox: they have answered, and it is not recorded yet.
    """

    open_to_them: Mapping[str, list[Ask]]
    presses: Mapping[str, list[Press]]
    answers: Mapping[str, list[tuple[str, datetime]]]
    sent: SentNotices
    waiting: Collection[str] = ()

    def due(self, employees: Iterable[Employee], today: date) -> Due:
        """Return who gets a notice today. Raises InputError if it cannot be read what was sent."""
        recipients: list[Recipient] = []
        closed: list[tuple[str, str, str]] = []
        for employee in employees:
            if not employee.is_name_safe:
                continue
            before = self.sent.of(employee.name)
            recipients += self._receipt(employee, before)
            if employee.name in self.waiting:
                continue
            asks = [
                ask
                for ask in self.open_to_them.get(employee.name, ())
                if employee.accounts[ask.service].owner == "employee"
            ]
            counts = {ask: self._asked(employee.name, ask, before) for ask in asks}
            asked = [one.sent_on for one in before if one.kind is not NoticeKind.RECEIPT]
            is_pause_over = not asked or today - max(asked) >= PAUSE
            if is_pause_over:
                closed += [
                    (employee.name, ask.service, ask.control)
                    for ask, count in counts.items()
                    if count >= MOST_NOTICES and not ask.only_once
                ]
            recipients += _question(employee, counts, is_pause_over=is_pause_over)
        return Due(tuple(recipients), tuple(closed))

    def _receipt(self, employee: Employee, before: Iterable[SentNotice]) -> Iterator[Recipient]:
        """Yield a notice about what was clicked since the last receipt was written."""
        told = max((one.written_at for one in before if one.kind is NoticeKind.RECEIPT), default=None)
        new = [one for one in self.presses.get(employee.name, ()) if told is None or one.at > told]
        if new:
            about = tuple(dict.fromkeys((one.service, one.control) for one in new))
            yield Recipient(employee, NoticeKind.RECEIPT, about, presses=tuple(new))

    def _asked(self, employee: str, ask: Ask, before: Iterable[SentNotice]) -> int:
        """Return how often the employee was asked about a control since they last answered."""
        moments = [at for name, at in self.answers.get(employee, ()) if name in (ask.name, ask.service)]
        answered = max(moments, default=None)
        return sum(
            one.kind is not NoticeKind.RECEIPT
            and ask.name in one.controls
            and (answered is None or one.written_at > answered)
            for one in before
        )


def _question(employee: Employee, counts: Mapping[Ask, int], *, is_pause_over: bool) -> Iterator[Recipient]:
    """Yield a first notice if any control is new to the employee, else a reminder once the pause is over."""
    new = [ask for ask, count in counts.items() if count == 0]
    again = [ask for ask, count in counts.items() if 0 < count < MOST_NOTICES and not ask.only_once]
    about = [ask for ask in counts if ask in new or (is_pause_over and ask in again)]
    if about:
        kind = NoticeKind.FIRST if new else NoticeKind.REMINDER
        is_last = all(ask.only_once or counts[ask] == MOST_NOTICES - 1 for ask in about)
        yield Recipient(employee, kind, tuple((ask.service, ask.control) for ask in about), is_last)
