"""Checkpoints that were kept elsewhere: in separate files, or within a report, a receipt or an e-mail."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import InputError

MAX_BYTES = 64 * 1024 * 1024
_NOTE = re.compile(r"^[^\n]+\n[0-9]{1,18}\n[A-Za-z0-9+/]{43}=\n\n(?:— [^\n ]+ [A-Za-z0-9+/=]+\n)+", re.MULTILINE)


@dataclass(frozen=True)
class Anchor:
    """One signed note and the file it was found in."""

    source: str
    note: str


def read_anchors(path: Path) -> list[Anchor]:
    """Return the checkpoints found anywhere in a file.

    Mail quote marks (`> `), HTML and foreign line ends are ignored. Raises InputError if there is no checkpoint.
    """
    try:
        content = path.read_bytes()[:MAX_BYTES]
    except OSError as error:
        raise InputError(f"--anchor {path} cannot be read ({error.strerror}).") from None
    # Drop very long character references: Python fails on their numbers.
    text = re.sub(r"<[^<>]{0,200}>|&#[0-9]{8,};?", "", content.decode("utf-8", "replace"))
    plain = html.unescape(text)
    lines = (re.sub(r"^[ \t>]+", "", line).rstrip() for line in plain.splitlines())
    found = dict.fromkeys(_NOTE.findall("\n".join([*lines, ""])))
    if not found:
        raise InputError(f"--anchor {path} contains no checkpoint; give a file with its lines, from the name to the —.")
    return [Anchor(str(path), note) for note in found]
