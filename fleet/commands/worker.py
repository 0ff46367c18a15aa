"""`fleet worker`: what `fleet run` starts on workers, over SSH; people have no need of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fleet import __version__
from fleet.agent.worker import serve_worker
from fleet.commands.doctor import machine_checks
from fleet.run.ansible_play import serve_play

app = typer.Typer(no_args_is_help=True, help="What a run starts on its workers.")


@app.command()
def serve() -> None:
    """Be a worker of the run that is at the other end of stdin and stdout, until it hangs up."""
    serve_worker()


@app.command()
def check() -> None:
    """Say as JSON what `fleet doctor` asks of a worker."""
    typer.echo(json.dumps({"version": __version__, "checks": [asdict(one) for one in machine_checks()]}))


@app.command()
def play(socket: Annotated[Path, typer.Option("--socket", help="Of the worker that serves here.")]) -> None:
    """Play what Ansible Runner transmits on stdin, and stream its events to stdout."""
    serve_play(socket)
