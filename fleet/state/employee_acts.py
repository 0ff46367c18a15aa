"""Acts that take in what employees said and gave, and what they were sent: each is recorded, and then counts."""

from __future__ import annotations

import asyncio
from datetime import UTC, date
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from fleet.audit import records
from fleet.audit.log import AuditLog
from fleet.audit.operator import Operator
from fleet.audit.pseudonyms import Subject
from fleet.authority.attestations import Answer, Attestation, Attestations, Control, Name, Service
from fleet.authority.given import MAX_MANDATES, GivenMandate, GivenMandates
from fleet.authority.instruction import Assurance
from fleet.errors import InputError
from fleet.state.sent_notices import Controls, NoticeId, NoticeKind, SentNotice, SentNotices
from fleet.state.writer import OperatorAct, StrictAct, Writer


class Statement(StrictAct):
    """What an employee says that they did at one control; without `said` an earlier statement is withdrawn."""

    employee: Name
    service: Service
    control: Control
    said: Answer | None
    at: Annotated[AwareDatetime, Field(strict=False)]
    assurance: Literal["oidc_session", "desk"]


class Attest(OperatorAct):
    """Take in what employees say, in this order."""

    act: Literal["attest"] = "attest"
    statements: Annotated[list[Statement], Field(max_length=1000)]


class Give(OperatorAct):
    """Take in a mandate that was checked, with the text that the employee agreed to."""

    act: Literal["give"] = "give"
    employee: Name
    """Who gave it; the instruction may contain a former name of theirs."""
    mandate: Annotated[GivenMandate, Field(strict=False)]
    at: Annotated[AwareDatetime, Field(strict=False)]
    """When it was given, by the clock that also dates what employees close."""
    issuer: Annotated[str, StringConstraints(max_length=500)] | None = None
    text: Annotated[str, StringConstraints(max_length=200_000)]


class WrittenNotice(StrictAct):
    """One notice that went out. A second one with the same `id` records nothing."""

    id: NoticeId
    employee: Name
    kind: Annotated[NoticeKind, Field(strict=False)]
    written_at: Annotated[AwareDatetime, Field(strict=False)]
    sent_on: Annotated[date, Field(strict=False)]
    controls: Annotated[Controls, Field(strict=False)]


class Notify(OperatorAct):
    """Record notices that went out."""

    act: Literal["notify"] = "notify"
    notices: Annotated[list[WrittenNotice], Field(max_length=1000)]


def _day(one: Statement) -> date:
    return one.at.astimezone(UTC).date()


async def _record_statement(one: Statement, subject: Subject, operator: Operator, log: AuditLog) -> None:
    about = {"subject": subject.pseudonym, "service": one.service, "control": one.control, **operator.fields}
    day = _day(one).isoformat()
    if one.said == "closed":
        await log.append(records.CONTROL_CLOSED, None, **about, closed_on=day)
    else:
        said = {"said": one.said, "attested_on": day, "assurance": one.assurance}
        await log.append(records.CONTROL_ATTESTED, None, **about, **said)


async def notify(act: Notify, writer: Writer) -> int:
    """Record notices that are not recorded yet, then store them; return how many."""
    store = SentNotices(writer.state.notices)
    new = [one for one in act.notices if all(one.id != before.id for before in store.of(one.employee))]
    known = writer.subjects.everybody()
    subjects = known | writer.subjects.of({one.employee: None for one in new if one.employee not in known})
    await asyncio.gather(
        *(
            writer.log.append(
                records.NOTICE_SENT,
                None,
                subject=subjects[one.employee].pseudonym,
                **act.operator.fields,
                kind=one.kind,
                sent_on=one.sent_on.isoformat(),
            )
            for one in new
        )
    )
    for one in new:
        store.put(one.employee, SentNotice(**one.model_dump(exclude={"employee"})))
    return len(new)


async def give(act: Give, writer: Writer) -> None:
    """Record a mandate, then let it count; what the employee closed before is open again."""
    mandate, instruction = act.mandate, act.mandate.instruction
    if mandate.id_token is None and mandate.assurance is not Assurance.DESK:
        raise InputError(f"The mandate of {act.employee} has no token that proves it; nothing was recorded.")
    employee, store = act.employee, GivenMandates(writer.state.mandates)
    given = store.of(employee)
    known = writer.subjects.everybody()
    subject = known.get(employee) or writer.subjects.of({employee: None})[employee]
    await writer.log.append(
        records.MANDATE_GIVEN,
        None,
        subject=subject.pseudonym,
        **act.operator.fields,
        mandate_hmac=subject.hmac("mandate", mandate.reference),
        controls=list(instruction.controls),
        granted_on=instruction.granted_on.isoformat(),
        expires_on=instruction.expires_on.isoformat(),
        assurance=mandate.assurance,
        issuer=act.issuer,
        token_hmac=subject.hmac("token", mandate.id_token) if mandate.id_token else None,
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


async def attest(act: Attest, writer: Writer) -> None:
    """Record what employees say, then let it count; what is withdrawn stops counting first."""
    attestations, statements = Attestations(writer.state.attestations), act.statements
    known = writer.subjects.everybody()
    subjects = known | writer.subjects.of({one.employee: None for one in statements if one.employee not in known})
    for one in statements:
        if one.said is None:  # what takes away takes effect first
            attestations.remove(one.employee, one.service, one.control)
    await asyncio.gather(
        *(_record_statement(one, subjects[one.employee], act.operator, writer.log) for one in statements)
    )
    for one in statements:
        if one.said is None:
            attestations.remove(one.employee, one.service, one.control)
        else:
            answer = Attestation(
                service=one.service, control=one.control, said=one.said, attested_on=_day(one), at=one.at
            )
            attestations.put(one.employee, answer)
