"""`fleet portal`: what employees do themselves, on a page that the organization serves. One file per command."""

from __future__ import annotations

import typer

from fleet.commands.verbs import Verbs

_VERBS = Verbs(
    {
        "publish": "fleet.commands.portal.publish:publish",
        "serve": "fleet.commands.portal.serve:serve",
        "rehearse": "fleet.commands.portal.rehearse:rehearse",
        "check": "fleet.commands.portal.serve:check",
        "ingest": "fleet.commands.portal.ingest:ingest",
        "text": "fleet.commands.portal.publish:text",
        "schema": "fleet.commands.portal.publish:schema",
    }
)
app = typer.Typer(cls=_VERBS.group, no_args_is_help=True, help="Serve a page for employees, and take in what they did.")
