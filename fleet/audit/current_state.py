"""The current state of each control according to the log: the last reading with its age, and the last outcome."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
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
    """A control that was out is in again, and no run changed it."""

    last_out: Sighting
    """The last reading as out."""
    found_in: Sighting
    """The first reading as in after that."""


@dataclass(frozen=True)
class CurrentState:
    """One control of one account. Without a reading, its state is unknown."""

    subject: str
    service: str | None
    control: str | None
    outcome: Outcome
    """How the last run ended for it."""
    reason: Reason | None
    last: Sighting
    """When that run ended for it, whether or not it could read the control."""
    reading: Reading | None = None
    """The last reading, by the last run or an earlier one."""
    read: Sighting | None = None
    attested_on: date | None = None
    """When the employee attested it, if the last run ended as `attested`: later than any reading."""
    drift: Drift | None = None
    """Set if the last visit that could read it found it in, after it was read as out."""

    @property
    def has_drifted(self) -> bool:
        """Return True if it is reported as drift."""
        return self.drift is not None and self.outcome is not Outcome.ATTESTED

    @property
    def could_not_look(self) -> bool:
        """Return True if the last run read nothing here although the control is not done: it may have drifted.

        An attested control has no page to read, nor has a form or a letter.
        """
        if self.outcome is Outcome.ATTESTED or self.reason in (Reason.EMPLOYEE_SIGNS, Reason.ORGANIZATION_SIGNS):
            return False
        return not self.outcome.is_done and self.read != self.last


_FORGETS = {Outcome.UNKNOWN, Outcome.NOT_OFFERED}
"""Outcomes after which the state is unknown: a press with an unseen result, or a setting that is gone."""


def current_states(log: Iterable[Mapping[str, Any]]) -> dict[ControlKey, CurrentState]:
    """Return the current state of each control that a run has ended, by pseudonym × service × control."""
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
        attested_on=date.fromisoformat(record["attested_on"]) if record["attested_on"] else None,
    )
    if record["before"] is None and now.outcome not in _FORGETS:
        # No reading: the older one stays, with its age.
        if known is None:
            return now
        return replace(known, outcome=now.outcome, reason=now.reason, last=last, attested_on=now.attested_on)
    # A reading after a press that may not have been sent does not show what the service stores.
    reading = Reading(record["after"]) if record["after"] and now.outcome not in _FORGETS else None
    drift = None
    if record["before"] == Reading.IN and known is not None:
        was_out = known.read if known.reading is Reading.OUT else None
        drift = Drift(was_out, last) if was_out else known.drift
    return replace(now, reading=reading, read=last if reading else None, drift=drift)
