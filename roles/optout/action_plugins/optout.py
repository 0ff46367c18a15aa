# SPDX-License-Identifier: GPL-3.0-or-later
"""One request per employee over the agent's socket: a name in, Ansible's result out. The agent knows everything else.

Standard library and Ansible only, because Ansible and Fleet Opt-Out may be installed in different environments.
`ansible-doc -M roles/optout/library optout` shows its documentation.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from ansible import constants
from ansible.plugins.action import ActionBase

START_TIMEOUT = 120  # seconds until a new agent listens; one that has ended is noticed at once
INSTALL = (
    "The command 'fleet' was not found. Install Fleet Opt-Out on this machine (pip install fleet-optout) "
    "and put it on PATH, or name it with FLEET_BIN."
)


class AgentUnavailable(Exception):
    """No agent can be reached or started; the text says what to do."""


class ActionModule(ActionBase):
    """Carries out one employee's planned opt-outs."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        question = {"v": 1, "op": "visit", "employee": task_vars["inventory_hostname"]}
        try:
            answer = ask(os.environ.get("FLEET_AGENT") or find_agent(self._play(task_vars)), question)
        except AgentUnavailable as error:
            answer = {"error": str(error)}
        if "error" in answer:
            return {**result, "failed": True, "msg": answer["error"], "outcomes": []}
        return {**result, **answer["task"]}

    def _play(self, task_vars):
        """Return what the agent needs to make the plan itself: names and places, no employee data."""
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


def ask(path, request):
    """Return the agent's answer. A visit may take long; whoever started the agent kills one that hangs."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(connection.makefile("rb").readline())
    except (OSError, ValueError):
        raise AgentUnavailable(
            "not_run (agent_ended): the agent ended before this employee's turn. "
            "Run again; the next run closes this one in the log."
        ) from None


def find_agent(play):
    """Return the socket of this play's agent. The first task to lock the play's private Ansible folder starts it."""
    with (Path(constants.DEFAULT_LOCAL_TMP) / "fleet-agent.json").open("a+") as known:
        fcntl.flock(known, fcntl.LOCK_EX)
        known.seek(0)
        answer = json.loads(known.read() or "null")
        if answer is None:
            try:
                answer = start_agent(play)
            except AgentUnavailable as error:
                answer = {"error": str(error)}  # for all other tasks, too
            json.dump(answer, known)
    if "error" in answer:
        raise AgentUnavailable(answer["error"])
    return answer["socket"]


def start_agent(play):
    """Start `fleet agent` and return its answer once it listens. It outlives this worker but not the play."""
    beside = Path(sys.executable).with_name("fleet")
    program = os.environ.get("FLEET_BIN") or (str(beside) if beside.exists() else shutil.which("fleet"))
    if not program:
        raise AgentUnavailable(INSTALL)
    parent = os.getppid()  # this worker's parent is ansible-playbook itself
    owner = os.pidfd_open(parent)
    try:
        if os.getppid() != parent:
            raise AgentUnavailable("The play has ended.")
        with tempfile.TemporaryFile() as complaints:
            agent = subprocess.Popen(
                [program, "agent", "--owner-fd", str(owner)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,  # until it listens; then it closes this file
                pass_fds=(owner,),
                start_new_session=True,  # Ansible ends a worker's whole process group
                cwd="/",
            )
            with contextlib.suppress(BrokenPipeError), agent.stdin:  # one that has ended prints nothing below
                agent.stdin.write(json.dumps({"play": play}, default=str).encode())
            with agent.stdout:
                if select.select([agent.stdout], [], [], START_TIMEOUT)[0] and (line := agent.stdout.readline()):
                    return json.loads(line)
            complaints.seek(0)
            said = complaints.read(65536).decode(errors="replace").strip().rpartition("\n")[2].strip()
            raise AgentUnavailable(
                f"{program} agent did not start{f' ({said})' if said else ''}; "
                f"run '{program} doctor' to see what is missing."
            )
    except OSError as error:
        raise AgentUnavailable(f"{program} cannot be started ({error.strerror}). {INSTALL}") from None
    finally:
        os.close(owner)
