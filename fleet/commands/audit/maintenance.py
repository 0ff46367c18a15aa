"""`fleet audit checkpoint` and `fleet audit rotate-key`."""

from __future__ import annotations

import asyncio

import typer

from fleet.audit.checkpoints import read_newest
from fleet.audit.maintenance import rotate_key as rotate
from fleet.audit.operator import Operator
from fleet.commands.carry_out import carry_out
from fleet.commands.options import BESIDE, LOG_KEY, REHEARSAL, STATE, people, say, settings_of, with_log
from fleet.plan.plan import claimed_operator
from fleet.state.acts import Checkpoint


def checkpoint(
    inventory: BESIDE = None, state: STATE = None, log_key: LOG_KEY = None, rehearsal: REHEARSAL = False
) -> None:
    """Record a heartbeat, sign the log, and print the checkpoint. Keep the output elsewhere as an anchor.

    Run this daily from cron, so that days are visibly missing from a truncated log.
    """
    settings = with_log(settings_of(inventory, state=state, log_key=log_key), rehearsal=rehearsal, to_write=True)
    carry_out(settings, "fleet audit checkpoint", Checkpoint(operator_claimed=claimed_operator()))
    say(f"Signed: the log in {settings.state}.")
    typer.echo(read_newest(settings.state_dir.audit.checkpoints), nl=False)


def rotate_key(
    inventory: BESIDE = None, state: STATE = None, log_key: LOG_KEY = None, rehearsal: REHEARSAL = False
) -> None:
    """Replace the signing key. The old key signs a record of the new one, and is then deleted."""
    settings = with_log(settings_of(inventory, state=state, log_key=log_key), rehearsal=rehearsal, to_write=True)
    verifier = asyncio.run(rotate(settings.state_dir.audit, settings.log_key, Operator(claimed_operator())))
    say(f"The log in {settings.state} is signed with a new key.")
    typer.echo(str(verifier))
    people.print(
        "Keep the first public key too: it proves all later ones. This one does not prove earlier records.",
        soft_wrap=True,
    )
