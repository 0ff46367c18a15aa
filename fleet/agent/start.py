"""Starts an agent for a run."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable

from pydantic import TypeAdapter

from fleet.agent.client import AgentClient
from fleet.environment import PYTHON
from fleet.errors import FleetError
from fleet.paths import make_private_dir, runtime_dir
from fleet.plan import RunSpec

ENDING_WITHIN = 20.0
"""Seconds in which an agent lets go of what it has opened."""
OPENING_WITHIN = 300.0
"""Seconds. Ten thousand employees are planned in some 30."""
SPEC = TypeAdapter(RunSpec)

# All else stays outside: switches that make Python, Node, Playwright or Chromium write down what they do or lead the
# browser elsewhere (DEBUG, NODE_OPTIONS, SELENIUM_REMOTE_URL, SSLKEYLOGFILE, proxies), and other programs' secrets.
KEPT = (
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
            [*PYTHON, "-m", "fleet", "agent", "--socket", str(folder / "agent.sock"), "--owner-fd", str(own)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in KEPT if name in os.environ},
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
