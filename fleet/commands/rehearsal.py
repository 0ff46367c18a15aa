"""`fleet rehearsal`: serve the stand-in services, for inspection or for runs."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from fleet.commands.options import IDENTITY, INVENTORY, LOG_KEY, STATE, people, settings_of
from fleet.errors import InputError
from fleet.plan.plan import read_people
from fleet.rehearsal.stage import raise_stage_alone
from fleet.report.table import shown


def rehearsal(
    inventory: INVENTORY = None,
    port: Annotated[
        int,
        typer.Option(
            "--port",
            metavar="PORT",
            min=0,
            max=65535,
            show_default=False,
            help="Port on 127.0.0.1 [default: a free one].",
        ),
    ] = 0,
    state: STATE = None,
    identity: IDENTITY = None,
    log_key: LOG_KEY = None,
) -> None:
    """Serve the stand-in services of a rehearsal inventory until Ctrl-C, and print the options to reach them.

    Stores a session for each of its employees in the rehearsal state directory, so that `fleet run` finds them signed
    in.
    """
    settings = settings_of(inventory, state=state, identity=identity, log_key=log_key)
    employees, catalog = read_people(settings)
    if not employees.rehearsal:
        sources = ", ".join(employees.sources)
        raise InputError(
            f"{sources} is not marked fleet_rehearsal: true, so it cannot be rehearsed; mark a copy of it."
        )
    settings = settings.of_kind(rehearsal=True)
    # Before anything starts: later signals are waited for below.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    stage = raise_stage_alone(employees, settings, catalog, port)
    try:
        people.print(f"Serving on {stage.rehearsal.address} until Ctrl-C; state in {shown(settings.state)}.")
        people.print("In another terminal: fleet run with the same -i and --state, and")
        for host, address in stage.network.resolve.items():
            typer.echo(f"--resolve {host}={address}")
        typer.echo(f"--trust-spki {stage.rehearsal.spki}")
        signal.sigwait((signal.SIGINT, signal.SIGTERM))
    finally:
        stage.strike()
