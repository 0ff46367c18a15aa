"""Which of the planned controls a run is about, by what the log has of earlier runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fleet.audit import records
from fleet.audit.ledger import Key, Ledger
from fleet.audit.segments import read_last_run, read_records, read_run, read_starts
from fleet.audit.subjects import known_names, known_subjects
from fleet.counting import counted
from fleet.errors import InputError
from fleet.model import Outcome, Reason, Result
from fleet.plan import Planned, RunSpec, catalogue_for, check_filters, planned_accounts

_LEFT = (Outcome.NOT_RUN, Outcome.UNKNOWN)


@dataclass(frozen=True)
class Selection:
    """What was asked for. Several add up: `new` and `stale_days` are those that are either."""

    resume: bool = False
    """What the last run did not reach, or does not know."""
    new: bool = False
    """What no run has read yet."""
    only_failed: str | None = None
    """What did not end well in this run (a run id, or `last`)."""
    stale_days: int | None = None
    """What was read last longer ago than this."""

    def of(self, spec: RunSpec, now: datetime | None = None) -> RunSpec:
        """The run with these controls alone; `only` is empty if there is nothing to do.

        A run in check mode is gone on with in check mode. Raises InputError for a run that is not in the log, for a
        filter that no recipe knows, and for `resume` with anything else; AuditError if the log cannot be read.
        """
        by_record = self.new or self.only_failed is not None or self.stale_days is not None
        if self.resume:
            if by_record:
                raise InputError(
                    "--resume goes on with the last run as it was; leave --new, --only-failed, --stale out."
                )
            return self._resumed(spec)
        if not by_record:
            return spec
        planned = _planned(spec)
        chosen: set[Planned] = set()
        if self.only_failed is not None:
            chosen |= {_whose(result) for result in _results(spec, self.only_failed) if not result.outcome.is_done}
        if self.new or self.stale_days is not None:
            chosen |= self._by_age(spec, planned, now or datetime.now(UTC))
        only = frozenset(planned & chosen)
        return replace(spec, inventory=spec.inventory.only({name for name, _, _ in only}), only=only)

    def _resumed(self, spec: RunSpec) -> RunSpec:
        last = next(read_last_run(spec.settings.state_dir.audit.log), None)
        if last is None:
            raise InputError("--resume: no run is in the log yet; run without it.")
        left = frozenset(_whose(result) for result in _results(spec, "last") if result.outcome in _LEFT)
        return replace(
            spec,
            check=spec.check or last["check"],
            inventory=spec.inventory.only({name for name, _, _ in left}),
            resumes=last["run"],
            only=left,
        )

    def _by_age(self, spec: RunSpec, planned: Iterable[Planned], now: datetime) -> set[Planned]:
        places = spec.settings.state_dir.audit
        looked_at = last_looks(read_records(places.log))
        subjects = known_subjects(places.subjects)
        found = set()
        for name, service, control in planned:
            subject = subjects.get(name)
            at = looked_at.get((subject.pseudonym, service, control)) if subject else None
            if self.new if at is None else self._is_stale(now - at):
                found.add((name, service, control))
        return found

    def _is_stale(self, age: timedelta) -> bool:
        return self.stale_days is not None and age > timedelta(days=self.stale_days)


EVERYTHING = Selection()


def last_looks(log: Iterable[Mapping[str, Any]]) -> dict[Key, datetime]:
    """When each control was read last, or was seen not to be offered; one that nobody could look at has no entry."""
    found: dict[Key, datetime] = {}
    for record in log:
        if record["event"] == records.CONTROL_FINISHED and (
            record["before"] or record["after"] or record["outcome"] == Outcome.NOT_OFFERED
        ):
            key = record["subject"], record["service"], record["control"]
            found[key] = datetime.fromisoformat(record["at"])
    return found


def require_no_shrink(spec: RunSpec) -> None:
    """Refuse an inventory that names half as many employees, or fewer, as the last run over the same sources.

    An export that broke off looks like this: whoever is missing would be left alone, and nobody would notice.
    Raises InputError.
    """
    inventory = spec.inventory
    if inventory.total is None:
        return
    for record in read_starts(spec.settings.state_dir.audit.log):
        before = record["inventory_employees"]
        if before is None or record["sources_sha256"] != inventory.sources_digest:
            continue
        if inventory.total * 2 <= before:
            today = counted(inventory.total, "employee")
            raise InputError(
                f"{', '.join(inventory.sources)} names {today}; it named {before} in run {record['run']}. Look for "
                "what is missing, or accept it with --accept-shrink. Nothing was touched."
            )
        return


def _planned(spec: RunSpec) -> set[Planned]:
    catalogue = catalogue_for(spec.settings, rehearsal=spec.inventory.rehearsal)
    check_filters(spec.settings, catalogue)
    return {
        (name, account.service, control)
        for name, accounts in planned_accounts(spec, catalogue).items()
        for account in accounts
        for control in account.controls
    }


def _results(spec: RunSpec, run: str) -> list[Result]:
    places = spec.settings.state_dir.audit
    log = read_run(places.log, run)
    return Ledger.replay(log[0]["run"], log).results(known_names(places.subjects), absent=Reason.AGENT_ENDED)


def _whose(result: Result) -> Planned:
    return result.employee, result.service, result.control
