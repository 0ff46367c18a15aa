"""`fleet sessions import`, `list`, `remove` and `reseal`: the sealed sessions of a state directory."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column

from fleet.audit.log import kept_free
from fleet.commands.options import (
    BESIDE,
    IDENTITY,
    INVENTORY,
    OUTPUT,
    RECIPES,
    REHEARSAL,
    STATE,
    Output,
    say,
    screen,
    settings_of,
    settings_with_state,
)
from fleet.errors import InputError
from fleet.inventory.read import Inventory
from fleet.model import SAFE_NAME, counted
from fleet.plan.gates import is_personal
from fleet.plan.plan import read_people
from fleet.recipes.catalog import Catalog
from fleet.report.envelope import Answer
from fleet.report.table import plain
from fleet.sessions.convert import read_session
from fleet.sessions.files import session_files
from fleet.sessions.store import SessionInfo, SessionStore, read_identity


def import_(
    employee: Annotated[str | None, typer.Argument(help="Employee, as in the inventory.")] = None,
    service: Annotated[str | None, typer.Argument(help="Service, such as linkedin.")] = None,
    file: Annotated[Path | None, typer.Argument(help="Playwright storage state, JSON cookies or cookies.txt.")] = None,
    inventory: INVENTORY = None,
    folder: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Import every file named EMPLOYEE.SERVICE.json in this folder."),
    ] = None,
    recipes: RECIPES = None,
    state: STATE = None,
) -> None:
    """Encrypt and store sessions of employees. Keeps only what the recipe declares as the session."""
    if (folder is None) == (file is None):
        raise InputError("Give EMPLOYEE SERVICE FILE, or --from DIR with files named EMPLOYEE.SERVICE.json.")
    settings = settings_of(inventory, state=state, recipes=recipes)
    people_known, catalog = read_people(settings)
    settings = settings.of_kind(rehearsal=people_known.rehearsal)
    settings.state_dir.check(rehearsal=people_known.rehearsal)
    store = SessionStore(settings.state_dir)
    if folder is None:
        assert employee is not None and service is not None and file is not None
        _import_one(store, people_known, catalog, settings.personal_sessions, employee, service, file)
        say(f"Stored in the state directory {settings.state}.")
        return
    if not folder.is_dir():
        raise InputError(f"--from {folder}: not a folder.")
    found = session_files(folder)
    refused = list(found.refused)
    for name in found.ignored:
        say(f"{name} was skipped: hidden files and folders are not sessions.")
    for one in found.files:
        try:
            _import_one(store, people_known, catalog, settings.personal_sessions, one.employee, one.service, one.path)
        except InputError as error:
            refused.append(str(error))
    if len(refused) < len(found.files) + len(found.refused):
        say(f"Stored in the state directory {settings.state}.")
    if refused:
        total = len(found.files) + len(found.refused)
        raise InputError("\n".join([f"{total - len(refused)} of {total} imported; not imported:", *refused]))


def _import_one(
    store: SessionStore,
    inventory: Inventory,
    catalog: Catalog,
    personal_sessions: Collection[str],
    name: str,
    service: str,
    path: Path,
) -> None:
    recipe = catalog.get(service)
    if recipe is None:
        raise InputError(f"{path}: there is no recipe for '{service}'; known services: {', '.join(catalog.recipes)}.")
    employee = next((one for one in inventory.employees if one.name == name), None)
    if employee is None or not employee.is_name_safe:
        raise InputError(f"{path}: '{name}' is not an employee in {', '.join(inventory.sources)}.")
    if service not in employee.accounts:
        raise InputError(f"{path}: {name} has no account at {service} in {', '.join(inventory.sources)}.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    read = read_session(data, str(path), recipe)
    for left_out in read.left_out:
        say(f"{path}: left out {left_out}.")
    store.seal(name, recipe, read.state)
    unused = ""
    if service not in personal_sessions and is_personal(employee.accounts[service], recipe):
        unused = f", which live runs do not use until fleet.yml has personal_sessions: {{{service}: REFERENCE}}"
    typer.echo(f"Sealed the session of {name} at {recipe.name}{unused}. Delete {path}: it is not encrypted.")


def list_(
    inventory: BESIDE = None, rehearsal: REHEARSAL = False, state: STATE = None, output: OUTPUT = Output.TEXT
) -> Answer:
    """List stored sessions with their age and the expiry of their cookies. Decrypts nothing."""
    settings = settings_with_state(inventory, state=state, rehearsal=rehearsal)
    found = list(SessionStore(settings.state_dir).list())
    fields = [
        {
            "employee": one.employee,
            "service": one.service,
            "sealed_at": _moment(one.sealed_at),
            "expires_at": None if one.expires_at is None else _moment(one.expires_at),
            "is_expired": one.is_expired,
        }
        for one in found
    ]
    return Answer({"sessions": fields}, partial(_print, found))


def _print(found: list[SessionInfo]) -> None:
    table = plain(*(Column(heading, no_wrap=True) for heading in ("Employee", "Service", "Sealed", "Expires")))
    for info in found:
        expires = "unknown" if info.expires_at is None else _day(info.expires_at)
        table.add_row(
            info.employee, info.service, _age(info.sealed_at), f"{expires} (expired)" if info.is_expired else expires
        )
    if table.row_count:
        screen().print(table)
    else:
        typer.echo("No sessions yet; have one employee sign in: fleet sessions capture -i INVENTORY EMPLOYEE SERVICE")


def remove(
    employee: Annotated[str, typer.Argument(help="Employee, as in the inventory.")],
    service: Annotated[str, typer.Argument(help="Service, such as linkedin.")],
    inventory: BESIDE = None,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
) -> None:
    """Delete a stored session."""
    settings = settings_with_state(inventory, state=state, rehearsal=rehearsal)
    is_named = SAFE_NAME.fullmatch(employee) and SAFE_NAME.fullmatch(service)  # both become part of a file name
    if not is_named or not SessionStore(settings.state_dir).remove(employee, service):
        raise InputError(f"There is no session of {employee} at {service}; see 'fleet sessions list'.")
    typer.echo(f"Removed the session of {employee} at {service} from the state directory {settings.state}.")


def reseal(
    inventory: BESIDE = None, rehearsal: REHEARSAL = False, identity: IDENTITY = None, state: STATE = None
) -> None:
    """Encrypt every session again, for the recipients now listed in STATE/recipients.txt.

    Not possible during a run. After an interruption, run it again.
    """
    settings = settings_with_state(inventory, state=state, identity=identity, rehearsal=rehearsal)
    opener, store = read_identity(settings.identity), SessionStore(settings.state_dir)
    with kept_free(settings.state_dir.audit, "fleet sessions reseal"):
        resealed = store.reseal(opener)
    recipients = [str(recipient) for recipient in store.recipients()]
    sessions, keys = counted(resealed.count, "session"), counted(len(recipients), "recipient")
    typer.echo(f"Resealed {sessions} to {keys} in the state directory {settings.state}.")
    if str(opener.to_public()) not in recipients:
        say(f"{settings.identity} no longer opens them: its public key is not in {settings.state_dir.recipients}.")
    if resealed.unopened:
        number = counted(len(resealed.unopened), "session")
        first = f"{settings.identity} cannot open {number}, left unchanged; import these again or remove them:"
        raise InputError("\n".join([first, *map(str, resealed.unopened)]))


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _age(seconds: float) -> str:
    days = (datetime.now(UTC) - datetime.fromtimestamp(seconds, UTC)).days
    return "today" if days <= 0 else f"{days} day{'s' if days > 1 else ''} ago"
