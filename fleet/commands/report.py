"""`fleet report`: one run as one HTML file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fleet.audit.checkpoints import read_newest
from fleet.audit.keys import read_keys
from fleet.audit.pseudonyms import known_subjects
from fleet.audit.run_state import RunState
from fleet.audit.segments import read_run
from fleet.audit.signed_note import is_signed_by
from fleet.commands.names_shown import record_names_shown
from fleet.commands.options import (
    INVENTORY,
    LANGUAGE,
    LOG_KEY,
    RECIPES,
    REHEARSAL,
    STATE,
    settings_of,
    settings_with_state,
    with_log,
    write_output,
)
from fleet.commands.status import rows_of_inventory
from fleet.errors import InputError
from fleet.inventory.read import Inventory
from fleet.paths import AuditDir
from fleet.plan.plan import catalog_for, read_people
from fleet.recipes.catalog import Catalog
from fleet.report.counts import counts, render_counts
from fleet.report.page import render_report
from fleet.report.translations import requested_translator
from fleet.settings.resolve import Settings


def report(
    run: Annotated[str, typer.Argument(help="Run id, or `last`.")] = "last",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="File to write [default: report-RUN.html]."),
    ] = None,
    language: LANGUAGE = None,
    counts_only: Annotated[
        bool, typer.Option("--counts", help="Numbers for managers instead: no names, no group below five people.")
    ] = False,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="PREFIX", help="With --counts: by the groups PREFIX_…, such as department."),
    ] = None,
    recipes: RECIPES = None,
    rehearsal: REHEARSAL = False,
    inventory: INVENTORY = None,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> None:
    """Write a report of one run as a single HTML file: counts, coverage, who must act, every control.

    With --counts, a page for managers with numbers only, over the whole inventory.

    The file needs no network. It contains names and evidence, which is recorded in the log: share it only with people
    who may see them.
    """
    if by is not None and not counts_only:
        raise InputError("--by works only with --counts.")
    if counts_only:
        if run != "last":
            raise InputError("--counts shows today's state of the whole inventory; omit the run.")
        path = output or Path("report-counts.html")
        everybody, catalog, settings = _people(inventory, recipes, state, rehearsal=rehearsal)
        found = counts(rows_of_inventory(everybody, settings, catalog, rehearsal=rehearsal), by)
        words = requested_translator(language)
        write_output(path, render_counts(found, by, words, datetime.now(UTC), rehearsal=rehearsal))
        typer.echo(str(path))
        return
    settings = with_log(settings_of(inventory, state=state, log_key=log_key), rehearsal=rehearsal)
    places = settings.state_dir.audit
    log = read_run(places.log, run, rehearsal=rehearsal)
    run = str(log[0]["run"])
    subjects = known_subjects(places.subjects)
    about = {record.get("subject") for record in log}
    record_names_shown(settings, "report", sum(subject.pseudonym in about for subject in subjects.values()))
    page = render_report(
        RunState.replay(run, log),
        log[0],
        subjects,
        settings.state_dir,
        catalog_for(settings, rehearsal=rehearsal),
        _own_checkpoint(places),
        requested_translator(language),
    )
    path = output or Path(f"report-{run}.html")
    write_output(path, page)
    typer.echo(str(path))


def _people(
    inventory: list[str] | None, recipes: list[str] | None, state: str | None, *, rehearsal: bool
) -> tuple[Inventory, Catalog, Settings]:
    settings = settings_with_state(inventory, state=state, recipes=recipes, rehearsal=rehearsal)
    everybody, catalog = read_people(settings)
    everybody.require_own_state(is_rehearsal=rehearsal)
    return everybody, catalog, settings


def _own_checkpoint(places: AuditDir) -> str:
    """Return the newest checkpoint if it is the log's own: readers of the report keep it as an anchor."""
    note = read_newest(places.checkpoints)
    return note if any(is_signed_by(note, key) for key in read_keys(places.vkey)) else ""
