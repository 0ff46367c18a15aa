"""The folder of checkpoints: one signed note for each tree size that was ever signed."""

from __future__ import annotations

import re
from pathlib import Path

from fleet.audit.signed_note import MAX_NOTE_BYTES
from fleet.paths import is_folder, make_private_dir, write_private

_NAME = re.compile(r"[0-9]{12}")


def write_checkpoint(folder: Path, size: int, note: str) -> None:
    """Write a checkpoint, durable under its final name or not at all. Raises OSError."""
    make_private_dir(folder)
    write_private(folder / f"{size:012}", note.encode(), durable=True)


def sizes(folder: Path) -> list[int]:
    """Return the sizes that have a checkpoint, smallest first."""
    if not is_folder(folder):
        return []
    return sorted(int(path.name) for path in folder.iterdir() if _NAME.fullmatch(path.name))


def read_newest(folder: Path) -> str:
    """Return the checkpoint of the largest size, or an empty string if no size has one."""
    found = sizes(folder)
    return read_note(folder, found[-1]) if found else ""


def read_note(folder: Path, size: int) -> str:
    """Return the checkpoint of one size. Non-text, non-files and oversized files return text that no signature fits."""
    path = folder / f"{size:012}"
    if not path.is_file() or path.is_symlink() or path.stat().st_size > MAX_NOTE_BYTES:
        return ""
    return path.read_bytes().decode("utf-8", "replace")
