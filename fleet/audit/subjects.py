"""People, outside the log: a random pseudonym and a random key for each.

The log holds pseudonyms and HMACs only. When a row goes, what the log says of that person is unlinkable noise,
and the log is still whole.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import AuditError


@dataclass(frozen=True)
class Subject:
    """One person as the log knows them."""

    pseudonym: str
    key: bytes

    def hmac(self, label: str, value: str | bytes) -> str:
        """HMAC-SHA-256 (hex) of a personal value under this person's key; `label` keeps kinds of values apart."""
        data = value.encode() if isinstance(value, str) else value
        return hmac.new(self.key, label.encode() + b"\0" + data, hashlib.sha256).hexdigest()


class Subjects:
    """The side store `audit/subjects.sqlite` (0600)."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        try:
            self._database = sqlite3.connect(path, check_same_thread=False)
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS subjects"
                " (employee TEXT PRIMARY KEY, pseudonym TEXT NOT NULL UNIQUE, key BLOB NOT NULL) STRICT"
            )
        except sqlite3.Error as error:
            raise AuditError(
                f"{path} cannot be opened as the store of pseudonyms ({error}); see that the disk has room."
            ) from None

    def of(self, employees: Iterable[str]) -> dict[str, Subject]:
        """The subjects of these employees; people seen for the first time get a pseudonym and a key.

        Raises AuditError if the store cannot be written.
        """
        names = list(employees)
        new = [(name, "s_" + secrets.token_hex(16), secrets.token_bytes(32)) for name in names]
        try:
            with self._database:
                self._database.executemany("INSERT OR IGNORE INTO subjects VALUES (?, ?, ?)", new)
            known = {name: Subject(pseudonym, key) for name, pseudonym, key in self._rows()}
        except sqlite3.Error as error:
            raise AuditError(
                f"The store of pseudonyms cannot be written ({error}); make it writable, then run again."
            ) from None
        return {name: known[name] for name in names}

    def names(self) -> dict[str, str]:
        """Employee by pseudonym, for showing the log to people who may know."""
        return {pseudonym: name for name, pseudonym, _ in self._rows()}

    def close(self) -> None:
        """Close the store."""
        self._database.close()

    def _rows(self) -> Iterable[tuple[str, str, bytes]]:
        return self._database.execute("SELECT employee, pseudonym, key FROM subjects")


def known_names(path: Path) -> dict[str, str]:
    """Employee by pseudonym, from a store that need not be there yet. Raises AuditError if it cannot be read."""
    if not path.exists():
        return {}
    subjects = Subjects(path)
    try:
        return subjects.names()
    finally:
        subjects.close()
