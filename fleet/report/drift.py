"""Drift: controls that were opted out and are opted in again. Those that could not be checked are listed separately."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleet.audit.current_state import CurrentState, Sighting
from fleet.model import EXIT_OK, Reading, counted
from fleet.notify.notification import Event, Notification
from fleet.report.status import Row, next_steps
from fleet.report.table import plain
from fleet.report.translations import translator_for, visible

EXIT_DRIFT = 6
MAX_ROWS = 20
"""Maximum of unchecked controls listed for people; drift is always listed in full."""


@dataclass(frozen=True)
class DriftReport:
    """All controls, each in at most one part. A drifted control that can no longer be checked stays drift."""

    rows: tuple[Row, ...]

    @property
    def drifted(self) -> list[Row]:
        """Controls read out once, and read in by the last visit that could read them."""
        return [row for row in self.rows if row.current and row.current.drift]

    @property
    def not_looked_at(self) -> list[Row]:
        """Controls that the last run did not read, or that no run has covered: they may have drifted."""
        return [
            row
            for row in self.rows
            if row.current is None or (row.current.could_not_look and not row.current.has_drifted)
        ]

    @property
    def exit_code(self) -> int:
        """6 for drift only: a control that could not be checked is not drift."""
        return EXIT_DRIFT if self.drifted else EXIT_OK

    @property
    def sentence(self) -> str:
        """The overall result, for people."""
        drifted, open_ = len(self.drifted), len(self.not_looked_at)
        if not self.rows:
            return "No controls are known: no run has ended yet."
        said = f"{counted(drifted, 'control')} found opted in again after being read as opted out."
        if not drifted:
            said = "No control that was read as opted out was found opted in again."
            if open_ == len(self.rows):
                said = "It is unknown whether anything has drifted."
        if open_:
            all_of_them = counted(len(self.rows), "control")
            said += f" {open_:,} of {all_of_them} could not be checked since and may have drifted."
        return said

    @property
    def notice(self) -> Notification | None:
        """The notification to send; None if everything could be checked and nothing has drifted."""
        if not self.drifted and not self.not_looked_at:
            return None
        meaning = (
            "a setting that was opted out is opted in again" if self.drifted else "some settings could not be checked"
        )
        return Notification(
            Event.DRIFT_LOOKED_FOR,
            self.exit_code,
            meaning,
            drifted=len(self.drifted),
            not_looked_at=len(self.not_looked_at),
        )


def of_run(found: Iterable[CurrentState], run: str) -> tuple[int, int]:
    """Return how many of the controls this run ended have drifted, and how many it could not check."""
    own = [one for one in found if one.last.run == run]
    return sum(one.has_drifted for one in own), sum(one.could_not_look and not one.has_drifted for one in own)


def drift_fields(report: DriftReport, now: datetime) -> dict[str, Any]:
    """Return the same for programs; times are UTC."""
    steps = {id(row): step for row, step in next_steps(report.rows)}

    def common(row: Row) -> dict[str, Any]:
        current = row.current
        return {
            "employee": row.employee,
            "service": row.service,
            "control": row.control,
            "last_outcome": current.outcome if current else None,
            "last": _seen(current.last) if current else None,
            "next": steps.get(id(row)),
        }

    def drifted(row: Row) -> dict[str, Any]:
        assert row.current is not None and row.current.drift is not None
        drift = row.current.drift
        return common(row) | {"last_out": _seen(drift.last_out), "found_in": _seen(drift.found_in)}

    def not_looked_at(row: Row) -> dict[str, Any]:
        read = row.current.read if row.current else None
        return common(row) | {"state": row.state.replace(" ", "_"), "read": _seen(read) if read else None}

    return {
        "at": now.isoformat(),
        "counts": {
            "controls": len(report.rows),
            "drifted": len(report.drifted),
            "not_looked_at": len(report.not_looked_at),
        },
        "drifted": [drifted(row) for row in report.drifted],
        "not_looked_at": [not_looked_at(row) for row in report.not_looked_at],
    }


def _seen(sighting: Sighting) -> dict[str, str]:
    return {"at": sighting.at.isoformat(), "run": sighting.run}


def print_drift(console: Console, report: DriftReport, now: datetime) -> None:
    """Print the result, then a table of drift, then a separate table of controls that could not be checked."""
    console.print(Text(f"\n{report.sentence}\n", style="bold"))
    if report.drifted:
        console.print(_drift_table(report.drifted))
        console.print()
    if report.not_looked_at:
        # First those that were out: the others cannot have drifted.
        rows = sorted(report.not_looked_at, key=lambda row: row.state != Reading.OUT)
        console.print(_not_looked_at_table(rows[:MAX_ROWS], now))
        if len(rows) > MAX_ROWS:
            by_outcome = Counter(_outcome(row) for row in rows)
            counts = ", ".join(f"{count:,} {name}" for name, count in by_outcome.most_common())
            console.print(f"… and {len(rows) - MAX_ROWS:,} more; --output json lists all. Together: {counts}.")
        console.print()


def _drift_table(rows: list[Row]) -> Table:
    """Return three lines per control: last read as opted out, first read as opted in, and end of the last run."""
    table = plain("Opted in again", "", "When (UTC)", "By run")
    for row in rows:
        assert row.current is not None and row.current.drift is not None
        drift, last = row.current.drift, row.current.last
        seen = drift.last_out, drift.found_in, last
        table.add_row(
            Text(f"{visible(row.employee)}\n{row.name}"),
            Text(f"read out\nread in\n{_outcome(row)}"),
            Text("\n".join(f"{one.at:%Y-%m-%d %H:%M}" for one in seen)),
            Text("\n".join(visible(one.run) for one in seen)),
        )
    return table


def _not_looked_at_table(rows: list[Row], now: datetime) -> Table:
    table = plain("Not checked", "Control", "Why", "Last reading")
    for row in rows:
        age = row.age(now)
        read = "never read" if age is None else f"{row.state}, {translator_for('en').age(age)} ago"
        table.add_row(Text(visible(row.employee)), Text(row.name), Text(_outcome(row)), Text(read))
    return table


def _outcome(row: Row) -> str:
    return "no run yet" if row.current is None else row.current.outcome.value.replace("_", " ")
