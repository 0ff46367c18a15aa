"""A folder of exported sessions: whose each file is, by its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import InputError

_EXPORT = re.compile(r"(?P<employee>.+?)\.(?P<service>[^.]+?)( ?\(\d+\))?(\.(json|txt))+", re.IGNORECASE)
"""EMPLOYEE.SERVICE.json or .txt, and what systems make of it: `.JSON`, `.json.txt`, `x (1).json`."""


@dataclass(frozen=True)
class SessionFile:
    """One file and the account that its name says."""

    employee: str
    service: str
    path: Path


@dataclass(frozen=True)
class SessionFiles:
    """What lies in a folder: files to be read, sentences for those that cannot be told, and what holds no session."""

    files: tuple[SessionFile, ...]
    refused: tuple[str, ...]
    ignored: tuple[str, ...]


def session_files(folder: Path) -> SessionFiles:
    """Every entry of a folder, in the order of their names. Raises InputError if there is no file in it."""
    files: dict[tuple[str, str], list[SessionFile]] = {}
    refused, ignored = [], []
    for path in sorted(folder.iterdir()):
        named = _EXPORT.fullmatch(path.name)
        if path.name.startswith(".") or path.is_dir():
            ignored.append(str(path))
        elif named is None:
            refused.append(f"{path}: its name does not say whose it is; rename it to EMPLOYEE.SERVICE.json.")
        else:
            one = SessionFile(named["employee"], named["service"], path)
            files.setdefault((one.employee, one.service), []).append(one)
    if not files and not refused:
        raise InputError(f"--from {folder}: no file EMPLOYEE.SERVICE.json in it.")
    for (employee, service), several in list(files.items()):
        if len(several) > 1:
            names = " and ".join(one.path.name for one in several)
            refused += [f"{one.path}: {names} are both of {employee} at {service}; keep one." for one in several]
            del files[employee, service]
    return SessionFiles(tuple(one for [one] in files.values()), tuple(refused), tuple(ignored))
