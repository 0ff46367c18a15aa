"""Starts an agent for a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter

from fleet.agent.client import AgentClient
from fleet.environment import PYTHON
from fleet.errors import AgentError, FleetError
from fleet.paths import make_private_dir, runtime_dir
from fleet.plan.plan import RunSpec

ENDING_WITHIN = 20.0
"""Seconds an agent gets to release what it has opened."""
OPENING_WITHIN = 300.0
"""Seconds. Planning ten thousand employees takes about 30."""
MAX_COMPLAINT = 64 * 1024
"""Maximum bytes of the agent's startup error output."""
_BY_US = (0, -signal.SIGTERM, 128 + signal.SIGTERM)
SPEC = TypeAdapter(RunSpec)

# Everything else is dropped: switches that make Python, Node, Playwright or Chromium log their work or redirect the
# browser (DEBUG, NODE_OPTIONS, SELENIUM_REMOTE_URL, SSLKEYLOGFILE, proxies), and other programs' secrets.
KEPT = (
    *("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"),
    *("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "FONTCONFIG_PATH", "FONTCONFIG_FILE"),
    *("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY"),  # for the desk
    *("FLEET_BROWSER", "PLAYWRIGHT_BROWSERS_PATH", "PLAYWRIGHT_NODEJS_PATH"),
)


def start_agent(
    spec: RunSpec, attach: Callable[[AgentClient], None] = lambda _client: None
) -> tuple[subprocess.Popen[bytes], AgentClient]:
    """Start an agent owned by this process and wait until its run is open.

    `attach` is called as soon as the agent listens, to connect its workers. Raises whatever `attach` raises, and
    InputError or AgentError if the run cannot open.
    """
    folder = runtime_dir() / spec.run_id
    make_private_dir(folder)
    client = AgentClient(folder / "agent.sock")
    with tempfile.TemporaryFile() as complaints:
        process = _launch(client.socket_path, complaints)
        try:
            assert process.stdin is not None
            with suppress(BrokenPipeError), process.stdin:  # a process that has already ended is detected below
                process.stdin.write(json.dumps({"spec": SPEC.dump_python(spec, mode="json")}).encode())
            client.wait_for_socket(lambda: process.poll() is None)
            attach(client)
            client.require("ready", within=OPENING_WITHIN)
        except FleetError as error:
            process.terminate()
            try:
                code = process.wait(ENDING_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                raise error from None
            if isinstance(error, AgentError) and code not in _BY_US:
                raise AgentError(_ended(code, complaints, spec)) from None
            raise
        return process, client


def _launch(socket: Path, complaints: IO[bytes]) -> subprocess.Popen[bytes]:
    own = os.pidfd_open(os.getpid())
    try:
        return subprocess.Popen(
            [*PYTHON, "-m", "fleet", "agent", "--socket", str(socket), "--owner-fd", str(own)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=complaints,  # until it listens; then it closes this file
            env={name: os.environ[name] for name in KEPT if name in os.environ},
            pass_fds=(own,),
            start_new_session=True,  # this process handles Ctrl-C at the terminal and sends an orderly `finish`
        )
    finally:
        os.close(own)


def _ended(code: int, complaints: IO[bytes], spec: RunSpec) -> str:
    """Return a sentence about an agent that ended before its run was open."""
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    complaints.seek(0)
    said = complaints.read(MAX_COMPLAINT).decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(said) if line.strip()), "")
    diagnostics = spec.settings.state_dir.diagnostics(spec.run_id)
    where = f" Its diagnostics: {diagnostics}." if diagnostics.exists() else ""
    return (
        f"The agent ended before anybody was visited ({how}{': ' + last if last else ''}); "
        f"'fleet doctor' tells what is missing.{where}"
    )
