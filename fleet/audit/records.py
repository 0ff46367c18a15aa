"""The records of the audit log: which events exist, and which fields each carries.

docs/records.md describes them for readers. Only codes, numbers, digests, host names and pseudonyms are allowed:
no free text, no page text, no exception text, no personal value in clear.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import structlog

from fleet.errors import AuditError

SCHEMA_VERSION: Final = 1
MAX_LINE_BYTES: Final = 8 * 1024

RUN_STARTED: Final = "run.started"
RUN_PLANNED: Final = "run.planned"
CONTROL_INTENDED: Final = "control.intended"
CONTROL_FINISHED: Final = "control.finished"
RUN_FINISHED: Final = "run.finished"
LOG_RECOVERED: Final = "log.recovered"
LOG_HEARTBEAT: Final = "log.heartbeat"
LOG_KEY_ROTATED: Final = "log.key_rotated"
LOG_PRUNED: Final = "log.pruned"
SUBJECT_ERASED: Final = "subject.erased"

COMMON_ORDER: Final = ("v", "seq", "at", "monotonic_ms", "event", "run")
COMMON: Final = frozenset(COMMON_ORDER)
"""The fields of every record, in their order."""
_CONTROL: Final = frozenset({"subject", "service", "control"})

FIELDS: Final[dict[str, frozenset[str]]] = {
    RUN_STARTED: frozenset(
        {
            "version",
            "operator",
            "operator_claimed",
            "check",
            "resumes",
            "rehearsal",
            "sandbox",
            "inventory_sha256",
            "recipes_sha256",
            "employees",
            "controls",
        }
    ),
    RUN_PLANNED: frozenset({"subject", "planned", "authority", "mandate_hmac"}),
    CONTROL_INTENDED: _CONTROL | {"before", "authority", "mandate_hmac", "profile_hmac", "evidence"},
    CONTROL_FINISHED: _CONTROL
    | {"outcome", "reason", "before", "after", "read_back", "duration_ms", "evidence", "http_status", "refused_hosts"},
    RUN_FINISHED: frozenset({"counts", "stopped", "exit_code"}),
    LOG_RECOVERED: frozenset({"bytes", "sha256", "unsigned"}),
    LOG_HEARTBEAT: frozenset({"operator"}),
    LOG_KEY_ROTATED: frozenset({"operator", "vkey"}),
    LOG_PRUNED: frozenset({"operator", "before", "keys"}),
    SUBJECT_ERASED: frozenset({"operator", "subject", "sessions", "evidence"}),
}
"""The allow-list: the fields that each event carries beside the common ones, all of them and no others."""

NOTHING_READ: Final[Mapping[str, Any]] = {
    "before": None,
    "after": None,
    "read_back": False,
    "duration_ms": 0,
    "evidence": None,
    "http_status": None,
    "refused_hosts": [],
}
"""What `control.finished` says of a control whose page nobody has seen."""

Record = MutableMapping[str, Any]


def is_record(line: bytes, seq: int) -> bool:
    """True if a line (without LF) is record `seq` as this version writes it."""
    try:
        record = orjson.loads(line)
        return bool(
            record.keys() == COMMON | FIELDS[record["event"]]
            and type(record["seq"]) is int
            and record["seq"] == seq
            and isinstance(record["at"], str)
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _require_exact_fields(_logger: object, _method: str, record: Record) -> Record:
    """A structlog processor: nothing passes that the schema does not name, and nothing that lacks what it names."""
    event = record.get("event")
    if event not in FIELDS:
        raise AuditError(f"'{event}' is not an event of the audit log.")
    given, wanted = record.keys(), FIELDS[event] | {"seq", "event", "run"}
    if given - wanted:
        raise AuditError(f"{event}: the audit log has no field {', '.join(sorted(given - wanted))}.")
    if wanted - given:
        raise AuditError(f"{event}: the record lacks {', '.join(sorted(wanted - given))}.")
    return record


def _stamp(_logger: object, _method: str, record: Record) -> Record:
    """Add version and clocks: UTC for people, the monotonic clock to notice a UTC clock that jumped."""
    at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    clock = {"at": at, "monotonic_ms": time.monotonic_ns() // 1_000_000}
    return {"v": SCHEMA_VERSION, "seq": record.pop("seq"), **clock, **record}


_PROCESSORS: Final = (
    _require_exact_fields,
    _stamp,
    # Without `default=None` structlog writes the repr() of whatever is no JSON: texts that must not get here.
    structlog.processors.JSONRenderer(separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=None),
)


def render(seq: int, event: str, run: str | None, fields: Mapping[str, Any]) -> bytes:
    """One record as one line, LF included.

    Raises AuditError for an unknown event, for a field too many or too few, for a value that is no JSON, and for a line
    over 8 KiB.
    """
    rendered: Any = {"event": event, "run": run, **fields, "seq": seq}
    try:
        for processor in _PROCESSORS:
            rendered = processor(None, "append", rendered)
        line = str(rendered).encode("utf-8", "strict") + b"\n"
    except (TypeError, ValueError):
        raise AuditError(f"{event}: a value cannot be written as JSON.") from None
    if len(line) > MAX_LINE_BYTES:
        raise AuditError(f"{event}: a record of {len(line)} bytes is over the {MAX_LINE_BYTES} allowed.")
    return line
