"""One run inside the agent: opened once, asked for each employee, closed once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from fleet import __version__
from fleet.agent.account_visit import AccountVisit, Ground
from fleet.agent.breaker import Breaker
from fleet.agent.browsers import desk_of, is_in_sandbox, open_engine, proxied_hosts, require_desk
from fleet.agent.desk_mandate import ask_for_mandate
from fleet.agent.desk_signing import have_signed
from fleet.agent.pacing import Pacing
from fleet.agent.recorder import Recorder
from fleet.agent.remote import RemoteVisitor, RemoteVisitors
from fleet.audit import records
from fleet.audit.close_run import close_open_run
from fleet.audit.keys import read_signing_key
from fleet.audit.log import PATIENCE, AuditLog
from fleet.audit.operator import Operator
from fleet.audit.pseudonyms import Subjects
from fleet.audit.run_state import RunState
from fleet.browser.engine import Engine
from fleet.browser.selector_check import require_selectors
from fleet.desk.screen import SayIn
from fleet.desk.steps import Step, Told
from fleet.desk.visitor import Desk
from fleet.errors import AgentError, FleetError
from fleet.model import Reason, Result
from fleet.plan.gates import gates_of, unreadable
from fleet.plan.pace import pace_of
from fleet.plan.plan import (
    PlannedAccount,
    RunSpec,
    check_filters,
    is_live,
    planned_accounts,
    require_safe_start,
    require_same_recipes,
    require_sandbox,
)
from fleet.recipes.catalog import Catalog
from fleet.rehearsal.stage import raise_stage
from fleet.sessions.store import SessionStore, read_identity
from fleet.state.acts import Act, perform, settle
from fleet.state.create import make_state
from fleet.state.rename import require_names_of_today, require_no_unfinished_rename
from fleet.state.writer import Writer
from fleet.visit.visit import Here, NotBegun, Visitor, VisitorLost


class Run:
    """Everything one run needs. `open` creates it, `close` releases all of it."""

    def __init__(
        self,
        spec: RunSpec,
        recorder: Recorder,
        ground: Ground,
        accounts: dict[str, list[PlannedAccount]],
        here: Visitor | None,
        writer: Writer | None = None,
    ) -> None:
        self.told: list[Told] = []
        """What happened at the desk, for the operator."""
        self.spec = spec
        self._writer = writer
        self._acting = asyncio.Lock()
        self._here = here
        self._recorder = recorder
        self._ground = ground
        self._accounts = accounts
        self._live: set[str] = set()
        self._resources = AsyncExitStack()
        self._visits: dict[str, asyncio.Task[bool]] = {}
        self._closing = False

    @classmethod
    async def open(
        cls, spec: RunSpec, catalog: Catalog, workers: RemoteVisitors, say_in: SayIn, socket: Path | None = None
    ) -> Run:
        """Check everything, lock the log, start rehearsal and browsers (here or on its workers), write the plan.

        `socket` is the address at which other commands can have this run write to the log. `say_in` translates for
        the desk's screen.

        Raises FleetError if the run cannot start; nothing has been touched then.
        """
        settings, rehearsal = spec.settings, spec.inventory.rehearsal
        check_filters(settings, catalog)
        accounts = planned_accounts(spec, catalog)
        planned = [account for of_one in accounts.values() for account in of_one]
        require_same_recipes(spec, planned, catalog)
        async with AsyncExitStack() as stack:
            network, state = settings.network, settings.state_dir
            is_staged = rehearsal and not network.resolve
            if not is_staged:
                require_safe_start(spec, planned, network)
            live = {one.service for one in planned if one.service and is_live(one, network)} if not is_staged else set()
            if live and not settings.workers:
                require_sandbox(settings.sandbox)
            if rehearsal:  # the first rehearsal creates its own state
                make_state(state, settings.identity, settings.log_key, rehearsal=True)
            state.check(rehearsal=rehearsal)
            identity = read_identity(settings.identity)
            key = read_signing_key(state.audit, settings.log_key)
            log = AuditLog(state.audit, f"run {spec.run_id}", key, socket=socket, patience=PATIENCE)
            stack.callback(log.close)
            if is_staged:  # under the log's lock: it seals sessions that another run may be using
                stage = await asyncio.to_thread(
                    raise_stage, spec.inventory, settings, catalog, has_sessions=not spec.attended
                )
                stack.callback(stage.strike)
                network = stage.network
                require_safe_start(spec, planned, network)
            require_no_unfinished_rename(state)
            require_names_of_today(state, spec.inventory.employees)
            await close_open_run(state.audit.log, log)
            subjects = Subjects(state.audit.subjects)
            stack.callback(subjects.close)
            writer = Writer(state, log, subjects)
            await settle(writer)

            recipes = {account.recipe.service: account.recipe for account in planned if account.recipe is not None}
            browsers: list[RemoteVisitor] | list[Engine]
            here: Visitor | None = None
            told: list[Told] = []
            if settings.workers:
                names = [address.name for address in settings.workers]
                browsers = remote = await workers.open(
                    names,
                    network,
                    recipes.values(),
                    sandbox=settings.sandbox,
                    live=bool(live),
                    tell=told.append if spec.attended else None,
                )
                sandbox = all(worker.sandbox for worker in remote)
            else:
                proxied = proxied_hosts(network, recipes.values())
                engine = await open_engine(
                    network, proxied, sandbox=settings.sandbox, live=bool(live), is_visible=spec.attended
                )
                stack.push_async_callback(engine.stop)
                here, browsers, sandbox = Here(engine), [engine], is_in_sandbox(settings.sandbox)
                if spec.attended:
                    require_desk()
                    here = desk_of(engine, network, sandbox=settings.sandbox, say_in=say_in, tell=told.append)
            for recipe in recipes.values():  # a browser that does not start ends the run before any account is visited
                for browser in browsers:
                    await require_selectors(browser, recipe.hosts, catalog, [recipe])
            known = subjects.of({employee.name: employee.locale for employee in spec.inventory.employees})
            recorder = Recorder(log, RunState(spec.run_id), known)
            breaker = Breaker(settings.breaker)
            paces = {service: pace_of(recipe, settings) for service, recipe in recipes.items() if service in live}
            ground = Ground(
                run_id=spec.run_id,
                check=spec.check,
                attended=spec.attended,
                recorder=recorder,
                pacing=Pacing(settings.forks * len(browsers), paces, breaker.is_open),
                sessions=SessionStore(state),
                identity=identity,
                gates=gates_of(settings, writer.revocations, writer.stopped, attended=spec.attended),
                evidence=state.evidence / spec.run_id,
                breaker=breaker,
            )
            run = cls(spec, recorder, ground, accounts, here, writer)
            run._live, run.told = live, told
            await recorder.write(
                records.RUN_STARTED,
                version=__version__,
                **Operator(spec.claimed_operator).fields,
                check=spec.check,
                attended=spec.attended,
                resumes=spec.resumes,
                rehearsal=rehearsal,
                sandbox=sandbox,
                sandbox_accepted_by=None if settings.sandbox else settings.accepted_by,
                terms_accepted=_decided(settings.terms_accepted, recipes),
                personal_sessions=_decided(settings.personal_sessions, recipes),
                attestations_accepted=_decided(settings.accepted.attestations, recipes),
                closed_accepted=settings.accepted.closed,
                assurance_required=settings.mandates.assurance,
                inventory_sha256=spec.inventory.digest,
                inventory_employees=spec.inventory.total,
                sources_sha256=spec.inventory.sources_digest,
                recipes_sha256={service: catalog.digests[service] for service in sorted(recipes)},
                employees=len(accounts),
                controls=sum(len(account.controls) for account in planned),
            )
            employees = {employee.name: employee for employee in spec.inventory.employees}
            await recorder.meet(spec.inventory.employees, subjects)
            await asyncio.gather(*(recorder.plan(employees[name], of_one) for name, of_one in accounts.items()))
            await asyncio.gather(*(run._settle_bad_data(account) for account in planned))
            run._resources = stack.pop_all()
        return run

    async def _settle_bad_data(self, account: PlannedAccount) -> None:
        """Finish accounts with bad data now, so that they are recorded whether or not a play asks for them."""
        ended = unreadable(account)
        if ended is not None:
            await self._recorder.refuse_each(account, ended)

    async def visit(self, employee: str, worker: Visitor | None = None) -> list[Result]:
        """Visit one employee's planned accounts, services in parallel; a second call only returns the results.

        Uses the browsers of `worker`, or of this machine. Raises KeyError for an employee who is not in the plan,
        AgentError if the run has workers and none is given. If the log cannot be written, the results say so.
        """
        visitor = worker or self._here
        if visitor is None:
            raise AgentError("The accounts of this run are visited by its workers alone.")
        accounts = self._accounts[employee]
        while not self._closing:
            if employee not in self._visits:
                self._visits[employee] = asyncio.create_task(self._visit_all(accounts, visitor))
            visiting = self._visits[employee]
            await asyncio.wait([visiting])
            if visiting.cancelled() or visiting.result() or visitor.is_gone:
                break
            if self._visits.get(employee) is visiting:
                del self._visits[employee]  # its visitor was gone before the visit began
        names = {account.service: account.recipe.name for account in accounts if account.recipe}
        results = self._recorder.results_of(employee)
        return [replace(result, service_name=names.get(result.service)) for result in results]

    async def _visit_all(self, accounts: list[PlannedAccount], visitor: Visitor) -> bool:
        """Visit all unfinished accounts; False if the visitor was gone before each of them had begun."""
        if self.spec.attended:
            await self._at_desk(accounts, visitor)
        waiting = [
            AccountVisit(self._ground, account, account.recipe, visitor, live=account.service in self._live).work()
            for account in accounts
            if account.recipe is not None
            and not all(self._recorder.is_finished(account, one) for one in account.controls)
        ]
        if self._recorder.failure is not None:
            for work in waiting:
                work.close()
            return True
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        return not any(isinstance(end, NotBegun) for end in ends)

    async def _at_desk(self, accounts: list[PlannedAccount], visitor: Visitor) -> None:
        """Have the employee give the mandate that they lack, and sign their forms and letters, before any visit."""
        assert isinstance(visitor, Desk | RemoteVisitor)
        gates, operator = self._ground.gates, self.spec.claimed_operator
        try:
            with contextlib.suppress(VisitorLost):
                given = await ask_for_mandate(
                    accounts, visitor, gates, self.spec.settings, frozenset(self._live), operator
                )
                if given is not None:
                    await self.perform(given)
                if not self.spec.check:
                    await have_signed(accounts, visitor, gates, operator, self.perform)
        except FleetError as error:
            self.told.append(Told(Step.TROUBLE, sentence=str(error)))

    async def perform(self, act: Act) -> dict[str, Any]:
        """Carry out an act for a command that found the log locked by this run; one at a time.

        Raises InputError if it must wait for the end of the run, AuditError if it cannot be recorded.
        """
        async with self._acting:
            if self._writer is None or self._closing:
                raise AgentError(f"Run {self.spec.run_id} is ending; give the command again.")
            return await perform(act, self._writer, self._needs)

    def _needs(self, employee: str) -> str | None:
        """Return why an employee cannot be erased now (the run has not finished with them), or None."""
        accounts, visiting = self._accounts.get(employee, ()), self._visits.get(employee)
        is_finished = all(self._recorder.is_finished(each, control) for each in accounts for control in each.controls)
        if is_finished and (visiting is None or visiting.done()):
            return None
        return f"Run {self.spec.run_id} has yet to finish with {employee}; wait until it has. Nobody was erased."

    def knows(self, employee: str) -> bool:
        """Return True if the employee is in the plan."""
        return employee in self._accounts

    @property
    def counts(self) -> dict[str, int]:
        """Number of controls per outcome so far."""
        return self._recorder.run_state.count()

    @property
    def log_path(self) -> Path:
        """Path of the audit log."""
        return self.spec.settings.state_dir.audit.log

    async def close(self, stopped: Reason | None = None) -> None:
        """Stop running visits, write missing records, release browser, rehearsal and log.

        Raises AuditError if the end of the run, or an earlier record, cannot be written; everything is released
        regardless.
        """
        self._closing = True
        for visit in self._visits.values():
            visit.cancel()
        if self._visits:
            await asyncio.wait(self._visits.values(), timeout=1)
        async with self._acting, self._resources:
            await self._recorder.close(stopped)


def _decided(references: Mapping[str, str], services: Collection[str]) -> dict[str, str]:
    """Return the references of decisions that concern a service of the plan."""
    return {service: references[service] for service in sorted(references.keys() & services)}
