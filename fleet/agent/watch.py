"""Watches for an agent that hangs: in `fleet run`, and in a second process for a play without `fleet run`."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fleet.agent.client import AgentClient, AgentHangs
from fleet.errors import AgentError

EVERY = 2.0
"""Seconds between two checks."""
SILENCE = 30.0
"""Seconds without an answer. An agent with a running event loop answers at once."""
IDLENESS = 60.0
"""Seconds without a request from Ansible; it starts a play of 500 hosts in about 5."""


class Watch:
    """Checks an agent from a separate thread; `trouble` describes in a sentence what hangs, once something does."""

    def __init__(
        self,
        client: AgentClient,
        heard: Callable[[dict[str, Any]], None] = lambda _answer: None,
        *,
        every: float = EVERY,
        silence: float = SILENCE,
        idleness: float = IDLENESS,
    ) -> None:
        """`heard` gets each answer to `ready`."""
        self.trouble: str | None = None
        self.is_agent_hung = False
        self._client = client
        self._heard = heard
        self._every = every
        self._silence = silence
        self._idleness = idleness
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_why: object) -> None:
        self._over.set()

    def _look(self) -> None:
        idle = 0.0
        while not self._over.wait(self._every) and self.trouble is None:
            try:
                answer = self._client.ask("ready", within=self._silence)
            except AgentError:
                # An agent that is gone is detected by its exit; this one is running but does not answer.
                self.is_agent_hung = True
                self.trouble = f"The agent did not answer for {self._silence:.0f} s, so it was killed."
                return
            self._heard(answer)
            # Counted in checks, not seconds: a suspended run (Ctrl-Z) has not been idle.
            idle = 0.0 if answer.get("visiting") else idle + self._every
            if idle > self._idleness:
                self.trouble = f"Ansible asked for nobody for {self._idleness:.0f} s, so its play was ended."


@contextmanager
def watched_process(socket_path: Path) -> Iterator[None]:
    """Have a child process kill this one, an agent that will listen on `socket_path`, if it hangs.

    A hung agent holds the audit log, and a play without `fleet run` would wait for it forever. Call this before any
    thread is started.
    """
    agent = os.pidfd_open(os.getpid())
    watcher = os.fork()
    if watcher == 0:
        try:
            kill_if_hung(agent, AgentClient(socket_path))
        finally:
            os._exit(0)
    os.close(agent)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(watcher, signal.SIGKILL)
        os.waitpid(watcher, 0)


def kill_if_hung(agent: int, client: AgentClient, *, every: float = EVERY, silence: float = SILENCE) -> None:
    """Wait until an agent, given by its pidfd, has ended; kill it if it leaves a request unanswered for `silence`."""
    with suppress(AgentError):  # it ended
        client.wait_for_socket(lambda: not _has_ended(agent, 0))
        while not _has_ended(agent, every):
            try:
                client.ask("alive", within=silence)
            except AgentHangs:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(agent, signal.SIGKILL)
                return


def _has_ended(process: int, within: float) -> bool:
    return bool(select.select([process], [], [], within)[0])
