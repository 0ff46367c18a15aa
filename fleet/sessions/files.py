"""A folder of exported sessions; each file's name gives its account."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import InputError

_EXPORT = re.compile(r"(?P<employee>.+?)\.(?P<service>[^.]+?)( ?\(\d+\))?(\.(json|txt))+", re.IGNORECASE)
"""EMPLOYEE.SERVICE.json or .txt, and variants that systems create: `.JSON`, `.json.txt`, `x (1).json`."""


@dataclass(frozen=True)
class SessionFile:
    """One file and the account in its name."""

    employee: str
    service: str
    path: Path


@dataclass(frozen=True)
class SessionFiles:
    """A folder's contents: session files, sentences about files with unclear names, and files without a session."""

    files: tuple[SessionFile, ...]
    refused: tuple[str, ...]
    ignored: tuple[str, ...]


def session_files(folder: Path) -> SessionFiles:
    """Return every entry of a folder, sorted by name. Raises InputError if the folder contains no file."""
    files: dict[tuple[str, str], list[SessionFile]] = {}
    refused, ignored = [], []
    for path in sorted(folder.iterdir()):
        named = _EXPORT.fullmatch(path.name)
        if path.name.startswith(".") or path.is_dir():
            ignored.append(str(path))
        elif named is None:
            refused.append(f"{path}: the file name does not identify an account; rename it to EMPLOYEE.SERVICE.json.")
        else:
            one = SessionFile(named["employee"], named["service"], path)
            files.setdefault((one.employee, one.service), []).append(one)
    if not files and not refused:
        raise InputError(f"--from {folder}: no file named EMPLOYEE.SERVICE.json in it.")
    for (employee, service), several in list(files.items()):
        if len(several) > 1:
            names = " and ".join(one.path.name for one in several)
            refused += [f"{one.path}: {names} are both for {employee} at {service}; keep one." for one in several]
            del files[employee, service]
    return SessionFiles(tuple(one for [one] in files.values()), tuple(refused), tuple(ignored))
