"""From rows of an export to people: everything that an inventory could not hold is refused, by line and column."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from typing import Any
from urllib.parse import unquote

from babel import Locale

from fleet.employee import read_employee
from fleet.errors import InputError
from fleet.people.columns import ACCOUNT, GROUPS, MANDATE, Columns
from fleet.people.export import Export, Row, listed
from fleet.recipe import Recipe
from fleet.sourcelines import SourceLines

LANGUAGES = ("en", "fr", "de", "it")
"""Languages whose names for languages are understood: an HR system says `German` or `Deutsch`."""

_FORMULA = "=+-@\t\r＝＋－＠"
"""What makes a cell a formula (https://owasp.org/www-community/attacks/CSV_Injection), full-width forms included."""
_LINKEDIN = re.compile(r"(?:https?://)?(?:[a-z]{2,3}\.)?linkedin\.com/in/([^/?#]+)(?:[/?#].*)?", re.IGNORECASE)
_JINJA = ("{{", "{%", "{#")
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
"""Small letters that Unicode does not take apart into one of a-z and an accent; `ß` is `ss` in small letters."""
_SPACING = re.compile(r"[\s.,_-]")
"""What two spellings of one place differ in: St. Gallen, St Gallen."""
_NO_EMPLOYEES = ("localhost", "127.0.0.1", "all", "ungrouped")
_NO_GROUPS = frozenset({"all", "ungrouped", "hosts", "children", "vars"})


@dataclass(frozen=True)
class Person:
    """What an export says of one employee. Fields whose cells are empty are not in it: they stay as they are."""

    name: str
    line: int
    variables: Mapping[str, Any]
    groups: Mapping[str, str]
    """Field (site, department, country) to the group's name."""


class _Refused(Exception):
    def __init__(self, field: str, what: str) -> None:
        super().__init__(what)
        self.field = field


def read_people(export: Export, columns: Columns, services: Mapping[str, Recipe]) -> tuple[Person, ...]:
    """The people of an export, in its order.

    `services` maps each known service to its recipe. Raises InputError that lists every mistake as
    `file:line: column: what; what to do`.
    """
    people: list[Person] = []
    mistakes: list[tuple[int, str]] = []
    for row in export.rows:
        person, refusals = _read_person(row, columns, services)
        mistakes += ((row.line, f"{columns.name(one.field)}: {one}") for one in refusals)
        if person is not None:
            people.append(person)
    shared = (*_doubles(people, columns), *_mixed_groups(export, people, columns))
    mistakes += ((line, f"{columns.name(field)}: {what}") for line, field, what in shared)
    if mistakes:
        raise InputError(listed([f"{export.path}:{line}: {what}" for line, what in sorted(mistakes)]))
    if not people:
        raise InputError(f"{export.path} has a header and nobody below it; export it again.")
    return tuple(people)


def _doubles(people: list[Person], columns: Columns) -> Iterator[tuple[int, str, str]]:
    source = "name" if "name" in columns.indexes else "email"
    names: dict[str, int] = {}
    emails: dict[str, int] = {}
    groups = {group for person in people for group in person.groups.values()}
    for person in people:
        email = person.variables.get("fleet_email", "").casefold()
        if email in emails:
            yield person.line, "email", f"the same address as in line {emails[email]}; keep one of the two lines."
        elif person.name.casefold() in names:
            what = f"the same employee '{person.name}' as in line {names[person.name.casefold()]}"
            yield (
                person.line,
                source,
                f"{what}; keep one of the two lines, or map a column that differs: --map name=COLUMN",
            )
        if person.name in groups:
            yield person.line, source, f"'{person.name}' is a group's name as well; rename one of them."
        names.setdefault(person.name.casefold(), person.line)
        if email:
            emails.setdefault(email, person.line)


def _mixed_groups(export: Export, people: list[Person], columns: Columns) -> Iterator[tuple[int, str, str]]:
    """Groups that would hold people who have nothing in common: `C++` and `C#`, department and country IT."""
    rows = {row.line: row for row in export.rows}
    holders: dict[str, dict[str, list[Person]]] = {}
    for person in people:
        for field, group in person.groups.items():
            holders.setdefault(group, {}).setdefault(field, []).append(person)

    def value(person: Person, field: str) -> str:
        return _clean(rows[person.line].cells[columns.indexes[field]])

    for group, fields in holders.items():
        for field, persons in fields.items():
            others = {_SPACING.sub("", _bare(value(one, field))): one for one in reversed(persons)}
            first, *rest = sorted(others.values(), key=lambda one: one.line)
            for one in rest:
                yield (
                    one.line,
                    field,
                    f"'{value(one, field)}' makes the group '{group}', as '{value(first, field)}' in line {first.line} "
                    "does; write one of them otherwise.",
                )
        for field, other in permutations([one for one in reversed(GROUPS) if one in fields], 2):
            odd = next((one for one in fields[field] if one.groups.get(other) != group), None)
            if odd:
                yield (
                    odd.line,
                    field,
                    f"'{value(odd, field)}' makes the group '{group}', as {columns.name(other)} in line "
                    f"{fields[other][0].line} does for other people; write it otherwise, or leave the column out: "
                    f"--map {field}=",
                )
                break


def _read_person(row: Row, columns: Columns, services: Mapping[str, Recipe]) -> tuple[Person | None, list[_Refused]]:
    refused: list[_Refused] = []
    cells: dict[str, str] = {}
    for field, index in columns.indexes.items():
        cells[field] = _clean(row.cells[index])
        what = _danger(row.cells[index]) or _danger(cells[field])
        if what:
            refused.append(_Refused(field, what))
    if refused:
        return None, refused
    source = "name" if "name" in columns.indexes else "email"
    name = cells[source] if source == "name" else cells["email"].partition("@")[0].lower()
    if not name:
        return None, [_Refused(source, "is empty; every employee needs one.")]
    if name in _NO_EMPLOYEES:
        return None, [_Refused(source, f"'{name}' cannot be an employee's name in an inventory; rename it.")]
    variables = _variables(name, cells, services, refused)
    groups = {field: _group(field, cells[field], refused) for field in GROUPS if cells.get(field)}
    seen = {one.field for one in refused}
    for problem in read_employee(name, variables, {}, services, SourceLines(())).problems:
        field = _field_of(problem.field, source, columns)
        if field not in seen:  # one mistake of a cell is enough
            refused.append(_Refused(field, _with_way_out(problem.message, problem.field, source)))
            seen.add(field)
    return Person(name, row.line, variables, groups), refused


def _clean(cell: str) -> str:
    """Without spaces around it, and with plain spaces in it: HR systems export no-break ones."""
    return "".join(" " if unicodedata.category(one) == "Zs" else one for one in cell).strip(" ")


def _danger(text: str) -> str | None:
    """What no value of an inventory may hold, in words."""
    if text.startswith(tuple(_FORMULA)):
        return "begins like a formula (= + - @ or a tab), which a spreadsheet would run; write the value itself."
    if any(mark in text for mark in _JINJA):
        return "holds a Jinja template, which Ansible would run as code; write the value itself."
    hidden = next((one for one in text if not one.isprintable() and unicodedata.category(one) != "Zs"), None)
    if hidden:
        return f"holds the invisible character U+{ord(hidden):04X}; remove it."
    return None


def _variables(
    name: str, cells: Mapping[str, str], services: Mapping[str, Recipe], refused: list[_Refused]
) -> dict[str, Any]:
    variables: dict[str, Any] = {}
    if cells.get("email"):
        variables["fleet_email"] = cells["email"]
    if cells.get("locale"):
        variables["fleet_locale"] = _language(cells["locale"])
    called = cells.get("display_name") or f"{cells.get('first_name', '')} {cells.get('last_name', '')}".strip()
    accounts = {}
    for service in services:
        said = {key: cells.get(f"{service}.{key}", "") for key in ACCOUNT}
        if said["profile"]:
            profile = _profile(service, said["profile"])
            what = _danger(profile)
            if what:
                refused.append(_Refused(f"{service}.profile", what))
            account = {"profile": profile, "name": said["name"] or called, "owner": said["owner"].lower()}
            accounts[service] = {key: value for key, value in account.items() if value}
    if accounts:
        variables["fleet_accounts"] = accounts
    said = {part: cells.get(f"mandate.{part}", "") for part in MANDATE}
    if all(said.values()):
        covered = [one for one in re.split(r"[\s,;|]+", said["services"].lower()) if one]
        unknown = [one for one in covered if one not in services]
        if unknown:
            what = f"unknown service '{unknown[0]}'; recipes (--recipes) exist for {', '.join(sorted(services))}."
            refused.append(_Refused("mandate.services", what))
        variables["fleet_mandate"] = {"employee": name, **said, "services": list(dict.fromkeys(covered))}
    elif any(said.values()):
        empty = next(part for part in MANDATE if not said[part])
        refused.append(
            _Refused(f"mandate.{empty}", "is empty, and the mandate's other cells are not; fill all, or none.")
        )
    return variables


def _profile(service: str, text: str) -> str:
    """A profile's id, from the address that people copy out of their browser."""
    if service != "linkedin":
        return text
    found = _LINKEDIN.fullmatch(text)
    return unquote(found[1]) if found else text


def _language(text: str) -> str:
    """A language's code, also from its name in one of four languages; what is neither stays, and is refused."""
    if text.isascii() and re.fullmatch(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]+)*", text):
        head, *rest = re.split("[-_]", text)
        return "-".join([head.lower(), *rest])
    return _languages().get(text.partition("(")[0].strip().casefold(), text)


@cache
def _languages() -> dict[str, str]:
    return {str(name).casefold(): code for known in LANGUAGES for code, name in Locale(known).languages.items()}


def _bare(value: str) -> str:
    """A value without case and accents."""
    spelled = unicodedata.normalize("NFKD", value.casefold().translate(_LETTERS))
    return "".join(one for one in spelled if not unicodedata.combining(one))


def _group(field: str, value: str, refused: list[_Refused]) -> str:
    """A group's name as Ansible wants it: `Research & Development` is `research_development`."""
    bare = _bare(value)
    name = "_".join(re.findall("[a-z0-9]+", bare.encode("ascii", "ignore").decode()))
    is_lost = any(map(str.isalpha, bare)) and not any(map(str.isalpha, name))
    if not name or is_lost or len(name) > 100:
        refused.append(_Refused(field, "cannot become a group's name; write it with letters a-z, at most 100."))
    return f"{field}_{name}" if name[:1].isdigit() or name in _NO_GROUPS else name


def _field_of(path: str, source: str, columns: Columns) -> str:
    """The field whose cell a problem of the host's variables comes from."""
    if path in ("inventory_hostname", "fleet_mandate.employee"):
        return source
    kind, _, rest = path.partition(".")
    if kind in ("fleet_email", "fleet_locale"):
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
