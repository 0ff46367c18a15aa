"""Employees' pseudonyms, kept outside the log: a random pseudonym and a random key for each.

The log contains only pseudonyms and HMACs. Once a row is deleted, the person's records can no longer be linked to
them, and the log is still complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from fleet.errors import AuditError
from fleet.paths import is_there

# Equals STRICT, which needs SQLite 3.37 while RHEL 9 has 3.34. Existing STRICT tables are left as they are.
_TABLE = """
CREATE TABLE IF NOT EXISTS subjects (
    employee TEXT PRIMARY KEY CHECK (typeof(employee) = 'text'),
    pseudonym TEXT NOT NULL UNIQUE CHECK (typeof(pseudonym) = 'text'),
    key BLOB NOT NULL CHECK (typeof(key) = 'blob'),
    locale TEXT CHECK (typeof(locale) IN ('text', 'null'))
)
"""


@dataclass(frozen=True)
class Subject:
    """One person's row: pseudonym, key and locale."""

    pseudonym: str
    key: bytes
    locale: str | None = None

    def hmac(self, label: str, value: str | bytes) -> str:
        """Return the HMAC-SHA-256 (hex) of a personal value under this person's key; `label` names the kind."""
        data = value.encode() if isinstance(value, str) else value
        return hmac.new(self.key, label.encode() + b"\0" + data, hashlib.sha256).hexdigest()


class Subjects:
    """The side store `audit/subjects.sqlite` (0600)."""

    def __init__(self, path: Path) -> None:
        if not is_there(path):
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        try:
            self._database = sqlite3.connect(path, check_same_thread=False)
            self._database.execute(_TABLE)
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS mandates (employee TEXT PRIMARY KEY, fingerprint TEXT NOT NULL)"
            )
            self._database.execute("PRAGMA secure_delete = ON")  # deleted data is overwritten
        except sqlite3.Error as error:
            advice = "check that the disk has free space"
            if "malformed database schema" in str(error):
                advice = f"SQLite {sqlite3.sqlite_version} is too old for it: give this Python 3.37 or newer"
            raise AuditError(f"{path} cannot be opened as the store of pseudonyms ({error}); {advice}.") from None

    def of(self, locales: Mapping[str, str | None]) -> dict[str, Subject]:
        """Return the subjects of these employees and store their languages for their receipts.

        New employees get a pseudonym and a key. Raises AuditError if the store cannot be written.
        """
        rows = [(name, f"s_{secrets.token_hex(16)}", secrets.token_bytes(32), each) for name, each in locales.items()]
        try:
            with self._database:
                self._database.executemany(
                    "INSERT INTO subjects VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (employee) DO UPDATE SET locale = excluded.locale",
                    rows,
                )
            known = dict(_rows(self._database))
        except sqlite3.Error as error:
            raise _cannot_be_written(error) from None
        return {name: known[name] for name in locales}

    def met(self) -> dict[str, str]:
        """Return by employee the fingerprint of the last mandate recorded in the log. Raises AuditError."""
        try:
            return dict(self._database.execute("SELECT employee, fingerprint FROM mandates").fetchall())
        except sqlite3.Error as error:
            raise _cannot_be_read(error) from None

    def meet(self, fingerprints: Mapping[str, str]) -> None:
        """Store which mandates are recorded in the log. Raises AuditError."""
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO mandates VALUES (?, ?)", fingerprints.items())
        except sqlite3.Error as error:
            raise _cannot_be_written(error) from None

    def get(self, employee: str) -> Subject | None:
        """Return one employee's subject; None if no run has included them."""
        return self.everybody().get(employee)

    def rename(self, employee: str, name: str) -> None:
        """Give an employee's pseudonym and key to another name, both at once; a second call changes nothing.

        Raises AuditError.
        """
        try:
            with self._database:
                self._database.execute("UPDATE subjects SET employee = ? WHERE employee = ?", (name, employee))
                self._database.execute("UPDATE mandates SET employee = ? WHERE employee = ?", (name, employee))
            self._database.execute("VACUUM")
        except sqlite3.Error as error:
            raise _cannot_be_written(error) from None

    def lock(self) -> None:
        """Wait for readers to finish, and keep others out until `forget` or `unlock`. Raises AuditError."""
        try:
            self._database.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            raise _cannot_be_written(error) from None

    def unlock(self) -> None:
        """Release the lock without deleting anyone."""
        self._database.rollback()

    def forget(self, employees: Iterable[str]) -> None:
        """Delete the rows of employees, including their remains in the file. Raises AuditError."""
        rows = [(employee,) for employee in employees]
        try:
            with self._database:
                self._database.executemany("DELETE FROM subjects WHERE employee = ?", rows)
                self._database.executemany("DELETE FROM mandates WHERE employee = ?", rows)
            self._database.execute("VACUUM")
        except sqlite3.Error as error:
            raise _cannot_be_written(error) from None

    def everybody(self) -> dict[str, Subject]:
        """Return all subjects, by employee."""
        return dict(_rows(self._database))

    def close(self) -> None:
        """Close the store."""
        self._database.close()


def _rows(database: sqlite3.Connection) -> Iterator[tuple[str, Subject]]:
    try:
        rows = database.execute("SELECT employee, pseudonym, key, locale FROM subjects").fetchall()
    except sqlite3.Error as error:
        raise _cannot_be_read(error) from None
    for name, *subject in rows:
        yield name, Subject(*subject)


def _cannot_be_read(error: sqlite3.Error) -> AuditError:
    return AuditError(f"The store of pseudonyms cannot be read ({error}); restore it from a backup.")


def _cannot_be_written(error: sqlite3.Error) -> AuditError:
    return AuditError(f"The store of pseudonyms cannot be written ({error}); make it writable, then run again.")


def known_subjects(path: Path) -> dict[str, Subject]:
    """Return all subjects by employee; empty if there is no store yet. Raises AuditError if it cannot be read.

    Writes nothing: the store may be a copy that this user can only read.
    """
    if not is_there(path) or not path.stat().st_size:  # created a moment ago
        return {}
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            return dict(_rows(database))
    except sqlite3.Error as error:
        raise _cannot_be_read(error) from None


def known_names(path: Path) -> dict[str, str]:
    """Return employees by pseudonym; empty if there is no store yet. Raises AuditError if it cannot be read."""
    return {subject.pseudonym: name for name, subject in known_subjects(path).items()}
