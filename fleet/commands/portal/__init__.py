"""`fleet portal`: what employees do themselves, on a page that the organization serves."""

from __future__ import annotations

import typer

from fleet.commands.portal.ingest import ingest
from fleet.commands.portal.publish import publish, schema, text

app = typer.Typer(no_args_is_help=True, help="Serve a page for employees, and take in what they did there.")
for command in (publish, ingest, text, schema):
    app.command()(command)
