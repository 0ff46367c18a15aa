"""What is deleted on purpose: everything that leads to a person, and records that are older than they may become.

Both are recorded first. The log stays whole and can still be verified afterwards.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from fleet.audit import records
from fleet.audit.keys import read_keys
from fleet.audit.log import AuditLog
from fleet.audit.segments import SEGMENT_RECORDS, Segment, read_records, segments
from fleet.audit.subjects import Subjects
from fleet.model import RUN_ID
from fleet.paths import StateDir, sync_folder, write_private
from fleet.sessions import SessionStore


@dataclass(frozen=True)
class Erased:
    """What was deleted of a person. `pseudonym` is None for somebody whom no run has met."""

    pseudonym: str | None
    sessions: int
    evidence: int


async def erase(state: StateDir, log: AuditLog, subjects: Subjects, employees: Iterable[str]) -> dict[str, Erased]:
    """Delete what leads to each of these people: row, key, sessions and pictures. A withdrawn mandate stays withdrawn.

    Those of whom nothing is known are not in the answer. Each is recorded before anything of theirs goes. Raises as
    `AuditLog` and `Subjects` do: who is not erased by then is still known, and can be erased again.
    """
    found = {employee: await _erase_one(state, log, subjects, employee) for employee in employees}
    return {employee: erased for employee, erased in found.items() if erased is not None}


async def _erase_one(state: StateDir, log: AuditLog, subjects: Subjects, employee: str) -> Erased | None:
    subject, store = subjects.get(employee), SessionStore(state)
    services = [session.service for session in store.list() if session.employee == employee]
    if subject is None and not services:
        return None
    pseudonym = subject.pseudonym if subject else None
    # With what a crash may have left of them: temporary files begin with a dot.
    pictures = list(state.evidence.glob(f"*/*{pseudonym}*")) if subject else []
    rests = [path for path in state.sessions.glob(f"*{employee[:38]}*") if _is_rest_of(path.name, employee)]
    live = {state.sessions / f"{employee}.{service}.age" for service in services}
    counts = {"sessions": len(services), "evidence": len(pictures)}
    subjects.lock()
    await log.append(records.SUBJECT_ERASED, None, operator=os.getuid(), subject=pseudonym, **counts)
    for path in (*pictures, *(path for path in rests if path not in live)):
        path.unlink(missing_ok=True)
    # Last: as long as a session or the row is there, an erasure that was cut short can be given again.
    for service in services:
        store.remove(employee, service)
    subjects.forget(employee)
    return Erased(pseudonym, **counts)


def _is_rest_of(name: str, employee: str) -> bool:
    """True for a side file, or a temporary one, of one of this employee's sessions; not of `anna.keller` for `anna`."""
    own = rf"\.?{re.escape(employee)}\.[a-z0-9_]+(\.(age|json))?(\.[a-z0-9_]{{8}})?"
    # Temporary names once kept no more than 40 characters of the file's.
    cut = rf"(?=.{{50}}$)\.{re.escape(f'{employee}.'[:40])}[a-z0-9_]*(\.[a-z]*)?\.[a-z0-9_]{{8}}"
    return re.fullmatch(f"{own}|{cut}", name) is not None


async def prune(state: StateDir, log: AuditLog, before: date) -> int:
    """Take out the records of runs that ended before a day (UTC), with their pictures and diagnostics.

    Their hashes stay. Returns the first record that is still there. Raises as `AuditLog` does.
    """
    places = state.audit
    cut, runs = await asyncio.to_thread(lambda: _cut(read_records(places.log), before.isoformat()))
    if cut > _first(places.log):
        # The keys stand here again: the records that introduced them may be among those that go.
        keys = [str(key) for key in read_keys(places.vkey)]
        await log.append(records.LOG_PRUNED, None, operator=os.getuid(), before=cut, keys=keys)
        await asyncio.to_thread(log.sign)
    for run in filter(RUN_ID.fullmatch, runs):
        shutil.rmtree(state.evidence / run, ignore_errors=True)
        state.diagnostics(run).unlink(missing_ok=True)

    def take_out() -> None:
        # Also what an earlier prune that was cut short has left.
        for segment in segments(places.log):
            if segment.first < cut:
                _take_out(segment, cut)
        sync_folder(places.log)

    await asyncio.to_thread(log.replace_files, take_out)
    return max(cut, _first(places.log))


def _cut(everything: Iterator[Mapping[str, Any]], day: str) -> tuple[int, list[str]]:
    """The first record that stays, and the runs before it. No run is cut in two."""
    cut, open_run, runs, found = 0, False, [], []
    for record in everything:
        if record["at"] >= day:
            break
        if record["event"] == records.RUN_STARTED:
            open_run = True
            found.append(record["run"])
        elif record["event"] == records.RUN_FINISHED:
            open_run = False
        if not open_run:
            cut, runs = record["seq"] + 1, list(found)
    return cut, runs


def _first(folder: Path) -> int:
    return next((record["seq"] for record in read_records(folder)), 0)


def _take_out(segment: Segment, cut: int) -> None:
    """Hashes first, then the lines: a crash in between leaves both, and they agree."""
    entries = list(segment.entries())
    gone, stays = entries[: cut - segment.first], entries[cut - segment.first :]
    if any(line is not None for _, line in gone):
        write_private(segment.hashes_path, b"".join(leaf for leaf, _ in gone), durable=True)
    if segment.first + SEGMENT_RECORDS <= cut:
        segment.path.unlink(missing_ok=True)
        return
    write_private(segment.path, b"".join(line + b"\n" for _, line in stays if line is not None), durable=True)
