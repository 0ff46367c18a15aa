"""`fleet audit receipt`: an employee's record of what was done."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fleet.audit.pseudonyms import known_subjects
from fleet.audit.segments import of_kind, read_records
from fleet.commands.names_shown import record_names_shown
from fleet.commands.options import BESIDE, LANGUAGE, LOG_KEY, REHEARSAL, STATE, settings_of, with_log, write_output
from fleet.errors import InputError
from fleet.plan.plan import catalog_for
from fleet.report.receipt import Receipts
from fleet.report.translations import requested_translator
from fleet.settings.resolve import Settings


def receipt(
    employee: Annotated[str, typer.Argument(help="Employee, as in the inventory.")],
    folder: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write the two files to.")
    ] = Path(),
    language: LANGUAGE = None,
    rehearsal: REHEARSAL = False,
    inventory: BESIDE = None,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> None:
    """Write an employee's receipt as HTML and as text: what was read and changed, when, and how to verify it.

    Recorded in the log, as everything that shows employees by name.
    In the employee's language, as in the inventory of the last run; in English if there is no translation.
    """
    settings = with_log(settings_of(inventory, state=state, log_key=log_key), rehearsal=rehearsal)
    for path in write_receipt(settings, employee, folder, language, rehearsal=rehearsal):
        typer.echo(str(path))


def write_receipt(
    settings: Settings, employee: str, folder: Path, language: str | None = None, *, rehearsal: bool
) -> list[Path]:
    """Write an employee's receipt into a folder; return its files. Raises InputError without records of them."""
    places = settings.state_dir.audit
    subject = known_subjects(places.subjects).get(employee)
    if subject is None:
        raise InputError(f"The log has no records of '{employee}'; correct the name.")
    receipts = Receipts(places, catalog_for(settings, rehearsal=rehearsal), datetime.now(UTC), rehearsal)
    log = of_kind(read_records(places.log), rehearsal=rehearsal)
    record_names_shown(settings, "audit receipt", 1, employee)
    made = receipts.of(employee, subject, log, requested_translator(language, subject.locale))
    written = {folder / f"{employee}.receipt.txt": made.text, folder / f"{employee}.receipt.html": made.html}
    for path, content in written.items():
        write_output(path, content)
    return list(written)
