"""`fleet audit diff`: differences between two runs."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer
from rich.text import Text

from fleet.audit.pseudonyms import known_names
from fleet.audit.run_state import ControlKey, RunState
from fleet.audit.segments import read_run
from fleet.commands.audit.record_filter import NAMES
from fleet.commands.names_shown import record_names_shown
from fleet.commands.options import (
    BESIDE,
    LOG_KEY,
    OUTPUT,
    REHEARSAL,
    STATE,
    Output,
    people,
    screen,
    settings_of,
    with_log,
)
from fleet.model import Reason, Result, control_name
from fleet.paths import AuditDir
from fleet.report.envelope import Answer
from fleet.report.table import plain
from fleet.report.translations import visible


def diff(
    first: Annotated[str, typer.Argument(metavar="RUN", help="Run id.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="Run id, or 'last'.")],
    with_names: NAMES = False,
    output: OUTPUT = Output.TEXT,
    rehearsal: REHEARSAL = False,
    inventory: BESIDE = None,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> Answer:
    """Compare two runs: controls whose outcome or reading differs, and controls that only one run has.

    Employees are pseudonyms, as in the log, unless --with-names is passed.
    """
    settings = with_log(settings_of(inventory, state=state, log_key=log_key), rehearsal=rehearsal)
    places = settings.state_dir.audit
    names = known_names(places.subjects) if with_names else {}
    before, after = (_results(places, name, names, rehearsal=rehearsal) for name in (first, second))
    changed = [
        (before.get(key), after.get(key))
        for key in dict.fromkeys([*before, *after])
        if _told(before.get(key)) != _told(after.get(key))
    ]
    same = len(before.keys() | after.keys()) - len(changed)
    people_changed = {_whose(old, new)["employee"] for old, new in changed}
    record_names_shown(settings, "audit diff", len(people_changed & {*names.values()}))
    changes = [{**_whose(old, new), "first": _told(old), "second": _told(new)} for old, new in changed]
    return Answer({"same": same, "changes": changes}, partial(_print, changed, same))


def _print(changed: list[tuple[Result | None, Result | None]], same: int) -> None:
    table = plain("Employee", "Control", "First", "Second")
    for old, new in changed:
        whose = _whose(old, new)
        control = control_name(whose["service"], whose["control"])
        table.add_row(Text(visible(whose["employee"])), Text(control), _words(old), _words(new))
    if changed:
        screen().print(table)
    people.print(f"{len(changed)} differ, {same} are the same.")


def _results(places: AuditDir, run: str, names: dict[str, str], *, rehearsal: bool) -> dict[ControlKey, Result]:
    log = read_run(places.log, run, rehearsal=rehearsal)
    run_state = RunState.replay(log[0]["run"], log)
    return dict(zip(run_state.keys(), run_state.results(names, absent=Reason.AGENT_ENDED), strict=True))


def _told(result: Result | None) -> dict[str, Any] | None:
    if result is None:
        return None
    return {"outcome": result.outcome, "reason": result.reason, "before": result.before, "after": result.after}


def _whose(old: Result | None, new: Result | None) -> dict[str, Any]:
    result = new or old
    assert result is not None
    return {"employee": result.employee, "service": result.service, "control": result.control}


def _words(result: Result | None) -> str:
    if result is None:
        return "not planned"
    reading = f", {result.before or '?'} → {result.after or '?'}" if result.before or result.after else ""
    reason = f" ({result.reason})" if result.reason else ""
    return f"{result.outcome.replace('_', ' ')}{reason}{reading}"
