"""The text of a mandate that an organization approved, by its digest."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fleet.errors import InputError
from fleet.paths import read_regular

MAX_TEXT = 100_000
"""Bytes."""


def read_text(folder: Path, language: str, sha256: str) -> str:
    """Return an approved text. Raises InputError if it is missing or is not the one that was approved."""
    path = folder / f"mandate.{language}.txt"
    try:
        text = read_regular(path, MAX_TEXT)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); restore it.") from None
    if hashlib.sha256(text).hexdigest() != sha256:
        raise InputError(f"{path} is not the text that fleet.yml approves (sha256); restore it or approve it.")
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8; save it as UTF-8.") from None
