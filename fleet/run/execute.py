"""A whole run seen from `fleet run`: start the agent, run the plays, end the run, and read the results from the log."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from fleet.agent.client import ENDED, AgentClient
from fleet.agent.start import start_agent
from fleet.agent.watch import EVERY, Watch
from fleet.audit.close_run import close_open_run
from fleet.audit.keys import read_signing_key
from fleet.audit.log import AuditLog
from fleet.audit.pseudonyms import known_names
from fleet.audit.run_state import RunState
from fleet.audit.segments import read_last_run
from fleet.desk.steps import Step, Told
from fleet.errors import AgentError, FleetError, told
from fleet.model import (
    EXIT_INTERRUPTED,
    EXIT_TOOL_FAILED,
    Reason,
    exit_code_of,
)
from fleet.orphans import reap
from fleet.plan.last_run import History
from fleet.plan.plan import RunSpec
from fleet.recipes.catalog import Catalog
from fleet.run.ansible_play import run_play, shards
from fleet.run.run_report import RunReport
from fleet.run.signals import Interrupted, interruptible
from fleet.run.workers import Workers

FINISH_WITHIN = 60.0
"""Seconds the agent gets to close its browsers and record what was not reached."""
TOLD_EVERY = 0.3
"""Seconds between two requests for what happens at the desk."""


def execute(
    spec: RunSpec,
    catalog: Catalog,
    on_employee: Callable[[str], None] = lambda _name: None,
    on_told: Callable[[Told], None] = lambda _told: None,
) -> RunReport:
    """Carry out the run planned with `catalog`. `on_employee` gets each name when that employee is done.

    `on_told` gets each step at the desk.

    Ctrl-C ends the run in good order: what is in progress is recorded as `unknown` or `not_run`, the exit code is 130.
    Raises FleetError if the run could not begin; nothing was touched then.
    """
    crew = Workers(spec.settings.workers)
    with interruptible() as interruption, contextlib.closing(crew):
        try:
            with interruption.at_once():
                employees_in_turn = History(spec).turns()
                agent, client = start_agent(spec, lambda client: crew.join(client, lambda: interruption.asked))
        except Interrupted as interrupted:
            return _report(spec, catalog, [str(interrupted)], Reason.INTERRUPTED, interrupted=True)
        except FleetError as error:
            raise crew.explained(error) from None
        errors: list[str] = []
        steps = _NewlyTold(on_told)
        with Watch(client, steps, every=TOLD_EVERY if spec.attended else EVERY) as watch:

            def is_over() -> bool:
                return interruption.asked or agent.poll() is not None or watch.trouble is not None

            try:
                batches = list(shards(employees_in_turn, len(crew), spec.settings.forks))
                if crew:
                    errors += crew.play(batches, client, spec, on_employee, is_over)
                    batches = []
                for employees in batches:
                    if is_over():
                        break
                    run_play(
                        employees,
                        run_id=spec.run_id,
                        agent_socket=client.socket_path,
                        check=spec.check,
                        forks=spec.settings.forks,
                        on_employee=on_employee,
                        is_canceled=is_over,
                    )
            except FleetError as error:
                errors.append(str(error))
            except OSError as error:
                errors.append(told(error))
            finally:
                if watch.trouble is not None and agent.poll() is None:
                    errors.append(watch.trouble)
                if watch.is_agent_hung:
                    agent.kill()
                errors += _finish(agent, client, steps, interrupted=interruption.asked)
        # An agent that ended in good order leaves the log open only if it could not write to it.
        why_open = Reason.AGENT_ENDED if agent.returncode else Reason.AUDIT_FAILED
        return _report(spec, catalog, errors, why_open, interrupted=interruption.asked)


class _NewlyTold:
    """Passes on each step at the desk once, from the agent's answers, which have all of them."""

    def __init__(self, on_told: Callable[[Told], None]) -> None:
        self._on_told = on_told
        self._count = 0

    def __call__(self, answer: Mapping[str, Any]) -> None:
        for one in answer.get("told", [])[self._count :]:
            self._count += 1
            self._on_told(Told(Step(one["step"]), one["service"], one["sentence"]))


def _finish(agent: subprocess.Popen[bytes], client: AgentClient, steps: _NewlyTold, *, interrupted: bool) -> list[str]:
    errors: list[str] = []
    try:
        if interrupted:
            agent.terminate()  # the agent records what is in progress as interrupted
        elif agent.poll() is None:
            answer = client.ask("finish", within=FINISH_WITHIN)
            steps(answer)
            troubles = (one["sentence"] for one in answer.get("told", []) if one["step"] == Step.TROUBLE)
            errors += [*troubles, *([answer["error"]] if "error" in answer else [])]
        elif agent.returncode:
            errors.append(ENDED)
    except AgentError as error:
        errors.append(str(error))
    try:
        agent.wait(timeout=20)
    except subprocess.TimeoutExpired:
        agent.kill()
        agent.wait()
        errors.append("The agent did not end in time and was killed; the log was closed from its plan.")
    # Unless killed, the agent removes its folder itself, and its browsers end with it.
    reap(client.socket_path.parent)
    return errors


def _report(spec: RunSpec, catalog: Catalog, errors: list[str], why_open: Reason, *, interrupted: bool) -> RunReport:
    """Return the results in the log; a run that is still open there is closed first, for the reason `why_open`."""
    folder = spec.settings.state_dir.audit.log
    run_state = RunState.replay(spec.run_id, read_last_run(folder, rehearsal=None))
    if run_state.is_open:
        try:
            _close_log(spec, why_open)
            run_state = RunState.replay(spec.run_id, read_last_run(folder, rehearsal=None))
        except FleetError as error:
            errors.append(str(error))
    results = run_state.results(known_names(spec.settings.state_dir.audit.subjects), absent=Reason.AUDIT_FAILED)
    exit_code = exit_code_of(results, spec.settings.fail_on)
    if errors:
        exit_code = EXIT_TOOL_FAILED
    if interrupted:
        exit_code = EXIT_INTERRUPTED
    return RunReport(
        spec.run_id,
        spec.check,
        run_state.started_at,
        run_state.finished_at,
        catalog.named(results),
        exit_code,
        list(dict.fromkeys(errors)),
        spec.settings.fail_on,
    )


def _close_log(spec: RunSpec, why: Reason) -> None:
    places = spec.settings.state_dir.audit
    log = AuditLog(places, f"run {spec.run_id}", read_signing_key(places, spec.settings.log_key))
    try:
        asyncio.run(close_open_run(places.log, log, why))
    finally:
        log.close()
