"""What one run planned, intended and finished, according to its records.

The agent feeds it each record that it has written; a reader feeds it the records of a log. So the results table, the
counts in `run.finished` and the closing of a crashed run have the same source: the log.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Self

from fleet.audit import records
from fleet.model import Accepted, Outcome, Reading, Reason, Result

ControlKey = tuple[str, str | None, str | None]
"""Pseudonym, service, control."""


@dataclass
class RunState:
    """The state of one run, by pseudonym × service × control."""

    run: str
    check: bool = False
    started_at: str | None = None
    finished_at: str | None = None
    counts: dict[str, int] | None = None
    accepted: Accepted = field(default_factory=Accepted)
    planned: dict[str, list[ControlKey]] = field(default_factory=dict)
    """By pseudonym, so that one employee's results cost only that employee's controls."""
    intended: dict[ControlKey, Mapping[str, Any]] = field(default_factory=dict)
    finished: dict[ControlKey, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def replay(cls, run: str, log: Iterable[Mapping[str, Any]]) -> Self:
        """Return the state of `run` from the records of a log."""
        run_state = cls(run)
        for record in log:
            run_state.observe(record)
        return run_state

    def observe(self, record: Mapping[str, Any]) -> None:
        """Apply one written record; records of other runs are skipped."""
        if record.get("run") != self.run:
            return
        event = record["event"]
        if event == records.RUN_STARTED:
            self.check, self.started_at = record["check"], record["at"]
            self.accepted = Accepted(record["attestations_accepted"], record["closed_accepted"])
        elif event == records.RUN_PLANNED:
            subject = record["subject"]
            self.planned[subject] = [(subject, service, control) for service, control in record["planned"]]
        elif event == records.CONTROL_INTENDED:
            self.intended[_key(record)] = record
        elif event == records.CONTROL_FINISHED:
            self.finished.setdefault(_key(record), record)  # a run ends a control once; later records are not its own
        elif event == records.RUN_FINISHED:
            self.finished_at, self.counts = record["at"], record["counts"]

    @property
    def is_open(self) -> bool:
        """Return True if the run was started and has no `run.finished`."""
        return self.started_at is not None and self.finished_at is None

    def keys(self) -> Iterator[ControlKey]:
        """Return every planned control, in the order of the plan."""
        return itertools.chain.from_iterable(self.planned.values())

    def unfinished(self) -> Iterator[tuple[ControlKey, Outcome, Reading | None]]:
        """Yield planned controls without a terminal record, with the outcome that an ending run must give them."""
        for key in self.keys():
            if key not in self.finished:
                yield key, *self._ending(key)

    def _ending(self, key: ControlKey) -> tuple[Outcome, Reading | None]:
        """Return `unknown` for an intent without a result: the click may have happened. All else is `not_run`."""
        intent = self.intended.get(key)
        return (Outcome.NOT_RUN, None) if intent is None else (Outcome.UNKNOWN, Reading(intent["before"]))

    def count(self) -> dict[str, int]:
        """Count finished controls by outcome; the counts add up to the plan once the run is closed."""
        found = Counter(record["outcome"] for record in self.finished.values())
        return {outcome.value: found[outcome] for outcome in Outcome if found[outcome]}

    def results(
        self, names: Mapping[str, str], subject: str | None = None, absent: Reason = Reason.AUDIT_FAILED
    ) -> list[Result]:
        """Return one result per planned control (of one `subject`), in the order of the plan.

        `names` maps pseudonyms to employees. If the log has no terminal record, the result is what an ending run would
        give, with the reason `absent`.
        """
        chosen = self.planned if subject is None else (subject,)
        return [self._result(key, names, absent) for one in chosen for key in self.planned.get(one, ())]

    def _result(self, key: ControlKey, names: Mapping[str, str], absent: Reason) -> Result:
        subject, service, control = key
        who, record = names.get(subject, subject), self.finished.get(key)
        if record is None:
            outcome, before = self._ending(key)
            return Result(who, service, control, outcome, before, None, absent)
        reason = Reason(record["reason"]) if record["reason"] else None
        return Result(
            employee=who,
            service=service,
            control=control,
            outcome=Outcome(record["outcome"]),
            before=Reading(record["before"]) if record["before"] else None,
            after=Reading(record["after"]) if record["after"] else None,
            reason=reason,
            duration_ms=record["duration_ms"],
            refused_hosts=tuple(record["refused_hosts"]),
            attested_on=date.fromisoformat(record["attested_on"]) if record["attested_on"] else None,
            accepted_by=self.accepted.by(service, reason),
        )


def _key(record: Mapping[str, Any]) -> ControlKey:
    return record["subject"], record["service"], record["control"]
