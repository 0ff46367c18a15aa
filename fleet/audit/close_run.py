"""Ends a run in the log, so that every planned control has exactly one terminal record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fleet.audit import records
from fleet.audit.log import AuditLog
from fleet.audit.run_state import ControlKey, RunState
from fleet.audit.segments import read_last_run
from fleet.model import EXIT_INTERRUPTED, Outcome, Reading, Reason, exit_code_of


async def close_run(log: AuditLog, run_state: RunState, stopped: Reason | None) -> None:
    """Write what is missing: a terminal record for each unfinished control, then `run.finished`.

    `stopped` is why the run ended early, or None; controls that no play requested are then `play_ended`.
    """

    async def finish(key: ControlKey, outcome: Outcome, before: Reading | None) -> None:
        subject, service, control = key
        record = await log.append(
            records.CONTROL_FINISHED,
            run_state.run,
            subject=subject,
            service=service,
            control=control,
            outcome=outcome,
            reason=stopped or Reason.PLAY_ENDED,
            **{**records.NOTHING_READ, "before": before},
        )
        run_state.observe(record)

    # Concurrently, so that thousands share a sync: after Ctrl-C a person waits for this.
    await asyncio.gather(*(finish(*each) for each in run_state.unfinished()))
    counts = run_state.count()
    exit_code = exit_code_of(run_state.results({}))
    if stopped is Reason.INTERRUPTED:
        exit_code = EXIT_INTERRUPTED
    finished: dict[str, Any] = {"counts": counts, "stopped": stopped, "exit_code": exit_code}
    run_state.observe(await log.append(records.RUN_FINISHED, run_state.run, **finished))


async def close_open_run(folder: Path, log: AuditLog, why: Reason = Reason.AGENT_ENDED) -> None:
    """If the newest run never ended (its agent died or could not write), end it now from its plan."""
    last = list(read_last_run(folder, rehearsal=None))
    if last:
        run_state = RunState.replay(last[0]["run"], last)
        if run_state.is_open:
            await close_run(log, run_state, why)
