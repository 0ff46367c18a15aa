"""`fleet inventory adopt`: splits a file that both imports and people edited into a folder with a file for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleet.commands.options import say
from fleet.hr_import.adopt import adopt as split
from fleet.hr_import.hr_yml import HR_FILE
from fleet.model import counted


def adopt(
    inventory: Annotated[
        Path, typer.Option("-i", "--inventory", metavar="FILE", help="YAML inventory that earlier imports wrote to.")
    ],
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="FOLDER", help="Folder to create [default: FILE without its extension]."),
    ] = None,
) -> None:
    """Split a single-file inventory into a folder: hr.yml, and a file with the hand-written entries.

    Nothing is written unless Ansible reads the same from folder and file. The file is kept; its comments are not
    copied.

    Exit codes: 0 split, 2 refused; nothing was written.
    """
    done = split(inventory, folder or inventory.with_suffix(""))
    by_hand = (
        f"{done.by_hand.name} has the hand-written entries" if done.by_hand else "there are no hand-written entries"
    )
    employees = counted(len(done.entries), "employee")
    say(f"{done.folder} has the same content as {inventory}: {HR_FILE} has {employees}, {by_hand}.")
    for name in done.whole_accounts:
        say(f"{name}: all of fleet_accounts stays hand-written, because HR exports only part of it.", "yellow")
    say(
        f"Next: replace {inventory} with {done.folder} in fleet.yml ('inventory:'), jobs and scripts, and import "
        f"with -i {done.folder} --check. Then delete {inventory.name} and {inventory.stem}.import.yml."
    )
