"""Watches, from the process that owns a run, for an agent that hangs and for Ansible no longer asking."""

from __future__ import annotations

import threading

from fleet.agent.client import AgentClient
from fleet.errors import AgentError

EVERY = 2.0
"""Seconds between two checks."""
SILENCE = 30.0
"""Seconds without an answer. An agent with a running event loop answers at once."""
IDLENESS = 60.0
"""Seconds without a request from Ansible; it starts a play of 500 hosts in about 5."""


class Watch:
    """Checks an agent from a separate thread; `trouble` describes in a sentence what hangs, once something does."""

    def __init__(self, client: AgentClient, *, silence: float = SILENCE, idleness: float = IDLENESS) -> None:
        self.trouble: str | None = None
        self.is_agent_hung = False
        self._client = client
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
        while not self._over.wait(EVERY) and self.trouble is None:
            try:
                answer = self._client.ask("ready", within=self._silence)
            except AgentError:
                # An agent that is gone is detected by its exit; this one is running but does not answer.
                self.is_agent_hung = True
                self.trouble = f"The agent did not answer for {self._silence:.0f} s, so it was killed."
                return
            # Counted in checks, not seconds: a suspended run (Ctrl-Z) has not been idle.
            idle = 0.0 if answer.get("visiting") else idle + EVERY
            if idle > self._idleness:
                self.trouble = f"Ansible asked for nobody for {self._idleness:.0f} s, so its play was ended."
