"""`fleet audit`: read, check and look after the audit log. One file for each verb."""

from __future__ import annotations

import typer

from fleet.commands.audit.diff import diff
from fleet.commands.audit.export import export
from fleet.commands.audit.proof import prove, verify_proof
from fleet.commands.audit.receipt import receipt
from fleet.commands.audit.retention import erase, prune
from fleet.commands.audit.show import show
from fleet.commands.audit.upkeep import checkpoint, rotate_key
from fleet.commands.audit.verify import verify

app = typer.Typer(no_args_is_help=True, help="Read, check and look after the audit log.")
app.command()(show)
app.command()(verify)
app.command()(diff)
app.command()(receipt)
app.command()(prove)
app.command()(verify_proof)
app.command()(export)
app.command()(checkpoint)
app.command()(rotate_key)
app.command()(erase)
app.command()(prune)
