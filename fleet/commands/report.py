"""`fleet report`: one run as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleet.audit.checkpoints import read_newest
from fleet.audit.keys import read_keys
from fleet.audit.pseudonyms import known_subjects
from fleet.audit.run_state import RunState
from fleet.audit.segments import read_run
from fleet.audit.signed_note import is_signed_by
from fleet.commands.options import BESIDE, LANGUAGE, REHEARSAL, STATE, settings_of, with_log, write_output
from fleet.paths import AuditDir
from fleet.plan.plan import catalog_for
from fleet.report.page import render_report
from fleet.report.translations import requested_translator


def report(
    run: Annotated[str, typer.Argument(help="Run id, or `last`.")] = "last",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="File to write [default: report-RUN.html]."),
    ] = None,
    language: LANGUAGE = None,
    rehearsal: REHEARSAL = False,
    inventory: BESIDE = None,
    state: STATE = None,
) -> None:
    """Write a report of one run as a single HTML file: counts, coverage, who must act, every control.

    The file needs no network. It contains names and evidence: share it only with people who may see them.
    """
    settings = with_log(settings_of(inventory, state=state), rehearsal=rehearsal)
    places = settings.state_dir.audit
    log = read_run(places.log, run, rehearsal=rehearsal)
    run = str(log[0]["run"])
    page = render_report(
        RunState.replay(run, log),
        log[0],
        known_subjects(places.subjects),
        settings.state_dir,
        catalog_for(settings, rehearsal=rehearsal),
        _own_checkpoint(places),
        requested_translator(language),
    )
    path = output or Path(f"report-{run}.html")
    write_output(path, page)
    typer.echo(str(path))


def _own_checkpoint(places: AuditDir) -> str:
    """Return the newest checkpoint if it is the log's own: readers of the report keep it as an anchor."""
    note = read_newest(places.checkpoints)
    return note if any(is_signed_by(note, key) for key in read_keys(places.vkey)) else ""
