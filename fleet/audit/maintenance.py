"""What is written to the log outside of runs: a sign of life, and the change of the key."""

from __future__ import annotations

import os
from pathlib import Path

from fleet.audit import records
from fleet.audit.keys import make_private_key, publish, read_keys, read_signing_key, successor_of
from fleet.audit.log import AuditLog
from fleet.audit.signed_note import SigningKey, VerifierKey
from fleet.paths import AuditDir


async def beat(log: AuditLog) -> None:
    """Record that the log is alive: silence is then something else than a log that was cut. Raises AuditError."""
    await log.append(records.LOG_HEARTBEAT, None, operator=os.getuid())


async def rotate_key(places: AuditDir, key_path: Path) -> VerifierKey:
    """Sign with a new key from now on. The old one signs the record that introduces it, and is then gone.

    The new key lies beside the old one until the log knows it, so that a crash leaves one that fits. Raises as
    `AuditLog` and `read_signing_key` do.
    """
    old = read_signing_key(places, key_path)
    log = AuditLog(places, "fleet audit rotate-key", old)
    try:
        new = SigningKey(old.name, make_private_key(successor_of(key_path)))
        await log.append(records.LOG_KEY_ROTATED, None, operator=os.getuid(), vkey=str(new.verifier))
        log.hand_over(new)
        publish(places, [*read_keys(places.vkey), new.verifier])
    finally:
        log.close()
    read_signing_key(places, key_path)  # puts the new key into its place
    return new.verifier
