"""`fleet inventory`: the employees, looked at, brought in and let go. One file for each verb."""

from __future__ import annotations

import typer

from fleet.commands.inventory.check import check
from fleet.commands.inventory.import_ import import_
from fleet.commands.inventory.prune import prune

app = typer.Typer(no_args_is_help=True, help="The employees: look at them, bring them in, let them go.")
app.command()(check)
app.command("import")(import_)
app.command()(prune)
