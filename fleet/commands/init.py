"""`fleet init`: create the state directory and the keys."""

from __future__ import annotations

import typer

from fleet.commands.options import BESIDE, IDENTITY, LOG_KEY, STATE, settings_of
from fleet.state.create import make_state


def init(inventory: BESIDE = None, state: STATE = None, identity: IDENTITY = None, log_key: LOG_KEY = None) -> None:
    """Create the state directory and, outside it, the keys that open sessions and sign the log.

    Keeps files that exist.
    """
    settings = settings_of(inventory, state=state, identity=identity, log_key=log_key)
    recipient, verifier = make_state(settings.state_dir, settings.identity, settings.log_key)
    typer.echo(f"State directory  {settings.state}")
    typer.echo(f"Identity         {settings.identity} (keep a copy in a safe place; without it no session opens)")
    typer.echo(f"Recipient        {recipient}")
    typer.echo(f"Signing key      {settings.log_key} (signs the audit log; keep it secret)")
    typer.echo(f"Public key       {verifier}")
    typer.echo("                 (keep this line elsewhere: anyone can check the log with it)")
