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
from datetime import UTC, date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from fleet.audit import records
from fleet.audit.keys import read_signing_key
from fleet.audit.log import AuditLog
from fleet.audit.maintenance import beat
from fleet.audit.pseudonyms import Subject, Subjects
from fleet.authority.attestations import Answer, Attestation, Attestations, Control, Name, Service
from fleet.authority.blocklist import Blocklist, Entry
from fleet.authority.given import MAX_MANDATES, GivenMandate, GivenMandates
from fleet.authority.mandates import Revocations
from fleet.errors import InputError
from fleet.paths import StateDir
from fleet.state.erasure import erase, prune
from fleet.state.sent_notices import NoticeKind, SentNotice, SentNotices

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
    said: Answer | None
    at: Annotated[AwareDatetime, Field(strict=False)]
    assurance: Literal["oidc_session"]


class Attest(_Act):
    """Take in what employees say, in this order."""

    act: Literal["attest"] = "attest"
    statements: Annotated[list[Statement], Field(max_length=1000)]


class Give(_Act):
    """Take in a mandate that was checked, with the text that the employee agreed to."""

    act: Literal["give"] = "give"
    mandate: Annotated[GivenMandate, Field(strict=False)]
    at: Annotated[AwareDatetime, Field(strict=False)]
    """When it was given, by the clock that also dates what employees close."""
    issuer: Annotated[str, StringConstraints(max_length=500)]
    text: Annotated[str, StringConstraints(max_length=200_000)]


class WrittenNotice(_Act):
    """One notice that went out. A second one with the same `id` records nothing."""

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    employee: Name
    kind: Annotated[NoticeKind, Field(strict=False)]
    sent_on: Annotated[date, Field(strict=False)]


class Notify(_Act):
    """Record notices that went out."""

    act: Literal["notify"] = "notify"
    notices: Annotated[list[WrittenNotice], Field(max_length=100_000)]


class Erase(_Act):
    """Delete all data that leads to these people."""

    act: Literal["erase"] = "erase"
    employees: Annotated[list[Annotated[str, StringConstraints(max_length=1000)]], Field(max_length=100_000)]


class Prune(_Act):
    """Remove the records of runs that ended before a day (UTC)."""

    act: Literal["prune"] = "prune"
    before: Annotated[date, Field(strict=False)]


Act = Settle | Checkpoint | Renew | Start | Attest | Give | Notify | Erase | Prune
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
        case Give():
            await _give(act, writer)
        case Notify():
            return {"new": await _notify(act.notices, writer)}
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


def _day(one: Statement) -> date:
    return one.at.astimezone(UTC).date()


async def _record_statement(one: Statement, subject: Subject, log: AuditLog) -> None:
    about = {"subject": subject.pseudonym, "service": one.service, "control": one.control, "operator": os.getuid()}
    day = _day(one).isoformat()
    if one.said == "closed":
        await log.append(records.CONTROL_CLOSED, None, **about, closed_on=day)
    else:
        said = {"said": one.said, "attested_on": day, "assurance": one.assurance}
        await log.append(records.CONTROL_ATTESTED, None, **about, **said)


async def _notify(notices: Sequence[WrittenNotice], writer: Writer) -> int:
    """Record notices that are not recorded yet, then store them; return how many."""
    store = SentNotices(writer.state.notices)
    new = [one for one in notices if all(one.id != before.id for before in store.of(one.employee))]
    known = writer.subjects.everybody()
    subjects = known | writer.subjects.of({one.employee: None for one in new if one.employee not in known})
    await asyncio.gather(
        *(
            writer.log.append(
                records.NOTICE_SENT,
                None,
                subject=subjects[one.employee].pseudonym,
                operator=os.getuid(),
                kind=one.kind,
                sent_on=one.sent_on.isoformat(),
            )
            for one in new
        )
    )
    for one in new:
        store.put(one.employee, SentNotice(id=one.id, kind=one.kind, sent_on=one.sent_on))
    return len(new)


async def _give(act: Give, writer: Writer) -> None:
    """Record a mandate, then let it count; what the employee closed before is open again."""
    mandate, instruction = act.mandate, act.mandate.instruction
    employee, store = instruction.employee, GivenMandates(writer.state.mandates)
    given = store.of(employee)
    known = writer.subjects.everybody()
    subject = known.get(employee) or writer.subjects.of({employee: None})[employee]
    await writer.log.append(
        records.MANDATE_GIVEN,
        None,
        subject=subject.pseudonym,
        operator=os.getuid(),
        mandate_hmac=subject.hmac("mandate", mandate.reference),
        controls=list(instruction.controls),
        granted_on=instruction.granted_on.isoformat(),
        expires_on=instruction.expires_on.isoformat(),
        assurance=mandate.assurance,
        issuer=act.issuer,
        token_hmac=subject.hmac("token", mandate.id_token),
        key_thumbprint=mandate.key_thumbprint,
        text_sha256=instruction.text.sha256,
        text_version=instruction.text.version,
        language=instruction.text.language,
    )
    store.keep_text(instruction.text.sha256, act.text.encode())
    attestations = Attestations(writer.state.attestations)
    for name in instruction.controls:
        service, _, control = name.partition(".")
        answer = attestations.find(employee, service, control)
        if answer is not None and answer.is_closed and (answer.at is None or answer.at < act.at):
            attestations.remove(employee, service, control)
    store.put(given.model_copy(update={"mandates": (*given.mandates, mandate)[-MAX_MANDATES:]}))


async def _attest(statements: Sequence[Statement], writer: Writer) -> None:
    attestations = Attestations(writer.state.attestations)
    known = writer.subjects.everybody()
    subjects = known | writer.subjects.of({one.employee: None for one in statements if one.employee not in known})
    for one in statements:
        if one.said is None:  # what takes away takes effect first
            attestations.remove(one.employee, one.service, one.control)
    await asyncio.gather(*(_record_statement(one, subjects[one.employee], writer.log) for one in statements))
    for one in statements:
        if one.said is None:
            attestations.remove(one.employee, one.service, one.control)
        else:
            answer = Attestation(
                service=one.service, control=one.control, said=one.said, attested_on=_day(one), at=one.at
            )
            attestations.put(one.employee, answer)
