# SPDX-License-Identifier: GPL-3.0-or-later
"""The thin end in Ansible: one call per employee over the agent's socket, names in, one result out.

Standard library and Ansible only, because Ansible and Fleet Opt-Out may live in different environments.
`ansible-doc -M roles/optout/library optout` documents it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ansible.plugins.action import ActionBase

PROTOCOL = 1
START_TIMEOUT = 60  # seconds; opening the run reads the inventory and starts a browser
LOOK_EVERY = 5  # seconds between two looks at the agent while it visits
SILENCE = 120  # seconds; an agent whose loop turns answers at once, one that plans ten thousand employees in some 30
INSTALL = (
    "The command 'fleet' was not found. Install Fleet Opt-Out on this machine (pip install fleet-optout) "
    "and put it on PATH, or name it with FLEET_BIN."
)


class AgentUnavailable(Exception):
    """No agent can be reached or started; the text says what to do."""


class ActionModule(ActionBase):
    """Opts one employee out of what is planned for them."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        employee = task_vars["inventory_hostname"]
        try:
            question = {"v": PROTOCOL, "op": "visit", "employee": employee}
            if path := os.environ.get("FLEET_AGENT"):
                answer = ask(path, question, is_own=False)
            else:
                answer = ask(start_agent(self._play(task_vars)), question, is_own=True)
        except AgentUnavailable as error:
            return {**result, "failed": True, "msg": str(error), "outcomes": []}
        if "error" in answer:
            return {**result, "failed": True, "msg": answer["error"], "outcomes": []}
        outcomes = answer["results"]
        result["outcomes"] = outcomes
        result["changed"] = any(one["outcome"] in CHANGED for one in outcomes)
        result["failed"] = any(one["outcome"] in FAILED for one in outcomes)
        result["msg"] = " ".join(sentence(one) for one in outcomes) or f"Nothing is planned for {employee}."
        if "agent" in answer:
            result["agent"] = answer["agent"]  # the callback plugin ends the run over it
        return result

    def _play(self, task_vars):
        """What the agent must know to make the plan itself: names and places, no values of employees."""
        return {
            "cwd": str(Path.cwd()),
            "inventory_sources": list(task_vars.get("ansible_inventory_sources") or []),
            "hosts": list(task_vars["ansible_play_hosts_all"]),
            "check": self._task.check_mode,
            "ansible_python": sys.executable,
            "variables": {
                name: self._templar.template(value) for name, value in task_vars.items() if name.startswith("optout_")
            },
        }


# As fleet/model.py has them, which may be in another environment.
CHANGED = frozenset(("opted_out", "would_opt_out", "submitted"))
FAILED = frozenset(
    ("sign_in_needed", "challenged", "wrong_account", "page_changed", "not_saved", "unknown", "error", "not_run")
)


def sentence(one):
    """One outcome in words."""
    name = ".".join(part for part in (one["service"], one["control"]) if part) or one["employee"]
    reason = f" ({one['reason']})" if one["reason"] else ""
    return f"{name}: {one['outcome']}{reason}." + (f" {one['next']}" if one["next"] else "")


def ask(path, request, is_own):
    """One question to the agent. The answer may take as long as the visit does, while the agent lives.

    Whether it lives is for whoever started it to watch: `fleet run`, or the play whose own it is.
    """
    try:
        with send(path, request) as connection:
            while is_own and not select.select([connection], [], [], LOOK_EVERY)[0]:
                require_alive(path, connection)
            answer = connection.makefile("rb").readline()
        return json.loads(answer)
    except (OSError, ValueError):
        raise AgentUnavailable(
            "not_run (agent_ended): the agent ended before this employee's turn. "
            "Run again; the next run closes this one in the log."
        ) from None


def send(path, request, within=None):
    """A connection on which the request has gone out."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(within)
    connection.connect(path)
    connection.sendall(json.dumps(request).encode() + b"\n")
    return connection


def require_alive(path, connection):
    """Kill an agent that hangs: it holds the log, and all others of this play would wait for it in their turn."""
    try:
        with send(path, {"v": PROTOCOL, "op": "alive"}, within=SILENCE) as look:
            look.makefile("rb").readline()
    except TimeoutError:
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        with contextlib.suppress(ProcessLookupError):
            os.kill(struct.unpack("3i", peer)[0], signal.SIGKILL)
        raise AgentUnavailable(
            f"not_run (agent_ended): the agent did not answer for {SILENCE} s, so it was killed. "
            "Run again; the next run closes this one in the log."
        ) from None


def start_agent(play):
    """Find the agent of this play, or start it: whoever holds the folder's lock does, the others wait for it."""
    parent = os.getppid()  # this worker's parent is ansible-playbook itself
    owner = os.pidfd_open(parent)
    try:
        if os.getppid() != parent:
            raise AgentUnavailable("The play has ended.")
        started = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[19]
        folder = runtime_dir() / f"{parent}-{started}"  # process numbers come round again, start times do not
        path, failed = folder / "agent.sock", folder.with_suffix(".failed")
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return str(path)
            if failed.exists():
                raise AgentUnavailable(failed.read_text())
            try:
                launch(folder, path, owner, play)
            except AgentUnavailable as error:
                failed.write_text(str(error))
                raise
        return str(path)
    finally:
        os.close(owner)


def launch(folder, path, owner, play):
    """Start `fleet agent` so that it outlives this worker, but not the play."""
    beside = Path(sys.executable).with_name("fleet")
    program = os.environ.get("FLEET_BIN") or (str(beside) if beside.exists() else shutil.which("fleet"))
    if not program:
        raise AgentUnavailable(INSTALL)
    folder.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryFile() as complaints:
        try:
            agent = subprocess.Popen(
                [program, "agent", "--socket", str(path), "--owner-fd", str(owner)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=complaints,  # until it listens; then it lets go of it
                pass_fds=(owner,),
                start_new_session=True,  # Ansible ends a worker's whole process group
                cwd="/",
            )
        except OSError as error:
            raise AgentUnavailable(f"{program} cannot be started ({error.strerror}). {INSTALL}") from None
        with contextlib.suppress(BrokenPipeError), agent.stdin:  # one that has ended already is noticed below
            agent.stdin.write(json.dumps({"play": play}, default=str).encode())
        deadline = time.monotonic() + START_TIMEOUT
        while not path.exists():
            if agent.poll() is not None or time.monotonic() > deadline:
                complaints.seek(0)
                said = complaints.read(65536).decode(errors="replace").split("\n")
                last = next((f" ({line.strip()})" for line in reversed(said) if line.strip()), "")
                raise AgentUnavailable(
                    f"{program} agent did not start{last}; run '{program} doctor' to see what is missing."
                )
            time.sleep(0.02)


def runtime_dir():
    """The private folder for sockets; the same rule as fleet/paths.py."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    usable = bool(base) and len(base) < 56 and is_own_folder(Path(base))
    folder = Path(base) / "fleet" if usable else Path(f"/tmp/fleet-{os.getuid()}")  # noqa: S108 - owner and mode are checked below
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        info = folder.lstat()
    except OSError as error:
        raise AgentUnavailable(f"{folder} cannot be made ({error.strerror}); see what stands there.") from None
    if info.st_uid != os.getuid() or info.st_mode & 0o077:
        raise AgentUnavailable(f"{folder} must be a folder of your own with mode 0700; mend it and run again.")
    return folder


def is_own_folder(path):
    """True if nobody else can exchange what lies in it."""
    try:
        info = path.stat()
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid() and not info.st_mode & 0o022
