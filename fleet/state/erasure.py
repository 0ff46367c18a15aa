"""Deletes data on purpose: all data that leads to a person, and records past their retention date.

Both are recorded first. The log stays complete and can still be verified afterwards.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from fleet.audit import records
from fleet.audit.keys import read_keys
from fleet.audit.log import AuditLog
from fleet.audit.operator import Operator
from fleet.audit.pseudonyms import Subjects
from fleet.audit.segments import SEGMENT_RECORDS, Segment, read_records, segments
from fleet.model import RUN_ID
from fleet.paths import StateDir, sync_folder, write_private
from fleet.sessions.store import SessionStore
from fleet.state.own_files import OwnFiles, find_own_files


@dataclass(frozen=True)
class Erased:
    """Number of files deleted for a person. `pseudonym` is None for a person who was in no run."""

    pseudonym: str | None
    sessions: int
    evidence: int


async def erase(
    state: StateDir, log: AuditLog, subjects: Subjects, employees: Iterable[str], operator: Operator
) -> dict[str, Erased]:
    """Delete each person's row, key, sessions, pictures, and own files, such as attestations. Revocations stay.

    People without any data are omitted. All erasures are recorded before anything is deleted. Raises as
    `AuditLog` and `Subjects` do; a person not erased by then is still known and can be erased again.
    """
    known = subjects.everybody()
    wanted = {name: known[name].pseudonym if name in known else None for name in employees}
    everything = await asyncio.to_thread(find_own_files, state, wanted)
    found = {name: one for name, one in everything.items() if one.is_anything}
    erased = {name: Erased(one.pseudonym, len(one.sessions), len(one.evidence)) for name, one in found.items()}
    subjects.lock()
    try:
        await asyncio.gather(*(_record(log, one, operator) for one in erased.values()))
        await asyncio.to_thread(_delete, state, found)
    except BaseException:
        subjects.unlock()
        raise
    # Last: as long as the row exists, an interrupted erasure can be repeated.
    subjects.forget(found)
    return erased


async def _record(log: AuditLog, erased: Erased, operator: Operator) -> None:
    counts = {"sessions": erased.sessions, "evidence": erased.evidence}
    await log.append(records.SUBJECT_ERASED, None, **operator.fields, subject=erased.pseudonym, **counts)


def _delete(state: StateDir, found: Mapping[str, OwnFiles]) -> None:
    store = SessionStore(state)
    for name, one in found.items():
        for path in (*one.evidence, *one.session_rests, *one.acts, *one.by_employee):
            path.unlink(missing_ok=True)
        for session in one.sessions:
            store.remove(name, session.service)


async def prune(state: StateDir, log: AuditLog, before: date, operator: Operator) -> int:
    """Remove the records of runs that ended before a day (UTC), with their pictures and diagnostics.

    Their hashes stay. Returns the number of the first record still present. Raises as `AuditLog` does.
    """
    places = state.audit
    cut, runs = await asyncio.to_thread(lambda: _cut(read_records(places.log), before.isoformat()))
    if cut > _first(places.log):
        # Repeat the keys: the records that introduced them may be among those removed.
        keys = [str(key) for key in read_keys(places.vkey)]
        await log.append(records.LOG_PRUNED, None, **operator.fields, before=cut, keys=keys)
        await asyncio.to_thread(log.sign)
    for run in filter(RUN_ID.fullmatch, runs):
        shutil.rmtree(state.evidence / run, ignore_errors=True)
        state.diagnostics(run).unlink(missing_ok=True)

    def take_out() -> None:
        # Also completes an earlier prune that was interrupted.
        for segment in segments(places.log):
            if segment.first < cut:
                _take_out(segment, cut)
        sync_folder(places.log)

    await asyncio.to_thread(log.replace_files, take_out)
    return max(cut, _first(places.log))


def _cut(everything: Iterator[Mapping[str, Any]], day: str) -> tuple[int, list[str]]:
    """Return the first record that stays, and the runs before it. No run is split."""
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
    """Write the hashes first, then remove the lines: after a crash in between both exist and agree."""
    entries = list(segment.entries())
    gone, stays = entries[: cut - segment.first], entries[cut - segment.first :]
    if any(line is not None for _, line in gone):
        write_private(segment.hashes_path, b"".join(leaf for leaf, _ in gone), durable=True)
    if segment.first + SEGMENT_RECORDS <= cut:
        segment.path.unlink(missing_ok=True)
        return
    write_private(segment.path, b"".join(line + b"\n" for _, line in stays if line is not None), durable=True)
