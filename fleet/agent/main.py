"""Entry point of `fleet agent`: runs one run from start to end."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO, cast

import structlog

from fleet.agent.diagnostics import DiagnosticsFile, diagnostics, without_text
from fleet.agent.remote import RemoteVisitors
from fleet.agent.role_variables import accept_shrink_from_variables, given_from_variables, selection_from_variables
from fleet.agent.run import Run
from fleet.agent.server import Agent
from fleet.agent.start import KEPT, SPEC
from fleet.agent.watch import watched_process
from fleet.desk.screen import SayIn
from fleet.errors import InputError
from fleet.orphans import AGENT, held_folder, hold, sweep
from fleet.paths import require_private, runtime_dir
from fleet.plan.plan import RunSpec, catalog_for, claimed_operator, new_run_id, read_people
from fleet.plan.selection import require_no_shrink
from fleet.recipes.catalog import Catalog
from fleet.settings.resolve import resolve_settings


def run_agent(socket_path: Path | None, owners: list[int], order: dict[str, Any], say_in: SayIn) -> None:
    """Serve the run that `order` describes: a complete `spec`, or a `play` to make one from.

    `say_in` translates for the desk's screen. Without a path the agent listens in a new folder. Raises InputError if
    other users can enter the socket's folder.
    """
    if socket_path is None:
        with held_folder(runtime_dir(), AGENT) as folder, watched_process(folder / "agent.sock"):
            run_agent(folder / "agent.sock", owners, order, say_in)
        return
    settle(socket_path.parent)

    async def open_run(workers: RemoteVisitors) -> Run:
        hush()
        if "spec" in order:
            spec = SPEC.validate_python(order["spec"])
            catalog = catalog_for(spec.settings, rehearsal=spec.inventory.rehearsal)
        else:
            spec, catalog = await asyncio.to_thread(spec_of_play, order["play"])
        scrub_environment()  # only now: Ansible reads the play's inventory in the play's own environment
        _log_to(spec)
        return await Run.open(spec, catalog, workers, say_in, socket_path)

    agent = Agent(socket_path, open_run, announce, belongs_to_play="play" in order)
    asyncio.run(agent.serve(owners))
    sweep(runtime_dir())  # a killed owner may have left its play running


def announce(socket_path: Path) -> None:
    """Print the socket's path for the parent process, then close stdout so that the parent can stop reading."""
    print(json.dumps({"socket": str(socket_path)}), flush=True)
    _redirect_to_nowhere(1)


def settle(folder: Path) -> None:
    """Prepare this process for running browsers, in a private folder that is removed with it.

    Raises InputError if other users can enter the folder.
    """
    require_private(folder)
    hold(folder)  # held as long as this process lives
    os.umask(0o077)
    # Browser profiles live next to the socket, so they are deleted even if the browser crashes.
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.add_log_level,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    sys.excepthook = lambda _type, error, _traceback: diagnostics.error("agent.failed", **without_text(error))
    sweep(runtime_dir())


def hush() -> None:
    """Redirect stderr to /dev/null if it is a file: Node and the browser may log page content.

    Until this point stderr reports startup errors to the parent process.
    """
    if stat.S_ISREG(os.fstat(2).st_mode):
        _redirect_to_nowhere(2)


def _redirect_to_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def scrub_environment() -> None:
    """Remove environment variables that the browsers must not see."""
    for name in os.environ.keys() - set(KEPT):
        del os.environ[name]


def spec_of_play(play: dict[str, Any]) -> tuple[RunSpec, Catalog]:
    """Make the plan of a play that runs without `fleet run`: read its inventory as the play did, limited to its hosts.

    The recipes used for the plan are returned with it. Raises InputError if the inventory or the settings cannot be
    read.
    """
    cwd = Path(play["cwd"])
    sources = tuple(str(source) for source in play["inventory_sources"])
    settings = resolve_settings(given_from_variables(play["variables"], sources), cwd)
    if settings.workers:
        raise InputError(
            "fleet.yml names workers, which only 'fleet run' uses: start it with that, or take them out of the file."
        )
    inventory, catalog = read_people(settings, ansible_python=play["ansible_python"], cwd=cwd)
    settings = settings.of_kind(rehearsal=inventory.rehearsal)
    settings.state_dir.require_kind(rehearsal=inventory.rehearsal)
    spec = RunSpec(
        run_id=new_run_id(),
        check=bool(play["check"]),
        inventory=inventory.only(play["hosts"]),
        settings=settings,
        claimed_operator=claimed_operator(),
    )
    if not accept_shrink_from_variables(play["variables"]):
        require_no_shrink(spec)
    chosen = selection_from_variables(play["variables"]).of(spec, catalog)
    return replace(chosen, inventory=spec.inventory), catalog  # the play asks for each of its hosts


def _log_to(spec: RunSpec) -> None:
    """Write diagnostics to the run's own log file, or to stderr if that cannot be created.

    Only this program's diagnostics go there: stderr of Python, Node and the browser may contain page content. Raises
    InputError for a state of the other kind (rehearsal or live), in which nothing is written.
    """
    state = spec.settings.state_dir
    state.require_kind(rehearsal=spec.inventory.rehearsal)
    if state.runs.is_dir():
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(state.diagnostics(spec.run_id), flags, 0o600)
        structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(cast(TextIO, DiagnosticsFile(descriptor))))
