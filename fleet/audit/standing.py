"""Where each control stands, as far as the log has read it: the last reading with its age, and the last outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from fleet.audit import records
from fleet.audit.ledger import Key
from fleet.model import Outcome, Reading, Reason

_READS = {Outcome.ALREADY_OPTED_OUT, Outcome.OPTED_OUT, Outcome.WOULD_OPT_OUT, Outcome.NOT_SAVED}
"""What these say they have read is what the service holds."""
_SAYS_MORE = _READS | {Outcome.UNKNOWN, Outcome.NOT_OFFERED}
"""Of the last two nothing is known afterwards: a press whose end nobody saw, or no setting any more."""


@dataclass(frozen=True)
class Standing:
    """One control of one account. Without a reading nothing is claimed of it."""

    subject: str
    service: str | None
    control: str | None
    outcome: Outcome
    """How the last run ended here."""
    reason: Reason | None
    at: datetime
    reading: Reading | None = None
    """What was read last, by the last run or by an earlier one."""
    read_at: datetime | None = None
    has_drifted: bool = False
    """True if the last visit that could look found it in, after it had been read out."""


def standings(log: Iterable[Mapping[str, Any]]) -> dict[Key, Standing]:
    """The standing of each control that a run has finished with, by pseudonym × service × control."""
    found: dict[Key, Standing] = {}
    for record in log:
        if record["event"] == records.CONTROL_FINISHED:
            key = record["subject"], record["service"], record["control"]
            found[key] = _next(found.get(key), record)
        elif record["event"] == records.SUBJECT_ERASED:
            found = {key: one for key, one in found.items() if one.subject != record["subject"]}
    return found


def _next(known: Standing | None, record: Mapping[str, Any]) -> Standing:
    at = datetime.fromisoformat(record["at"])
    now = Standing(
        record["subject"],
        record["service"],
        record["control"],
        Outcome(record["outcome"]),
        Reason(record["reason"]) if record["reason"] else None,
        at,
    )
    if now.outcome not in _SAYS_MORE:
        # Nobody could look: the older reading stays, with its age.
        return now if known is None else replace(known, outcome=now.outcome, reason=now.reason, at=now.at)
    was_out = known is not None and (known.reading is Reading.OUT or known.has_drifted)
    drifted = record["before"] == Reading.IN and was_out
    reading = Reading(record["after"]) if record["after"] and now.outcome in _READS else None
    return replace(now, reading=reading, read_at=at if reading else None, has_drifted=drifted)
