"""Finds the header row of an export below its titles, and the totals below the last person."""

from __future__ import annotations

import re
from collections.abc import Collection

from fleet.hr_import.normalize import plain

_ABOVE = 20
"""The header must be among the first this many filled lines, within the first `_START` characters."""
_START = 200_000

# Labels that HR systems and spreadsheets put below the last person, in the four languages.
_TOTALS = (
    "total", "totals", "grand total", "sub total", "subtotal", "row count", "record count", "count", "total rows",
    "total records", "total count", "total employees", "headcount", "summe", "gesamt", "gesamtsumme", "insgesamt",
    "anzahl", "total general", "nombre", "effectif", "totale", "totale generale", "conteggio",
)  # fmt: skip


def below_titles(text: str, separators: str, headers: Collection[str]) -> tuple[list[str], str]:
    """Return the lines above the header, and the text from the header on.

    The header is the first line with one of the names in `headers`, or else the first line after the titles: leading
    lines with one filled cell, above a line with more. A line with an address is a person, never the header.
    """
    lines = re.findall(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+$", text[:_START])
    filled = [index for index, line in enumerate(lines) if line.strip(f" \r\n{separators}")][:_ABOVE]
    usable = [index for index in filled if "@" not in lines[index]]
    first = next((index for index in usable if _names(lines[index], separators) & set(headers)), None)
    if first is None and filled:
        titles = 0
        while titles < len(filled) and _is_title(lines[filled[titles]], separators):
            titles += 1
        if 0 < titles < len(filled) and filled[titles] in usable:
            first = filled[titles]
    above = lines[: first or 0]
    return above, text[sum(map(len, above)) :]


def _is_title(line: str, separators: str) -> bool:
    """Return True for a line with only its first cell filled."""
    is_whole = line.count('"') % 2 == 0  # a quoted header may continue on the next line
    return is_whole and "@" not in line and line[0] not in separators and _filled(line, separators) == 1


def _names(line: str, separators: str) -> set[str]:
    """Return the cells of a line, normalized by `plain`, for any of the separators."""
    if line.count('"') % 2:
        return set()
    return {plain(cell.replace('"', "")) for one in separators for cell in line.split(one)}


def _filled(line: str, separators: str) -> int:
    """Return the number of filled cells in a line, with the separator that gives the most."""
    return max(sum(bool(cell.strip()) for cell in unquoted(line).split(one)) for one in separators)


def unquoted(line: str) -> str:
    """Return a line with each quoted cell replaced by a placeholder."""
    return re.sub(r'"[^"]*"', "x", line)


def is_total(cells: tuple[str, ...]) -> bool:
    """Return True for a row that only counts people: `Total: 2`, or `Row Count` and a number."""
    first, *others = [cell.strip() for cell in cells if cell.strip()]
    words = first.rstrip("0123456789.,' ").rstrip(" :=")
    is_counted = first[-1].isdigit() or bool(others)
    return plain(words) in _TOTALS and is_counted and all(re.fullmatch(r"[\d.,' ]+", cell) for cell in others)
