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
"""Ansible's cost per host grows with the number of failed hosts in the play."""
PLAYS_PER_WORKER = 4
"""A play takes about 2 s to start, and at the end the other workers wait for the last one."""
MAX_ANSIBLE_WORDS = 600
"""Characters of Ansible's output that an error may quote."""
MAX_ANSIBLE_OUTPUT = 16 * 1024
"""Characters of that output that are searched for its error."""
MAX_EVENT = 16 * 1024 * 1024
"""Bytes of one event of a play."""
PR_SET_TIMERSLACK, PR_GET_TIMERSLACK = 29, 30

_DISPLAY = str(Path(ansible_runner.__file__).parent / "display_callback")
_RUNNERS_OWN = ("ANSIBLE_STDOUT_CALLBACK", "AWX_ISOLATED_DATA_DIR", "RUNNER_OMIT_EVENTS", "RUNNER_ONLY_FAILED_EVENTS")
"""Variables that Runner sets for its display plugin in the environment of a play."""


def shards(employees: Sequence[str], workers: int = 0, forks: int = 1) -> Iterator[Sequence[str]]:
    """Yield the employees of each play; with several workers, smaller plays, so that they end together."""
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
    """Run playbooks/optout.yml for these employees against a running agent, which reports their outcomes.

    `on_employee` is called with each name when that employee is done. Returns when the play has ended, also
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
        # Runner passes on (and writes down) the whole environment, and derives its settings from the caller's.
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
    """Run a play at the other end of a `session`, the pipes to `serve_play`: Runner's transmit, worker and process.

    Returns when the play has ended or was canceled; ends the session. Raises FleetError if it did not complete.
    """
    assert session.stdin is not None
    assert session.stdout is not None
    heard, ended = _Heard(employees, on_employee), threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            if is_canceled():
                session.kill()  # Runner itself does not check while it processes

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
                raise FleetError("the connection to its play was cut off.")
            if not heard.seen and process.status != "successful":
                raise FleetError(f"Ansible could not run the play ({process.status}). {heard.in_short()}")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise FleetError("The worker's answer is not an Ansible play.") from None
    finally:
        ended.set()
        watching.join()
        session.kill()
        session.wait()
        session.stdout.close()


def serve_play(agent_socket: Path) -> None:
    """Act as Runner's worker: run the play received on stdin, stream its events to stdout."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # other output must not get into the stream
    try:
        # Ansible's own workers are not in its process group: they are killed with the folder.
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
        sweep(runtime_dir())  # if the worker was killed, nothing else here cleans up after it


class _Heard:
    """Receives the events of a play: which employees are done, and Ansible's output before the first of them."""

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
            # A failure without outcomes: the agent was gone.
            if event["event"] == "runner_on_ok" or data["res"].get("outcomes"):
                self._on_employee(data["host"])
        elif not self.seen and event.get("stdout") and len(self._output) < MAX_ANSIBLE_OUTPUT:
            self._output += " " + str(event["stdout"])[:MAX_ANSIBLE_OUTPUT]
        return False  # keeps events off the disk

    def in_short(self) -> str:
        """Return the first error in Ansible's output, on one line."""
        said = " ".join(self._output.encode(errors="replace").decode().split())
        start = max(said.find("fatal:"), said.find("ERROR"), 0)
        return said[start : start + MAX_ANSIBLE_WORDS]


class _WorkerWithoutFiles(ansible_runner.streaming.Worker):  # type: ignore[misc] # Runner has no types
    """Runner's worker, sending events but no files: those contain its environment and are not needed."""

    def artifacts_handler(self, artifact_dir: str) -> None:
        """Send nothing."""


class _WithoutFiles:
    """Input from a worker with files refused: Runner would unpack them wherever their links lead."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readline(self) -> bytes:
        """Return the next line. Raises OSError, which ends Runner's loop, for a line that our workers never send."""
        line = self._stream.readline(MAX_EVENT)
        try:
            if line and "zipfile" in json.loads(line):
                raise OSError(errno.EPROTO, "a worker sends no files")
        except (ValueError, TypeError, RecursionError):
            raise OSError(errno.EPROTO, "a worker sends JSON objects") from None
        return line


def _arguments(private: Path, employees: Sequence[str], run_id: str, *, check: bool, forks: int) -> dict[str, Any]:
    """Return Runner's arguments for a play, after writing the play's files."""
    inventory = private / "employees.ini"
    inventory.write_text("[employees]\n" + "".join(f"{name}\n" for name in employees), "utf-8")
    # By default Ansible polls for finished workers every millisecond, which wastes a core while browsers work.
    # `play_environment` names this file as the play's configuration.
    (private / "ansible.cfg").write_text("[defaults]\ninternal_poll_interval = 0.02\n", "utf-8")
    return {
        "private_data_dir": str(private),
        "ident": run_id,
        "inventory": str(inventory),
        "cmdline": f"--forks {forks}" + (" --check" if check else ""),
        "settings": {"pexpect_timeout": 1},  # seconds until a cancel is noticed
        "suppress_env_files": True,
        "quiet": True,
    }


def _environment(agent_socket: Path, private: Path) -> dict[str, str]:
    """Return a play's environment: nothing of the caller's Ansible, and the agent's socket."""
    return {**play_environment(private), "FLEET_AGENT": str(agent_socket)}


@contextlib.contextmanager
def _coarse_sleep() -> Iterator[None]:
    """Make processes started meanwhile sleep in steps of 20 ms.

    While all forks are busy, Ansible looks for a free one every 0.1 ms (ansible-core 2.19, strategy/__init__.py,
    `_queue_task`), which wastes a third of a core. Linux's timer slack is inherited and lengthens those sleeps.
    """
    libc = ctypes.CDLL(None)
    before = libc.prctl(PR_GET_TIMERSLACK)
    libc.prctl(PR_SET_TIMERSLACK, ctypes.c_ulong(20_000_000))
    try:
        yield
    finally:
        libc.prctl(PR_SET_TIMERSLACK, ctypes.c_ulong(before))
