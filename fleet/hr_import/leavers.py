"""Rows that an import may skip: those excluded by `--where`, and those of people who have left."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from fleet.errors import InputError
from fleet.hr_import.hr_export import Export, listed
from fleet.hr_import.normalize import clean, plain

Where = Mapping[str, tuple[str, ...]]
"""Column to the values of which a row must have one; every column must match."""

# Names of these columns in HR systems, in the four languages, normalized by `plain`.
_STATUS = frozenset({
    "status", "employment status", "employee status", "worker status", "work status", "person status", "hr status",
    "job status", "statut", "statut de l employe", "etat", "mitarbeiterstatus", "beschaftigungsstatus",
    "personalstatus", "stato", "stato dipendente", "stato impiego",
})  # fmt: skip
_ACTIVE = frozenset({"active", "is active", "active status", "employee active", "enabled", "actif", "aktiv", "attivo"})
_ENDS = frozenset({
    "termination date", "date of termination", "terminated on", "end date", "employment end date", "end of employment",
    "contract end date", "contract end", "leaving date", "date of leaving", "leave date", "exit date", "date of exit",
    "last day", "last day of work", "last working day", "separation date", "departure date", "resignation date",
    "termination effective date", "date de fin", "date de fin de contrat", "date de depart", "date de sortie",
    "fin de contrat", "austritt", "austrittsdatum", "austrittstermin", "vertragsende", "enddatum", "letzter arbeitstag",
    "kundigungsdatum", "data di cessazione", "data cessazione", "data fine", "data di fine", "data fine rapporto",
    "fine contratto", "data di uscita",
})  # fmt: skip
_LEFT = (
    "terminat", "inactiv", "deactivat", "disabled", "left", "leaver", "resigned", "retired", "dismissed", "departed",
    "separated", "offboarded", "former", "deceased", "inactif", "sorti", "demission", "licenci", "retrait",
    "ancien", "inaktiv", "ausgeschieden", "ausgetreten", "gekundigt", "ehemalig", "beendet", "inattiv", "cessat",
    "dimess", "dimission", "pensionat", "uscit",
)  # fmt: skip
"""Prefixes of words that mean a person has left."""
_NOT = ("not active", "non active", "non actif", "non attivo", "nicht aktiv", "no longer employed")
_GONE = frozenset({"t", "term", "parti", "partie", "ex"})
_NO = frozenset({"no", "n", "false", "0", "non", "nein", "faux", "falsch", "falso"})


MAX_WHERE = 200
"""Maximum characters in a `--where`, which is remembered."""


class OnLeaver(StrEnum):
    """What to do with rows that mark a person as having left."""

    REFUSE = "refuse"
    SKIP = "skip"
    TAKE = "take"


@dataclass(frozen=True)
class Leaver:
    """A row that marks a person as having left, with the column and its value."""

    line: int
    column: str
    value: str

    def __str__(self) -> str:
        return f"line {self.line} ({self.column}: {self.value})"


def parse_where(values: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Parse `--where COLUMN=VALUE`; several values for one column are alternatives. Raises InputError."""
    given: dict[str, tuple[str, ...]] = {}
    for value in values:
        column, sign, wanted = value.partition("=")
        if not sign or not column.strip() or not value.isprintable() or len(value) > MAX_WHERE:
            raise InputError(f"--where {value}: write it as COLUMN=VALUE, such as: --where 'Status=Active'")
        given[column.strip()] = (*given.get(column.strip(), ()), wanted.strip())
    return given


def rows_where(export: Export, where: Where) -> Export:
    """Return the export with only the rows that have the wanted values.

    Raises InputError for a column that is missing or ambiguous, and if no row is left.
    """
    mistakes = []
    wanted: dict[int, set[str]] = {}
    for column, values in where.items():
        found = export.called(column)
        if len(found) != 1:
            mistakes.append(
                f"{export.path}:{export.header.line}: {f'{len(found)} columns' if found else 'no column'} named "
                f"'{column}' (--where); name a column that occurs exactly once."
            )
        else:
            wanted.setdefault(found[0], set()).update(map(_alike, values))
    if mistakes:
        raise InputError(listed(mistakes))
    rows = tuple(
        row for row in export.rows if all(_alike(row.cells[index]) in values for index, values in wanted.items())
    )
    if export.rows and not rows:
        told = " and ".join(f"{column}={' or '.join(values)}" for column, values in where.items())
        raise InputError(f"{export.path}: no row has {told}; check --where against the file.")
    return replace(export, rows=rows)


def leavers_of(export: Export, read: Collection[int], where: Where, today: date) -> tuple[Leaver, ...]:
    """Return each row that marks a person as having left, in a column neither read (by index) nor used by `where`."""
    asked = {index for column in where for index in export.called(column)}
    names = {index: plain(name) for index, name in enumerate(export.header.cells) if index not in {*read, *asked}}
    signs = {index: name for index, name in names.items() if name in _STATUS | _ACTIVE | _ENDS}
    found = []
    for row in export.rows:
        for index, name in signs.items():
            value = clean(row.cells[index])
            if value and _says_left(name, value, today):
                found.append(Leaver(row.line, export.header.cells[index].strip(), value))
                break
    return tuple(found)


def without_leavers(export: Export, leavers: Collection[Leaver], wanted: OnLeaver) -> Export:
    """Return the export to read. Raises InputError if it has leavers and `wanted` does not say what to do with them."""
    if not leavers or wanted is OnLeaver.TAKE:
        return export
    if wanted is OnLeaver.REFUSE:
        told = ", ".join(map(str, list(leavers)[:5])) + (", …" if len(leavers) > 5 else "")
        raise InputError(
            f"{export.path}: {len(leavers)} of {len(export.rows)} rows are for people who have left: {told}. Nothing "
            "was written. Add --leavers skip to leave them out, --leavers take to import them, or --where COLUMN=VALUE."
        )
    lines = {one.line for one in leavers}
    return replace(export, rows=tuple(row for row in export.rows if row.line not in lines))


def _alike(value: str) -> str:
    return clean(value).casefold()


def _says_left(header: str, value: str, today: date) -> bool:
    """Return True if a cell below this header means that the person has left by now."""
    if header in _ENDS:
        return _is_past(value, today)
    said = plain(value)
    if header in _ACTIVE and said in _NO:
        return True
    return said in _GONE or said.startswith(_NOT) or any(word.startswith(_LEFT) for word in said.split())


def _is_past(text: str, today: date) -> bool:
    """Return True if a text is a date before today, in any plausible order of day and month."""
    numbers = [int(one) for one in re.findall(r"\d{1,4}", text)]
    if re.match(r"\d{4}[-/.]", text) and len(numbers) >= 3:
        return _is_before([(numbers[0], numbers[1], numbers[2])], today)
    if re.match(r"\d{1,2}[-/. ]+\d{1,2}[-/. ]+(\d{4}|\d{2})\b", text):
        one, other, year = numbers[:3]
        year += 2000 if year < 100 else 0
        days = [(year, other, one)]
        if not re.match(r"\d+\.", text):  # with dots the day comes first; 01/12/2026 is ambiguous, so both are tried
            days.append((year, one, other))
        return _is_before(days, today)
    years = [int(one) for one in re.findall(r"\b(?:19|20)\d\d\b", text)]
    return bool(years) and years[-1] <= today.year  # 30-Jun-2026: better to ask than to import a leaver


def _is_before(days: Iterable[tuple[int, int, int]], today: date) -> bool:
    found = set()
    for year, month, day in days:
        try:
            found.add(date(year, month, day))
        except ValueError:
            continue
    return any(day < today for day in found)
