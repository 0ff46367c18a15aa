"""Compares hand-written files next to `hr.yml` with what imports write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fleet.hr_import.hr_yml import ENDINGS, Entry, is_generated, read_hr_file
from fleet.hr_import.options import read_remembered, remembered_path
from fleet.inventory.source_lines import HostEntry, SourceLines

ENDINGS_BY_HAND = ("", ".ini", ".json", *ENDINGS)
"""File extensions of hand-written inventories."""


@dataclass(frozen=True)
class FolderCheck:
    """Findings of `fleet inventory check` for an inventory folder, as sentences."""

    unknown_to_hr: tuple[str, ...] = ()
    """Hand-written entries of people who are in no export and on no keep list."""
    overridden: tuple[str, ...] = ()
    """Values written both by an import and by hand, where they differ."""


def entries_beside(folder: Path) -> list[HostEntry]:
    """Return the employees in a folder's hand-written files and in its host_vars/."""
    if not folder.is_dir():
        return []
    folder = folder.resolve()
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix in ENDINGS_BY_HAND]
    sources = [str(path) for path in (*files, folder / "host_vars") if path.name[0] != "." and not is_generated(path)]
    return list(SourceLines(sources, folder).host_entries())


def check_folder(folder: Path) -> FolderCheck:
    """Compare the files of a folder. Empty unless imports write one of them. Raises InputError as `read_hr_file`."""
    folder = folder.resolve()
    generated = [path for path in sorted(folder.iterdir()) if path.is_file() and is_generated(path)]
    if not generated:
        return FolderCheck()
    keep = {name for path in generated for name in read_remembered(remembered_path(path)).keep}
    from_hr = {entry.name: (path, entry) for path in generated for entry in read_hr_file(path).entries}
    unknown: list[str] = []
    overridden: list[str] = []
    for hand in entries_beside(folder):
        if hand.name in from_hr:
            overridden += _overridden(hand, *from_hr[hand.name])
        elif hand.is_host and hand.name not in keep:
            unknown.append(
                f"{folder.name}/{hand.source}: {hand.name} is not in the HR export; remove the entry, or import with "
                f"--keep {hand.name}."
            )
    return FolderCheck(tuple(unknown), tuple(overridden))


def _overridden(hand: HostEntry, path: Path, entry: Entry) -> Iterator[str]:
    for variable, value in hand.variables.items():
        if variable in entry.variables and _text(value) != _text(entry.variables[variable]):
            # Ansible reads the files of a folder in alphabetical order, and host_vars/ after them.
            wins = "this file wins" if hand.is_host is False or hand.file.name > path.name else f"{path.name} wins"
            yield (
                f"{path.parent.name}/{hand.source}: {hand.name}: {variable} is also set in {path.name}, and {wins} as "
                "a whole; keep one of them."
            )


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)
