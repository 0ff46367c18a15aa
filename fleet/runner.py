"""The one module that runs Ansible Runner: plays of at most 500 employees over a generated inventory of names."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ansible_runner

from fleet.errors import FleetError
from fleet.leftovers import PLAY, hold, reap
from fleet.paths import ansible_content, runtime_dir

MAX_EMPLOYEES_PER_PLAY = 500
"""Ansible's cost per host grows with the failed hosts of the play."""
MAX_ANSIBLE_WORDS = 600
"""Characters of Ansible's own output that an error may carry."""
PR_SET_TIMERSLACK, PR_GET_TIMERSLACK = 29, 30

_PASSED_ON = ("HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR", "TMPDIR", "SSH_AUTH_SOCK")


def shards(employees: Sequence[str], size: int = MAX_EMPLOYEES_PER_PLAY) -> Iterator[Sequence[str]]:
    """The employees in plays of at most `size`."""
    for start in range(0, len(employees), size):
        yield employees[start : start + size]


def run_play(
    employees: Sequence[str],
    *,
    run_id: str,
    agent_socket: Path,
    check: bool,
    forks: int,
    on_employee: Callable[[str], None],
    is_canceled: Callable[[], bool],
) -> None:
    """Run playbooks/optout.yml for these employees against a running agent; their outcomes are the agent's to tell.

    `on_employee` is called with each name when its task has ended. Returns when the play has ended, also when it was
    canceled. Raises FleetError if Ansible could not run the play at all.
    """
    content = ansible_content()
    private = Path(tempfile.mkdtemp(prefix=PLAY, dir=runtime_dir()))  # born 0700
    held = hold(private)
    try:
        inventory = private / "employees.ini"
        inventory.write_text("[employees]\n" + "".join(f"{name}\n" for name in employees), "utf-8")
        # Ansible asks for finished workers every millisecond; while browsers work that is a core's time for nothing.
        # The play's folder is the working directory, so this file is read unless ANSIBLE_CONFIG names another.
        (private / "ansible.cfg").write_text("[defaults]\ninternal_poll_interval = 0.02\n", "utf-8")
        seen: set[str] = set()
        output: list[str] = []

        def on_event(event: dict[str, Any]) -> bool:
            data = event.get("event_data", {})
            is_end = event.get("event") in ("runner_on_ok", "runner_on_failed", "runner_on_unreachable")
            if is_end and data.get("task_action") == "optout":
                seen.add(data["host"])
                on_employee(data["host"])
            elif not seen and event.get("stdout"):
                output.append(event["stdout"])
            return False  # keeps events off the disk

        runner = ansible_runner.interface.init_runner(
            private_data_dir=str(private),
            ident=run_id,
            playbook=str(content / "playbooks" / "optout.yml"),
            inventory=str(inventory),
            cmdline=f"--forks {forks}" + (" --check" if check else ""),
            settings={"pexpect_timeout": 1},  # how long a cancel waits to be noticed
            suppress_env_files=True,
            quiet=True,
            event_handler=on_event,
            cancel_callback=is_canceled,
        )
        own = {key: value for key, value in runner.config.env.items() if key not in os.environ}
        # Runner hands on (and writes down) the whole environment; the play needs a few names of it.
        runner.config.env = {
            **{key: os.environ[key] for key in os.environ if key in _PASSED_ON or key.startswith("ANSIBLE_")},
            **own,
            **{key: runner.config.env[key] for key in ("ANSIBLE_CALLBACK_PLUGINS",) if key in runner.config.env},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "ANSIBLE_ROLES_PATH": str(content / "roles"),
            "ANSIBLE_RETRY_FILES_ENABLED": "False",
            "FLEET_AGENT": str(agent_socket),
        }
        with _coarse_sleep():
            runner.run()
        if not seen and runner.status not in ("successful", "canceled"):
            raise FleetError(f"Ansible could not run the play ({runner.status}, {runner.rc}). {_in_short(output)}")
    finally:
        os.close(held)
        reap(private)  # Ansible's workers are no part of its process group


def _in_short(output: Sequence[str]) -> str:
    """What Ansible said first of why it failed, on one line."""
    said = " ".join(" ".join(output).split())
    start = max(said.find("fatal:"), said.find("ERROR"), 0)
    return said[start : start + MAX_ANSIBLE_WORDS]


@contextlib.contextmanager
def _coarse_sleep() -> Iterator[None]:
    """Let what is started meanwhile sleep in steps of 20 ms.

    While all forks are busy, Ansible looks for a free one every 0.1 ms (ansible-core 2.19, strategy/__init__.py,
    `_queue_task`): a third of a core for nothing. The timer slack of Linux is inherited, and makes those sleeps longer.
    """
    libc = ctypes.CDLL(None)
    before = libc.prctl(PR_GET_TIMERSLACK)
    libc.prctl(PR_SET_TIMERSLACK, ctypes.c_ulong(20_000_000))
    try:
        yield
    finally:
        libc.prctl(PR_SET_TIMERSLACK, ctypes.c_ulong(before))
