"""What ends soon, for a terminal, as JSON, and as a notification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from rich.console import Console
from rich.table import Column
from rich.text import Text

from fleet.model import EXIT_OK, counted
from fleet.notify.notification import Event, Notification
from fleet.plan.expiring import Ending, EndingKind
from fleet.report.table import plain
from fleet.report.translations import visible


@dataclass(frozen=True)
class ExpiringReport:
    """What ends until a day, first what ends first; a review or a key may be overdue."""

    today: date
    days: int
    endings: tuple[Ending, ...]

    @classmethod
    def of(cls, found: Iterable[Ending], today: date, days: int) -> ExpiringReport:
        """Return the report of what was found to end within so many days."""
        ordered = sorted(found, key=lambda one: (one.ends_on, one.employee or "", one.kind, one.what))
        return cls(today, days, tuple(ordered))

    @property
    def counts(self) -> dict[str, int]:
        """Number of endings of each kind that there is."""
        found = Counter(one.kind for one in self.endings)
        return {kind.value: found[kind] for kind in EndingKind if found[kind]}

    @property
    def sentence(self) -> str:
        """The overall result, for people."""
        days = counted(self.days, "day")
        if not self.endings:
            return f"Nothing ends within {days}."
        kinds = (counted(count, kind.replace("_", " ")) for kind, count in self.counts.items())
        return f"Within {days}: {', '.join(kinds)}."

    @property
    def notice(self) -> Notification | None:
        """The notification to send; None if nothing ends."""
        if not self.endings:
            return None
        return Notification(
            Event.ENDING_LOOKED_FOR, EXIT_OK, f"something ends within {self.days} days", counts=self.counts
        )

    def fields(self) -> dict[str, Any]:
        """Return the same for programs."""
        return {
            "today": self.today.isoformat(),
            "days": self.days,
            "counts": self.counts,
            "ending": [
                {
                    "kind": one.kind,
                    "ends_on": one.ends_on.isoformat(),
                    "days_left": (one.ends_on - self.today).days,
                    "employee": one.employee,
                    "what": one.what,
                    "next": one.next,
                }
                for one in self.endings
            ],
        }

    def print(self, console: Console) -> None:
        """Print the result, then everything by date."""
        console.print(Text(f"\n{self.sentence}\n", style="bold"))
        if not self.endings:
            return
        what = Column("What", overflow="fold", ratio=1)
        table = plain(Column("Ends", no_wrap=True), what, "Employee", Column("Next step", overflow="fold", ratio=2))
        for one in self.endings:
            table.add_row(
                f"{one.ends_on.isoformat()}\n{_left((one.ends_on - self.today).days)}",
                Text(f"{one.kind.replace('_', ' ')}\n{visible(one.what)}"),
                Text(visible(one.employee or "")),
                Text(visible(one.next)),
            )
        console.print(table)
        console.print()


def _left(days: int) -> str:
    if days < 0:
        return f"overdue by {counted(-days, 'day')}"
    return "today" if days == 0 else f"in {counted(days, 'day')}"
