"""Writes a run's records and keeps its state in memory; the state contains only what is on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from fleet.audit import records
from fleet.audit.close_run import close_run
from fleet.audit.log import AuditLog
from fleet.audit.pseudonyms import Subject, Subjects
from fleet.audit.run_state import RunState
from fleet.errors import AuditError
from fleet.inventory.employee import Employee
from fleet.model import SERVICE_NAME, Outcome, Reason, Result
from fleet.plan.gates import Refusal
from fleet.plan.plan import PlannedAccount

MAX_SERVICES = 100
"""Maximum number of a mandate's services in one record."""


class Recorder:
    """Writes one run's records. `failure` is the first write error; no visit begins after it."""

    def __init__(self, log: AuditLog, run_state: RunState, subjects: Mapping[str, Subject]) -> None:
        self._log = log
        self.run_state = run_state
        self.subjects = subjects
        self._names = {subject.pseudonym: name for name, subject in subjects.items()}
        self._writing: set[asyncio.Task[None]] = set()
        self.failure: AuditError | None = None

    async def write(self, event: str, **fields: Any) -> None:
        """Append one record and return once it is durable. Raises AuditError."""
        writing = asyncio.create_task(self._write(event, fields))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        # The record is written even if the visit is canceled meanwhile, so the run's state must include it.
        await asyncio.shield(writing)

    async def _write(self, event: str, fields: Mapping[str, Any]) -> None:
        try:
            self.run_state.observe(await self._log.append(event, self.run_state.run, **fields))
        except AuditError as error:
            self.failure = self.failure or error
            raise

    async def plan(self, employee: Employee, accounts: list[PlannedAccount]) -> None:
        """Write `run.planned` for one employee."""
        subject, mandate = self.subjects[employee.name], employee.mandate
        await self.write(
            records.RUN_PLANNED,
            subject=subject.pseudonym,
            planned=[[account.service, control] for account in accounts for control in account.controls],
            authority="mandate" if mandate else None,
            mandate_hmac=subject.hmac("mandate", mandate.reference) if mandate else None,
        )

    async def meet(self, employees: Iterable[Employee], store: Subjects) -> None:
        """Write `mandate.met` for each mandate that no run has met in its present form. Raises AuditError."""
        known, new = store.met(), dict[str, str]()
        writing = []
        for employee in employees:
            mandate, subject = employee.mandate, self.subjects[employee.name]
            if mandate is None or mandate.employee != employee.name:
                continue  # authority is personal: a mandate that names someone else is ignored
            fingerprint = subject.hmac("met", mandate.model_dump_json())
            if known.get(employee.name) == fingerprint:
                continue
            new[employee.name] = fingerprint
            services = sorted({service for service in mandate.services if SERVICE_NAME.fullmatch(service)})
            writing.append(
                self.write(
                    records.MANDATE_MET,
                    subject=subject.pseudonym,
                    mandate_hmac=subject.hmac("mandate", mandate.reference),
                    services=services[:MAX_SERVICES],
                    granted_on=mandate.granted_on.isoformat(),
                    expires_on=mandate.expires_on.isoformat(),
                    revoked_on=mandate.revoked_on.isoformat() if mandate.revoked_on else None,
                    assurance="claimed",
                )
            )
        await asyncio.gather(*writing)
        if new:
            store.meet(new)  # after the records: a crash in between repeats a record, but never loses one

    async def finish(
        self, account: PlannedAccount, control: str | None, outcome: Outcome, reason: Reason | None = None, **seen: Any
    ) -> None:
        """Write `control.finished`; without `seen` nothing was read."""
        await self.write(
            records.CONTROL_FINISHED,
            subject=self.subjects[account.employee.name].pseudonym,
            service=account.service,
            control=control,
            outcome=outcome,
            reason=reason,
            **{**records.NOTHING_READ, **seen},
        )

    async def refuse(self, account: PlannedAccount, control: str | None, refused: Refusal) -> None:
        """Write `control.finished` for a control that is not visited."""
        day = refused.attested_on.isoformat() if refused.attested_on else None
        await self.finish(account, control, refused.outcome, refused.reason, attested_on=day)

    async def refuse_each(self, account: PlannedAccount, refused: Refusal) -> None:
        """Finish all controls of an account with the same outcome."""
        await asyncio.gather(*(self.refuse(account, control, refused) for control in account.controls))

    def is_finished(self, account: PlannedAccount, control: str | None) -> bool:
        """Return True if the control has its terminal record."""
        return (self.subjects[account.employee.name].pseudonym, account.service, control) in self.run_state.finished

    def is_intended(self, account: PlannedAccount, control: str | None) -> bool:
        """Return True if an intent for the control is in the log."""
        return (self.subjects[account.employee.name].pseudonym, account.service, control) in self.run_state.intended

    def results_of(self, employee: str) -> list[Result]:
        """Return one employee's results."""
        subject = self.subjects[employee].pseudonym
        absent = Reason.AUDIT_FAILED if self.failure else Reason.INTERRUPTED
        return self.run_state.results(self._names, subject, absent)

    async def settle(self) -> None:
        """Wait until the run's state includes every record in flight."""
        if self._writing:
            await asyncio.wait(set(self._writing))

    async def close(self, stopped: Reason | None) -> None:
        """End the run in the log. Raises AuditError, also if an earlier record could not be written."""
        await self.settle()
        if self.failure is not None and not self._log.make_room():
            raise self.failure
        await close_run(self._log, self.run_state, Reason.AUDIT_FAILED if self.failure else stopped)
        if self.failure is not None:
            raise self.failure
