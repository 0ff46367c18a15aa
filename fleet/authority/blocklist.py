"""Names that are shut to all runs (revoked mandates, stopped services): one small file each, whose presence counts.

Nothing but a missing file says that a name is open: a file that is empty, damaged or not a file at all shuts it, and
where nobody can look, InputError says so. Adding never waits for anybody, so that an emergency cannot be held up.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fleet.errors import InputError
from fleet.model import SAFE_NAME
from fleet.paths import look, make_private_dir, read_regular, sync_folder, write_private

MAX_BYTES = 4096


class _Content(BaseModel):
    """What a file says beside its own name."""

    model_config = ConfigDict(frozen=True)

    name: str
    since: date
    reference: Annotated[str, Field(max_length=200)] | None = None
    operator: Annotated[int, Field(ge=0, le=10**12)] | None = None
    operator_claimed: Annotated[str, Field(max_length=200)] | None = None
    recorded: bool = False


@dataclass(frozen=True)
class Entry:
    """One name that is shut. Whoever shut it is None where the file does not say."""

    name: str
    since: date
    reference: str | None = None
    operator: int | None = None
    operator_claimed: str | None = None
    is_recorded: bool = False
    """False if the audit log has yet to be told."""


class Blocklist:
    """A folder of such files. Only who writes the audit log removes or replaces one; anybody may add at any time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._is_required = False

    def prepare(self) -> None:
        """Make the folder; from here on its absence shuts every name. Raises InputError."""
        make_private_dir(self.folder)
        self._is_required = True

    def __contains__(self, name: object) -> bool:
        """True if a name is shut. Raises InputError where that cannot be seen."""
        return self._is_there() and look(self._path(str(name))) is not None

    def entries(self) -> Iterator[Entry]:
        """Everything that is shut, by name. Raises InputError if the folder cannot be read."""
        if self._is_there():
            try:
                names = sorted(path.name for path in self.folder.iterdir())
            except OSError as error:
                raise InputError(f"{self.folder} cannot be read ({error.strerror}); fix its mode or disk.") from None
            yield from (self._entry(name) for name in names if SAFE_NAME.fullmatch(name))

    def all(self) -> dict[str, date]:
        """Since when each name is shut. Raises InputError as `entries` does."""
        return {entry.name: entry.since for entry in self.entries()}

    def is_recorded(self, name: str) -> bool:
        """True if the audit log knows that a name is shut."""
        return self._entry(name).is_recorded

    def add(
        self,
        name: str,
        since: date,
        *,
        reference: str | None = None,
        operator: int | None = None,
        operator_claimed: str | None = None,
        is_durable: bool = True,
    ) -> bool:
        """Shut a name; False if it was shut already, and the first entry stays. On the disk when this returns.

        Raises InputError if that cannot be kept.
        """
        content = _Content(
            name=name, since=since, reference=reference, operator=operator, operator_claimed=operator_claimed
        )
        path = self._path(name)
        make_private_dir(self.folder)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return False
        except OSError as error:
            raise InputError(f"{path} cannot be made ({error.strerror}), so {name} is not shut; make room.") from None
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content.model_dump_json().encode())
                if is_durable:
                    file.flush()
                    os.fsync(file.fileno())
            if is_durable:
                sync_folder(self.folder)
                sync_folder(self.folder.parent)
        except OSError as error:
            raise InputError(
                f"{path} is there, so {name} is shut, but it could not be written to the end ({error.strerror}); make "
                "room and give the command again."
            ) from None
        return True

    def note_recorded(self, entry: Entry) -> None:
        """Write down that the log knows of an entry. Raises OSError."""
        content = _Content(
            name=entry.name,
            since=entry.since,
            reference=entry.reference,
            operator=entry.operator,
            operator_claimed=entry.operator_claimed,
            recorded=True,
        )
        # Not durable: after a power cut it may be recorded twice, or be empty, and it counts all the same.
        write_private(self._path(entry.name), content.model_dump_json().encode())

    def remove(self, name: str) -> None:
        """Open a name again, durable when this returns. Raises InputError if its file cannot be removed."""
        path = self._path(name)
        try:
            path.unlink(missing_ok=True)
            sync_folder(self.folder)
        except OSError as error:
            raise InputError(f"{path} cannot be removed ({error.strerror}), so {name} stays shut.") from None

    def _path(self, name: str) -> Path:
        if not SAFE_NAME.fullmatch(name):
            raise InputError(f"'{name}' cannot be looked up in {self.folder}: it is not a safe name.")
        return self.folder / name

    def _is_there(self) -> bool:
        there = look(self.folder)
        if there is None and not self._is_required:
            return False
        if there is None or not stat.S_ISDIR(there.st_mode):
            raise InputError(f"{self.folder} is not a folder; put it back from a copy.")
        return True

    def _entry(self, name: str) -> Entry:
        """What a file says; what is not a readable file is nobody's act, so there is nothing to record of it."""
        path, recorded, since = self._path(name), True, datetime.now(UTC).date()
        try:
            since = datetime.fromtimestamp(path.lstat().st_mtime, UTC).date()
            text = read_regular(path, MAX_BYTES)
            recorded = False
            content = _Content.model_validate_json(text)
        except (OSError, ValidationError):
            return Entry(name, since, is_recorded=recorded)
        return Entry(
            name,
            content.since,
            content.reference,
            content.operator,
            content.operator_claimed,
            is_recorded=content.recorded,
        )
