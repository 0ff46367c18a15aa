"""Records as events of the Open Cybersecurity Schema Framework 1.8.0 (https://schema.ocsf.io/1.8.0).

A reading is a Compliance Finding, an intended change an Entity Management, start and end of a run and every event
about the log itself an Application Lifecycle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fleet import __version__
from fleet.audit import records
from fleet.model import Outcome, control_name

OCSF_VERSION = "1.8.0"
_APPLICATION, _ENTITY, _FINDING = 6002, 3004, 2003
_CATEGORY = {_APPLICATION: 6, _ENTITY: 3, _FINDING: 2}
_OTHER = 99

_CLASSES = {
    records.RUN_STARTED: (_APPLICATION, 3),  # Start
    records.RUN_FINISHED: (_APPLICATION, 4),  # Stop
    records.RUN_PLANNED: (_ENTITY, 2),  # Read
    records.CONTROL_INTENDED: (_ENTITY, 3),  # Update
    records.CONTROL_FINISHED: (_FINDING, 1),  # Create
    records.SUBJECT_ERASED: (_ENTITY, 4),  # Delete
    records.EMPLOYEE_RENAMED: (_ENTITY, 3),  # Update
    records.MANDATE_MET: (_ENTITY, 2),  # Read
    records.MANDATE_REVOKED: (_ENTITY, 3),  # Update
    records.MANDATE_RENEWED: (_ENTITY, 3),  # Update
    records.MANDATE_GIVEN: (_ENTITY, 1),  # Create
    records.CONTROL_ATTESTED: (_ENTITY, 2),  # Read
    records.CONTROL_CLOSED: (_ENTITY, 2),  # Read
    records.NOTICE_SENT: (_ENTITY, 2),  # Read
    records.SERVICE_STOPPED: (_APPLICATION, 8),  # Update
    records.SERVICE_STARTED: (_APPLICATION, 8),  # Update
    records.SUBMISSION_RECORDED: (_APPLICATION, 8),  # Update
    records.LOG_KEY_ROTATED: (_APPLICATION, 8),  # Update
}
"""Class and activity; everything else is (Application Lifecycle, Other)."""
_PASS, _WARNING, _FAIL = 1, 2, 3
_INFORMATIONAL, _LOW, _MEDIUM = 1, 2, 3


def as_ocsf(line: bytes, record: Mapping[str, Any], origin: str, employee: str | None) -> dict[str, Any]:
    """Return one event; fields unknown to OCSF are under `unmapped`."""
    class_, activity = _CLASSES.get(record["event"], (_APPLICATION, _OTHER))
    at = int(datetime.fromisoformat(record["at"]).timestamp() * 1000)
    event: dict[str, Any] = {
        "category_uid": _CATEGORY[class_],
        "class_uid": class_,
        "activity_id": activity,
        "type_uid": class_ * 100 + activity,
        "time": at,
        "severity_id": _INFORMATIONAL,
        "metadata": {
            "version": OCSF_VERSION,
            "product": {"name": "fleet-optout", "vendor_name": "Fleet Opt-Out", "version": __version__},
            "uid": f"{origin}/{record['seq']}",
            "sequence": record["seq"],
            "event_code": record["event"],
            "log_name": origin,
            "log_version": str(record["v"]),
            "original_time": record["at"],
        },
        "raw_data": line.decode(),
        "raw_data_hash": {"algorithm_id": 3, "algorithm": "SHA-256", "value": hashlib.sha256(line).hexdigest()},
        "unmapped": {name: value for name, value in record.items() if name not in records.COMMON}
        | {"run": record["run"]},
    }
    if activity == _OTHER:
        event["activity_name"] = record["event"]
    if class_ == _APPLICATION:
        event["app"] = {"name": "fleet-optout", "uid": origin, "version": __version__}
        if record["event"] == records.RUN_FINISHED:
            event["status_id"] = 1 if record["exit_code"] == 0 else 2
    elif class_ == _ENTITY:
        event["entity"] = _entity(record, employee)
    else:
        event |= _finding(record, at)
        event["resources"] = [_resource(record, employee)]
    if record.get("operator") is not None and class_ == _ENTITY:
        event["actor"] = {"user": {"uid": str(record["operator"])}}
    return event


def _entity(record: Mapping[str, Any], employee: str | None) -> dict[str, Any]:
    user = {"uid": record["subject"] or "unknown"} | ({"name": employee} if employee else {})
    entity: dict[str, Any] = {"type_id": 2, "type": "User", "user": user}
    if record["event"] in (records.CONTROL_INTENDED, records.CONTROL_ATTESTED, records.CONTROL_CLOSED):
        entity |= {"name": f"{record['service']}.{record['control']}"}
    return entity


def _resource(record: Mapping[str, Any], employee: str | None) -> dict[str, Any]:
    return {"uid": record["subject"], "type": "account", "group": {"name": record["service"] or "unknown"}} | (
        {"name": employee} if employee else {}
    )


def _finding(record: Mapping[str, Any], at: int) -> dict[str, Any]:
    outcome = Outcome(record["outcome"])
    control = control_name(record["service"], record["control"], "unreadable account")
    if outcome in (Outcome.ALREADY_OPTED_OUT, Outcome.OPTED_OUT):
        status, severity = _PASS, _INFORMATIONAL
    elif record["after"] == "in":
        status, severity = _FAIL, _MEDIUM
    else:
        status, severity = _WARNING, _LOW
    return {
        "severity_id": severity,
        "finding_info": {
            "uid": f"{record['run']}/{record['subject']}/{control}",
            "title": f"{control}: {outcome}",
            "created_time": at,
        },
        "compliance": {
            "control": control,
            "standards": ["opt-out in force"],
            "status_id": status,
            "status_code": outcome.value,
            "status_detail": record["reason"] or outcome.value,
        },
    }
