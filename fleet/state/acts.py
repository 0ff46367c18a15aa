"""Acts on a state outside a run, such as renewing a mandate: what each does, and the record it leaves.

The holder of the audit log carries them out: the command itself, or the agent of a run that the command asks. An act
that permits something is recorded first; an act that forbids something takes effect first and is recorded by the next
writer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from fleet.audit import records
from fleet.audit.maintenance import beat
from fleet.audit.pseudonyms import Subject
from fleet.authority.attestations import Control, Name, Service
from fleet.authority.blocklist import Blocklist, Entry
from fleet.authority.instruction import Sha256
from fleet.authority.submissions import Submission, Submissions
from fleet.errors import InputError
from fleet.state.employee_acts import Attest, Give, Notify, attest, give, notify
from fleet.state.erasure import erase, prune
from fleet.state.rename import require_no_unfinished_rename
from fleet.state.retention import expire
from fleet.state.spot_checks import Invitation, Invitations
from fleet.state.writer import OperatorAct, StrictAct, Writer

Reference = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Settle(StrictAct):
    """Record revocations and stops that are not in the log yet. Every other act does this first."""

    act: Literal["settle"] = "settle"


class Checkpoint(OperatorAct):
    """Record a heartbeat and sign the log."""

    act: Literal["checkpoint"] = "checkpoint"


class Renew(OperatorAct):
    """Make a revoked mandate valid again."""

    act: Literal["renew"] = "renew"
    employee: Name
    reference: Reference


class Start(OperatorAct):
    """Allow a stopped service again."""

    act: Literal["start"] = "start"
    service: Service
    reference: Reference


class Submit(OperatorAct):
    """Record that a service confirmed a request of the organization's own; without `control`, no outcome changes."""

    act: Literal["submit"] = "submit"
    service: Service
    control: Control | None
    confirmation_sha256: Sha256
    reference: Reference | None


class Draw(OperatorAct):
    """Invite these people, drawn among `among`, to a spot check."""

    act: Literal["draw"] = "draw"
    invitations: Annotated[list[Annotated[Invitation, Field(strict=False)]], Field(min_length=1, max_length=100_000)]
    among: Annotated[int, Field(ge=1, le=records.MAX_NUMBER)]


class EndSpotCheck(OperatorAct):
    """End the spot check with this result, and forget who was drawn."""

    act: Literal["end_spot_check"] = "end_spot_check"
    checked: Annotated[int, Field(ge=0, le=records.MAX_NUMBER)]
    wrong: Annotated[int, Field(ge=0, le=records.MAX_NUMBER)]


class Erase(OperatorAct):
    """Delete all data that leads to these people."""

    act: Literal["erase"] = "erase"
    employees: Annotated[list[Annotated[str, StringConstraints(max_length=1000)]], Field(max_length=100_000)]


class Prune(OperatorAct):
    """Remove the records of runs that ended before a day (UTC), and data that is older than so many days."""

    act: Literal["prune"] = "prune"
    before: Annotated[date | None, Field(strict=False)]
    pictures_days: Annotated[int, Field(ge=1)] | None
    tokens_days: Annotated[int, Field(ge=1)] | None


class ShowNames(OperatorAct):
    """Record that a command shows employees' names beside what the log says of them: of one, or of so many."""

    act: Literal["show_names"] = "show_names"
    command: Annotated[str, StringConstraints(pattern=r"^[a-z]+( [a-z]+)*$", max_length=40)]
    employee: Annotated[str, StringConstraints(max_length=1000)] | None
    people: Annotated[int, Field(ge=1, le=records.MAX_NUMBER)]


class Capture(OperatorAct):
    """Record that an employee signed in at the desk, so that their session is stored."""

    act: Literal["capture"] = "capture"
    employee: Name
    service: Service


Act = (
    Settle
    | Checkpoint
    | Renew
    | Start
    | Submit
    | Draw
    | EndSpotCheck
    | Attest
    | Give
    | Notify
    | Erase
    | Prune
    | ShowNames
    | Capture
)
ACT: TypeAdapter[Act] = TypeAdapter(Annotated[Act, Field(discriminator="act")])
"""An act as sent to an agent."""


async def perform(act: Act, writer: Writer, needs: Callable[[str], str | None] = lambda _: None) -> dict[str, Any]:
    """Carry out an act and sign the log. `needs` returns why an employee cannot be erased now, or None.

    Raises InputError if there is nothing to do or it cannot be done now, AuditError if it cannot be recorded.
    """
    await settle(writer)
    if not isinstance(act, Settle):
        require_no_unfinished_rename(writer.state)
    answer = await _perform(act, writer, needs)
    await asyncio.to_thread(writer.log.sign)
    return answer


async def _perform(act: Act, writer: Writer, needs: Callable[[str], str | None]) -> dict[str, Any]:
    state, log, subjects = writer.state, writer.log, writer.subjects
    match act:
        case Settle():
            pass
        case Checkpoint():
            await beat(log, act.operator)
        case Renew():
            await _renew(act, writer)
        case Start():
            await _start(act, writer)
        case Submit():
            await _submit(act, writer)
        case Draw():
            await _draw(act, writer)
        case EndSpotCheck():
            counts = {"checked": act.checked, "wrong": act.wrong}
            await log.append(records.SPOT_CHECK_ENDED, None, **act.operator.fields, **counts)
            Invitations(state.spot_checks).remove_all()
        case Attest():
            await attest(act, writer)
        case Give():
            await give(act, writer)
        case Notify():
            return {"new": await notify(act, writer)}
        case Erase():
            for employee in act.employees:
                why = needs(employee)
                if why is not None:
                    raise InputError(why)
            erased = await erase(state, log, subjects, act.employees, act.operator)
            return {"erased": {employee: asdict(one) for employee, one in erased.items()}}
        case Prune():
            expired = await expire(writer, act.pictures_days, act.tokens_days, act.operator)
            first = 0 if act.before is None else await prune(state, log, act.before, act.operator)
            return {"first": first, "expired": asdict(expired)}
        case ShowNames():
            subject = subjects.get(act.employee) if act.employee else None
            pseudonym = subject.pseudonym if subject else None
            fields = {"command": act.command, "subject": pseudonym, "people": act.people}
            await log.append(records.NAMES_SHOWN, None, **act.operator.fields, **fields)
        case Capture():
            subject = subjects.get(act.employee) or subjects.of({act.employee: None})[act.employee]
            fields = {"subject": subject.pseudonym, "service": act.service}
            await log.append(records.SESSION_CAPTURED, None, **act.operator.fields, **fields)
    return {}


async def settle(writer: Writer) -> None:
    """Record each revocation and stop that is not in the log yet, once. Raises InputError and AuditError."""
    revoked = _not_recorded(writer.revocations)
    known = writer.subjects.everybody() if revoked else {}
    fields = [_revoked(entry, known.get(entry.name)) for entry in revoked]
    await _record(writer, writer.revocations, records.MANDATE_REVOKED, revoked, fields)
    stopped = _not_recorded(writer.stopped)
    await _record(writer, writer.stopped, records.SERVICE_STOPPED, stopped, [_stopped(entry) for entry in stopped])


def _not_recorded(register: Blocklist) -> list[Entry]:
    return [entry for entry in register.entries() if not entry.is_recorded]


async def _record(
    writer: Writer, register: Blocklist, event: str, entries: list[Entry], fields: list[dict[str, Any]]
) -> None:
    await asyncio.gather(*(writer.log.append(event, None, **each) for each in fields))
    for entry in entries:
        # An entry that cannot be marked as recorded is recorded again by the next writer.
        with contextlib.suppress(OSError):
            register.note_recorded(entry)


def _revoked(entry: Entry, subject: Subject | None) -> dict[str, Any]:
    return {
        "operator": entry.operator,
        "operator_claimed": entry.operator_claimed,
        "subject": subject.pseudonym if subject else None,
        "reference_hmac": _hmac(subject, entry.reference),
        "revoked_on": entry.since.isoformat(),
    }


def _stopped(entry: Entry) -> dict[str, Any]:
    return {
        "operator": entry.operator,
        "operator_claimed": entry.operator_claimed,
        "service": entry.name,
        "reference": entry.reference,
        "stopped_on": entry.since.isoformat(),
    }


def _hmac(subject: Subject | None, reference: str | None) -> str | None:
    return subject.hmac("reference", reference) if subject and reference else None


async def _renew(act: Renew, writer: Writer) -> None:
    if act.employee not in writer.revocations:
        raise InputError(f"There is no revocation for {act.employee}; see 'fleet mandates list'.")
    subject = writer.subjects.get(act.employee)
    await writer.log.append(
        records.MANDATE_RENEWED,
        None,
        **act.operator.fields,
        subject=subject.pseudonym if subject else None,
        reference_hmac=_hmac(subject, act.reference),
    )
    writer.revocations.remove(act.employee)


async def _start(act: Start, writer: Writer) -> None:
    if act.service not in writer.stopped:
        raise InputError(f"{act.service} is not stopped; see 'fleet services list'.")
    await writer.log.append(
        records.SERVICE_STARTED,
        None,
        **act.operator.fields,
        service=act.service,
        reference=act.reference,
    )
    writer.stopped.remove(act.service)


async def _submit(act: Submit, writer: Writer) -> None:
    """Record a confirmed request, then let its outcome be `submitted`."""
    await writer.log.append(
        records.SUBMISSION_RECORDED,
        None,
        **act.operator.fields,
        service=act.service,
        control=act.control,
        confirmation_sha256=act.confirmation_sha256,
        reference=act.reference,
    )
    if act.control is not None:
        submission = Submission(
            service=act.service,
            control=act.control,
            recorded_at=datetime.now(UTC),
            confirmation_sha256=act.confirmation_sha256,
            reference=act.reference,
        )
        Submissions(writer.state.submissions).put(submission)


async def _draw(act: Draw, writer: Writer) -> None:
    """Record how many people were drawn, then invite them. Raises InputError if a spot check is open."""
    invitations = Invitations(writer.state.spot_checks)
    if next(invitations.names(), None) is not None:
        raise InputError("A spot check is open; end it first: fleet spot-check end")
    counts = {"among": act.among, "drawn": len(act.invitations)}
    await writer.log.append(records.SPOT_CHECK_DRAWN, None, **act.operator.fields, **counts)
    for invitation in act.invitations:
        invitations.put(invitation)
