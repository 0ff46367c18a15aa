"""`fleet worker`: started on workers by `fleet run`, over SSH; not by people."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fleet import __version__
from fleet.agent.worker import serve_worker
from fleet.commands.doctor import machine_checks
from fleet.report.translations import translator_for
from fleet.run.ansible_play import serve_play

app = typer.Typer(no_args_is_help=True, help="Commands that a run starts on its workers.")


@app.command()
def serve() -> None:
    """Be a worker of the run at the other end of stdin and stdout, until it disconnects."""
    serve_worker(translator_for)


@app.command()
def check() -> None:
    """Print the checks of a worker for `fleet doctor`, as JSON."""
    typer.echo(json.dumps({"version": __version__, "checks": [asdict(one) for one in machine_checks()]}))


@app.command()
def play(socket: Annotated[Path, typer.Option("--socket", help="Socket of the worker that serves here.")]) -> None:
    """Run the play that Ansible Runner transmits on stdin, and stream its events to stdout."""
    serve_play(socket)
