"""Acts on a state outside a run, such as renewing a mandate: what each does, and the record it leaves.

The holder of the audit log carries them out: the command itself, or the agent of a run that the command asks. An act
that permits something is recorded first; an act that forbids something takes effect first and is recorded by the next
writer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from fleet.audit import records
from fleet.audit.keys import read_signing_key
from fleet.audit.log import AuditLog
from fleet.audit.maintenance import beat
from fleet.audit.pseudonyms import Subject, Subjects
from fleet.authority.attestations import Attestation, Attestations, Control, Name, Said, Service
from fleet.authority.blocklist import Blocklist, Entry
from fleet.authority.mandates import Revocations
from fleet.errors import InputError
from fleet.paths import StateDir
from fleet.state.erasure import erase, prune

Reference = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Claimed = Annotated[str, StringConstraints(max_length=200)]


class _Act(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Settle(_Act):
    """Record revocations and stops that are not in the log yet. Every other act does this first."""

    act: Literal["settle"] = "settle"


class Checkpoint(_Act):
    """Record a heartbeat and sign the log."""

    act: Literal["checkpoint"] = "checkpoint"


class Renew(_Act):
    """Make a revoked mandate valid again."""

    act: Literal["renew"] = "renew"
    employee: Name
    reference: Reference
    operator_claimed: Claimed | None


class Start(_Act):
    """Allow a stopped service again."""

    act: Literal["start"] = "start"
    service: Service
    reference: Reference
    operator_claimed: Claimed | None


class Statement(_Act):
    """What an employee says that they did at one control; without `said` an earlier statement is withdrawn."""

    employee: Name
    service: Service
    control: Control
    said: Said | None
    attested_on: Annotated[date, Field(strict=False)]
    assurance: Literal["oidc_session"]


class Attest(_Act):
    """Take in what employees say, in this order."""

    act: Literal["attest"] = "attest"
    statements: Annotated[list[Statement], Field(max_length=1000)]


class Erase(_Act):
    """Delete all data that leads to these people."""

    act: Literal["erase"] = "erase"
    employees: Annotated[list[Annotated[str, StringConstraints(max_length=1000)]], Field(max_length=100_000)]


class Prune(_Act):
    """Remove the records of runs that ended before a day (UTC)."""

    act: Literal["prune"] = "prune"
    before: Annotated[date, Field(strict=False)]


Act = Settle | Checkpoint | Renew | Start | Attest | Erase | Prune
ACT: TypeAdapter[Act] = TypeAdapter(Annotated[Act, Field(discriminator="act")])
"""An act as sent to an agent."""


@dataclass(frozen=True)
class Writer:
    """The holder of a state's audit log."""

    state: StateDir
    log: AuditLog
    subjects: Subjects

    @cached_property
    def revocations(self) -> Revocations:
        """The revoked mandates. From here on, a missing folder counts as all revoked."""
        revocations = Revocations(self.state.revocations)
        revocations.prepare()
        return revocations

    @cached_property
    def stopped(self) -> Blocklist:
        """The stopped services. From here on, a missing folder counts as all stopped."""
        stopped = Blocklist(self.state.stopped_services)
        stopped.prepare()
        return stopped

    @classmethod
    @contextlib.contextmanager
    def opened(cls, state: StateDir, log_key: Path, owner: str, patience: float = 0.0) -> Iterator[Writer]:
        """Open the writer of a state for the duration of the block. Raises as `AuditLog` and `Subjects` do."""
        log = AuditLog(state.audit, owner, read_signing_key(state.audit, log_key), patience=patience)
        with contextlib.closing(log), contextlib.closing(Subjects(state.audit.subjects)) as subjects:
            yield cls(state, log, subjects)


async def perform(act: Act, writer: Writer, needs: Callable[[str], str | None] = lambda _: None) -> dict[str, Any]:
    """Carry out an act and sign the log. `needs` returns why an employee cannot be erased now, or None.

    Raises InputError if there is nothing to do or it cannot be done now, AuditError if it cannot be recorded.
    """
    await settle(writer)
    answer = await _perform(act, writer, needs)
    await asyncio.to_thread(writer.log.sign)
    return answer


async def _perform(act: Act, writer: Writer, needs: Callable[[str], str | None]) -> dict[str, Any]:
    state, log, subjects = writer.state, writer.log, writer.subjects
    match act:
        case Settle():
            pass
        case Checkpoint():
            await beat(log)
        case Renew():
            await _renew(act, writer)
        case Start():
            await _start(act, writer)
        case Attest():
            await _attest(act.statements, writer)
        case Erase():
            for employee in act.employees:
                why = needs(employee)
                if why is not None:
                    raise InputError(why)
            erased = await erase(state, log, subjects, act.employees)
            return {"erased": {employee: asdict(one) for employee, one in erased.items()}}
        case Prune():
            return {"first": await prune(state, log, act.before)}
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
        operator=os.getuid(),
        operator_claimed=act.operator_claimed,
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
        operator=os.getuid(),
        operator_claimed=act.operator_claimed,
        service=act.service,
        reference=act.reference,
    )
    writer.stopped.remove(act.service)


async def _attest(statements: Sequence[Statement], writer: Writer) -> None:
    attestations = Attestations(writer.state.attestations)
    known = writer.subjects.everybody()
    subjects = known | writer.subjects.of({one.employee: None for one in statements if one.employee not in known})
    for one in statements:
        if one.said is None:  # what takes away takes effect first
            attestations.remove(one.employee, one.service, one.control)
    fields = [
        {
            "subject": subjects[one.employee].pseudonym,
            "service": one.service,
            "control": one.control,
            "operator": os.getuid(),
            "said": one.said,
            "attested_on": one.attested_on.isoformat(),
            "assurance": one.assurance,
        }
        for one in statements
    ]
    await asyncio.gather(*(writer.log.append(records.CONTROL_ATTESTED, None, **each) for each in fields))
    for one in statements:
        if one.said is None:
            attestations.remove(one.employee, one.service, one.control)
        else:
            said = Attestation(service=one.service, control=one.control, said=one.said, attested_on=one.attested_on)
            attestations.put(one.employee, said)
