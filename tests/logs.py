"""Audit logs for tests: opened with a key of their own, which lies beside their folder; and records to put in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.audit import records
from fleet.audit.keys import create_keys, read_signing_key
from fleet.audit.log import AuditLog
from fleet.audit.segments import Segment
from fleet.errors import AuditError
from fleet.paths import AuditDir, make_private_dir


def open_log(folder: Path, owner: str = "a test") -> AuditLog:
    """The log in `folder`, made if it is missing."""
    make_private_dir(folder)
    places, key = AuditDir(folder), folder.parent / "log-key.pem"
    create_keys(places, key)
    return AuditLog(places, owner, read_signing_key(places, key))


def lay(folder: Path, content: bytes) -> None:
    """A log whose writer has written this, and died before it signed any of it."""
    open_log(folder).close()
    log_path(folder).write_bytes(content)


def abandon(log: AuditLog) -> None:
    """Let go of a log as a killed process does: nothing is signed."""
    with log._writing:
        log._failure = AuditError("abandoned")
        log._opened.close()


def shrink(patch: pytest.MonkeyPatch, records_a_segment: int, records_a_checkpoint: int = 1000) -> None:
    """Small segments and frequent signatures, so that a little log has all that a large one has."""
    for module in ("segments", "segment_writer", "recovery", "verify", "proof"):
        patch.setattr(f"fleet.audit.{module}.SEGMENT_RECORDS", records_a_segment)
    patch.setattr("fleet.state.erasure.SEGMENT_RECORDS", records_a_segment)
    patch.setattr("fleet.audit.segment_writer.CHECKPOINT_RECORDS", records_a_checkpoint)


async def write(folder: Path, count: int) -> None:
    """Append so many records, each for itself."""
    log = open_log(folder)
    for number in range(count):
        await finish(log, f"c{number}")
    log.close()


def log_path(folder: Path) -> Path:
    """The first segment."""
    return Segment(folder / "log", 0).path


STARTED = {
    "version": "0",
    "operator": 0,
    "operator_claimed": None,
    "check": False,
    "attended": False,
    "resumes": None,
    "rehearsal": False,
    "sandbox": True,
    "sandbox_accepted_by": None,
    "terms_accepted": {},
    "personal_sessions": {},
    "attestations_accepted": {},
    "closed_accepted": False,
    "assurance_required": None,
    "inventory_sha256": "0",
    "inventory_employees": None,
    "sources_sha256": "0",
    "recipes_sha256": {},
    "employees": 2,
    "controls": 4,
}
FINISHED = {
    "subject": "s_1",
    "service": "linkedin",
    "control": "ai_training",
    "outcome": "opted_out",
    "reason": None,
    "before": "in",
    "after": "out",
    "read_back": True,
    "duration_ms": 1,
    "evidence": None,
    "http_status": None,
    "refused_hosts": [],
    "worker": None,
    "label": None,
    "attested_on": None,
    "attended": False,
}
INTENDED = {
    "subject": "s_1",
    "service": "linkedin",
    "control": "ai_training",
    "before": "in",
    "authority": "company",
    "mandate_hmac": None,
    "assurance": None,
    "profile_hmac": "0",
    "evidence": "0",
    "worker": None,
    "attended": False,
}


def lines(folder: Path) -> list[dict[str, Any]]:
    """What is in the file: only whole lines, each a record."""
    content = log_path(folder).read_bytes()
    assert content == b"" or content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


async def finish(log: AuditLog, control: str = "ai_training", run: str = "r1", **changed: Any) -> dict[str, Any]:
    return await log.append(records.CONTROL_FINISHED, run, **(FINISHED | {"control": control} | changed))
