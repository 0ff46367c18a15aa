"""`fleet audit`: read, verify and maintain the audit log. One file per command."""

from __future__ import annotations

import typer

from fleet.commands.verbs import Verbs

_VERBS = Verbs(
    {
        "show": "fleet.commands.audit.show:show",
        "verify": "fleet.commands.audit.verify:verify",
        "diff": "fleet.commands.audit.diff:diff",
        "receipt": "fleet.commands.audit.receipt:receipt",
        "prove": "fleet.commands.audit.proof:prove",
        "verify-proof": "fleet.commands.audit.proof:verify_proof",
        "export": "fleet.commands.audit.export:export",
        "checkpoint": "fleet.commands.audit.maintenance:checkpoint",
        "rotate-key": "fleet.commands.audit.maintenance:rotate_key",
        "erase": "fleet.commands.audit.retention:erase",
        "prune": "fleet.commands.audit.retention:prune",
    }
)
app = typer.Typer(cls=_VERBS.group, no_args_is_help=True, help="Read, verify and maintain the audit log.")
