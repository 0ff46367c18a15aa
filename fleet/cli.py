"""The command `fleet`: the only place that prints errors and ends the process."""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Annotated

import typer

from fleet import __version__
from fleet.commands.options import complain
from fleet.commands.verbs import Verbs, failure
from fleet.desk.private_profile import wipe_left_over
from fleet.errors import FleetError
from fleet.model import EXIT_INTERRUPTED, EXIT_TOOL_FAILED

_VERBS = Verbs(
    {
        "run": "fleet.commands.run:run",
        "attend": "fleet.commands.attend:attend",
        "status": "fleet.commands.status:status",
        "report": "fleet.commands.report:report",
        "demo": "fleet.commands.demo:demo",
        "rehearsal": "fleet.commands.rehearsal:rehearsal",
        "init": "fleet.commands.init:init",
        "inventory": "fleet.commands.inventory:app",
        "sessions": "fleet.commands.sessions:app",
        "mandates": "fleet.commands.mandates:app",
        "people": "fleet.commands.people:app",
        "services": "fleet.commands.services:app",
        "portal": "fleet.commands.portal:app",
        "notices": "fleet.commands.notices:app",
        "spot-check": "fleet.commands.spot_check:app",
        "config": "fleet.commands.config:app",
        "audit": "fleet.commands.audit:app",
        "browser": "fleet.commands.browser:app",
        "doctor": "fleet.commands.doctor:doctor",
        "agent": "fleet.commands.agent:agent",
        "worker": "fleet.commands.worker:app",
    },
    hidden={"agent", "worker"},
)
app = typer.Typer(
    name="fleet",
    cls=_VERBS.group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Opt employees' accounts out of AI training, prove every change, and keep an audit log.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fleet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    # Files made here are private from their first byte, whatever the caller's umask.
    os.umask(0o077)
    try:
        wipe_left_over()
    except FleetError as error:
        complain([str(error)])


def _forbid_core_dumps() -> None:
    """Disable core dumps here, in the agent and in its browsers: a crash must not write keys and sessions to disk."""
    with suppress(ValueError):  # a hard limit of 0 cannot be raised; it lets no file through
        # A limit of 0 stops only dumps to files; the kernel treats 1 as "no dump" even for a pipe (fs/coredump.c).
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)  # as shells count it


def _has_no_reader() -> bool:
    """Return True if the reader of our output has gone."""
    look = select.poll()
    look.register(sys.stdout.fileno(), 0)
    return any(happened & (select.POLLERR | select.POLLHUP) for _, happened in look.poll(0))


def main() -> None:
    """Run the command line. An OSError or FleetError becomes a sentence and an exit code; a bug keeps its traceback."""
    _forbid_core_dumps()
    signal.signal(signal.SIGTERM, _end)  # the default leaves private files behind
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        if not _has_no_reader():
            raise  # of another pipe: a bug
        # The reader of our output (a pager, head) has gone: there is nothing to report.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_TOOL_FAILED)
    except (FleetError, OSError) as error:
        exit_code, sentences = failure(error)
        complain(sentences)
        sys.exit(exit_code)
