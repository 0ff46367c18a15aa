"""`fleet inventory`: check, import, rename and prune the employees. One file per command."""

from __future__ import annotations

import typer

from fleet.commands.verbs import Verbs

_VERBS = Verbs(
    {
        "adopt": "fleet.commands.inventory.adopt:adopt",
        "check": "fleet.commands.inventory.check:check",
        "import": "fleet.commands.inventory.import_:import_",
        "prune": "fleet.commands.inventory.prune:prune",
        "rename": "fleet.commands.inventory.rename:rename",
    }
)
app = typer.Typer(
    cls=_VERBS.group, no_args_is_help=True, help="Import and check employees, and delete data of leavers."
)
