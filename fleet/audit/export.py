"""Records in formats for other programs: unchanged, as CSV, for Elastic, for a security data lake."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

import orjson

from fleet.audit.ecs import as_ecs
from fleet.audit.ocsf import as_ocsf
from fleet.audit.records import COMMON_ORDER, FIELDS

Record = Mapping[str, Any]


class Format(StrEnum):
    """An export format."""

    JSONL = "jsonl"
    CSV = "csv"
    OCSF = "ocsf"
    ECS = "ecs"


_CONVERTERS: dict[Format, Callable[..., dict[str, Any]]] = {Format.ECS: as_ecs, Format.OCSF: as_ocsf}
"""What turns one record into an event of the format."""


def export(
    form: Format, records: Iterable[tuple[bytes, Record]], origin: str, names: Mapping[str, str]
) -> Iterator[str]:
    """Yield the lines of an export, LF included.

    `records` are log lines with their parsed content, `origin` is the log's name. `names` (employee by pseudonym) is
    empty for a pseudonymous export.
    """
    if form is Format.JSONL:
        for line, record in records:
            name = names.get(record.get("subject", ""))
            yield (line.decode() if name is None else orjson.dumps({**record, "employee": name}).decode()) + "\n"
    elif form is Format.CSV:
        yield from _as_csv((record for _, record in records), names)
    else:
        convert = _CONVERTERS[form]
        for line, record in records:
            yield orjson.dumps(convert(line, record, origin, names.get(record.get("subject", "")))).decode() + "\n"


def _as_csv(records: Iterable[Record], names: Mapping[str, str]) -> Iterator[str]:
    fields = sorted({field for of_event in FIELDS.values() for field in of_event})
    columns = [*COMMON_ORDER, *(["employee"] if names else []), *fields]
    yield csv_row(columns)
    for record in records:
        values = {**record, "employee": names.get(record.get("subject", ""))}
        yield csv_row([csv_cell(values.get(column)) for column in columns])


def csv_row(cells: Iterable[str]) -> str:
    """Return a line of CSV, LF included; every cell is quoted."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(cells)
    return text.getvalue()


def csv_cell(value: Any) -> str:
    """Return a value as a cell that no spreadsheet executes."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return json.dumps(value, separators=(",", ":"))
    plain = "".join(character if character.isprintable() else " " for character in value)
    # A spreadsheet would execute it as a formula.
    return f"'{plain}" if plain.lstrip()[:1] in tuple("=+-@") else plain
