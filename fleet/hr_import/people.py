"""The people in an export's rows; values an inventory cannot contain are refused, by line and column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from fleet.errors import InputError
from fleet.hr_import.columns import ACCOUNT, GROUPS, MANDATE, Columns
from fleet.hr_import.hr_export import WAY_OUT, Export, OnBadRow, Row, listed
from fleet.hr_import.normalize import address, clean, country, danger, group_name, language, name_of, same_place
from fleet.inventory.employee import read_employee
from fleet.inventory.read import gaps_in_mandate
from fleet.inventory.source_lines import SourceLines
from fleet.recipes.profile_address import profile_in, require_profile
from fleet.recipes.recipe import Recipe

NO_EMPLOYEES = ("localhost", "127.0.0.1", "all", "ungrouped")
"""Names that mean something else in an inventory."""


@dataclass(frozen=True)
class Person:
    """An export's data on one employee. Fields with empty cells are omitted."""

    name: str
    line: int
    variables: Mapping[str, Any]
    groups: Mapping[str, str]
    """Field (site, department, country) to the group's name."""

    def says_the_same(self, other: Person) -> bool:
        """Return True for another row with the same person's data, such as a second contract in unread columns."""
        return (self.name, self.variables, self.groups) == (other.name, other.variables, other.groups)


@dataclass(frozen=True)
class LeftOut:
    """A row that cannot be read: the employee it seems to be about, and its mistakes."""

    line: int
    who: str
    mistakes: tuple[str, ...]
    names: frozenset[str]
    """Employees it may refer to: a bad row must not remove anyone from an inventory."""


@dataclass(frozen=True)
class People:
    """The people in an export, the rows left out (if requested), and warnings."""

    persons: tuple[Person, ...]
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass
class _Reading:
    """A row in progress: its cells by field, and the mistakes per field."""

    row: Row
    cells: dict[str, str]
    mistakes: list[tuple[str, str]]
    person: Person | None = None

    def refuse(self, field: str, what: str) -> None:
        """Add a mistake, at most one per cell."""
        if all(field != other for other, _ in self.mistakes):
            self.mistakes.append((field, what))


def read_people(
    export: Export, columns: Columns, recipes: Mapping[str, Recipe], on_bad_row: OnBadRow = OnBadRow.REFUSE
) -> People:
    """Return the people in an export, in its order; rows with the same data on one person count once.

    Raises InputError that lists every mistake as `file:line: column: what; what to do`. With `on_bad_row` skip, rows
    with mistakes are left out; a mistake shared by several rows (two places with one group's name) still raises.
    """
    readings = [_read_row(row, columns, recipes) for row in export.rows]
    _refuse_doubles(readings, columns, on_bad_row)
    left_out = [_left_out(one, columns) for one in readings if one.mistakes]
    left_out += (LeftOut(one.row.line, _first_cell(one.row), one.mistakes, _meant(one.row)) for one in export.broken)
    left_out.sort(key=lambda one: one.line)
    persons = _each_once(one for one in readings if not one.mistakes)
    rows = {row.line: row for row in export.rows}
    mixed = [(line, f"{columns.name(key)}: {what}") for line, key, what in _mixed_groups(persons, rows, columns)]
    bad = [(one.line, what) for one in left_out for what in one.mistakes]
    if mixed or (bad and (on_bad_row is OnBadRow.REFUSE or not persons)):
        shown = mixed if on_bad_row is OnBadRow.SKIP and persons else [*bad, *mixed]
        told = listed([f"{export.path}:{line}: {what}" for line, what in sorted(shown)])
        raise InputError(f"{told}\n{WAY_OUT}" if bad and on_bad_row is OnBadRow.REFUSE else told)
    if not persons:
        raise InputError(f"{export.path}: no employees below the header; export it again.")
    unread = [*_without_a_group(readings, columns), *_without_a_country(readings, columns)]
    warnings = (f"{export.path}:{line}: {what}" for line, what in unread)
    return People(persons, tuple(left_out), tuple(warnings))


def _each_once(readings: Iterable[_Reading]) -> tuple[Person, ...]:
    persons: dict[str, Person] = {}
    for one in readings:
        if one.person is not None:
            persons.setdefault(one.person.name, one.person)
    return tuple(persons.values())


def _left_out(reading: _Reading, columns: Columns) -> LeftOut:
    name = reading.person.name if reading.person else _called(reading.cells)
    mistakes = tuple(f"{columns.name(field)}: {what}" for field, what in reading.mistakes)
    return LeftOut(reading.row.line, name or _first_cell(reading.row), mistakes, _meant(reading.row))


def _first_cell(row: Row) -> str:
    """Return a label for a row without a name."""
    return next((text[:60] for cell in row.cells if (text := clean(cell))), "")


def _meant(row: Row) -> frozenset[str]:
    """Return all names a row may refer to, from any cell."""
    cells = [clean(cell) for cell in row.cells]
    addresses = re.findall(r"[^@\s<>,;:]+@", " ".join(cells))
    return frozenset({*cells, *(name_of(one) for one in addresses)} - {""})


def _refuse_doubles(readings: Sequence[_Reading], columns: Columns, on_bad_row: OnBadRow) -> None:
    """Refuse rows that name one employee twice with different data, and names that are also a group's."""
    source = "name" if "name" in columns.indexes else "email"
    names: dict[str, list[_Reading]] = {}
    emails: dict[str, list[_Reading]] = {}
    there = [(one, one.person) for one in readings if one.person is not None]
    groups = {group for _, person in there for group in person.groups.values()}
    is_skipping = on_bad_row is OnBadRow.SKIP  # then all of them are left out, because any may be the wrong one
    for one, person in there:
        email = person.variables.get("fleet_email", "").casefold()
        if email in emails:
            others, key, what = emails[email], "email", "the same address"
            way_out = "keep one of the two lines."
        else:
            others, key, what = names.get(person.name.casefold(), []), source, f"the same employee '{person.name}'"
            way_out = "keep one of the two lines, or map a column with unique names: --map name=COLUMN"
        first = others[0] if others else None
        is_contested = is_skipping and first is not None and bool(first.mistakes)
        if first and first.person and (is_contested or not person.says_the_same(first.person)):
            one.refuse(key, f"{what} as in line {first.row.line}; {way_out}")
            for other in others if is_skipping and not is_contested else ():
                other.refuse(key, f"{what} as in line {one.row.line}; {way_out}")
        if person.name in groups:
            one.refuse(source, f"'{person.name}' is also the name of a group; rename one of them.")
        names.setdefault(person.name.casefold(), []).append(one)
        if email:
            emails.setdefault(email, []).append(one)


def _mixed_groups(
    people: Sequence[Person], rows: Mapping[int, Row], columns: Columns
) -> Iterator[tuple[int, str, str]]:
    """Yield groups that would combine unrelated people: `C++` and `C#`, or department and country IT."""
    holders: dict[str, dict[str, list[Person]]] = {}
    for person in people:
        for field, group in person.groups.items():
            holders.setdefault(group, {}).setdefault(field, []).append(person)

    def value(person: Person, field: str) -> str:
        return clean(rows[person.line].cells[columns.indexes[field]])

    for group, fields in holders.items():
        for field, persons in fields.items():
            others = {same_place(value(one, field)): one for one in reversed(persons)}
            first, *rest = sorted(others.values(), key=lambda one: one.line)
            for one in rest:
                yield (
                    one.line,
                    field,
                    f"'{value(one, field)}' becomes the group '{group}', like '{value(first, field)}' in line "
                    f"{first.line}; rename one of them.",
                )
        for field, other in permutations([one for one in reversed(GROUPS) if one in fields], 2):
            odd = next((one for one in fields[field] if one.groups.get(other) != group), None)
            if odd:
                yield (
                    odd.line,
                    field,
                    f"'{value(odd, field)}' becomes the group '{group}', like {columns.name(other)} in line "
                    f"{fields[other][0].line} for other people; rename it, or leave the column out: --map {field}=",
                )
                break


def _without_a_group(readings: Iterable[_Reading], columns: Columns) -> Iterator[tuple[int, str]]:
    """Yield each value that cannot become a group, at its first occurrence."""
    told = set()
    for one in readings:
        for key in GROUPS:
            value = one.cells.get(key)
            if one.person and value and key not in one.person.groups and (key, value) not in told:
                told.add((key, value))
                yield (
                    one.row.line,
                    f"{columns.name(key)}: '{value}' cannot be a group name, so it has no group; use letters or "
                    "digits, at most 100 characters.",
                )


def _without_a_country(readings: Iterable[_Reading], columns: Columns) -> Iterator[tuple[int, str]]:
    """Yield each value that is no country, at its first occurrence."""
    told = set()
    for one in readings:
        value = one.cells.get("country")
        if one.person and value and "fleet_country" not in one.person.variables and value not in told:
            told.add(value)
            yield (
                one.row.line,
                f"{columns.name('country')}: '{value}' is not a country, so fleet_country is not set; write a code "
                "such as FR or US-CA (ISO 3166).",
            )


def _read_row(row: Row, columns: Columns, recipes: Mapping[str, Recipe]) -> _Reading:
    one = _Reading(row, {}, [])
    for key, index in columns.indexes.items():
        one.cells[key] = text = clean(row.cells[index])
        what = text and (danger(row.cells[index]) or danger(text))
        if what:
            one.refuse(key, what)
    if one.mistakes:
        return one
    cells, source = one.cells, "name" if "name" in columns.indexes else "email"
    if "email" in cells:
        try:
            cells["email"] = address(cells["email"])
        except ValueError as error:
            one.refuse("email", str(error))
            return one
    name = cells["name"] if source == "name" else name_of(cells["email"])
    if not name:
        one.refuse(source, "is empty; every employee needs one.")
    elif name in NO_EMPLOYEES:
        one.refuse(source, f"'{name}' is reserved in inventories and cannot be an employee's name; rename it.")
    if one.mistakes:
        return one
    variables = _variables(name, one, recipes)
    groups = {key: group for key in GROUPS if cells.get(key) and (group := group_name(key, cells[key]))}
    employee = read_employee(name, variables, {}, recipes, SourceLines(()))
    problems = [*employee.problems, *gaps_in_mandate(employee, SourceLines(()))]
    # Causes first: a bad address makes a bad name, and that makes a mandate that matches no employee.
    causes = ("fleet_email", "inventory_hostname")
    for problem in sorted(problems, key=lambda one: causes.index(one.field) if one.field in causes else len(causes)):
        key = _field_of(problem.field, source, columns)
        one.refuse(key, _with_way_out(problem.message, problem.field, source))
    one.person = Person(name, row.line, variables, groups)
    return one


def _called(cells: Mapping[str, str]) -> str:
    """Return a person's display name; empty if the export has no name."""
    return cells.get("display_name") or f"{cells.get('first_name', '')} {cells.get('last_name', '')}".strip()


def _variables(name: str, one: _Reading, recipes: Mapping[str, Recipe]) -> dict[str, Any]:
    cells = one.cells
    variables: dict[str, Any] = {}
    if cells.get("email"):
        variables["fleet_email"] = cells["email"]
    if cells.get("locale"):
        variables["fleet_locale"] = language(cells["locale"])
    if cells.get("personnel_number"):
        variables["fleet_personnel_number"] = cells["personnel_number"]
    if cells.get("subject"):
        variables["fleet_subject"] = cells["subject"]
    if cells.get("country") and (where := country(cells["country"])):
        variables["fleet_country"] = where
    accounts = {}
    for service, recipe in recipes.items():
        said = {key: cells.get(f"{service}.{key}", "") for key in ACCOUNT}
        if not said["profile"]:
            continue
        try:
            profile = _profile(said["profile"], recipe)
        except ValueError as error:
            one.refuse(f"{service}.profile", str(error))
            continue
        account = {"profile": profile, "name": said["name"] or _called(cells), "owner": said["owner"].lower()}
        accounts[service] = {key: value for key, value in account.items() if value}
    if accounts:
        variables["fleet_accounts"] = accounts
    said = {part: cells.get(f"mandate.{part}", "") for part in MANDATE}
    if all(said.values()):
        covered = [each for each in re.split(r"[\s,;|]+", said["services"].lower()) if each]
        unknown = [each for each in covered if each not in recipes]
        if unknown:
            what = f"unknown service '{unknown[0]}'; recipes (--recipes) exist for {', '.join(sorted(recipes))}."
            one.refuse("mandate.services", what)
        variables["fleet_mandate"] = {"employee": name, **said, "services": list(dict.fromkeys(covered))}
    elif any(said.values()):
        empty = next(part for part in MANDATE if not said[part])
        one.refuse(f"mandate.{empty}", "is empty, but other cells of the mandate are not; fill in all, or none.")
    return variables


def _profile(cell: str, recipe: Recipe) -> str:
    """Return the profile in a cell. Raises ValueError with the mistake and the fix."""
    profile = profile_in(cell, recipe)
    if what := danger(profile):  # percent-encoded in the cell
        raise ValueError(what)
    require_profile(profile, recipe)
    return profile


def _field_of(path: str, source: str, columns: Columns) -> str:
    """Return the field whose cell causes a problem in the host's variables."""
    if path in ("inventory_hostname", "fleet_mandate.employee"):
        return source
    kind, _, rest = path.partition(".")
    if kind in ("fleet_email", "fleet_locale", "fleet_subject", "fleet_personnel_number"):
        return kind.removeprefix("fleet_")
    if kind == "fleet_mandate":
        return f"mandate.{rest.partition('.')[0] or 'expires_on'}"
    service, _, key = rest.partition(".")
    candidates = (f"{service}.{key}", "display_name", "first_name", "last_name", f"{service}.profile")
    return next(field for field in candidates if field in columns.indexes)


def _with_way_out(message: str, path: str, source: str) -> str:
    if path == "inventory_hostname" and source == "email":
        return f"{message.rstrip('.')}; or map another column: --map name=COLUMN"
    return message
