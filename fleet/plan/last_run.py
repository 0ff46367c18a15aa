"""The last run, for planning the next: which employees to visit last, and how long a visit takes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime
from statistics import median

from fleet.audit.pseudonyms import known_names
from fleet.audit.run_state import RunState
from fleet.audit.segments import read_last_run
from fleet.model import Outcome, Reason
from fleet.plan.plan import RunSpec

_STUCK = (Outcome.CHALLENGED, Outcome.PAGE_CHANGED)


class History:
    """The last run of the same kind in the log used by `spec`, read once."""

    def __init__(self, spec: RunSpec) -> None:
        """Read the last run; without a log it is empty, and no log is created."""
        places = spec.settings.state_dir.audit
        records = list(read_last_run(places.log, rehearsal=spec.inventory.rehearsal))
        self._spec = spec
        last = RunState.replay(records[0]["run"], records) if records else None
        names = known_names(places.subjects)
        self._results = last.results(names, absent=Reason.AGENT_ENDED) if last else []

    def turns(self, now: datetime | None = None) -> list[str]:
        """Return the employees in the inventory's order, mixed so that each service's are spread evenly over the run.

        Forks are few: consecutive people at one slow service would make all others wait. Those at a service outside its
        hours come later. Last come those whom the last run left challenged or at a changed page: if they still are, all
        others are visited before the circuit opens.
        """
        now = now or datetime.now()
        stuck = {result.employee for result in self._results if result.outcome in _STUCK}
        closed = {service for service, hours in self._spec.settings.hours.items() if hours.opens_in(now)}
        wanted = self._spec.settings.services
        employees = [employee for employee in self._spec.inventory.employees if employee.is_name_safe]
        services = {one.name: [name for name in one.accounts if not wanted or name in wanted] for one in employees}
        totals, seen = Counter(name for own in services.values() for name in own), Counter[str]()
        order: dict[str, tuple[bool, bool, float]] = {}
        for place, (name, own) in enumerate(services.items()):
            share = max((seen[service] / totals[service] for service in own), default=place / len(services))
            order[name] = name in stuck, not closed.isdisjoint(own), share
            seen.update(own)
        return sorted(services, key=order.__getitem__)

    def usual_seconds(self) -> Mapping[str, float]:
        """Return the median seconds that an account took, its controls together, by service."""
        spent: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for result in self._results:
            if result.service and result.duration_ms:
                spent[result.service][result.employee] += result.duration_ms
        return {service: median(of_each.values()) / 1000 for service, of_each in spent.items()}
