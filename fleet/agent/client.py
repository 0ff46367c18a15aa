"""Asks an agent, from `fleet run`. (The role's action plugin has a client of its own: it may not import fleet.)"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fleet.agent.protocol import VERSION
from fleet.errors import AgentError, InputError

ENDED = "The agent ended before the run did; what it did is in the audit log."


class AgentClient:
    """One question at a time, each on a connection of its own."""

    def __init__(self, socket_path: Path) -> None:
        self.socket_path = socket_path

    def wait_for_socket(self, is_alive: Callable[[], bool], within: float = 30.0) -> None:
        """Wait until the agent listens. Raises AgentError if it ended or time is over."""
        deadline = time.monotonic() + within
        while not self.socket_path.exists():
            if not is_alive() or time.monotonic() > deadline:
                raise AgentError("The agent did not start; 'fleet doctor' tells what is missing.")
            time.sleep(0.02)

    def ask(self, operation: str, within: float, **fields: Any) -> dict[str, Any]:
        """Ask and wait for the answer, at most `within` seconds. Raises AgentError if the agent is gone or hangs."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(within)
                connection.connect(str(self.socket_path))
                connection.sendall(json.dumps({"v": VERSION, "op": operation, **fields}).encode() + b"\n")
                answer = connection.makefile("rb").readline()
            parsed: dict[str, Any] = json.loads(answer)
        except TimeoutError:
            raise AgentError(f"The agent did not answer for {within:.0f} s.") from None
        except (OSError, ValueError):
            raise AgentError(ENDED) from None
        return parsed

    def require(self, operation: str, within: float) -> dict[str, Any]:
        """Ask as `ask` does, and raise an answer that is an error: InputError or AgentError."""
        answer = self.ask(operation, within)
        if "error" in answer:
            raise (InputError if answer.get("exit_code") == InputError.exit_code else AgentError)(answer["error"])
        return answer
