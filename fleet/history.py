"""What the last run tells the next one: whom to visit last, and how long a visit took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from statistics import median

from fleet.audit.ledger import Ledger
from fleet.audit.segments import read_last_run
from fleet.audit.subjects import known_names
from fleet.model import Outcome, Reason
from fleet.plan import RunSpec

_STUCK = (Outcome.CHALLENGED, Outcome.PAGE_CHANGED)


class History:
    """The last run in the log that `spec` goes by, read once."""

    def __init__(self, spec: RunSpec) -> None:
        """Without a log there is no last run; nothing is made for it."""
        places = spec.settings.state_dir.audit
        records = list(read_last_run(places.log))
        self._spec = spec
        last = Ledger.replay(records[0]["run"], records) if records else None
        names = known_names(places.subjects)
        self._results = last.results(names, absent=Reason.AGENT_ENDED) if last else []

    def turns(self) -> list[str]:
        """The employees in the inventory's order, last those whom it left challenged or before a changed page.

        If they still are, the others have been visited before the circuit opens.
        """
        stuck = {result.employee for result in self._results if result.outcome in _STUCK}
        employees = [employee.name for employee in self._spec.inventory.employees if employee.is_name_safe]
        return sorted(employees, key=lambda name: name in stuck)

    def usual_seconds(self) -> Mapping[str, float]:
        """Service to the seconds that an account took there, its controls together (the median)."""
        spent: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for result in self._results:
            if result.service and result.duration_ms:
                spent[result.service][result.employee] += result.duration_ms
        return {service: median(of_each.values()) / 1000 for service, of_each in spent.items()}
