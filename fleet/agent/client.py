"""Client for the agent's socket, for `fleet run`. (The role's action plugin has its own; it cannot import fleet.)"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fleet.agent.protocol import VERSION
from fleet.errors import AgentError, BusyError, InputError, WorkerError

ENDED = "The agent ended before the run did; what it did is in the audit log."


class AgentGone(AgentError):
    """No agent listens on the socket, or it closed the connection."""


class AgentHangs(AgentError):
    """The agent does not answer in time."""


class AgentClient:
    """Sends one request at a time, each on its own connection."""

    def __init__(self, socket_path: Path) -> None:
        self.socket_path = socket_path

    def wait_for_socket(self, is_alive: Callable[[], bool], within: float = 120.0) -> None:
        """Wait until the agent listens. Raises AgentError if it has ended or on timeout."""
        deadline = time.monotonic() + within
        while not self.socket_path.exists():
            if not is_alive() or time.monotonic() > deadline:
                raise AgentError("The agent did not start; 'fleet doctor' tells what is missing.")
            time.sleep(0.02)

    @contextmanager
    def connected(self, within: float) -> Iterator[socket.socket]:
        """Connect to the agent with a timeout of `within` seconds per step. Raises AgentError as `ask` does."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(within)
                connection.connect(str(self.socket_path))
                yield connection
        except TimeoutError:
            raise AgentHangs(f"The agent did not answer for {within:.0f} s.") from None
        except (OSError, ValueError):
            raise AgentGone(ENDED) from None

    def ask(self, operation: str, within: float, **fields: Any) -> dict[str, Any]:
        """Return the answer to a request, within `within` seconds. Raises AgentError if the agent is gone or hangs."""
        with self.connected(within) as connection:
            connection.sendall(json.dumps({"v": VERSION, "op": operation, **fields}).encode() + b"\n")
            parsed: dict[str, Any] = json.loads(connection.makefile("rb").readline())
        return parsed

    def require(self, operation: str, within: float, **fields: Any) -> dict[str, Any]:
        """Like `ask`, but raise an error answer as InputError, WorkerError or AgentError."""
        answer = self.ask(operation, within, **fields)
        if "worker" in answer and "error" in answer:
            raise WorkerError(answer["error"], answer["worker"])
        if "busy" in answer:
            raise BusyError(answer["error"])
        if "error" in answer:
            raise (InputError if answer.get("exit_code") == InputError.exit_code else AgentError)(answer["error"])
        return answer
