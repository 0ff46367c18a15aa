"""The workers of a run as `fleet run` uses them: connects over SSH, attaches them to the agent, runs plays on them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from fleet.agent.client import AgentClient
from fleet.agent.protocol import VERSION
from fleet.agent.start import OPENING_WITHIN
from fleet.errors import FleetError, WorkerError
from fleet.plan.plan import RunSpec
from fleet.run.ansible_play import run_play_at
from fleet.ssh import WHERE_TO_INSTALL, Connection, LastWords, WorkerAddress

ENDS_WITHIN = 5.0
"""Seconds for a session to end by itself after the agent has closed it."""
ANSWERS_WITHIN = 10.0
"""Seconds for an agent with an open run to answer."""
LOOKS_EVERY = 1.0
"""Seconds between two requests for the agent's list of workers."""
_BAD_USAGE, _NOT_FOUND = 2, 127
"""Exit codes of a `fleet` without workers, and of a shell without `fleet`."""


class _Roll:
    """The agent's list of workers, and which employees each may visit."""

    def __init__(self, client: AgentClient) -> None:
        self._client = client
        self._looked_at = 0.0
        self._names: list[str] = []
        self._look()

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        self._names = self._client.require("ready", ANSWERS_WITHIN)["workers"]

    def has(self, name: str, *, now: bool = False) -> bool:
        """Return True if the agent still has the worker, checked `now` or about a second ago."""
        if now or time.monotonic() - self._looked_at > LOOKS_EVERY:
            with suppress(FleetError):  # an agent that ended or hangs is reported elsewhere
                self._look()
        return name in self._names

    def assign(self, name: str, employees: Sequence[str]) -> str:
        """Let a worker visit these employees; return the socket for its plays. Raises WorkerError if it is gone."""
        return str(self._client.require("assign", ANSWERS_WITHIN, worker=name, employees=list(employees))["socket"])


class WorkerConnection:
    """One worker of a run: its connection, and the session in which it serves the agent."""

    def __init__(self, address: WorkerAddress, control: Path) -> None:
        """`control` is the path of the ssh socket, in the run's private folder."""
        self.name = address.name
        self._connection = Connection(address, control)
        self._serving: subprocess.Popen[bytes] | None = None
        self._said: LastWords | None = None

    def join(self, client: AgentClient, loopback: Sequence[str], is_over: Callable[[], bool]) -> None:
        """Sign in and attach the worker to the agent; it must be able to reach `loopback`, addresses of this machine.

        Raises WorkerError, and AgentError if the agent has ended.
        """
        self._connection.open(is_over)
        ways = {address: self._connection.forward(address) for address in loopback}
        with client.connected(ANSWERS_WITHIN) as agent:
            request = {"v": VERSION, "op": "work", "worker": self.name, "ways": ways}
            agent.sendall(json.dumps(request).encode() + b"\n")
            agent.settimeout(None)  # makes the file blocking again, as ssh needs it
            self._serving, self._said = self._connection.start(
                "worker", "serve", stdin=agent.fileno(), stdout=agent.fileno()
            )

    @property
    def why_gone(self) -> str | None:
        """Why the session ended, in a sentence from ssh or the worker; None if neither gave a reason."""
        status = self._serving.poll() if self._serving is not None else None
        words = self._said.sentence() if self._said is not None and status is not None else ""
        if not words:
            return None
        advice = f" {WHERE_TO_INSTALL}" if status in (_BAD_USAGE, _NOT_FOUND) else ""
        return f"Worker {self.name}: {words}{advice}"

    def play(
        self,
        roll: _Roll,
        employees: Sequence[str],
        spec: RunSpec,
        on_employee: Callable[[str], None],
        is_over: Callable[[], bool],
    ) -> None:
        """Run a play for these employees there. Raises WorkerError if the play did not complete."""
        agent_socket, said = roll.assign(self.name, employees), None
        try:
            session, said = self._connection.start(
                *("worker", "play", "--socket", agent_socket), stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            run_play_at(
                session,
                employees,
                run_id=spec.run_id,
                check=spec.check,
                forks=spec.settings.forks,
                on_employee=on_employee,
                is_canceled=lambda: is_over() or not roll.has(self.name),  # the play of a hung worker would hang
            )
            if is_over() or roll.has(self.name, now=True):
                return
            why = f"Worker {self.name}: its connection has ended."
        except FleetError as error:
            if is_over():
                return  # the reason is reported elsewhere
            why = f"Worker {self.name}: {(said and said.sentence()) or error}"
        raise WorkerError(
            f"{self.why_gone or why} Accounts it had not started go to the other workers or to the next run.",
            self.name,
        )

    def close(self) -> None:
        """Close session and connection; visits in progress on the worker end with them."""
        if self._serving is not None:
            with suppress(subprocess.TimeoutExpired):
                self._serving.wait(ENDS_WITHIN)
        self._connection.close()


class Workers:
    """All workers of a run; possibly none."""

    def __init__(self, addresses: Sequence[WorkerAddress]) -> None:
        self._addresses = addresses
        self._sessions: list[WorkerConnection] = []

    def __len__(self) -> int:
        return len(self._addresses)

    def join(self, client: AgentClient, is_over: Callable[[], bool]) -> None:
        """Attach all workers, in parallel, to an agent that waits for them.

        Raises WorkerError for the first that is unreachable, and what keeps the run from opening.
        """
        if not self._addresses:
            return
        loopback = client.require("loopback", OPENING_WITHIN)["loopback"]
        folder = client.socket_path.parent
        self._sessions = [WorkerConnection(address, folder / f"w{n}") for n, address in enumerate(self._addresses)]
        with ThreadPoolExecutor(len(self._sessions)) as pool:
            list(pool.map(lambda session: session.join(client, loopback, is_over), self._sessions))

    def explained(self, error: FleetError) -> FleetError:
        """Return an error of the agent; if it is about a lost worker, with the reason from that worker."""
        worker = error.worker if isinstance(error, WorkerError) else None
        session = next((session for session in self._sessions if session.name == worker), None)
        words = session.why_gone if session else None
        return WorkerError(words, session.name) if session and words else error

    def play(
        self,
        batches: Sequence[Sequence[str]],
        client: AgentClient,
        spec: RunSpec,
        on_employee: Callable[[str], None],
        is_over: Callable[[], bool],
    ) -> list[str]:
        """Run plays for all batches, giving each worker the next one as soon as it is free; return the errors.

        A lost worker gets no more plays; accounts it had not started go to the others.
        """
        left, errors, roll = list(reversed(batches)), list[str](), _Roll(client)

        def work(session: WorkerConnection) -> WorkerConnection | None:
            while left and not is_over():
                try:
                    batch, done = left.pop(), set[str]()
                except IndexError:
                    break  # another worker took the last batch

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

        sound: list[WorkerConnection] = self._sessions
        with ThreadPoolExecutor(len(self._sessions)) as pool:
            # Once more, for batches returned after the others had ended.
            while left and sound and not is_over():
                sound = [session for session in pool.map(work, sound) if session]
        return errors

    def close(self) -> None:
        """Close all sessions and connections."""
        with ThreadPoolExecutor(len(self._sessions) or 1) as pool:
            list(pool.map(WorkerConnection.close, self._sessions))
