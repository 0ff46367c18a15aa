"""Takes the acts of the portal's inbox into the state: each is checked again, recorded, and then counts."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet.authority.inbox import (
    Act,
    AppointmentAct,
    Arrived,
    AttestAct,
    CloseAct,
    Inbox,
    MandateAct,
    RevokeAct,
    SpotCheckAct,
    is_ours,
)
from fleet.errors import FleetError, InputError
from fleet.paths import StateDir, make_private_dir, write_private
from fleet.state.appointments import Appointment, Appointments
from fleet.state.employee_acts import Attest, Give, Statement
from fleet.state.spot_checks import Invitations

BATCH = 500
"""Statements recorded together: they share the log's syncs."""


@dataclass(frozen=True)
class Taken:
    """What became of one file: `refusal` is why it was refused, None if it counts now."""

    name: str
    act: Act | None
    refusal: str | None
    is_removed: bool


@dataclass(frozen=True)
class Ingested:
    """What became of all files. `waiting` mandates cannot be checked now, for the reason in `problem`."""

    taken: list[Taken]
    waiting: int = 0
    problem: str | None = None


@dataclass(frozen=True)
class Ingest:
    """Takes in what has arrived. `refusal` says why an act is refused, `checked` turns a mandate into an act of ours.

    `checked` raises InputError with the reason for a refusal, FleetError if it cannot be decided now.
    """

    inbox: Inbox
    state: StateDir
    today: Mapping[str, str]
    """Former names with the employee's name of today."""
    refusal: Callable[[AttestAct | CloseAct | AppointmentAct | SpotCheckAct], str | None]
    checked: Callable[[MandateAct], Give]
    perform: Callable[[Attest | Give], object]
    revoke: Callable[[Sequence[RevokeAct]], object]
    operator_claimed: str | None

    def run(self) -> Ingested:
        """Take in every act and keep it in `portal/done` or `portal/refused` in the state. Revocations go first.

        Raises InputError if another process does the same, and whatever `perform` and `revoke` raise; the files then
        stay for the next time.
        """
        with _alone(self.state):
            arrived = list(self.inbox.arrived())
            acts = [(one, self._of_today(one.act)) for one in arrived]
            taken = [self._moved(one, one.refusal) for one in arrived if one.refusal is not None]
            taken += self._revocations([(one, act) for one, act in acts if isinstance(act, RevokeAct)])
            mandates = [(one, act) for one, act in acts if isinstance(act, MandateAct)]
            answers = [(one, act) for one, act in acts if isinstance(act, AttestAct | CloseAct)]
            taken += self._answers(sorted(answers, key=lambda each: each[1].at))
            asked = [(one, act) for one, act in acts if isinstance(act, AppointmentAct | SpotCheckAct)]
            taken += [self._desk(one, act) for one, act in sorted(asked, key=lambda each: each[1].at)]
            given, waiting, problem = self._mandates(sorted(mandates, key=lambda each: each[1].at))
            return Ingested(taken + given, waiting, problem)

    def _of_today(self, act: Act | None) -> Act | None:
        """Return an act under the employee's name of today: it may have waited while they were renamed."""
        if act is None or act.employee not in self.today:
            return act
        return act.model_copy(update={"employee": self.today[act.employee]})

    def _revocations(self, arrived: list[tuple[Arrived, RevokeAct]]) -> list[Taken]:
        if arrived:
            self.revoke([act for _, act in arrived])
        return [self._moved(one, None) for one, _ in arrived]

    def _answers(self, arrived: list[tuple[Arrived, AttestAct | CloseAct]]) -> Iterator[Taken]:
        accepted = []
        for one, act in arrived:
            why = self.refusal(act)
            if why is None:
                accepted.append((one, act))
            else:
                yield self._moved(one, why)
        for start in range(0, len(accepted), BATCH):
            batch = accepted[start : start + BATCH]
            statements = [_statement(act) for _, act in batch]
            self.perform(Attest(statements=statements, operator_claimed=self.operator_claimed))
            for one, _ in batch:
                yield self._moved(one, None)

    def _desk(self, one: Arrived, act: AppointmentAct | SpotCheckAct) -> Taken:
        """Open or close an appointment. It is not in the log: it permits nothing, and an attended visit is recorded."""
        why = self.refusal(act)
        if why is not None:
            return self._moved(one, why)
        appointments, invitations = Appointments(self.state.appointments), Invitations(self.state.spot_checks)
        invitation = invitations.of(act.employee)
        if isinstance(act, SpotCheckAct):
            if act.is_coming and invitation is not None and invitation.coming_at is None:
                appointments.put(Appointment(employee=act.employee, asked_at=act.at))
                # By our clock: a portal that was taken over must not choose which readings count.
                invitations.put(invitation.model_copy(update={"coming_at": datetime.now(UTC)}))
            elif not act.is_coming and invitation is not None and invitation.coming_at is None:
                invitations.remove(act.employee)
        elif act.is_wanted:
            appointments.put(Appointment(employee=act.employee, asked_at=act.at))
        elif appointments.close(act.employee) and invitation is not None and invitation.coming_at is not None:
            invitations.remove(act.employee)  # they had said that they were coming; once they came, the result stays
        return self._moved(one, why)

    def _mandates(self, arrived: list[tuple[Arrived, MandateAct]]) -> tuple[list[Taken], int, str | None]:
        taken: list[Taken] = []
        for one, act in arrived:
            try:
                give = self.checked(act)
            except InputError as error:
                taken.append(self._moved(one, str(error)))
                continue
            except FleetError as error:
                return taken, len(arrived) - len(taken), str(error)
            self.perform(give)
            taken.append(self._moved(one, None))
        return taken, 0, None

    def _moved(self, one: Arrived, refusal: str | None) -> Taken:
        """Keep what was read, never the file itself: its writer may still have it open.

        Of a control that an employee closed nothing is kept: a reminder that was not answered leaves no file either.
        Nor of an appointment or a spot check: nobody can look up who withdrew or declined.
        """
        if refusal is None and isinstance(one.act, CloseAct | AppointmentAct | SpotCheckAct):
            return Taken(one.name, one.act, None, self.inbox.remove(one.name))
        folder = self.state.portal / ("done" if refusal is None else "refused")
        make_private_dir(folder)
        name = one.name if is_ours(one.name) else f"{hashlib.sha256(os.fsencode(one.name)).hexdigest()[:32]}.json"
        kept = {"name": one.name, "refusal": refusal, "content": one.content.decode("utf-8", "backslashreplace")}
        write_private(folder / name, json.dumps(kept, indent=1).encode(), durable=True)
        return Taken(one.name, one.act, refusal, self.inbox.remove(one.name))


@contextmanager
def _alone(state: StateDir) -> Iterator[None]:
    make_private_dir(state.portal)
    descriptor = os.open(state.portal, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise InputError("Another 'fleet portal ingest' is at work on this state; nothing was done.") from None
    finally:
        os.close(descriptor)


def revoked_at(act: RevokeAct, now: datetime) -> datetime:
    """Return when a revocation counts from: the portal's clock may be ahead of ours."""
    return min(act.at, now)


def _statement(act: AttestAct | CloseAct) -> Statement:
    return Statement(
        employee=act.employee,
        service=act.service,
        control=act.control,
        said="closed" if isinstance(act, CloseAct) else act.said,
        at=act.at,
        assurance="oidc_session",
    )
