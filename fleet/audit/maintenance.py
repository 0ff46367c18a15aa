"""Writes to the log outside of runs: heartbeats and key rotation."""

from __future__ import annotations

from pathlib import Path

from fleet.audit import records
from fleet.audit.keys import make_private_key, publish, read_keys, read_signing_key, successor_of
from fleet.audit.log import AuditLog
from fleet.audit.operator import Operator
from fleet.audit.signed_note import SigningKey, VerifierKey
from fleet.paths import AuditDir


async def beat(log: AuditLog, operator: Operator) -> None:
    """Record that the log is alive, so that silence points to a truncated log. Raises AuditError."""
    await log.append(records.LOG_HEARTBEAT, None, **operator.fields)


async def rotate_key(places: AuditDir, key_path: Path, operator: Operator) -> VerifierKey:
    """Sign with a new key from now on. The old key signs the record that introduces it, and is then deleted.

    The new key is kept beside the old one until the log records it, so that one of them fits after a crash. Raises as
    `AuditLog` and `read_signing_key` do.
    """
    old = read_signing_key(places, key_path)
    log = AuditLog(places, "fleet audit rotate-key", old)
    try:
        new = SigningKey(old.name, make_private_key(successor_of(key_path)))
        await log.append(records.LOG_KEY_ROTATED, None, **operator.fields, vkey=str(new.verifier))
        log.hand_over(new)
        publish(places, [*read_keys(places.vkey), new.verifier])
    finally:
        log.close()
    read_signing_key(places, key_path)  # moves the new key into place
    return new.verifier
