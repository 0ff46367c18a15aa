"""`fleet sessions`: capture, import, list, remove and reseal sealed sessions."""

from __future__ import annotations

import typer

from fleet.commands.verbs import Verbs

_VERBS = Verbs(
    {
        "capture": "fleet.commands.sessions.capture:capture",
        "import": "fleet.commands.sessions.stored:import_",
        "list": "fleet.commands.sessions.stored:list_",
        "remove": "fleet.commands.sessions.stored:remove",
        "reseal": "fleet.commands.sessions.stored:reseal",
    }
)
app = typer.Typer(
    cls=_VERBS.group,
    no_args_is_help=True,
    help="Capture, import, list, remove and reseal sealed (encrypted) sessions.",
)
