"""What a command returns, and the one JSON object that `--output json` prints for it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.model import EXIT_OK

VERSION = 2
"""Version of the fields that every object has; docs/monitoring.md lists them."""

# The format of compilers (https://www.gnu.org/prep/standards/html_node/Errors.html), used by every message here.
_PLACE = re.compile(r"(?P<file>[^\s:][^:\n]*):(?P<line>[1-9][0-9]{0,8})?[: ]")


@dataclass(frozen=True)
class Answer:
    """Result of a command: `fields` for programs, and `show`, which prints the same for people.

    `errors` are sentences; they are printed in both cases.
    """

    fields: Mapping[str, Any]
    show: Callable[[], None] = lambda: None
    exit_code: int = EXIT_OK
    errors: Sequence[str] = ()


def envelope(command: str, exit_code: int, errors: Iterable[str], fields: Mapping[str, Any]) -> str:
    """Return the object as one line of ASCII, printable in any terminal and locale."""
    sentences = [sentence for error in errors for sentence in error.split("\n")]
    common = {"version": VERSION, "command": command, "exit_code": exit_code, "errors": list(map(_error, sentences))}
    return json.dumps(common | dict(fields))


def _error(sentence: str) -> dict[str, Any]:
    """Return a sentence with the file and line it begins with; None if it names none."""
    place = _PLACE.match(sentence)
    # HOST:PORT looks the same.
    if place is None or not os.path.isfile(place["file"]):  # noqa: PTH113 - Path.is_file raises for a long name
        return {"message": sentence, "file": None, "line": None}
    return {"message": sentence, "file": place["file"], "line": int(place["line"]) if place["line"] else None}
