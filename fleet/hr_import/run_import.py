"""One import from its files to its end: read, compare, write a copy, let Ansible read that, and only then replace."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from fleet.errors import InputError
from fleet.hr_import.columns import GROUPS, Columns, choose_columns, known_headers
from fleet.hr_import.diff import Difference, compare, leaves, values_of
from fleet.hr_import.editing import edited
from fleet.hr_import.hr_export import Export, listed, read_export
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
from fleet.inventory.employee import Employee, Problem
from fleet.inventory.read import Inventory, ServicesFor, gaps_in_mandates, read_inventory
from fleet.paths import read_regular, runtime_dir, sync_folder, write_private

MAX_BYTES = 64 * 1024 * 1024
ENDINGS = (".yml", ".yaml", "")
"""What Ansible reads as YAML."""


@dataclass(frozen=True)
class Import:
    """An import that can be written: what Ansible reads in its text is what it says."""

    inventory: Path
    """The real file; a link to it stays one."""
    export: Export
    columns: Columns
    people: tuple[Person, ...]
    left_out: tuple[LeftOut, ...]
    """Rows with mistakes; none unless that was asked for."""
    leavers: tuple[Leaver, ...]
    """Rows that say that somebody has left; the people of none of them were taken unless that was asked for."""
    warnings: tuple[str, ...]
    difference: Difference
    before: bytes | None
    text: str
    remembered: Remembered
    was_remembered: Remembered

    @property
    def names_left_out(self) -> frozenset[str]:
        """Employees of the inventory who stay as they are, because their rows have mistakes."""
        meant = {name for one in self.left_out for name in one.names}
        return frozenset(one.name for one in self.difference.kept if one.name in meant)

    def write(self) -> None:
        """Put the text in the inventory's place, whole or not at all, and remember the columns.

        Raises InputError if the inventory is not what it was when it was read, or cannot be written.
        """
        try:
            if not self.difference.is_nothing:
                _replace(self.inventory, self.before, self.text.encode())
            if self.remembered != self.was_remembered:
                place = remembered_path(self.inventory)
                write_private(place, render_remembered(self.remembered).encode(), durable=True)
        except OSError as error:
            raise InputError(
                f"{self.inventory} cannot be written ({error.strerror}); make room, or mend the folder's owner. "
                "It is as it was."
            ) from None


def prepare_import(path: Path, inventory: Path, services: ServicesFor, options: Options) -> Import:
    """Read an export and an inventory, and make the inventory's new text. Changes nothing.

    Raises InputError with all mistakes of what is read first.
    """
    inventory = inventory.resolve()
    if inventory.suffix not in ENDINGS or inventory.is_dir():
        raise InputError(f"{inventory} is no YAML file; an import is written into one, such as: -i staff.yml")
    if not inventory.parent.is_dir():
        raise InputError(f"{inventory.parent}: there is no such folder; make it, or mend the path given with -i.")
    recipes = services(False)  # an HR system knows nothing of rehearsals
    place = remembered_path(inventory)
    was_remembered = read_remembered(place)
    refuse_guessed_ownership(was_remembered, options.columns, place)
    encoding = options.encoding or was_remembered.encoding
    where = dict(options.where or was_remembered.where)
    leaving = options.leavers or was_remembered.leavers or OnLeaver.REFUSE
    headers = known_headers(was_remembered.columns, options.columns)
    export = read_export(path, encoding, headers, options.on_bad_row)
    columns = choose_columns(export, recipes, was_remembered.columns, options.columns)
    export = rows_where(export, where)
    leavers = leavers_of(export, columns.indexes.values(), where, date.today())
    export = without_leavers(export, leavers, leaving)
    found = read_people(export, columns, recipes, options.on_bad_row)
    people = found.persons
    before = _read(inventory)
    employees = _employees(inventory, before, services)
    keep = options.keep
    _require_known(keep or (), {one.name for one in employees} | {one.name for one in people}, inventory, path)
    groups = {
        field: tuple(
            sorted({*was_remembered.groups.get(field, ()), *(one.groups.get(field, "") for one in people)} - {""})
        )
        for field in GROUPS
        if field in columns.indexes
    }
    meant = {name for one in found.left_out for name in one.names}
    kept = None if keep is None else {*keep, *was_remembered.keep, *meant}
    difference = compare(people, employees, groups, kept)
    _refuse_other_letters(difference, inventory, export, columns)
    text = before.decode() if before is not None else ""
    if not difference.is_nothing:
        text = edited(inventory.name, text, difference, groups)
        _prove(inventory, text, Goal(export, people, difference, employees, groups), services)
    owners = {*was_remembered.mapped, *(name for name in options.columns if name.endswith(".owner"))}
    remembered = Remembered(
        columns=columns.names(),
        mapped=tuple(sorted(owners & columns.indexes.keys())),
        encoding=encoding,
        groups=groups,
        keep=tuple(sorted({*was_remembered.keep, *(keep or ())})),
        where=where,
        leavers=None if leaving is OnLeaver.REFUSE else leaving,
    )
    return Import(
        inventory,
        export,
        columns,
        people,
        found.left_out,
        leavers,
        (*columns.notes, *found.warnings),
        difference,
        before,
        text,
        remembered,
        was_remembered,
    )


def _read(inventory: Path) -> bytes | None:
    try:
        data = read_regular(inventory, MAX_BYTES)
        data.decode()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{inventory} cannot be read ({error.strerror}); mend its mode or owner.") from None
    except UnicodeDecodeError:
        raise InputError(f"{inventory} is not UTF-8 text; only a YAML inventory can be written into.") from None
    return data


def _employees(inventory: Path, content: bytes | None, services: ServicesFor) -> tuple[Employee, ...]:
    """Who is in the inventory so far. One with mistakes is not written into: nothing tells old ones from new."""
    if content is None or not _has_hosts(content):
        return ()
    read = read_inventory([inventory.name], services, cwd=inventory.parent)
    problems = [str(problem) for problem in (*read.all_problems(), *gaps_in_mandates(read, inventory.parent))]
    if problems:
        raise InputError(listed([f"{inventory.name} has mistakes already; mend them first:", *problems]))
    return read.employees


def _require_known(keep: Collection[str], known: Collection[str], inventory: Path, export: Path) -> None:
    """Raise InputError for each name that is nobody's: a slip of the pen would let the person go."""
    where = f"neither {inventory.name} nor {export}"
    nobody = [f"--keep {name}: {where} has that employee; mend the name." for name in keep if name not in known]
    if nobody:
        raise InputError(listed(nobody))


def _refuse_other_letters(difference: Difference, inventory: Path, export: Export, columns: Columns) -> None:
    """Raise InputError for each who would join although an entry of theirs is there, its name in other letters."""
    here = {one.name.casefold(): one for one in (*difference.left, *difference.kept)}
    source = columns.name("name" if "name" in columns.indexes else "email")
    mistakes = []
    for person in difference.joined:
        entry, email = here.get(person.name.casefold()), person.variables.get("fleet_email", "")
        if entry is not None and (entry.email or "").casefold() == email.casefold() != "":
            mistakes.append(
                f"{export.path}:{person.line}: {source}: '{person.name}' stands in {inventory.name} as '{entry.name}', "
                f"with the same address; rename that entry, and the employee of its mandate, to '{person.name}'."
            )
    if mistakes:
        raise InputError(listed(mistakes))


def _has_hosts(content: bytes) -> bool:
    """False for a file of nothing but comments: Ansible finds nobody in it, and calls that a mistake."""
    lines = content.decode().splitlines()
    return any(line.strip() not in ("", "---", "...") and not line.lstrip().startswith("#") for line in lines)


@dataclass(frozen=True)
class Goal:
    """What Ansible is to read in the new text."""

    export: Export
    people: tuple[Person, ...]
    difference: Difference
    employees: tuple[Employee, ...]
    groups: Mapping[str, Collection[str]]


def _prove(inventory: Path, text: str, goal: Goal, services: ServicesFor) -> None:
    """Let Ansible read the new text, in a private copy of its place. Raises InputError if it reads anything else."""
    with tempfile.TemporaryDirectory(dir=runtime_dir()) as name:
        folder = Path(name).resolve()
        for beside in ("host_vars", "group_vars", "ansible.cfg"):
            if (inventory.parent / beside).exists():
                (folder / beside).symlink_to(inventory.parent / beside)
        (folder / inventory.name).write_bytes(text.encode())
        try:
            read = read_inventory([inventory.name], services, cwd=folder)
        except InputError as error:
            said = str(error).replace(f"{folder}/", "")
            raise InputError(
                f"{said}\nThat is what this import would make of {inventory.name} (an anchor that others refer to, or "
                "the like), so nothing was written; write that out in the file."
            ) from None
        problems = [*read.all_problems(), *gaps_in_mandates(read, folder)]
    if problems:
        raise InputError(listed([_of_line(problem, goal) for problem in problems]))
    wrong = _difference_from(goal, read)
    if wrong:
        raise InputError(
            f"{inventory.name}: {wrong} would be read otherwise than meant: an anchor, a range, a second entry or a "
            "file in host_vars/ has a say in it. Nothing was written; write that employee out in this file."
        )


def _of_line(problem: Problem, goal: Goal) -> str:
    line = next((one.line for one in goal.people if one.name == problem.employee), None)
    if line is None:
        return str(problem)
    return f"{goal.export.path}:{line}: {problem.employee}: {problem.field}: {problem.message}"


def _difference_from(goal: Goal, read: Inventory) -> str | None:
    """The first employee whom Ansible reads otherwise than they should be; None if all are right."""
    found = {employee.name: employee for employee in read.employees}
    before = {employee.name: employee for employee in goal.employees}
    people = {person.name: person for person in goal.people}
    expected = (before.keys() - {one.name for one in goal.difference.left}) | people.keys()
    for name in sorted(expected ^ found.keys()):
        return name
    for name, employee in found.items():
        person, old = people.get(name), before.get(name)
        values = {**(values_of(old) if old else {}), **dict(leaves(person.variables if person else {}))}
        now = values_of(employee)
        if person is None or "fleet_locale" not in person.variables:
            # A group's, and the group may be another one now.
            values.pop(("fleet_locale",), None)
            now.pop(("fleet_locale",))
        is_same = _said(now) == _said(values)
        if old is not None:
            is_same &= (employee.waivers, employee.rehearsal_case) == (old.waivers, old.rehearsal_case)
        if person is not None:
            own = set(person.groups.values())
            others = {group for field in person.groups for group in goal.groups.get(field, ())} - own
            is_same &= own <= set(employee.groups) and not others & set(employee.groups)
        if not is_same:
            return name
    return None


def _said(values: Mapping[tuple[str, ...], Any]) -> dict[tuple[str, ...], Any]:
    # An account is the employee's own where nothing is said.
    return {path: value for path, value in values.items() if value is not None and (path[-1], value) != _USUAL_OWNER}


_USUAL_OWNER = ("owner", "employee")


def _replace(path: Path, before: bytes | None, data: bytes) -> None:
    """Write a file over another that must still be what it was: beside it first, then by name. Raises OSError."""
    info = path.stat() if before is not None else None
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if info is not None:
                if (info.st_uid, info.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(descriptor, info.st_uid, info.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(info.st_mode))
            file.flush()
            os.fsync(descriptor)
        if _read(path) != before:
            raise InputError(f"{path} was changed while this was looked at; run the import again. Nothing was written.")
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
