"""`fleet inventory prune`: list and remove the data stored about people who are no longer in any inventory."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from fleet.commands.carry_out import carry_out
from fleet.commands.options import (
    INVENTORY,
    LOG_KEY,
    OUTPUT,
    REHEARSAL,
    STATE,
    Output,
    confirm,
    people,
    say,
    screen,
    settings_of,
    with_log,
)
from fleet.errors import InputError
from fleet.hr_import.diff import shrinks_by_half
from fleet.hr_import.hand_written import check_folder
from fleet.inventory.read import Inventory
from fleet.model import counted
from fleet.plan.plan import claimed_operator, read_people
from fleet.report.envelope import Answer
from fleet.report.people import leavers_fields, leavers_table
from fleet.state.acts import Erase
from fleet.state.leavers import Leavers, find_leavers
from fleet.state.own_files import erase_in_portal


def prune(
    inventory: INVENTORY = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Delete everything that identifies them; recorded in the log.")
    ] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Remove without asking.")] = False,
    accept_shrink: Annotated[
        bool, typer.Option("--accept-shrink", help="Remove even if that is half or more of all known people.")
    ] = False,
    output: OUTPUT = Output.TEXT,
    state: STATE = None,
    log_key: LOG_KEY = None,
    rehearsal: REHEARSAL = False,
) -> Answer:
    """List people who are not in any of the inventories; with --remove, delete their sessions, screenshots and keys.

    Pass every inventory that you have. Revocations of mandates are kept.

    Exit codes: 0 listed or removed, 1 answered no, 2 refused; nothing was removed.
    """
    settings = settings_of(inventory, state=state, log_key=log_key)
    read, _ = read_people(settings)
    read.require_own_state(is_rehearsal=rehearsal)
    settings = with_log(settings, rehearsal=rehearsal, to_write=True)
    found = find_leavers(settings.state_dir, {employee.name for employee in read.employees})
    if output is Output.TEXT:
        _show(found, read)
    for folder in (Path(source) for source in settings.inventory if Path(source).is_dir()):
        for what in check_folder(folder).unknown_to_hr:
            say(what, "yellow")  # counts as employed until the entry is gone
    gone = found.removable
    if remove and gone:
        if shrinks_by_half(len(gone), found.known) and not accept_shrink:
            raise InputError(
                f"{len(gone)} of the {found.known} people in the state would be removed: check that every inventory is "
                "given with -i. Nothing was removed; --accept-shrink removes them."
            )
        if not yes:
            confirm(f"Delete all data that identifies {len(gone)} of these people?", "--yes")
        # A revoked mandate stays revoked: a person who returns under that name must give a new one.
        act = Erase(employees=[one.employee for one in gone], operator_claimed=claimed_operator())
        erased = carry_out(settings, "fleet inventory prune", act)["erased"]
        if not rehearsal:
            erase_in_portal(settings.inbox, settings.portal_data, act.employees)
        if output is Output.JSON:
            say(f"{len(erased)} removed from {settings.state}.")
        else:
            sessions = sum(each["sessions"] for each in erased.values())
            pictures = sum(each["evidence"] for each in erased.values())
            removed = f"{counted(sessions, 'session')}, {counted(pictures, 'screenshot')}"
            typer.echo(f"{len(erased)} removed from {settings.state}: {removed}. This is recorded in the log.")
    elif gone and output is Output.TEXT:
        rest = "".join(f" -i {shlex.quote(source)}" for source in read.sources) + " --rehearsal" * rehearsal
        say(f"To delete all data that identifies them: fleet inventory prune{rest} --remove")
    return Answer(leavers_fields(found, is_removed=remove and bool(gone)))


def _show(found: Leavers, read: Inventory) -> None:
    if not found.people:
        people.print(f"All people in the state ({found.known}) are in the inventory.")
        return
    screen().print(leavers_table(found))
    say(
        f"{len(found.people)} no longer in any inventory; the state has {found.known} people, the inventory lists "
        f"{len(read.employees)}."
    )
