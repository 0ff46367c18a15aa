"""Names blocked for all runs (revoked mandates, stopped services): one small file each, whose existence counts.

Only a missing file means that a name is not blocked: an empty, damaged or non-regular file blocks it, and if access is
denied, InputError is raised. Adding never waits for a lock, so that an emergency stop cannot be delayed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from fleet.errors import InputError
from fleet.model import SAFE_NAME
from fleet.paths import look, make_private_dir, read_regular, sync_folder, write_private

MAX_BYTES = 4096
NEVER_ENDS = datetime.max.replace(tzinfo=UTC)
"""Later than anything."""


class _Content(BaseModel):
    """Content of a file beside its name."""

    model_config = ConfigDict(frozen=True)

    name: str
    since: date
    at: AwareDatetime | None = None
    """The last time at which it was blocked. None in files of older versions: then the file's time counts."""
    reference: Annotated[str, Field(max_length=200)] | None = None
    operator: Annotated[int, Field(ge=0, le=10**12)] | None = None
    operator_claimed: Annotated[str, Field(max_length=200)] | None = None
    recorded: bool = False


@dataclass(frozen=True)
class Entry:
    """One blocked name. Fields are None where the file gives no value."""

    name: str
    since: date
    at: datetime
    """The last time at which it was blocked."""
    reference: str | None = None
    operator: int | None = None
    operator_claimed: str | None = None
    is_recorded: bool = False
    """False if the audit log does not record it yet."""


def _content_of(entry: Entry) -> bytes:
    content = _Content(
        name=entry.name,
        since=entry.since,
        at=entry.at,
        reference=entry.reference,
        operator=entry.operator,
        operator_claimed=entry.operator_claimed,
        recorded=entry.is_recorded,
    )
    return content.model_dump_json().encode()


class Blocklist:
    """A folder of such files. Only the audit log's writer removes or replaces one; any process may add one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._is_required = False

    def prepare(self) -> None:
        """Create the folder; from now on its absence blocks every name. Raises InputError."""
        make_private_dir(self.folder)
        self._is_required = True

    def __contains__(self, name: object) -> bool:
        """Return True if a name is blocked. Raises InputError if that cannot be determined."""
        return self._is_there() and look(self._path(str(name))) is not None

    def entries(self) -> Iterator[Entry]:
        """Yield all blocked names in order. Raises InputError if the folder cannot be read."""
        if self._is_there():
            try:
                names = sorted(path.name for path in self.folder.iterdir())
            except OSError as error:
                raise InputError(f"{self.folder} cannot be read ({error.strerror}); fix its mode or disk.") from None
            yield from (self._entry(name) for name in names if SAFE_NAME.fullmatch(name))

    def all(self) -> dict[str, date]:
        """Return the date since which each name is blocked. Raises InputError as `entries` does."""
        return {entry.name: entry.since for entry in self.entries()}

    def is_recorded(self, name: str) -> bool:
        """Return True if the audit log records that a name is blocked."""
        return self._entry(name).is_recorded

    def add(
        self,
        name: str,
        since: date,
        *,
        at: datetime | None = None,
        reference: str | None = None,
        operator: int | None = None,
        operator_claimed: str | None = None,
        is_durable: bool = True,
    ) -> bool:
        """Block a name, durable on return; return False if it was blocked already: then only its last time changes.

        `at` is when it was blocked, if not now. Raises InputError if it cannot be written.
        """
        at = at or datetime.now(UTC)
        content = _content_of(Entry(name, since, at, reference, operator, operator_claimed))
        path = self._path(name)
        make_private_dir(self.folder)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            self._block_again(name, at)
            return False
        except OSError as error:
            raise InputError(
                f"{path} cannot be created ({error.strerror}), so {name} is not blocked; free space."
            ) from None
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                if is_durable:
                    file.flush()
                    os.fsync(file.fileno())
            if is_durable:
                sync_folder(self.folder)
                sync_folder(self.folder.parent)
        except OSError as error:
            raise InputError(
                f"{path} exists, so {name} is blocked, but writing it failed ({error.strerror}); free "
                "space and run the command again."
            ) from None
        return True

    def note_recorded(self, entry: Entry) -> None:
        """Mark an entry as recorded in the log. Raises OSError."""
        # Not durable: after a power cut it may be recorded twice, or be empty, and still blocks.
        write_private(self._path(entry.name), _content_of(replace(entry, is_recorded=True)))

    def copy(self, name: str, other: str) -> None:
        """Block another name as well if a name is blocked, as of the same time or its own later one; durable on return.

        Raises InputError if that cannot be read, OSError if it cannot be written.
        """
        if name not in self:
            return
        entry = self._entry(name)
        if other in self:
            self._block_again(other, entry.at)
        else:
            write_private(self._path(other), _content_of(replace(entry, name=other)), durable=True)

    def _block_again(self, name: str, at: datetime) -> None:
        entry = self._entry(name)
        if at <= entry.at:
            return
        try:
            write_private(self._path(name), _content_of(replace(entry, at=at)), durable=True)
        except OSError as error:
            raise InputError(
                f"{self._path(name)} cannot be written ({error.strerror}); {name} is blocked since {entry.at}."
            ) from None

    def remove(self, name: str) -> None:
        """Unblock a name, durable on return. Raises InputError if its file cannot be removed."""
        path = self._path(name)
        try:
            path.unlink(missing_ok=True)
            sync_folder(self.folder)
        except OSError as error:
            raise InputError(f"{path} cannot be removed ({error.strerror}), so {name} stays blocked.") from None

    def _path(self, name: str) -> Path:
        if not SAFE_NAME.fullmatch(name):
            raise InputError(f"'{name}' cannot be looked up in {self.folder}: it is not a safe name.")
        return self.folder / name

    def _is_there(self) -> bool:
        there = look(self.folder)
        if there is None and not self._is_required:
            return False
        if there is None or not stat.S_ISDIR(there.st_mode):
            raise InputError(f"{self.folder} is not a folder; restore it from a backup.")
        return True

    def _entry(self, name: str) -> Entry:
        """Return a file's content; an unreadable file was not written by us, so there is nothing to record about it.

        Nothing comes after the time of such a file: it blocks until it is removed.
        """
        path, recorded, changed = self._path(name), True, datetime.now(UTC)
        try:
            changed = datetime.fromtimestamp(path.lstat().st_mtime, UTC)
            text = read_regular(path, MAX_BYTES)
            recorded = False
            content = _Content.model_validate_json(text)
        except (OSError, ValidationError):
            return Entry(name, changed.date(), NEVER_ENDS, is_recorded=recorded)
        return Entry(
            name,
            content.since,
            content.at or changed,
            content.reference,
            content.operator,
            content.operator_claimed,
            is_recorded=content.recorded,
        )
