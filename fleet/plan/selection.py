"""Which planned controls a run covers, according to the log of earlier runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fleet.audit import records
from fleet.audit.pseudonyms import known_names, known_subjects
from fleet.audit.run_state import ControlKey, RunState
from fleet.audit.segments import of_kind, read_last_run, read_records, read_run, read_starts
from fleet.errors import InputError
from fleet.model import Outcome, Reason, Result, counted
from fleet.plan.gates import attestations_of
from fleet.plan.plan import Planned, RunSpec, check_filters, planned_accounts
from fleet.recipes.catalog import Catalog

_LEFT = (Outcome.NOT_RUN, Outcome.UNKNOWN)


@dataclass(frozen=True)
class Selection:
    """The requested selection. `new` and `stale_days` together select controls that match either."""

    resume: bool = False
    """Controls that the last run did not reach or ended as unknown."""
    new: bool = False
    """Controls that no run has done yet. Runs in check mode do not count."""
    only_failed: str | None = None
    """Controls that did not end well in this run (a run id, or `last`)."""
    stale_days: int | None = None
    """Controls that were last read more than this many days ago."""

    def of(self, spec: RunSpec, catalog: Catalog, now: datetime | None = None) -> RunSpec:
        """Return the run limited to these controls; its `only` is empty if there is nothing to do.

        A run in check mode is resumed in check mode. Raises InputError for a run that is not in the log, for a filter
        unknown to all recipes, and for `resume` with anything else; AuditError if the log cannot be read.
        """
        by_record = self.new or self.only_failed is not None or self.stale_days is not None
        if self.resume:
            if by_record:
                raise InputError("--resume continues the last run as it was; omit --new, --only-failed and --stale.")
            return self._resumed(spec)
        if not by_record:
            return spec
        planned = _planned(spec, catalog)
        chosen: set[Planned] = set()
        if self.only_failed is not None:
            chosen |= {_whose(result) for result in _results(spec, self.only_failed) if not result.is_done}
        if self.new or self.stale_days is not None:
            chosen |= self._by_age(spec, planned, now or datetime.now(UTC))
        only = frozenset(planned & chosen)
        return replace(spec, inventory=spec.inventory.only({name for name, _, _ in only}), only=only)

    def _resumed(self, spec: RunSpec) -> RunSpec:
        last = next(read_last_run(spec.settings.state_dir.audit.log, rehearsal=spec.inventory.rehearsal), None)
        if last is None:
            raise InputError("--resume: the log has no run yet; omit it.")
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
        seen = past(of_kind(read_records(places.log), rehearsal=spec.inventory.rehearsal))
        subjects = known_subjects(places.subjects)
        waivers = {employee.name: employee.waivers for employee in spec.inventory.employees}
        attestations = attestations_of(spec.settings)
        accepted = spec.settings.accepted.attestations
        found = set()
        for name, service, control in planned:
            subject = subjects.get(name)
            known = seen.get((subject.pseudonym, service, control), NOTHING) if subject else NOTHING
            # A waived control is new again once its waiver has ended.
            is_done = known.is_done or (
                known.is_waived
                and service is not None
                and control is not None
                and any(waiver.covers(service, control, now.date()) for waiver in waivers[name])
            )
            if known.is_attested and service is not None and service in accepted and control is not None:
                is_done = is_done or attestations.fresh(name, service, control, now.date()) is not None
            is_stale = known.looked_at is not None and self._is_stale(now - known.looked_at)
            if (self.new and not is_done) or is_stale:
                found.add((name, service, control))
        return found

    def _is_stale(self, age: timedelta) -> bool:
        return self.stale_days is not None and age > timedelta(days=self.stale_days)


EVERYTHING = Selection()


@dataclass
class Past:
    """Summary of the log's records of one control."""

    is_done: bool = False
    """A run that was not in check mode ended it as done."""
    is_waived: bool = False
    """Such a run skipped it for a waiver."""
    is_attested: bool = False
    """Such a run took the employee's word for it."""
    outcome: Outcome | None = None
    """How the last run ended it."""
    looked_at: datetime | None = None
    """When it was last read, or last seen not to be offered."""


NOTHING = Past()
"""What is known of a control that no run has ended."""


def past(log: Iterable[Mapping[str, Any]]) -> dict[ControlKey, Past]:
    """Summarize the log's records of each control that a run has ended."""
    found: dict[ControlKey, Past] = {}
    setting: set[str] = set()
    for record in log:
        if record["event"] == records.RUN_STARTED and not record["check"]:
            setting.add(record["run"])
        if record["event"] != records.CONTROL_FINISHED:
            continue
        known = found.setdefault((record["subject"], record["service"], record["control"]), Past())
        known.outcome = Outcome(record["outcome"])
        if record["before"] or record["after"] or record["outcome"] == Outcome.NOT_OFFERED:
            known.looked_at = datetime.fromisoformat(record["at"])
        if record["run"] in setting:
            outcome = Outcome(record["outcome"])
            known.is_waived = known.is_waived or outcome.is_excused
            known.is_attested = known.is_attested or outcome is Outcome.ATTESTED
            known.is_done = known.is_done or (outcome.is_done and not outcome.is_excused)
    return found


def require_no_shrink(spec: RunSpec) -> None:
    """Refuse an inventory with at most half as many employees as the last run over the same sources.

    A truncated export looks like this: the missing employees would silently be skipped.
    Raises InputError.
    """
    inventory = spec.inventory
    if inventory.total is None:
        return
    for record in read_starts(spec.settings.state_dir.audit.log):
        before = record["inventory_employees"]
        if before is None or not inventory.is_of(record["sources_sha256"]):
            continue
        if record["rehearsal"] != inventory.rehearsal:
            continue
        if inventory.total * 2 <= before:
            today = counted(inventory.total, "employee")
            raise InputError(
                f"{', '.join(inventory.sources)} lists {today}, but {before} in run {record['run']}. Check what is "
                "missing, or accept it with --accept-shrink (optout_accept_shrink in a play). Nothing was done."
            )
        return


def _planned(spec: RunSpec, catalog: Catalog) -> set[Planned]:
    check_filters(spec.settings, catalog)
    return {
        (name, account.service, control)
        for name, accounts in planned_accounts(spec, catalog).items()
        for account in accounts
        for control in account.controls
    }


def _results(spec: RunSpec, run: str) -> list[Result]:
    places = spec.settings.state_dir.audit
    log = read_run(places.log, run, rehearsal=spec.inventory.rehearsal)
    return RunState.replay(log[0]["run"], log).results(known_names(places.subjects), absent=Reason.AGENT_ENDED)


def _whose(result: Result) -> Planned:
    return result.employee, result.service, result.control
