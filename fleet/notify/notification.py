"""A notification: counts and codes. No field can contain a name, an address, a path or a host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fleet.model import EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_OK, EXIT_TOOL_FAILED

FORMAT = 1
"""Version of the webhook's fields (docs/monitoring.md)."""
PRODUCT = "Fleet Opt-Out"


class Event(StrEnum):
    """What happened."""

    RUN_ENDED = "run.ended"
    RUN_NOT_BEGUN = "run.not_begun"
    DRIFT_LOOKED_FOR = "drift.looked_for"
    ENDING_LOOKED_FOR = "ending.looked_for"


@dataclass(frozen=True)
class Notification:
    """One notification. `drifted` and `not_looked_at` are None if unknown."""

    event: Event
    exit_code: int
    meaning: str
    """Meaning of the exit code."""
    run_id: str | None = None
    check: bool | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    """Number of controls per outcome; for `ending.looked_for`, of what ends, per kind."""
    drifted: int | None = None
    not_looked_at: int | None = None

    @property
    def title(self) -> str:
        """The subject, in one line."""
        what = {
            Event.RUN_ENDED: "the check has ended" if self.check else "the run has ended",
            Event.RUN_NOT_BEGUN: "the check did not start" if self.check else "the run did not start",
            Event.DRIFT_LOOKED_FOR: "drift",
            Event.ENDING_LOOKED_FOR: "what ends soon",
        }[self.event]
        return f"{PRODUCT}: {what}: {self.meaning}"

    @property
    def text(self) -> str:
        """The message, one fact per line."""
        lines = [f"Run: {self.run_id}"] if self.run_id else []
        if self.check is not None:
            lines.append("Mode: check, nothing was changed" if self.check else "Mode: real")
        lines += [f"{name.replace('_', ' ').capitalize()}: {count}" for name, count in self.counts.items()]
        if self.drifted is not None and self.not_looked_at is not None:
            lines.append(f"Drifted (found opted in again): {self.drifted}")
            lines.append(f"Could not be checked: {self.not_looked_at}")
        lines.append(f"Exit code: {self.exit_code} ({self.meaning})")
        return "\n".join(lines)

    @property
    def type(self) -> str:
        """`success`, `warning` or `failure`."""
        if self.exit_code in (EXIT_TOOL_FAILED, EXIT_BAD_INPUT, EXIT_INTERRUPTED):
            return "failure"
        return "success" if self.exit_code == EXIT_OK and not self.not_looked_at else "warning"

    def payload(self) -> dict[str, Any]:
        """Return the JSON object for a webhook."""
        return {"title": self.title, "message": self.text, "type": self.type, **self.fields()}

    def fields(self) -> dict[str, Any]:
        """Return the payload without title, message and type."""
        return {
            "product": PRODUCT,
            "format": FORMAT,
            "event": self.event.value,
            "run_id": self.run_id,
            "check": self.check,
            "counts": dict(self.counts),
            "drifted": self.drifted,
            "not_looked_at": self.not_looked_at,
            "exit_code": self.exit_code,
            "meaning": self.meaning,
        }
