"""`notices.csv`: one row per notice for a mail merge, read back once the notices are out."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from pathlib import Path

from pydantic import ValidationError

from fleet.audit.export import csv_cell, csv_row
from fleet.errors import InputError
from fleet.paths import read_regular
from fleet.state.employee_acts import WrittenNotice
from fleet.state.sent_notices import NoticeKind

NAME = "notices.csv"
MAX_BYTES = 64 * 1024 * 1024
_READ_BACK = ("id", "written_at", "employee", "kind", "controls")


@dataclass(frozen=True)
class MergeRow:
    """One notice. What it says about several controls is joined; `page` and `receipt` name files beside it."""

    id: str
    written_at: str
    employee: str
    email: str
    language: str
    kind: NoticeKind
    subject: str
    service: str
    label: str
    link: str
    steps: str
    page: str
    receipt: str
    controls: str
    """Names of the controls, separated by spaces."""


def csv_of(rows: Iterable[MergeRow]) -> str:
    """Return the file's content."""
    lines = [[csv_cell(str(value)) for value in asdict(row).values()] for row in rows]
    return "".join(map(csv_row, [[field.name for field in fields(MergeRow)], *lines]))


def read_rows(file: Path, today: date) -> Iterator[WrittenNotice]:
    """Yield the notices of a file that `csv_of` made, each once; a spreadsheet may have saved it with semicolons.

    Raises InputError with the line.
    """
    try:
        text = read_regular(file, MAX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}); give the {NAME} of your notices.") from None
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text; give the {NAME} as 'fleet notices write' wrote it.") from None
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    missing = [name for name in _READ_BACK if name not in (rows.fieldnames or ())]
    if missing:
        raise InputError(f"{file}:1: not a {NAME}: there is no column {', '.join(missing)}. Nothing was recorded.")
    seen: set[str] = set()
    for row in rows:
        try:
            one = WrittenNotice(
                id=row["id"],
                employee=row["employee"],
                kind=NoticeKind(row["kind"]),
                written_at=datetime.fromisoformat(row["written_at"]),
                sent_on=today,
                controls=tuple((row["controls"] or "").split()),
            )
        except (ValueError, TypeError, ValidationError):
            raise InputError(
                f"{file}:{rows.line_num}: this row is not as 'fleet notices write' wrote it; nothing was recorded."
            ) from None
        if one.id not in seen:
            seen.add(one.id)
            yield one
