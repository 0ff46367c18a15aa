"""Where each control stands, as far as the log has read it: the last reading with its age, and the last outcome."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from fleet.audit import records
from fleet.audit.run_state import ControlKey
from fleet.model import Outcome, Reading, Reason


@dataclass(frozen=True)
class Sighting:
    """When something was read (UTC), and by which run."""

    at: datetime
    run: str


@dataclass(frozen=True)
class Drift:
    """A control that was out is in again, and nobody at this end switched it."""

    last_out: Sighting
    """The last reading that said out."""
    found_in: Sighting
    """The first one after it that said in."""


@dataclass(frozen=True)
class CurrentState:
    """One control of one account. Without a reading nothing is claimed of it."""

    subject: str
    service: str | None
    control: str | None
    outcome: Outcome
    """How the last run ended here."""
    reason: Reason | None
    last: Sighting
    """Of that run's end here, whether or not it could look."""
    reading: Reading | None = None
    """What was read last, by the last run or by an earlier one."""
    read: Sighting | None = None
    drift: Drift | None = None
    """Set if the last visit that could look found it in, after it had been read out."""

    @property
    def has_drifted(self) -> bool:
        """True if it is to be told as drift."""
        return self.drift is not None

    @property
    def could_not_look(self) -> bool:
        """True if the last run has read nothing here, and not because all is done: whether it has drifted is open."""
        return not self.outcome.is_done and self.read != self.last


_FORGETS = {Outcome.UNKNOWN, Outcome.NOT_OFFERED}
"""Of these nothing is known afterwards: a press whose end nobody saw, or no setting any more."""


def current_states(log: Iterable[Mapping[str, Any]]) -> dict[ControlKey, CurrentState]:
    """The current state of each control that a run has finished with, by pseudonym × service × control."""
    found: dict[ControlKey, CurrentState] = {}
    of_subject: dict[str, set[ControlKey]] = defaultdict(set)
    for record in log:
        if record["event"] == records.CONTROL_FINISHED:
            key = record["subject"], record["service"], record["control"]
            found[key] = _next(found.get(key), record)
            of_subject[record["subject"]].add(key)
        elif record["event"] == records.SUBJECT_ERASED:
            for key in of_subject.pop(record["subject"], ()):
                del found[key]
    return found


def _next(known: CurrentState | None, record: Mapping[str, Any]) -> CurrentState:
    last = Sighting(datetime.fromisoformat(record["at"]), record["run"])
    now = CurrentState(
        record["subject"],
        record["service"],
        record["control"],
        Outcome(record["outcome"]),
        Reason(record["reason"]) if record["reason"] else None,
        last,
    )
    if record["before"] is None and now.outcome not in _FORGETS:
        # Nobody could look: the older reading stays, with its age.
        return now if known is None else replace(known, outcome=now.outcome, reason=now.reason, last=last)
    # What was read back after a press that may not have been sent says nothing of what the service holds.
    reading = Reading(record["after"]) if record["after"] and now.outcome not in _FORGETS else None
    drift = None
    if record["before"] == Reading.IN and known is not None:
        was_out = known.read if known.reading is Reading.OUT else None
        drift = Drift(was_out, last) if was_out else known.drift
    return replace(now, reading=reading, read=last if reading else None, drift=drift)
