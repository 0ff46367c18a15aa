"""The fleet's current state from the last readings: how much is out, how old the readings are, and the next steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fleet.audit.current_state import CurrentState
from fleet.model import Outcome, Reading, Result, control_name
from fleet.next_steps import next_step

STATES = ("out", "in", "attested", "submitted", "not offered", "not known")
"""States of a control, as counted."""


@dataclass(frozen=True)
class Row:
    """One control in the inventory or in an earlier run; `current` is None if no run has covered it."""

    employee: str
    service: str | None
    control: str | None
    groups: tuple[str, ...]
    language: str
    current: CurrentState | None
    service_name: str | None = None
    accepted_by: str | None = None
    """The organization's decision to count an attestation as done."""

    @property
    def name(self) -> str:
        """The control's display name."""
        return control_name(self.service, self.control, "(unreadable account)")

    @property
    def state(self) -> str:
        """`out`, `in`, `not offered` or `not known`, as it was read; `attested` if the employee's word is newer.

        `submitted` is a request that was confirmed to the organization: nothing can be read.
        """
        current = self.current
        if current is None:
            return "not known"
        if current.outcome in (Outcome.ATTESTED, Outcome.SUBMITTED):
            return current.outcome.value
        if current.reading is not None:
            return current.reading.value
        return "not offered" if current.outcome is Outcome.NOT_OFFERED else "not known"

    def age(self, now: datetime) -> timedelta | None:
        """Return the time since it was read."""
        read = self.current.read if self.current else None
        return None if read is None else max(now - read.at, timedelta())


@dataclass(frozen=True)
class Coverage:
    """Counts of one service, group or language."""

    name: str
    rows: tuple[Row, ...]

    def count(self, state: str) -> int:
        """Return how many controls are in that state."""
        return sum(row.state == state for row in self.rows)

    @property
    def share_out(self) -> float | None:
        """Share of the offered controls that were read as out; None if no control is offered."""
        offered = len(self.rows) - self.count("not offered")
        return self.count(Reading.OUT) / offered if offered else None

    def oldest(self, now: datetime) -> timedelta | None:
        """Return the age of the oldest reading in use."""
        return max((age for row in self.rows if (age := row.age(now)) is not None), default=None)

    def stale(self, now: datetime, after: timedelta) -> int:
        """Return how many readings are older than that."""
        return sum((row.age(now) or timedelta()) > after for row in self.rows)


def by_service(rows: Iterable[Row]) -> list[Coverage]:
    """Return one coverage per service."""
    return _grouped((row.service or "(unreadable)", row) for row in rows)


def by_group(rows: Iterable[Row]) -> list[Coverage]:
    """Return one coverage per inventory group; an employee counts in each of their groups."""
    return _grouped((group, row) for row in rows for group in row.groups)


def by_language(rows: Iterable[Row]) -> list[Coverage]:
    """Return one coverage per language."""
    return _grouped((row.language, row) for row in rows)


def _grouped(pairs: Iterable[tuple[str, Row]]) -> list[Coverage]:
    found: dict[str, list[Row]] = {}
    for name, row in pairs:
        found.setdefault(name, []).append(row)
    return [Coverage(name, tuple(found[name])) for name in sorted(found)]


def next_steps(rows: Iterable[Row]) -> Iterator[tuple[Row, str]]:
    """Yield the next step of each row that is not done; a row that no run has covered needs a run."""
    for row in rows:
        current = row.current
        if current is None:
            yield row, "Run: no run has covered this account yet."
            continue
        result = Result(
            row.employee,
            row.service,
            row.control,
            current.outcome,
            reason=current.reason,
            service_name=row.service_name,
            attested_on=current.attested_on,
            accepted_by=row.accepted_by,
        )
        step = next_step(result)
        if step and not result.is_done:
            yield row, step


def status_fields(rows: list[Row], now: datetime, stale: timedelta) -> dict[str, Any]:
    """Return the same for programs; ages are in seconds."""
    steps = {id(row): step for row, step in next_steps(rows)}

    def coverage(one: Coverage) -> dict[str, Any]:
        counts = {state.replace(" ", "_"): one.count(state) for state in STATES}
        oldest = one.oldest(now)
        age = None if oldest is None else int(oldest.total_seconds())
        return {"name": one.name, "controls": len(one.rows), **counts, "stale": one.stale(now, stale), "oldest_s": age}

    def fields(row: Row) -> dict[str, Any]:
        age, current = row.age(now), row.current
        return {
            "employee": row.employee,
            "service": row.service,
            "control": row.control,
            "state": row.state.replace(" ", "_"),
            "read_at": current.read.at.isoformat() if current and current.read else None,
            "age_s": None if age is None else int(age.total_seconds()),
            "is_stale": age is not None and age > stale,
            "has_drifted": current is not None and current.has_drifted,
            "could_not_look": current is None or current.could_not_look,
            "last_outcome": current.outcome if current else None,
            "attested_on": current.attested_on.isoformat() if current and current.attested_on else None,
            "next": steps.get(id(row)),
        }

    return {
        "at": now.isoformat(),
        "fleet": coverage(Coverage("all", tuple(rows))),
        "services": [coverage(one) for one in by_service(rows)],
        "groups": [coverage(one) for one in by_group(rows)],
        "languages": [coverage(one) for one in by_language(rows)],
        "controls": [fields(row) for row in rows],
    }
