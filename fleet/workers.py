"""The workers of a run, from this side: connects them by SSH, brings them to the agent, and runs plays on them."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO

from fleet.agent.client import AgentClient
from fleet.agent.process import OPENING_WITHIN
from fleet.agent.protocol import VERSION
from fleet.errors import FleetError
from fleet.plan import RunSpec
from fleet.runner import run_play_at
from fleet.ssh import WHERE_TO_INSTALL, Connection, WorkerAddress, WorkerError, last_words

ENDS_WITHIN = 5.0
"""Seconds in which a session ends by itself once the agent has hung up."""
LOOKS_EVERY = 1.0
"""Seconds between two questions which workers the agent still has."""
_NOT_FOUND = 127
"""What a shell ends with for a program that is not there."""


class _Roll:
    """Which workers the agent has, and where plays on each ask."""

    def __init__(self, client: AgentClient) -> None:
        self._client = client
        self._looked_at = 0.0
        self._look()
        self.sockets = dict(self._serving)

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        self._serving: dict[str, str] = self._client.require("ready", within=OPENING_WITHIN)["workers"]

    def has(self, name: str, *, now: bool = False) -> bool:
        """True if the agent still has the worker, `now` or about a second ago."""
        if now or time.monotonic() - self._looked_at > LOOKS_EVERY:
            with suppress(FleetError):  # an agent that has ended is told by others
                self._look()
        return name in self._serving


class WorkerSession:
    """One worker of a run: its connection, and the session in which it serves the agent."""

    def __init__(self, address: WorkerAddress, control: Path) -> None:
        """`control` is the socket for ssh, in the run's private folder."""
        self.name = address.name
        self._connection = Connection(address, control)
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the session
        self._serving: subprocess.Popen[bytes] | None = None

    def join(self, client: AgentClient, loopback: Sequence[str]) -> None:
        """Sign in and bring the worker to the agent; it shall reach `loopback`, addresses of this machine.

        Raises WorkerError.
        """
        self._connection.open()
        ways = {address: self._connection.forward(address) for address in loopback}
        with socket.socket(socket.AF_UNIX) as agent:
            agent.connect(str(client.socket_path))
            request = {"v": VERSION, "op": "work", "worker": self.name, "ways": ways}
            agent.sendall(json.dumps(request).encode() + b"\n")
            self._serving = self._connection.start(
                "worker", "serve", stdin=agent.fileno(), stdout=agent.fileno(), stderr=self._said
            )

    @property
    def last_words(self) -> str | None:
        """What ssh or the worker said of why its session has ended, in a sentence; None if nothing."""
        status = self._serving.poll() if self._serving is not None else None
        words = last_words(self._said) if status is not None else ""
        if not words:
            return None
        return f"Worker {self.name}: {words}" + (f" {WHERE_TO_INSTALL}" if status == _NOT_FOUND else "")

    def play(
        self,
        roll: _Roll,
        employees: Sequence[str],
        spec: RunSpec,
        on_employee: Callable[[str], None],
        is_over: Callable[[], bool],
    ) -> None:
        """Run a play for these employees there. Raises WorkerError if it, or the worker, did not come to its end."""
        with tempfile.TemporaryFile() as said:
            session = self._connection.start(
                *("worker", "play", "--socket", roll.sockets[self.name]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
            )
            try:
                run_play_at(
                    session,
                    employees,
                    run_id=spec.run_id,
                    check=spec.check,
                    forks=spec.settings.forks,
                    on_employee=on_employee,
                    is_canceled=lambda: is_over() or not roll.has(self.name),  # a play of one that hangs would hang
                )
                why = None if is_over() or roll.has(self.name, now=True) else "its connection has ended."
            except FleetError as error:
                why = last_words(said) or str(error)
        if why is not None:
            raise WorkerError(
                f"{self.last_words or f'Worker {self.name}: {why}'} Whom it had not begun with are left to the other "
                "workers, or to the next run."
            )

    def close(self) -> None:
        """Let go of session and connection; what the worker had begun ends with them."""
        if self._serving is not None:
            with suppress(subprocess.TimeoutExpired):
                self._serving.wait(ENDS_WITHIN)
        self._connection.close()


class Crew:
    """All workers of a run; there may be none."""

    def __init__(self, addresses: Sequence[WorkerAddress]) -> None:
        self._addresses = addresses
        self._sessions: list[WorkerSession] = []

    def __len__(self) -> int:
        return len(self._addresses)

    def join(self, client: AgentClient) -> None:
        """Bring all workers to an agent that waits for them, side by side.

        Raises WorkerError for the first that cannot be had, and what keeps the run from opening.
        """
        if not self._addresses:
            return
        loopback = client.require("loopback", within=OPENING_WITHIN)["loopback"]
        folder = client.socket_path.parent
        self._sessions = [WorkerSession(address, folder / f"w{n}") for n, address in enumerate(self._addresses)]
        with ThreadPoolExecutor(len(self._sessions)) as pool:
            list(pool.map(lambda session: session.join(client, loopback), self._sessions))

    def explained(self, error: FleetError) -> FleetError:
        """An error of the agent's; where it is about a worker that is gone, with that one's own words."""
        for session in self._sessions:
            if str(error).startswith(f"Worker {session.name} cannot be used") and session.last_words:
                return WorkerError(session.last_words)
        return error

    def play(
        self,
        batches: Sequence[Sequence[str]],
        client: AgentClient,
        spec: RunSpec,
        on_employee: Callable[[str], None],
        is_over: Callable[[], bool],
    ) -> list[str]:
        """Run plays for all batches, each worker the next one as soon as it is free; returns what went wrong.

        A worker that is lost plays no more; whom it had not begun with are left to the others.
        """
        left, errors, roll = list(reversed(batches)), list[str](), _Roll(client)

        def work(session: WorkerSession) -> WorkerSession | None:
            while left and not is_over():
                with suppress(IndexError):  # another one may have taken the last
                    batch, done = left.pop(), set[str]()

                    def on_done(name: str, done: set[str] = done) -> None:
                        done.add(name)
                        on_employee(name)

                    try:
                        session.play(roll, batch, spec, on_done, is_over)
                    except WorkerError as error:
                        errors.append(str(error))
                        if rest := [name for name in batch if name not in done]:
                            left.append(rest)
                        return None
            return session

        sound: list[WorkerSession] = self._sessions
        with ThreadPoolExecutor(len(self._sessions)) as pool:
            # Once more for what was given back after the others had ended.
            while left and sound and not is_over():
                sound = [session for session in pool.map(work, sound) if session]
        return errors

    def close(self) -> None:
        """Let go of all."""
        with ThreadPoolExecutor(len(self._sessions) or 1) as pool:
            list(pool.map(WorkerSession.close, self._sessions))
