"""The records of the audit log: which events exist, and the fields of each.

docs/records.md describes them for readers. Only codes, numbers, digests, host names and pseudonyms are allowed:
no free text, no page text, no exception text, no personal value in clear.
"""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, date, datetime
from typing import Any, Final

import orjson
import structlog

from fleet.errors import AuditError
from fleet.model import Outcome, Reading, Reason

SCHEMA_VERSION: Final = 5
"""Version that is written. Older records keep theirs and are read according to `ADDED`; newer ones are refused."""
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
DATA_EXPIRED: Final = "data.expired"
SUBJECT_ERASED: Final = "subject.erased"
EMPLOYEE_RENAMED: Final = "employee.renamed"
MANDATE_MET: Final = "mandate.met"
MANDATE_REVOKED: Final = "mandate.revoked"
MANDATE_RENEWED: Final = "mandate.renewed"
CONTROL_ATTESTED: Final = "control.attested"
CONTROL_CLOSED: Final = "control.closed"
MANDATE_GIVEN: Final = "mandate.given"
NOTICE_SENT: Final = "notice.sent"
NAMES_SHOWN: Final = "names.shown"
SESSION_CAPTURED: Final = "session.captured"
SERVICE_STOPPED: Final = "service.stopped"
SERVICE_STARTED: Final = "service.started"
SUBMISSION_RECORDED: Final = "submission.recorded"
SPOT_CHECK_DRAWN: Final = "spot_check.drawn"
SPOT_CHECK_ENDED: Final = "spot_check.ended"

COMMON_ORDER: Final = ("v", "seq", "at", "monotonic_ms", "event", "run")
COMMON: Final = frozenset(COMMON_ORDER)
"""Fields of every record, in order."""
MAX_NUMBER: Final = 10**12
"""Limit for counts, milliseconds and user ids."""
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")

FieldCheck = Callable[[Any], bool]
"""A check whether a field allows a value."""


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _number(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_NUMBER  # bool is a subclass of int


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _named_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _counts(value: Any) -> bool:
    return isinstance(value, dict) and all(name in _OUTCOMES and _number(count) for name, count in value.items())


def _controls(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(map(_text_or_none, pair)) for pair in value
    )


def _time(value: Any) -> bool:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return False
    datetime.fromisoformat(value)  # raises ValueError for an invalid date
    return True


def _day(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 10 and bool(date.fromisoformat(value))  # raises ValueError


def _or_none(kind: FieldCheck) -> FieldCheck:
    return lambda value: value is None or kind(value)


_OUTCOMES: Final = frozenset(Outcome)
_outcome: FieldCheck = _OUTCOMES.__contains__
_reading: FieldCheck = frozenset({*Reading, None}).__contains__
_reason: FieldCheck = frozenset({*Reason, None}).__contains__
_text_or_none, _number_or_none = _or_none(_text), _or_none(_number)

_COMMON_KINDS: Final[dict[str, FieldCheck]] = {
    "v": lambda value: type(value) is int and 1 <= value <= SCHEMA_VERSION,
    "seq": _number,
    "at": _time,
    "monotonic_ms": _number,
    "event": _text,
    "run": _text_or_none,
}
_OPERATOR: Final[dict[str, FieldCheck]] = {"operator": _number, "operator_claimed": _text_or_none}
"""Who did it: the operating system's user, and the name that sudo or AWX gives."""
_CONTROL: Final[dict[str, FieldCheck]] = {"subject": _text, "service": _text_or_none, "control": _text_or_none}

FIELDS: Final[dict[str, dict[str, FieldCheck]]] = {
    RUN_STARTED: {
        "version": _text,
        **_OPERATOR,
        "check": _flag,
        "attended": _flag,
        "resumes": _text_or_none,
        "rehearsal": _flag,
        "sandbox": _flag,
        "sandbox_accepted_by": _text_or_none,
        "terms_accepted": _named_texts,
        "personal_sessions": _named_texts,
        "attestations_accepted": _named_texts,
        "closed_accepted": _flag,
        "assurance_required": _text_or_none,
        "inventory_sha256": _text,
        "inventory_employees": _number_or_none,
        "sources_sha256": _text,
        "recipes_sha256": _named_texts,
        "employees": _number,
        "controls": _number,
    },
    RUN_PLANNED: {"subject": _text, "planned": _controls, "authority": _text_or_none, "mandate_hmac": _text_or_none},
    CONTROL_INTENDED: {
        **_CONTROL,
        "before": frozenset(Reading).__contains__,
        "authority": _text,
        "mandate_hmac": _text_or_none,
        "assurance": _text_or_none,
        "profile_hmac": _text,
        "evidence": _text,
        "worker": _text_or_none,
        "attended": _flag,
    },
    CONTROL_FINISHED: {
        **_CONTROL,
        "outcome": _outcome,
        "reason": _reason,
        "before": _reading,
        "after": _reading,
        "read_back": _flag,
        "duration_ms": _number,
        "evidence": _text_or_none,
        "http_status": _number_or_none,
        "refused_hosts": _texts,
        "worker": _text_or_none,
        "label": _text_or_none,
        "attested_on": _or_none(_day),
        "attended": _flag,
    },
    RUN_FINISHED: {"counts": _counts, "stopped": _reason, "exit_code": _number},
    LOG_RECOVERED: {"bytes": _number_or_none, "sha256": _text_or_none, "unsigned": _number},
    LOG_HEARTBEAT: _OPERATOR,
    LOG_KEY_ROTATED: {**_OPERATOR, "vkey": _text},
    LOG_PRUNED: {**_OPERATOR, "before": _number, "keys": _texts},
    DATA_EXPIRED: {
        **_OPERATOR,
        "pictures_days": _number_or_none,
        "tokens_days": _number_or_none,
        "pictures": _number,
        "tokens": _number,
        "acts": _number,
    },
    SUBJECT_ERASED: {**_OPERATOR, "subject": _text_or_none, "sessions": _number, "evidence": _number},
    EMPLOYEE_RENAMED: {**_OPERATOR, "subject": _text, "old_hmac": _text, "new_hmac": _text},
    MANDATE_MET: {
        "subject": _text,
        "mandate_hmac": _text,
        "services": _texts,
        "granted_on": _day,
        "expires_on": _day,
        "revoked_on": _or_none(_day),
        "assurance": _text,
    },
    MANDATE_REVOKED: {
        "operator": _number_or_none,
        "operator_claimed": _text_or_none,
        "subject": _text_or_none,
        "reference_hmac": _text_or_none,
        "revoked_on": _day,
    },
    MANDATE_RENEWED: {**_OPERATOR, "subject": _text_or_none, "reference_hmac": _text_or_none},
    CONTROL_ATTESTED: {
        **_CONTROL,
        **_OPERATOR,
        "said": frozenset({Reason.SWITCHED, Reason.WAS_OFF, Reason.SENT, None}).__contains__,
        "attested_on": _day,
        "assurance": _text,
    },
    CONTROL_CLOSED: {**_CONTROL, **_OPERATOR, "closed_on": _day},
    MANDATE_GIVEN: {
        "subject": _text,
        **_OPERATOR,
        "mandate_hmac": _text,
        "controls": _texts,
        "granted_on": _day,
        "expires_on": _day,
        "assurance": _text,
        "issuer": _text_or_none,
        "token_hmac": _text_or_none,
        "key_thumbprint": _text_or_none,
        "text_sha256": _text,
        "text_version": _text,
        "language": _text,
    },
    NOTICE_SENT: {"subject": _text, **_OPERATOR, "kind": _text, "sent_on": _day},
    NAMES_SHOWN: {**_OPERATOR, "command": _text, "subject": _text_or_none, "people": _number},
    SESSION_CAPTURED: {"subject": _text, **_OPERATOR, "service": _text},
    SERVICE_STOPPED: {
        "operator": _number_or_none,
        "operator_claimed": _text_or_none,
        "service": _text,
        "reference": _text_or_none,
        "stopped_on": _day,
    },
    SERVICE_STARTED: {**_OPERATOR, "service": _text, "reference": _text},
    SUBMISSION_RECORDED: {
        **_OPERATOR,
        "service": _text,
        "control": _text_or_none,
        "confirmation_sha256": _text,
        "reference": _text_or_none,
    },
    SPOT_CHECK_DRAWN: {**_OPERATOR, "among": _number, "drawn": _number},
    SPOT_CHECK_ENDED: {**_OPERATOR, "checked": _number, "wrong": _number},
}
"""The allow-list: exactly which fields each event has besides the common ones, and the values that each field
allows."""

ADDED: Final[dict[int, dict[str, dict[str, Any]]]] = {
    2: {
        RUN_STARTED: {"sandbox_accepted_by": None, "terms_accepted": {}, "personal_sessions": {}},
        CONTROL_FINISHED: {"label": None},
    },
    3: {RUN_STARTED: {"attestations_accepted": {}}, CONTROL_FINISHED: {"attested_on": None}},
    4: {
        RUN_STARTED: {"closed_accepted": False, "assurance_required": None},
        CONTROL_INTENDED: {"assurance": None},
    },
    5: {
        LOG_HEARTBEAT: {"operator_claimed": None},
        LOG_KEY_ROTATED: {"operator_claimed": None},
        LOG_PRUNED: {"operator_claimed": None},
        SUBJECT_ERASED: {"operator_claimed": None},
        CONTROL_ATTESTED: {"operator_claimed": None},
        CONTROL_CLOSED: {"operator_claimed": None},
        MANDATE_GIVEN: {"operator_claimed": None},
        NOTICE_SENT: {"operator_claimed": None},
        RUN_STARTED: {"attended": False},
        CONTROL_INTENDED: {"attended": False},
        CONTROL_FINISHED: {"attended": False},
    },
}
"""Fields that each version added to existing events, with the value used when reading older records."""

NOTHING_READ: Final[Mapping[str, Any]] = {
    "before": None,
    "after": None,
    "read_back": False,
    "duration_ms": 0,
    "evidence": None,
    "http_status": None,
    "refused_hosts": [],
    "worker": None,
    "label": None,
    "attested_on": None,
    "attended": False,
}
"""Reading fields of `control.finished` for a control whose page was not seen."""

Record = MutableMapping[str, Any]


def _added_since(version: int, event: str) -> dict[str, Any]:
    """Return the fields added to an event after a version, with the values used for older records."""
    return {
        name: value
        for added_in, events in ADDED.items()
        if added_in > version
        for name, value in events.get(event, {}).items()
    }


_ALL_KINDS: Final = {event: {**_COMMON_KINDS, **kinds} for event, kinds in FIELDS.items()}
_LATER: Final = {
    (version, event): _added_since(version, event) for version in range(1, SCHEMA_VERSION) for event in FIELDS
}


def parse(line: bytes) -> dict[str, Any] | None:
    """Parse a line (without LF) into a record of this version; None if it is not a record.

    Fields newer than the record get the values of `ADDED`. Raises AuditError for a record of a newer version.
    """
    try:
        record: dict[str, Any] = orjson.loads(line)
        version = record["v"]
        if type(version) is int and version > SCHEMA_VERSION:
            raise AuditError(newer(version))
        event = record["event"]
        kinds = _ALL_KINDS[event]
        if version != SCHEMA_VERSION:
            later = _LATER[version, event]
            if later.keys() & record.keys():
                return None
            record |= copy.deepcopy(later)
        if record.keys() != kinds.keys() or len(line) >= MAX_LINE_BYTES:
            return None
        for name, kind in kinds.items():  # no generator, for speed: this runs for every record read
            if not kind(record[name]):
                return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return record


def is_stamped(record: Mapping[str, Any]) -> bool:
    """Return True if a record, of any version, has number and monotonic time as `render` writes and `parse` accepts.

    Checks only these, because it runs for every verified record.
    """
    seq, clock = record["seq"], record["monotonic_ms"]
    return type(seq) is type(clock) is int and 0 <= seq <= MAX_NUMBER and 0 <= clock <= MAX_NUMBER


def newer(version: int) -> str:
    """Return the error text for a log written by a later version of this program."""
    return (
        f"The audit log holds records of version {version}, and this Fleet Opt-Out reads versions up to "
        f"{SCHEMA_VERSION}; update it. Nothing was touched."
    )


def _require_exact_fields(_logger: object, _method: str, record: Record) -> Record:
    """A structlog processor: refuses any field outside the schema and any record that lacks one."""
    event = record.get("event")
    if event not in FIELDS:
        raise AuditError(f"'{event}' is not an event of the audit log.")
    kinds = FIELDS[event]
    given, wanted = record.keys(), kinds.keys() | {"seq", "event", "run"}
    if given - wanted:
        raise AuditError(f"{event}: the audit log has no field {', '.join(sorted(given - wanted))}.")
    if wanted - given:
        raise AuditError(f"{event}: the record lacks {', '.join(sorted(wanted - given))}.")
    wrong = sorted(name for name, kind in kinds.items() if not kind(record[name]))
    if wrong:
        raise AuditError(f"{event}: the audit log holds no such value in {', '.join(wrong)}.")
    return record


def _stamp(_logger: object, _method: str, record: Record) -> Record:
    """Add version and clocks: UTC for people, the monotonic clock to detect jumps of UTC."""
    at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    clock = {"at": at, "monotonic_ms": time.monotonic_ns() // 1_000_000}
    stamped = {"v": SCHEMA_VERSION, "seq": record.pop("seq"), **clock, **record}
    wrong = sorted(name for name, kind in _COMMON_KINDS.items() if not kind(stamped[name]))
    if wrong:
        raise AuditError(f"{stamped['event']}: the audit log holds no such value in {', '.join(wrong)}.")
    return stamped


_PROCESSORS: Final = (
    _require_exact_fields,
    _stamp,
    # Without `default=None` structlog writes the repr() of non-JSON values, which may be text that must not get here.
    structlog.processors.JSONRenderer(separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=None),
)


def render(seq: int, event: str, run: str | None, fields: Mapping[str, Any]) -> bytes:
    """Return one record as one line, LF included.

    Raises AuditError for an unknown event, for extra or missing fields, for a value that is not JSON, and for a line
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
