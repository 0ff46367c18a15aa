"""`fleet init`: make the state directory and the identity."""

from __future__ import annotations

import typer

from fleet.commands.options import IDENTITY, STATE, settings_of
from fleet.sessions import init_state


def init(state: STATE = None, identity: IDENTITY = None) -> None:
    """Make the state directory and, outside it, the age identity that opens sessions. Existing ones are kept."""
    settings = settings_of(state, identity)
    recipient = init_state(settings.state_dir, settings.identity)
    typer.echo(f"State directory  {settings.state}")
    typer.echo(f"Identity         {settings.identity} (keep a copy in a safe place; sessions open with nothing else)")
    typer.echo(f"Recipient        {recipient}")
