"""Deletes what has been kept long enough, as `retention` in fleet.yml says: pictures, and tokens with their acts."""

from __future__ import annotations

import asyncio
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fleet.audit import records
from fleet.audit.operator import Operator
from fleet.audit.segments import read_last_run
from fleet.authority.given import GivenMandates
from fleet.model import RUN_ID
from fleet.paths import StateDir, is_folder, sync_folder
from fleet.state.writer import Writer

_DONE = ("done", "refused")


@dataclass(frozen=True)
class Expired:
    """How much was deleted: pictures and labels, tokens of mandates, and acts from the portal."""

    pictures: int
    tokens: int
    acts: int

    @property
    def is_anything(self) -> bool:
        """Return True if anything was deleted."""
        return bool(self.pictures or self.tokens or self.acts)


@dataclass
class _Old:
    pictures: list[Path] = field(default_factory=list)
    tokens: dict[str, set[str]] = field(default_factory=dict)
    """Per employee the references of mandates whose token is old."""
    acts: list[Path] = field(default_factory=list)


async def expire(writer: Writer, pictures_days: int | None, tokens_days: int | None, operator: Operator) -> Expired:
    """Delete what is older than so many days, after it is recorded; None keeps it. An open run's pictures stay.

    Raises InputError if mandates cannot be read, AuditError if it cannot be recorded, and OSError.
    """
    old = await asyncio.to_thread(_find, writer.state, pictures_days, tokens_days, datetime.now(UTC))
    found = Expired(len(old.pictures), sum(map(len, old.tokens.values())), len(old.acts))
    if found.is_anything:
        days = {"pictures_days": pictures_days, "tokens_days": tokens_days}
        counts = {"pictures": found.pictures, "tokens": found.tokens, "acts": found.acts}
        await writer.log.append(records.DATA_EXPIRED, None, **operator.fields, **days, **counts)
        await asyncio.to_thread(_delete, writer.state, old)
    return found


def _find(state: StateDir, pictures_days: int | None, tokens_days: int | None, now: datetime) -> _Old:
    old = _Old()
    if pictures_days is not None:
        old.pictures = list(_old_pictures(state, now - timedelta(days=pictures_days)))
    if tokens_days is not None:
        limit = now - timedelta(days=tokens_days)
        given = GivenMandates(state.mandates)
        for name in given.names():
            references = {
                one.reference for one in given.of(name).mandates if one.id_token is not None and one.given_at < limit
            }
            if references:
                old.tokens[name] = references
        acts = (path for folder in _DONE for path in (state.portal / folder).glob("*"))
        old.acts = [path for path in acts if path.lstat().st_mtime < limit.timestamp()]
    return old


def _old_pictures(state: StateDir, limit: datetime) -> Iterator[Path]:
    """Yield the files of runs that began before `limit`, by the runs' ids: a copy may have lost the files' times."""
    last = list(read_last_run(state.audit.log, rehearsal=None))
    is_open = bool(last) and all(record["event"] != records.RUN_FINISHED for record in last)
    for folder in state.evidence.iterdir():
        if RUN_ID.fullmatch(folder.name) is None or (is_open and folder.name == last[0]["run"]):
            continue
        began = datetime.strptime(re.split("-", folder.name)[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if began < limit:
            # A link goes itself; what it leads to is not ours.
            found = folder.iterdir() if _is_folder(folder) else [folder]
            yield from (path for path in found if not _is_folder(path))


def _is_folder(path: Path) -> bool:
    """Return True for a folder itself, not for a link to one."""
    return stat.S_ISDIR(path.lstat().st_mode)


def _delete(state: StateDir, old: _Old) -> None:
    for path in (*old.pictures, *old.acts):
        path.unlink(missing_ok=True)
    for folder in {path.parent for path in old.pictures} - {state.evidence}:
        if not any(folder.iterdir()):
            folder.rmdir()
    store = GivenMandates(state.mandates)
    for name, references in old.tokens.items():
        given = store.of(name)
        mandates = tuple(
            one.model_copy(update={"id_token": None}) if one.reference in references else one for one in given.mandates
        )
        store.put(given.model_copy(update={"mandates": mandates}))
    for path in (state.evidence, *(state.portal / name for name in _DONE)):
        if is_folder(path):
            sync_folder(path)
