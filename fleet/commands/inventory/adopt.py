"""`fleet inventory adopt`: from one file that imports and people wrote into, to a folder with a file for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleet.commands.options import say
from fleet.hr_import.adopt import adopt as split
from fleet.hr_import.hr_file import HR_FILE
from fleet.model import counted


def adopt(
    inventory: Annotated[
        Path, typer.Option("-i", "--inventory", metavar="FILE", help="YAML inventory that imports wrote into.")
    ],
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="FOLDER", help="To be made [default: FILE's name without its ending]."),
    ] = None,
) -> None:
    """Split an inventory of imports before hr.yml into a folder: hr.yml, and a file with what was written by hand.

    Ansible reads both before anything is kept: the folder must say what the file says. The file itself stays as it is,
    with its comments; the one in the folder has none.

    Exit codes: 0 split; 2 refused, and nothing was written.
    """
    done = split(inventory, folder or inventory.with_suffix(""))
    by_hand = f"{done.by_hand.name} has what was written by hand" if done.by_hand else "nothing was written by hand"
    say(f"{done.folder} says what {inventory} says: {HR_FILE} has {counted(len(done.entries), 'employee')}, {by_hand}.")
    for name in done.whole_accounts:
        say(f"{name}: fleet_accounts stays by hand as a whole, because HR does not export all of it.", "yellow")
    say(
        f"Next: write {done.folder} in place of {inventory} in fleet.yml ('inventory:'), jobs and scripts, and import "
        f"with -i {done.folder} --check. Then delete {inventory.name} and {inventory.stem}.import.yml."
    )
