"""The one module that runs Ansible Runner: plays of at most 500 employees over a generated inventory of names."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import ansible_runner
import ansible_runner.streaming

from fleet.environment import play_environment
from fleet.errors import FleetError
from fleet.orphans import PLAY, held_folder, sweep
from fleet.paths import ansible_content, runtime_dir

MAX_EMPLOYEES_PER_PLAY = 500
"""Ansible's cost per host grows with the failed hosts of the play."""
PLAYS_PER_WORKER = 4
"""A play takes some 2 s to begin, and the last one is what the other workers wait for."""
MAX_ANSIBLE_WORDS = 600
"""Characters of Ansible's own output that an error may carry."""
MAX_ANSIBLE_OUTPUT = 16 * 1024
"""Characters of it that are looked through for its error."""
MAX_EVENT = 16 * 1024 * 1024
"""Bytes of one event of a play."""
PR_SET_TIMERSLACK, PR_GET_TIMERSLACK = 29, 30

_DISPLAY = str(Path(ansible_runner.__file__).parent / "display_callback")
_RUNNERS_OWN = ("ANSIBLE_STDOUT_CALLBACK", "AWX_ISOLATED_DATA_DIR", "RUNNER_OMIT_EVENTS", "RUNNER_ONLY_FAILED_EVENTS")
"""What Runner tells its display in the environment of a play."""


def shards(employees: Sequence[str], workers: int = 0, forks: int = 1) -> Iterator[Sequence[str]]:
    """The employees in plays; where several workers share them, in smaller ones, so that they end together."""
    size = MAX_EMPLOYEES_PER_PLAY
    if workers > 1:
        share = math.ceil(len(employees) / workers)
        size = min(size, max(math.ceil(share / PLAYS_PER_WORKER), min(share, 2 * forks), 1))
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

    `on_employee` is called with each name when that employee's turn has ended. Returns when the play has ended, also
    when it was canceled. Raises FleetError if Ansible could not run the play at all.
    """
    heard = _Heard(employees, on_employee)
    with held_folder(runtime_dir(), PLAY) as private:
        runner = ansible_runner.interface.init_runner(
            **_arguments(private, employees, run_id, check=check, forks=forks),
            playbook=str(ansible_content() / "playbooks" / "optout.yml"),
            event_handler=heard,
            cancel_callback=is_canceled,
        )
        # Runner hands on (and writes down) the whole environment, and builds its own settings upon the caller's.
        runner.config.env = {
            **_environment(agent_socket, private),
            **{key: runner.config.env[key] for key in _RUNNERS_OWN},
            "ANSIBLE_CALLBACK_PLUGINS": _DISPLAY,
        }
        with _coarse_sleep():
            runner.run()
        if not heard.seen and runner.status not in ("successful", "canceled"):
            raise FleetError(f"Ansible could not run the play ({runner.status}, {runner.rc}). {heard.in_short()}")


def run_play_at(
    session: subprocess.Popen[bytes],
    employees: Sequence[str],
    *,
    run_id: str,
    check: bool,
    forks: int,
    on_employee: Callable[[str], None],
    is_canceled: Callable[[], bool],
) -> None:
    """The same at the other end of a `session`, the pipes to `serve_play`: Runner's transmit, worker and process.

    Returns when the play has ended or was canceled; ends the session. Raises FleetError if it did not come to its end.
    """
    assert session.stdin is not None
    assert session.stdout is not None
    heard, ended = _Heard(employees, on_employee), threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            if is_canceled():
                session.kill()  # Runner itself does not look while it processes

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        with held_folder(runtime_dir(), PLAY) as private:
            with contextlib.suppress(BrokenPipeError), session.stdin:
                ansible_runner.interface.run(
                    streamer="transmit",
                    _output=session.stdin,
                    **_arguments(private, employees, run_id, check=check, forks=forks),
                )
            process = ansible_runner.interface.run(
                streamer="process",
                _input=_WithoutFiles(session.stdout),
                private_data_dir=str(private),
                ident=run_id,
                quiet=True,
                event_handler=heard,
            )
        if not is_canceled():
            if process.status == "error":
                raise FleetError("its play was cut off.")
            if not heard.seen and process.status != "successful":
                raise FleetError(f"Ansible could not run the play ({process.status}). {heard.in_short()}")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise FleetError("What came back is no play of Ansible's.") from None
    finally:
        ended.set()
        watching.join()
        session.kill()
        session.wait()
        session.stdout.close()


def serve_play(agent_socket: Path) -> None:
    """Be Runner's worker: play what comes in on stdin, stream what happens to stdout."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed must not get into the stream
    try:
        # Ansible's own workers are no part of its process group: they go with the folder.
        with held_folder(agent_socket.parent, PLAY) as private, output, _coarse_sleep():
            environment = _environment(agent_socket, private)
            os.environ.clear()
            os.environ.update(environment)
            _WorkerWithoutFiles(
                _input=sys.stdin.buffer,
                _output=output,
                private_data_dir=str(private),
                playbook=str(ansible_content() / "playbooks" / "optout.yml"),
            ).run()
    finally:
        sweep(runtime_dir())  # if the worker was killed, nobody else here tidies up after it


class _Heard:
    """Hears the events of a play: whose turn has ended, and what Ansible said before the first of them."""

    def __init__(self, employees: Sequence[str], on_employee: Callable[[str], None]) -> None:
        self._employees = frozenset(employees)
        self._on_employee = on_employee
        self._output = ""
        self.seen: set[str] = set()

    def __call__(self, event: dict[str, Any]) -> bool:
        data = event.get("event_data", {})
        is_end = event.get("event") in ("runner_on_ok", "runner_on_failed", "runner_on_unreachable")
        if is_end and data.get("task_action") == "optout" and data["host"] in self._employees:
            self.seen.add(data["host"])
            # A failure without outcomes: there was no agent to ask any more.
            if event["event"] == "runner_on_ok" or data["res"].get("outcomes"):
                self._on_employee(data["host"])
        elif not self.seen and event.get("stdout") and len(self._output) < MAX_ANSIBLE_OUTPUT:
            self._output += " " + str(event["stdout"])[:MAX_ANSIBLE_OUTPUT]
        return False  # keeps events off the disk

    def in_short(self) -> str:
        """What Ansible said first of why it failed, on one line."""
        said = " ".join(self._output.encode(errors="replace").decode().split())
        start = max(said.find("fatal:"), said.find("ERROR"), 0)
        return said[start : start + MAX_ANSIBLE_WORDS]


class _WorkerWithoutFiles(ansible_runner.streaming.Worker):  # type: ignore[misc] # Runner has no types
    """Runner's worker, which sends events and no files: those hold its environment, and nobody needs them."""

    def artifacts_handler(self, artifact_dir: str) -> None:
        """Send nothing."""


class _WithoutFiles:
    """What comes from a worker, with no way for files: Runner would unpack them wherever their links lead."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readline(self) -> bytes:
        """The next line. Raises OSError, which Runner takes for the end, for one that no worker of ours sends."""
        line = self._stream.readline(MAX_EVENT)
        try:
            if line and "zipfile" in json.loads(line):
                raise OSError(errno.EPROTO, "a worker sends no files")
        except (ValueError, TypeError, RecursionError):
            raise OSError(errno.EPROTO, "a worker sends JSON objects") from None
        return line


def _arguments(private: Path, employees: Sequence[str], run_id: str, *, check: bool, forks: int) -> dict[str, Any]:
    """What Runner is told of a play, the files of which are written here."""
    inventory = private / "employees.ini"
    inventory.write_text("[employees]\n" + "".join(f"{name}\n" for name in employees), "utf-8")
    # Ansible asks for finished workers every millisecond; while browsers work that is a core's time for nothing.
    # `play_environment` names this file as the play's configuration.
    (private / "ansible.cfg").write_text("[defaults]\ninternal_poll_interval = 0.02\n", "utf-8")
    return {
        "private_data_dir": str(private),
        "ident": run_id,
        "inventory": str(inventory),
        "cmdline": f"--forks {forks}" + (" --check" if check else ""),
        "settings": {"pexpect_timeout": 1},  # how long a cancel waits to be noticed
        "suppress_env_files": True,
        "quiet": True,
    }


def _environment(agent_socket: Path, private: Path) -> dict[str, str]:
    """What a play is given: nothing of the caller's Ansible, and the agent to ask."""
    return {**play_environment(private), "FLEET_AGENT": str(agent_socket)}


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
