"""Writes an employee's acts into the inbox, and reads back those that were not ingested yet."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from fleet.authority.inbox import ACT, MAX_BYTES, MAX_FILES, Act, MandateAct, RevokeAct, is_ours

MOST_OF_ONE_PERSON = 100
"""Acts of one employee that may wait in the inbox, so that nobody can fill it alone."""
KEPT_FOR_REVOCATIONS = 1_000
"""Places in the inbox that only revocations get."""
_MODE = 0o640  # the user of `fleet` reads it by its group


class NotSaved(Exception):
    """An act could not be written; nothing of it is left in the inbox. The message is for the administrator's log."""


class Acts:
    """The inbox, as the portal's user sees it."""

    def __init__(self, inbox: Path) -> None:
        self._inbox = inbox
        self._known: dict[str, Act] = {}

    def pending(self, employee: str) -> list[Act]:
        """Return an employee's acts that were not ingested yet, oldest first. Raises NotSaved if none can be read."""
        try:
            place = self._open()
        except OSError as error:
            raise NotSaved(f"{self._inbox} cannot be read ({error.strerror})") from None
        try:
            self._refresh(place)
        finally:
            os.close(place)
        return sorted((act for act in self._known.values() if act.employee == employee), key=lambda act: act.at)

    def write(self, act: Act) -> None:
        """Write one act; durable on return. Raises NotSaved."""
        mine = self.pending(act.employee)
        if isinstance(act, RevokeAct):
            giving = [one for one in mine if isinstance(one, (MandateAct, RevokeAct))]
            if giving and isinstance(giving[-1], RevokeAct):
                return  # a revocation is already there, and no mandate followed it
        elif len(mine) >= MOST_OF_ONE_PERSON:
            raise NotSaved(f"one employee has {len(mine)} acts in {self._inbox}; run: fleet portal ingest")
        elif len(self._known) >= MAX_FILES - KEPT_FOR_REVOCATIONS:
            raise NotSaved(f"{self._inbox} is full; run: fleet portal ingest")
        content = act.model_dump_json().encode()
        if len(content) > MAX_BYTES:
            raise NotSaved(f"an act is larger than {MAX_BYTES // 1024} KiB")
        name = f"{act.act}-{secrets.token_hex(16)}.json"
        try:
            place = self._open()
            try:
                _write(place, name, content)
            finally:
                os.close(place)
        except OSError as error:
            raise NotSaved(f"{self._inbox} cannot be written ({error.strerror})") from None
        self._known[name] = act

    def _open(self) -> int:
        return os.open(self._inbox, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)

    def _refresh(self, place: int) -> None:
        """Read the files that are new; those that were read never change."""
        names = {name for name in os.listdir(place) if is_ours(name)}
        found = {name: act for name, act in self._known.items() if name in names}
        for name in names - found.keys():
            if act := _read(place, name):
                found[name] = act
        self._known = found


def _write(place: int, name: str, content: bytes) -> None:
    hidden = f".{name}"
    descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _MODE, dir_fd=place)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, _MODE)  # whatever the umask
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.rename(hidden, name, src_dir_fd=place, dst_dir_fd=place)
    except BaseException:
        with suppress(OSError):
            os.unlink(hidden, dir_fd=place)
        raise
    os.fsync(place)


def _read(place: int, name: str) -> Act | None:
    """Return the act in a file of ours; None for anything else."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    except OSError:
        return None
    try:
        seen = os.fstat(descriptor)
        is_mine = stat.S_ISREG(seen.st_mode) and seen.st_uid == os.geteuid() and seen.st_size <= MAX_BYTES
        return ACT.validate_json(os.read(descriptor, MAX_BYTES)) if is_mine else None
    except (OSError, ValidationError):
        return None
    finally:
        os.close(descriptor)
