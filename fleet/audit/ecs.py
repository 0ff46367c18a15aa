"""Records in the field names of the Elastic Common Schema (https://www.elastic.co/docs/reference/ecs)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.audit import records
from fleet.audit.tree import leaf_hash
from fleet.model import Outcome

ECS_VERSION = "9.0.0"

_KINDS = {
    records.RUN_STARTED: ("process", "start"),
    records.RUN_FINISHED: ("process", "end"),
    records.LOG_KEY_ROTATED: ("configuration", "change"),
    records.LOG_PRUNED: ("configuration", "deletion"),
    records.DATA_EXPIRED: ("configuration", "deletion"),
    records.SUBJECT_ERASED: ("configuration", "deletion"),
    records.EMPLOYEE_RENAMED: ("iam", "change"),
    records.MANDATE_MET: ("iam", "info"),
    records.MANDATE_REVOKED: ("iam", "change"),
    records.MANDATE_RENEWED: ("iam", "change"),
    records.MANDATE_GIVEN: ("iam", "creation"),
    records.CONTROL_ATTESTED: ("iam", "info"),
    records.CONTROL_CLOSED: ("iam", "info"),
    records.NOTICE_SENT: ("iam", "info"),
    records.NAMES_SHOWN: ("iam", "info"),
    records.SESSION_CAPTURED: ("iam", "creation"),
    records.SERVICE_STOPPED: ("configuration", "change"),
    records.SERVICE_STARTED: ("configuration", "change"),
    records.SUBMISSION_RECORDED: ("configuration", "info"),
    records.SPOT_CHECK_DRAWN: ("iam", "info"),
    records.SPOT_CHECK_ENDED: ("iam", "info"),
}
"""`event.category` and `event.type`, in ECS's allowed values; everything else is (configuration, info)."""
_SAID = {*records.COMMON, "subject", "operator", "outcome", "reason", "duration_ms"}


def as_ecs(line: bytes, record: Mapping[str, Any], origin: str, employee: str | None) -> dict[str, Any]:
    """Return one document; fields unknown to ECS are under `fleet`."""
    kind, type_ = _KINDS.get(record["event"], ("configuration", "info"))
    if record.get("outcome") == Outcome.OPTED_OUT:
        type_ = "change"
    event = {
        "id": f"{origin}/{record['seq']}",
        "kind": "event",
        "category": [kind],
        "type": [type_],
        "action": record["event"],
        "outcome": _outcome(record),
        "reason": record.get("reason"),
        "duration": record["duration_ms"] * 1_000_000 if "duration_ms" in record else None,
        "sequence": record["seq"],
        "hash": leaf_hash(line).hex(),
        "provider": "fleet-optout",
        "dataset": "fleet_optout.audit",
        "original": line.decode(),
    }
    user: dict[str, Any] = {}
    if record.get("operator") is not None:
        user["id"] = str(record["operator"])
    if record.get("subject"):
        user["target"] = {"id": record["subject"]} | ({"name": employee} if employee else {})
    own = {name: value for name, value in record.items() if name not in _SAID}
    outcome = {"outcome": record["outcome"]} if "outcome" in record else {}
    document: dict[str, Any] = {
        "@timestamp": record["at"],
        "ecs": {"version": ECS_VERSION},
        "event": {name: value for name, value in event.items() if value is not None},
        "observer": {"vendor": "Fleet Opt-Out", "product": "fleet-optout", "type": "audit"},
        "fleet": {**own, **outcome, "run": record["run"], "log": origin},
    }
    return document | ({"user": user} if user else {})


def _outcome(record: Mapping[str, Any]) -> str | None:
    if record["event"] == records.RUN_FINISHED:
        return "success" if record["exit_code"] == 0 else "failure"
    if record["event"] != records.CONTROL_FINISHED:
        return None
    outcome = Outcome(record["outcome"])
    if outcome in (Outcome.UNKNOWN, Outcome.ATTESTED):
        return "unknown"
    return "success" if outcome.exit_code == 0 else "failure"
