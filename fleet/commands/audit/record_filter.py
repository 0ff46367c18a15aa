"""Filters that select the records of a command."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from fleet.audit.segments import read_last_run, read_lines, runs_of_kind
from fleet.errors import InputError
from fleet.paths import AuditDir

RUN = Annotated[str | None, typer.Option("--run", metavar="RUN", help="Only this run id; 'last' is the newest.")]
EMPLOYEE = Annotated[
    str | None, typer.Option("--employee", metavar="EMPLOYEE", help="Only this employee; recorded in the log.")
]
NAMES = Annotated[
    bool, typer.Option("--with-names", help="Show employees by name, not by pseudonym; recorded in the log.")
]
SERVICE = Annotated[str | None, typer.Option("--service", metavar="SERVICE", help="Only this service.")]
OUTCOME = Annotated[str | None, typer.Option("--outcome", metavar="OUTCOME", help="Only this outcome.")]
SINCE = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only records since this time (UTC), such as 2026-11-03T09:00."),
]


def run_named(places: AuditDir, name: str, *, rehearsal: bool) -> str:
    """Return the id of the newest run of this kind for `last`, else `name` itself."""
    if name != "last":
        return name
    newest = next(read_last_run(places.log, rehearsal=rehearsal), None)
    if newest is None:
        raise InputError("The log has no run yet.")
    return str(newest["run"])


@dataclass(frozen=True)
class Choice:
    """The filters of the command line. `names` maps pseudonyms to employees; `others` are runs to exclude."""

    names: Mapping[str, str]
    run: str | None = None
    employee: str | None = None
    service: str | None = None
    outcome: str | None = None
    since: str | None = None
    others: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        places: AuditDir,
        names: Mapping[str, str],
        run: str | None,
        employee: str | None,
        service: str | None,
        outcome: str | None,
        since: str | None,
        *,
        rehearsal: bool,
        with_others: bool = False,
    ) -> Choice:
        """Return the filters for real runs or rehearsals, also for `last`; `with_others` selects both kinds.

        Raises InputError for an unknown employee or run, and for an invalid time.
        """
        if employee is not None and employee not in names.values():
            raise InputError(f"The log has no records of '{employee}'; correct the name, or omit --employee.")
        if run is not None:
            wanted = run_named(places, run, rehearsal=rehearsal)
            if all(record.get("run") != wanted for _, record in read_lines(places.log)):
                raise InputError(f"The log has no run '{run}'; 'fleet audit show' without --run lists all.")
            run = wanted
        others = frozenset() if with_others else runs_of_kind(places.log, rehearsal=not rehearsal)
        if run in others:
            raise InputError(f"Run '{run}' was {'not a' if rehearsal else 'a'} rehearsal; name another, or omit --run.")
        return cls(names, run, employee, service, outcome, None if since is None else _utc(since), others)

    def read(self, places: AuditDir, first: int = 0) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Yield the selected records from number `first` on, each with its line."""
        return ((line, record) for line, record in read_lines(places.log, first) if self.includes(record))

    def people(self, chosen: Iterable[Mapping[str, Any]]) -> int:
        """Return how many people with a name these records are about."""
        return len({record.get("subject") for record in chosen} & self.names.keys())

    def includes(self, record: Mapping[str, Any]) -> bool:
        """Return True if a record is selected."""
        return (
            (self.run is None or record.get("run") == self.run)
            and (self.service is None or record.get("service") == self.service)
            and (self.outcome is None or record.get("outcome") == self.outcome)
            and record.get("run") not in self.others
            and (self.since is None or record["at"] >= self.since)
            and (self.employee is None or self.names.get(record.get("subject") or "") == self.employee)
        )


def _utc(text: str) -> str:
    """Return a time in the log's format, so that the texts can be compared."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError(f"--since {text}: give a day or a time, such as 2026-11-03 or 2026-11-03T09:00.") from None
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
