"""Runs one import: read, compare, and replace `hr.yml` as a whole."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from fleet.errors import InputError
from fleet.hr_import.columns import GROUPS, Columns, choose_columns, known_headers
from fleet.hr_import.diff import Difference, compare
from fleet.hr_import.hand_written import entries_beside
from fleet.hr_import.hr_export import Export, listed, read_export
from fleet.hr_import.hr_yml import HR_FILE, Entry, HrFile, place_of, read_hr_file, render_hr_file
from fleet.hr_import.leavers import Leaver, OnLeaver, leavers_of, rows_where, without_leavers
from fleet.hr_import.options import (
    Options,
    Remembered,
    read_remembered,
    refuse_guessed_ownership,
    remembered_path,
    render_remembered,
)
from fleet.hr_import.people import LeftOut, Person, read_people
from fleet.hr_import.replace_file import replace_unchanged
from fleet.inventory.read import ServicesFor
from fleet.paths import make_private_dir, write_private


@dataclass(frozen=True)
class Import:
    """An import that is ready to be written."""

    hr_file: HrFile
    export: Export
    columns: Columns
    people: tuple[Person, ...]
    left_out: tuple[LeftOut, ...]
    """Rows with mistakes; empty unless skipping was requested."""
    leavers: tuple[Leaver, ...]
    """Rows that mark a person as having left; they were imported only if that was requested."""
    warnings: tuple[str, ...]
    difference: Difference
    still_written: tuple[str, ...]
    """People who leave but still have an entry in another file of the folder, each with its place."""
    text: str
    remembered: Remembered
    was_remembered: Remembered

    @property
    def names_left_out(self) -> frozenset[str]:
        """Employees in the file whose entries stay unchanged because their rows have mistakes."""
        meant = {name for one in self.left_out for name in one.names}
        return frozenset(one.name for one in self.difference.kept if one.name in meant)

    def write(self) -> None:
        """Replace the file atomically and remember the columns.

        Raises InputError if the file has changed since it was read, or cannot be written.
        """
        path = self.hr_file.path
        try:
            if not path.parent.exists():
                make_private_dir(path.parent)
            if not self.difference.is_nothing:
                replace_unchanged(path, self.hr_file.content, self.text.encode())
            if self.remembered != self.was_remembered:
                write_private(remembered_path(path), render_remembered(self.remembered).encode(), durable=True)
        except OSError as error:
            raise InputError(
                f"{path} cannot be written ({error.strerror}); free space, or fix the folder's owner. It is unchanged."
            ) from None


def prepare_import(path: Path, inventory: Path, services: ServicesFor, options: Options) -> Import:
    """Read an export and the file that the last import wrote, and prepare the new text. Changes nothing.

    Raises InputError with all mistakes in the first of these that has any.
    """
    place = place_of(inventory)
    recipes = services(False)  # an HR system has no rehearsals
    was_remembered = read_remembered(remembered_path(place))
    refuse_guessed_ownership(was_remembered, options.columns, remembered_path(place))
    encoding = options.encoding or was_remembered.encoding
    where = dict(options.where or was_remembered.where)
    on_leaver = options.leavers or was_remembered.leavers or OnLeaver.REFUSE
    headers = known_headers(was_remembered.columns, options.columns)
    export = read_export(path, encoding, headers, options.on_bad_row)
    columns = choose_columns(export, recipes, was_remembered.columns, options.columns)
    export = rows_where(export, where)
    leavers = leavers_of(export, columns.indexes.values(), where, date.today())
    export = without_leavers(export, leavers, on_leaver)
    found = read_people(export, columns, recipes, options.on_bad_row)
    hr_file = read_hr_file(place)
    keep = options.keep
    _require_known(
        keep or (), {*(one.name for one in hr_file.entries), *(one.name for one in found.persons)}, place, path
    )
    meant = {name for one in found.left_out for name in one.names}
    kept = None if keep is None else {*keep, *was_remembered.keep, *meant}
    groups = _groups_by_field(found.persons, was_remembered.groups)
    difference = compare(found.persons, hr_file.entries, groups, kept)
    _refuse_other_letters(difference, place, export, columns)
    entries = [*map(_entry, found.persons), *difference.kept]
    present = {group for entry in entries for group in entry.groups}
    _refuse_shared_names(difference, present, place)
    owners = {*was_remembered.mapped, *(name for name in options.columns if name.endswith(".owner"))}
    remembered = Remembered(
        columns=columns.names(),
        mapped=tuple(sorted(owners & columns.indexes.keys())),
        encoding=encoding,
        groups={field: names for field, known in groups.items() if (names := tuple(sorted(known & present)))},
        keep=tuple(sorted({*was_remembered.keep, *(keep or ())})),
        where=where,
        leavers=None if on_leaver is OnLeaver.REFUSE else on_leaver,
    )
    return Import(
        hr_file,
        export,
        columns,
        found.persons,
        found.left_out,
        leavers,
        (*columns.notes, *found.warnings),
        difference,
        tuple(_still_written(difference, place)),
        render_hr_file(entries),
        remembered,
        was_remembered,
    )


def _entry(person: Person) -> Entry:
    return Entry(person.name, person.variables, tuple(sorted(set(person.groups.values()))))


def _groups_by_field(people: Collection[Person], remembered: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    return {
        field: {*remembered.get(field, ()), *(one.groups[field] for one in people if field in one.groups)}
        for field in GROUPS
    }


def _still_written(difference: Difference, place: Path) -> Iterator[str]:
    left = {entry.name for entry in difference.left}
    for hand in entries_beside(place.parent) if left and place.name == HR_FILE else ():
        if hand.is_host and hand.name in left:
            where = f"{place.parent.name}/{hand.source}"
            yield f"{where}: {hand.name} is no longer in the export, but still has an entry here; remove it."


def _require_known(keep: Collection[str], known: Collection[str], place: Path, export: Path) -> None:
    """Raise InputError for each unknown name: a typo would let the person be removed."""
    missing = [name for name in keep if name not in known]
    beside = {entry.name for entry in entries_beside(place.parent)} if missing else set()
    where = f"{place.name}, a file next to it or {export}"
    unknown = [f"--keep {name}: no such employee in {where}; fix the name." for name in missing if name not in beside]
    if unknown:
        raise InputError(listed(unknown))


def _refuse_other_letters(difference: Difference, place: Path, export: Export, columns: Columns) -> None:
    """Raise InputError for each new person whose name differs from an existing entry's only in case."""
    here = {one.name.casefold(): one for one in (*difference.left, *difference.kept)}
    source = columns.name("name" if "name" in columns.indexes else "email")
    mistakes = []
    for person in difference.joined:
        entry, email = here.get(person.name.casefold()), person.variables.get("fleet_email", "")
        if entry is not None and entry.variables.get("fleet_email", "").casefold() == email.casefold() != "":
            mistakes.append(
                f"{export.path}:{person.line}: {source}: '{person.name}' is '{entry.name}' in {place.name}, with the "
                f"same address. Write '{entry.name}' in the export, or delete {place.name} to import everyone again."
            )
    if mistakes:
        raise InputError(listed(mistakes))


def _refuse_shared_names(difference: Difference, groups: Collection[str], place: Path) -> None:
    """Raise InputError for each kept person whose name is also a group's: Ansible confuses the two."""
    mistakes = [
        f"{place.name}: the employee '{entry.name}' is not in the export and has the name of a group; import without "
        "keeping the employee, or rename the group in the export."
        for entry in difference.kept
        if entry.name in groups
    ]
    if mistakes:
        raise InputError(listed(mistakes))
