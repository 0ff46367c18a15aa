"""The visit to one planned account: check its gates in order, then visit it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import pyrage

from fleet.agent.breaker import Breaker
from fleet.agent.diagnostics import diagnostics, without_text
from fleet.agent.pacing import Pacing
from fleet.agent.recorder import Recorder
from fleet.audit import records
from fleet.audit.evidence import EvidenceKind, file_name
from fleet.authority.in_force import MandateInForce
from fleet.errors import AuditError, InputError, SessionError
from fleet.model import Outcome, Reading, Reason
from fleet.paths import make_private_dir, write_private
from fleet.plan.gates import NO_SESSION, Gates, Refusal, is_shut
from fleet.plan.plan import PlannedAccount
from fleet.recipes.recipe import Recipe
from fleet.sessions.storage_state import StorageState, is_storable
from fleet.sessions.store import Opened, SessionStore
from fleet.visit.visit import ControlResult, Ending, NotBegun, Order, Visitor, VisitorLost


@dataclass(frozen=True)
class Ground:
    """Everything the visits of a run share."""

    run_id: str
    check: bool
    recorder: Recorder
    pacing: Pacing
    sessions: SessionStore
    identity: pyrage.x25519.Identity
    gates: Gates
    evidence: Path
    breaker: Breaker
    in_use: dict[str, asyncio.Lock] = field(default_factory=dict)
    """One lock per session: a session is used by one visit at a time."""
    attended: bool = False
    """Whether employees are at the desk, where they sign in themselves and nothing is kept."""


class AccountVisit:
    """The journal of one visit. `work` runs the visit."""

    def __init__(
        self, ground: Ground, account: PlannedAccount, recipe: Recipe, visitor: Visitor, *, live: bool
    ) -> None:
        self._ground = ground
        self._visitor = visitor
        self._account = account
        self._recipe = recipe
        self._live = live
        self._subject = ground.recorder.subjects[account.employee.name]
        self._employee = account.employee
        self._own = account.employee.accounts[recipe.service]
        self._profile = self._own.profile
        self._outcomes: list[Outcome] = []
        self._mandates: dict[str, MandateInForce] = {}
        """By control, the mandate that permitted the click."""

    async def work(self) -> None:
        """Finish every control of the account.

        Raises AuditError, and NotBegun if the visitor was lost before the visit's turn; any other failure becomes an
        outcome.
        """
        try:
            before = await self._ready()
            if before is None:
                return  # an account that is not visited needs no turn
            key = f"{self._employee.name}.{self._recipe.service}"
            async with (
                self._ground.pacing.turn(self._recipe.service) as turn,
                self._ground.in_use.setdefault(key, asyncio.Lock()),
            ):
                if self._visitor.is_gone:
                    raise NotBegun
                ready = await self._ready(before[1])  # check again: the wait may have been long
                if ready is not None:
                    turn.is_spent = True
                    await self._visit(*ready)
        except (AuditError, NotBegun):
            raise
        except VisitorLost:
            await self._finish_rest(Reason.WORKER_LOST)
        except Exception as error:
            diagnostics.error("visit.failed", service=self._recipe.service, **without_text(error))
            await self._finish_rest(Reason.INTERNAL)

    async def _ready(self, known: Opened | None = None) -> tuple[list[str], Opened | None] | None:
        """Return the controls that may be touched now, and the session (`known` if it is unchanged).

        At the desk there is no session yet. Returns None once all controls are finished without a visit.
        """
        ground, service = self._ground, self._recipe.service
        controls = await self._controls_that_may_be_touched()
        if not controls:
            return None
        if ground.breaker.is_open(service):
            await self._left_alone(controls, Refusal(Outcome.NOT_RUN, Reason.CIRCUIT_OPEN))
            return None
        if ground.attended:
            return controls, None
        try:
            opened = await asyncio.to_thread(
                ground.sessions.open, self._employee.name, self._recipe, ground.identity, known
            )
        except SessionError as error:
            await self._left_alone(controls, Refusal(Outcome.ERROR, Reason(error.reason)))
            return None
        if opened is None:
            await self._left_alone(controls, NO_SESSION)
            return None
        return controls, opened

    async def _left_alone(self, controls: list[str], refused: Refusal) -> None:
        """Finish controls of an account whose session is not opened; all its controls are still pending."""
        for control in controls:
            ended = self._ground.gates.or_attested(refused, self._account, control)
            await self._ground.recorder.refuse(self._account, control, ended)

    async def _finish_rest(self, reason: Reason) -> None:
        recorder = self._ground.recorder
        await recorder.settle()  # records may still be on their way to the log when a worker is lost
        for control in self._account.controls:
            if not recorder.is_finished(self._account, control):
                intended = recorder.is_intended(self._account, control)
                outcome = Outcome.UNKNOWN if intended else Outcome.ERROR
                await recorder.finish(self._account, control, outcome, reason, worker=self._visitor.name)

    async def _controls_that_may_be_touched(self) -> list[str]:
        ground, free = self._ground, []
        for control in self._account.controls:
            if ground.recorder.is_finished(self._account, control):
                continue  # finished in an earlier attempt with another visitor
            refused = ground.gates.refusal(self._account, control, live=self._live)
            if refused is not None:
                await ground.recorder.refuse(self._account, control, refused)
            elif control is not None:
                free.append(control)
        return free

    async def _visit(self, controls: list[str], opened: Opened | None) -> None:
        ground, ending = self._ground, Ending()
        self._profile = ground.gates.profile(self._employee, self._recipe.service, controls[0])
        if self._profile is None:  # the mandate that named it was revoked a moment ago: the gates say so
            await self._controls_that_may_be_touched()
            return
        order = Order(
            recipe=self._recipe,
            profile=self._profile,
            locale=self._employee.locale,
            controls=controls,
            storage_state=opened.state.as_playwright() if opened else {},
            check=ground.check,
            name=self._own.name or self._employee.name,
            attended=ground.attended,
        )
        try:
            await self._visitor.visit(order, self, ending)
        finally:
            self._hear(ending)
            if opened is not None:
                await asyncio.to_thread(self._seal_back, opened, ending)

    def _seal_back(self, opened: Opened, ending: Ending) -> None:
        """Store the session as the visit left it: if the service rotated it, the stored copy no longer works.

        Skipped if the employee has revoked the mandate, or if the session was imported or removed in the meantime.
        """
        ground, name = self._ground, self._employee.name
        lacking = ground.gates.lacking_authority(self._employee, self._recipe.service, None)
        if is_storable(ending.rotated_state) and lacking is not Reason.MANDATE_REVOKED:
            rotated = StorageState.model_validate(ending.rotated_state)
            ground.sessions.seal_back(name, self._recipe, opened, rotated)

    def _hear(self, ending: Ending) -> None:
        """Report to breaker and pacing how the service reacted to the visit."""
        ground, service = self._ground, self._recipe.service
        troubles: set[Outcome | Reason] = set(self._outcomes)
        if ending.retry_after is not None:
            troubles.add(Reason.RATE_LIMITED)
            if not ground.pacing.slow_down(service, ending.retry_after):
                ground.breaker.open(service)
        elif self._outcomes and not any(outcome.is_failed for outcome in self._outcomes):
            ground.pacing.went_well(service)
        ground.breaker.observe(service, self._employee.name, troubles)

    async def permit(self, control: str) -> Reason | None:
        """Check service and mandate again just before the click: a stop, a revocation or a closing counts at once."""
        ground, service = self._ground, self._recipe.service
        found = ground.gates.authority(self._employee, service, control)
        if isinstance(found, MandateInForce):
            self._mandates[control] = found
        return is_shut(service, ground.gates.stopped) or (found if isinstance(found, Reason) else None)

    async def intend(self, control: str, before: Reading, picture: bytes) -> None:
        """Record the intent, with a picture of the control before the press."""
        mandate, by_company = self._mandates.get(control), self._own.owner == "company"
        await self._ground.recorder.write(
            records.CONTROL_INTENDED,
            subject=self._subject.pseudonym,
            service=self._recipe.service,
            control=control,
            before=before,
            authority="company" if by_company else "mandate",
            mandate_hmac=self._subject.hmac("mandate", mandate.reference) if mandate else None,
            assurance=mandate.assurance if mandate else None,
            profile_hmac=self._subject.hmac("profile", self._profile or ""),
            evidence=self._keep(control, EvidenceKind.BEFORE, picture),
            worker=self._visitor.name,
            attended=self._ground.attended,
        )

    async def finish(self, finding: ControlResult) -> None:
        """Record the control's outcome. A reading supersedes an attestation; what was closed stays closed."""
        self._outcomes.append(finding.outcome)
        if finding.before is not None or finding.after is not None:
            # First: a crash in between asks the employee again, but never claims what a later reading contradicts.
            # No thread: what is awaited before the record may be canceled, and then the reading would be lost.
            with contextlib.suppress(InputError):  # a file that cannot be read counts for nothing
                about = self._employee.name, self._recipe.service, finding.control
                said = self._ground.gates.attestations.find(*about)
                if said is not None and not said.is_closed:
                    self._ground.gates.attestations.remove(*about)
        picture = self._keep(finding.control, EvidenceKind.AFTER, finding.picture)
        label = self._keep(finding.control, EvidenceKind.LABEL, finding.label.encode() if finding.label else None)
        await self._ground.recorder.finish(
            self._account,
            finding.control,
            finding.outcome,
            finding.reason,
            before=finding.before,
            after=finding.after,
            read_back=finding.read_back,
            duration_ms=finding.duration_ms,
            evidence=picture,
            http_status=finding.http_status,
            refused_hosts=list(finding.refused_hosts),
            worker=self._visitor.name,
            label=label,
            attended=self._ground.attended,
        )

    def _keep(self, control: str, kind: EvidenceKind, seen: bytes | None) -> str | None:
        """Store evidence, if any, in the run's folder and return the HMAC for the record."""
        if seen is None:
            return None
        with contextlib.suppress(FileExistsError):
            make_private_dir(self._ground.evidence)
        name = file_name(self._subject.pseudonym, self._recipe.service, control, kind)
        write_private(self._ground.evidence / name, seen)
        return self._subject.hmac("evidence", seen)
