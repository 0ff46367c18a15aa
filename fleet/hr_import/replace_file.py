"""Replaces a file of an inventory as a whole, unless somebody else changes it meanwhile."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from fleet.errors import InputError
from fleet.hr_import.hr_yml import MAX_BYTES
from fleet.paths import read_regular, sync_folder


def replace_unchanged(path: Path, before: bytes | None, after: bytes) -> None:
    """Replace a file that must still have the content `before` (None: not exist); owner and mode stay.

    Raises InputError if it was changed, OSError if it cannot be written.
    """
    info = path.stat() if before is not None else None
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(after)
            if info is not None:
                if (info.st_uid, info.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(descriptor, info.st_uid, info.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(info.st_mode))
            file.flush()
            os.fsync(descriptor)
        if _content(path) != before:
            raise InputError(f"{path} was changed meanwhile, so it was not written; give the command again.")
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    sync_folder(path.parent)


def _content(path: Path) -> bytes | None:
    try:
        return read_regular(path, MAX_BYTES)
    except FileNotFoundError:
        return None
