"""`fleet inventory rename`: give an employee another name, with all that is stored about them."""

from __future__ import annotations

import asyncio
import shlex
from typing import Annotated

import typer

from fleet.authority.former_names import Rename
from fleet.commands.options import IDENTITY, INVENTORY, LOG_KEY, REHEARSAL, STATE, say, settings_with_state
from fleet.errors import BusyError, InputError
from fleet.hr_import.people import NO_EMPLOYEES
from fleet.hr_import.renamed_files import RenamedFile, renamed_files
from fleet.inventory.employee import Employee
from fleet.model import SAFE_NAME, counted
from fleet.plan.plan import claimed_operator, read_people
from fleet.settings.resolve import Settings
from fleet.state.acts import settle
from fleet.state.rename import Renaming
from fleet.state.writer import Writer


def rename(
    old: Annotated[str, typer.Argument(help="Employee, as in the inventory so far.")],
    new: Annotated[str, typer.Argument(help="The same employee's new name.")],
    inventory: INVENTORY = None,
    already_there: Annotated[
        bool,
        typer.Option("--already-there", help="The inventory has the new name in place of the old one already."),
    ] = False,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
    identity: IDENTITY = None,
    log_key: LOG_KEY = None,
) -> None:
    """Rename an employee in the inventory, the state and the log: mandates, sessions and history stay theirs.

    Pass every inventory that has the employee. In its files only the name is replaced. A mandate that the employee
    signed keeps the old name, and its proof stays valid. If the command is interrupted, give it again.

    Exit codes: 0 renamed, or renamed before; 2 refused, nothing was renamed; 1 interrupted.
    """
    change = Rename(old, new)
    for name in (old, new):
        if not SAFE_NAME.fullmatch(name) or name in NO_EMPLOYEES:
            raise InputError(f"'{name}' is not a valid employee name; use letters, digits and . _ @ + -")
    if old == new:
        raise InputError(f"{old} is both the old and the new name; give two different names.")
    settings = settings_with_state(inventory, state=state, identity=identity, log_key=log_key, rehearsal=rehearsal)
    if not settings.inventory:
        raise InputError("Name the inventory that has the employee with -i.")
    people, _ = read_people(settings)
    people.require_own_state(is_rehearsal=rehearsal)
    files = renamed_files(settings.inventory, change)
    sessions = asyncio.run(_rename(settings, change, people.employees, files, already_there=already_there))
    if sessions is None:
        say(f"{old} was renamed to {new} before; there is nothing to do.")
        return
    names = ", ".join(str(file.target) for file in files) or "no file of the inventory"
    typer.echo(f"{old} is {new} now, in {names} and in {settings.state}, with {counted(sessions, 'session')}.")
    if any(one.name == old for one in read_people(settings)[0].employees):
        sources = " ".join(map(shlex.quote, settings.inventory))
        say(f"{old} is still in {sources}: a plugin, a script or another entry names them. Correct it there.", "yellow")
    if settings.portal_data is not None:
        say("Next, so that the portal has the new name: fleet portal publish")


async def _rename(
    settings: Settings,
    change: Rename,
    employees: tuple[Employee, ...],
    files: list[RenamedFile],
    *,
    already_there: bool,
) -> int | None:
    """Carry out the rename and return the number of sessions; None if it was done before."""
    try:
        with Writer.opened(settings.state_dir, settings.log_key, "fleet inventory rename") as writer:
            await settle(writer)
            renaming = Renaming(writer, change)
            if not renaming.require_possible(employees, may_be_there=already_there):
                return None
            is_host = any(one.name == change.old for one in employees)
            if is_host and not any(file.has_host for file in files):
                raise InputError(
                    f"{change.old} is in no file of the inventory that can be edited (a range, a script or a plugin); "
                    "nothing was renamed. Write the new name there, then add --already-there."
                )
            sessions = await renaming.begin(settings.identity, claimed_operator())
            for file in files:
                file.write()
            renaming.complete()
            return sessions
    except BusyError as busy:
        raise InputError(f"{busy} Nothing was renamed.") from None
