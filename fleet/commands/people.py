"""`fleet people show`: all that is held of one person, for handing it out to them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fleet.audit.pseudonyms import known_subjects
from fleet.audit.segments import of_kind, read_records
from fleet.authority.former_names import FormerNames
from fleet.authority.given import GivenMandates
from fleet.commands.names_shown import record_names_shown
from fleet.commands.options import (
    INVENTORY,
    LANGUAGE,
    LOG_KEY,
    RECIPES,
    REHEARSAL,
    STATE,
    settings_of,
)
from fleet.errors import InputError
from fleet.inventory.employee import Employee
from fleet.model import SAFE_NAME
from fleet.paths import is_there, sync_folder, write_private
from fleet.plan.plan import catalog_for, read_people
from fleet.recipes.catalog import Catalog
from fleet.report.held_data import render_held_data
from fleet.report.receipt import Receipt, Receipts
from fleet.report.translations import Translator, requested_translator
from fleet.settings.resolve import Settings
from fleet.state.held_data import HeldData, held_data

app = typer.Typer(no_args_is_help=True, help="Hand out what is held of a person.")


@app.command()
def show(
    employee: Annotated[str, typer.Argument(help="Employee, as in the inventory.")],
    folder: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="New folder to write to.")],
    language: LANGUAGE = None,
    inventory: INVENTORY = None,
    recipes: RECIPES = None,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> None:
    """Write all that is held of a person as a folder for them: a page in their language, and the same as JSON.

    Records with their proofs, mandates with their tokens, statements, notices, pictures, what came from the portal, and
    their variables in the inventory. Of a session it is said only that there is one. Nobody else is named. Recorded in
    the log.
    """
    if not SAFE_NAME.fullmatch(employee):
        raise InputError(f"'{employee}' is not a valid employee name.")
    partial = folder.with_name(f"{folder.name}.partial")
    for path in (folder, partial):
        if is_there(path):
            raise InputError(f"{path} exists; name a new folder, so that no other person's data gets into it.")
    settings = settings_of(inventory, state=state, recipes=recipes, log_key=log_key).of_kind(rehearsal=rehearsal)
    settings.state_dir.check(rehearsal=rehearsal, to_write=False)
    everybody, catalog = _people(settings, rehearsal=rehearsal)
    data = _held(settings, employee, everybody, rehearsal=rehearsal)
    if not data.is_anything:
        raise InputError(f"Nothing is held of '{employee}'; correct the name, or give their inventory with -i.")
    record_names_shown(settings, "people show", 1, employee)
    data = _held(settings, employee, everybody, rehearsal=rehearsal)  # with the record of this
    now, locale = datetime.now(UTC), data.inventory.locale if data.inventory else None
    words = requested_translator(language, locale or (data.subject.locale if data.subject else None))
    files = render_held_data(
        data,
        _texts(settings, data),
        FormerNames(settings.state_dir.former_names),
        _receipt(settings, data, catalog, words, now, rehearsal=rehearsal),
        catalog,
        settings.state_dir.audit.vkey.read_text("utf-8"),
        words,
        now,
        rehearsal=rehearsal,
    )
    _write(partial, folder, files)
    typer.echo(f"Open {folder / 'index.html'}. Hand the folder to {employee} alone, then delete it.")


def _people(settings: Settings, *, rehearsal: bool) -> tuple[tuple[Employee, ...], Catalog]:
    if not settings.inventory:
        return (), catalog_for(settings, rehearsal=rehearsal)
    everybody, catalog = read_people(settings)
    everybody.require_own_state(is_rehearsal=rehearsal)
    return everybody.employees, catalog


def _held(settings: Settings, employee: str, everybody: tuple[Employee, ...], *, rehearsal: bool) -> HeldData:
    # The portal of fleet.yml is that of the real accounts.
    inbox, portal_data = (None, None) if rehearsal else (settings.inbox, settings.portal_data)
    subjects = known_subjects(settings.state_dir.audit.subjects)
    return held_data(settings.state_dir, employee, subjects, everybody, inbox, portal_data)


def _texts(settings: Settings, data: HeldData) -> Mapping[str, bytes]:
    store = GivenMandates(settings.state_dir.mandates)
    digests = {one.instruction.text.sha256 for one in store.of(data.employee).mandates}
    return {digest: store.text(digest) for digest in digests}


def _receipt(
    settings: Settings, data: HeldData, catalog: Catalog, words: Translator, now: datetime, *, rehearsal: bool
) -> Receipt | None:
    if data.subject is None or not data.records:
        return None
    places = settings.state_dir.audit
    log = of_kind(read_records(places.log), rehearsal=rehearsal)
    return Receipts(places, catalog, now, rehearsal).of(data.employee, data.subject, log, words)


def _write(partial: Path, folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the folder under another name, then rename it: it is whole, or is not there."""
    try:
        partial.mkdir(mode=0o700)
        try:
            for name, content in files.items():
                path = partial / name
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_private(path, content, durable=True)
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial)
            raise
        sync_folder(folder.parent)
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}); choose another place.") from None
