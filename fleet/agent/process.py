"""Starts an agent for a run, and is what `fleet agent` does once it is started."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog
from pydantic import TypeAdapter

from fleet.agent.client import AgentClient
from fleet.agent.diagnostics import diagnostics, without_text
from fleet.agent.remote import Workers
from fleet.agent.run import Run
from fleet.agent.server import Agent
from fleet.config import resolve_settings
from fleet.errors import FleetError, InputError
from fleet.inventory import read_inventory
from fleet.leftovers import hold, sweep
from fleet.paths import make_private_dir, require_private, runtime_dir
from fleet.plan import RunSpec, catalogue_for, claimed_operator, new_run_id, services_of
from fleet.variables import given_from_variables, selection_from_variables

ENDING_WITHIN = 20.0
"""Seconds in which an agent lets go of what it has opened."""
OPENING_WITHIN = 300.0
"""Seconds. Ten thousand employees are planned in some 30."""
SPEC = TypeAdapter(RunSpec)

# All else stays outside: switches that make Python, Node, Playwright or Chromium write down what they do or lead the
# browser elsewhere (DEBUG, NODE_OPTIONS, SELENIUM_REMOTE_URL, SSLKEYLOGFILE, proxies), and other programs' secrets.
_KEPT = (
    *("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"),
    *("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "FONTCONFIG_PATH", "FONTCONFIG_FILE"),
    *("FLEET_BROWSER", "PLAYWRIGHT_BROWSERS_PATH", "PLAYWRIGHT_NODEJS_PATH"),
)


def start_agent(
    spec: RunSpec, attach: Callable[[AgentClient], None] = lambda _client: None
) -> tuple[subprocess.Popen[bytes], AgentClient]:
    """Start an agent that belongs to this process and wait until its run is open.

    `attach` is called as soon as the agent listens, to bring it workers. Raises what it raises, and what
    kept the run from opening (InputError or AgentError).
    """
    folder = runtime_dir() / spec.run_id
    make_private_dir(folder)
    own = os.pidfd_open(os.getpid())
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "fleet", "agent", "--socket", str(folder / "agent.sock"), "--owner-fd", str(own)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _KEPT if name in os.environ},
            pass_fds=(own,),
            start_new_session=True,  # a Ctrl-C at the terminal is ours to pass on, as an orderly `finish`
        )
    finally:
        os.close(own)
    assert process.stdin is not None
    with process.stdin:
        process.stdin.write(json.dumps({"spec": SPEC.dump_python(spec, mode="json")}).encode())
    client = AgentClient(folder / "agent.sock")
    try:
        client.wait_for_socket(lambda: process.poll() is None)
        attach(client)
        client.require("ready", within=OPENING_WITHIN)
    except FleetError:
        process.terminate()
        try:
            process.wait(ENDING_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
        raise
    return process, client


def run_agent(socket_path: Path, owners: list[int], order: dict[str, Any]) -> None:
    """Be the agent: serve the run that `order` describes (a whole `spec`, or a `play` to make one from).

    Raises InputError if others can enter the socket's folder.
    """
    settle(socket_path.parent)

    async def open_run(workers: Workers) -> Run:
        if "spec" in order:
            spec = SPEC.validate_python(order["spec"])
        else:
            spec = await asyncio.to_thread(spec_of_play, order["play"])
        scrub_environment()  # only now: Ansible reads the play's inventory in the environment that the play has
        _log_to(spec)
        return await Run.open(spec, workers)

    asyncio.run(Agent(socket_path, open_run, belongs_to_play="play" in order).serve(owners))
    sweep(runtime_dir())  # if our owner was killed, its play is left


def settle(folder: Path) -> None:
    """Make this process one that works with browsers, in a private folder that goes with it.

    Raises InputError if others can enter the folder.
    """
    require_private(folder)
    hold(folder)  # as long as this process lives
    os.umask(0o077)
    # Browser profiles go where they are wiped with the socket, whatever happens to the browser.
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


def scrub_environment() -> None:
    """Forget what the browsers must not be given."""
    for name in os.environ.keys() - set(_KEPT):
        del os.environ[name]


def spec_of_play(play: dict[str, Any]) -> RunSpec:
    """Make the plan of a play that runs without `fleet run`: read its inventory as it did, its hosts only.

    Raises InputError as reading inventory and settings does.
    """
    cwd = Path(play["cwd"])
    sources = [str(source) for source in play["inventory_sources"]]
    settings = resolve_settings(given_from_variables(play["variables"]), sources, cwd)
    if settings.workers:
        raise InputError(
            "fleet.yml names workers, which only 'fleet run' uses: start it with that, or take them out of the file."
        )
    # Whether this is a rehearsal stands in the inventory, and which services there are depends on it.
    every = services_of(catalogue_for(settings, rehearsal=True))
    inventory = read_inventory(sources, every, ansible_python=play["ansible_python"], cwd=cwd)
    if inventory.rehearsal:
        settings = settings.for_rehearsal()
    spec = RunSpec(
        run_id=new_run_id(),
        check=bool(play["check"]),
        inventory=inventory.only(play["hosts"]),
        settings=settings,
        claimed_operator=claimed_operator(),
    )
    chosen = selection_from_variables(play["variables"]).of(spec)
    return replace(chosen, inventory=spec.inventory)  # the play asks for each of its hosts


def _log_to(spec: RunSpec) -> None:
    """Send diagnostics to the run's own log file; where there can be none they stay on stderr.

    Only ours: what Python, Node and the browser write to stderr may hold whatever a page has said.
    """
    state = spec.settings.state_dir
    if state.runs.is_dir():
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(state.diagnostics(spec.run_id), flags, 0o600)
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(os.fdopen(descriptor, "a", encoding="utf-8")))
