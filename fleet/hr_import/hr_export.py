"""Reads an HR system's CSV export strictly: a truncated or damaged file is refused, never partly read.

Separators are commas, semicolons or tabs. Encodings are UTF-8 with or without BOM, UTF-16 with BOM (Excel's "Unicode
text"), or a Windows code page, which a file does not declare. Only Excel writes `sep=;` before the header.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from fleet.errors import InputError
from fleet.hr_import.header_row import below_titles, is_total, unquoted
from fleet.hr_import.normalize import plain
from fleet.model import counted

MAX_BYTES = 64 * 1024 * 1024
MAX_ROWS = 100_000
MAX_COLUMNS = 500
MAX_CELL = 10_000
"""Maximum characters in a cell, used or not; a longer one is an unclosed quote."""
MAX_MISTAKES = 50
"""Maximum number of mistakes shown at once."""


STDIN = Path("-")


class OnBadRow(StrEnum):
    """What to do with a row that cannot be read."""

    REFUSE = "refuse"
    SKIP = "skip"


class Encoding(StrEnum):
    """Encodings for `--encoding`; by default UTF-8, or UTF-16 if the file begins with its BOM."""

    UTF_8 = "utf-8"
    UTF_16_LE = "utf-16-le"
    UTF_16_BE = "utf-16-be"
    CP1252 = "cp1252"


@dataclass(frozen=True)
class Row:
    """One row of the export; `line` is where it begins, from 1."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class BrokenRow:
    """A row whose cells do not match the header, and why."""

    row: Row
    mistakes: tuple[str, ...]


@dataclass(frozen=True)
class Export:
    """A complete export: every row has as many cells as the header."""

    path: Path
    header: Row
    rows: tuple[Row, ...]
    ends_with_line_end: bool
    """False for a file that may be truncated in its last cell; some systems never write a final newline."""
    above: tuple[int, ...] = ()
    """Filled lines above the header: titles, dates, who ran the report."""
    totals: tuple[Row, ...] = ()
    """Rows below the last person that count people."""
    broken: tuple[BrokenRow, ...] = ()
    """Rows that were skipped, if requested."""

    def called(self, name: str) -> list[int]:
        """Return the indexes of columns with this name: exact, or else ignoring case, accents and punctuation."""
        header = self.header.cells
        exact = [index for index, one in enumerate(header) if one.strip() == name]
        return exact or [index for index, one in enumerate(header) if plain(one) == plain(name)]


def read_export(
    path: Path,
    encoding: Encoding | None = None,
    headers: Collection[str] = (),
    on_bad_row: OnBadRow = OnBadRow.REFUSE,
) -> Export:
    """Read an export, from standard input if the path is `-`.

    `headers` are column names (normalized by `plain`), of which the header must have one, to find it below titles.

    Raises InputError that lists all mistakes as `file:line: what; what to do`.
    """
    try:
        data = _read(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give the file that your HR system exported."
        ) from None
    if len(data) > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES // 1024 // 1024} MiB; export only the columns you need.")
    text = _decoded(path, data, encoding)
    if not text.strip():
        raise InputError(f"{path} is empty; export it again.")
    if "\0" in text:
        line = _line(text, text.index("\0"))
        raise InputError(f"{path}:{line}: contains a NUL byte, so it is damaged or not text; export it again as CSV.")
    skipped, separators, first = 0, ",;\t", re.match(r"sep=([^\r\n]*)(?:\r\n?|\n)", text)
    if first:
        skipped, separators, text = 1, first[1], text[first.end() :]
        if not re.fullmatch(r'[^\w" ]', separators):
            raise InputError(
                f"{path}:1: 'sep=' needs one separator after it; write sep=; (or a comma or tab), or delete the line."
            )
    above, text = below_titles(text, separators, headers)
    delimiter = _delimiter(text, separators)
    header, *rows = _rows(path, text, delimiter, skipped + len(above)) or [Row(1, ())]
    if len(rows) > MAX_ROWS:
        raise InputError(f"{path} has more than {MAX_ROWS:,} rows; import one country at a time.")
    last = len(rows)
    while last and is_total(rows[last - 1].cells):
        last -= 1
    broken = [BrokenRow(row, what) for row in rows[:last] if (what := tuple(_misshapen(header.cells, row.cells)))]
    if (mistakes := [*_misshapen(header.cells, header.cells)]) or (broken and on_bad_row is OnBadRow.REFUSE):
        told = [f"{path}:{header.line}: {what}" for what in mistakes]
        told += (f"{path}:{one.row.line}: {what}" for one in broken for what in one.mistakes)
        raise InputError(listed(told) if mistakes else f"{listed(told)}\n{WAY_OUT}")
    lost = {one.row.line for one in broken}
    return Export(
        path,
        header,
        tuple(row for row in rows[:last] if row.line not in lost),
        text.endswith(("\n", "\r")),
        tuple(number for number, line in enumerate(above, skipped + 1) if line.strip(f" \r\n{separators}")),
        tuple(rows[last:]),
        tuple(broken),
    )


WAY_OUT = "Nothing was written. Fix these rows, or skip and list them: --on-bad-row skip"


def _read(path: Path) -> bytes:
    """Return the content of a file, a pipe or standard input, up to one byte over the limit. Raises OSError."""
    if path == STDIN:
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def _decoded(path: Path, data: bytes, encoding: Encoding | None) -> str:
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    # The file's BOM overrides the option, which may have been saved for other exports.
    codec = _MARKS.get(mark) or (encoding.value if encoding else "utf-8")
    if not mark and not encoding and data[:200].count(0) > len(data[:200]) // 4:
        raise InputError(f"{path} looks like UTF-16 without a BOM; add --encoding utf-16-le (or utf-16-be).")
    if codec == Encoding.CP1252 and not data.isascii() and _is_utf_8(data):
        line = data[: len(data) - len(data.lstrip(_ASCII))].count(b"\n") + 1
        raise InputError(
            f"{path}:{line}: UTF-8 text, but --encoding cp1252 was given, now or for an earlier import; add "
            "--encoding utf-8."
        )
    try:
        return data[len(mark) :].decode(codec)
    except UnicodeDecodeError as error:
        if codec.startswith("utf-16"):
            raise InputError(
                f"{path} ends in the middle of a character, so it was truncated; export it again."
            ) from None
        line = data[: error.start + len(mark)].count(b"\n") + 1
        fix = "save it as UTF-8, or add --encoding cp1252 if it comes from Windows" if codec == "utf-8" else "fix it"
        raise InputError(f"{path}:{line}: not {codec.upper()} text; {fix}.") from None


_ASCII = bytes(range(128))


def _is_utf_8(data: bytes) -> bool:
    """Return True for text in UTF-8; text in a code page is almost never valid UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _delimiter(text: str, separators: str) -> str:
    """Return the separator of the header's names outside quotes; a comma if there is only one column."""
    header = unquoted(re.split("[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0])
    return max(separators, key=header.count)


def _rows(path: Path, text: str, delimiter: str, skipped: int) -> list[Row]:
    """Return header and rows without blank ones. Raises InputError for invalid CSV."""
    rows: list[Row] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = skipped + 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(Row(line, tuple(cells)))
            line = skipped + reader.line_num + 1
            if len(rows) > MAX_ROWS + 1:
                break
    except csv.Error as error:
        raise InputError(f"{path}:{line}: {_words(str(error))}") from None
    return rows


def _misshapen(header: tuple[str, ...], cells: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with a row's shape."""
    if len(cells) != len(header):
        what = "too few, so the file was truncated or a line is broken" if len(cells) < len(header) else "too many"
        yield (
            f"{counted(len(cells), 'cell')}, but the header has {len(header)}: {what}; export it again with cells that "
            "contain separators in quotes, or delete the line if it has no employee."
        )
    if len(cells) > MAX_COLUMNS:
        yield f"more than {MAX_COLUMNS} columns; export only those you need."
    if any(len(cell) > MAX_CELL for cell in cells):
        yield f"a cell has more than {MAX_CELL:,} characters; check that every quote is closed."


def _words(error: str) -> str:
    """Return the csv module's error as a sentence with the fix."""
    if "unexpected end" in error or "limit" in error:
        return "a quote opened here is never closed, so the file was truncated or is damaged; export it again."
    return "a quote in the middle of a cell; export it again with quotes inside cells doubled."


def listed(mistakes: list[str]) -> str:
    """Return one line for each of the first mistakes, and how many more there are."""
    more = len(mistakes) - MAX_MISTAKES
    return "\n".join([*mistakes[:MAX_MISTAKES], *([f"{more} more mistakes."] if more > 0 else [])])


def _line(text: str, index: int) -> int:
    return text.count("\n", 0, index) + 1
