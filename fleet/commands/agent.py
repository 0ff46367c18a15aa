"""`fleet agent`: started by the role and by `fleet run`, not by people."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from fleet.agent.main import run_agent
from fleet.report.translations import translator_for


def agent(
    owner_fd: Annotated[list[int], typer.Option("--owner-fd", help="A pidfd; the agent ends with that process.")],
    socket: Annotated[Path | None, typer.Option("--socket", help="Where to listen.", show_default="a new one")] = None,
) -> None:
    """Serve one run to the plays of one owner. Reads the run from stdin and prints the socket, both as JSON."""
    run_agent(socket, owner_fd, json.load(sys.stdin), translator_for)
