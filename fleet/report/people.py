"""An import's changes, and employees who have left, for a terminal and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from fleet.hr_import.diff import Authority, Difference, leaves
from fleet.hr_import.leavers import OnLeaver
from fleet.hr_import.options import remembered_path
from fleet.hr_import.run_import import Import
from fleet.model import counted
from fleet.report.table import plain
from fleet.report.translations import visible
from fleet.state.leavers import Leavers

MOST_JOINED = 20
"""Joined employees listed in a first import; those who leave or change are always listed."""


def columns_lines(found: Import) -> Iterator[str]:
    """Yield how the export was read: all columns if the mapping is new, unread columns always."""
    people = f"{found.export.path}: {counted(len(found.people), 'employee')}"
    unread = found.columns.unread
    rest = f" Not read: {_some(unread)}." if unread else ""
    if found.remembered.columns == found.was_remembered.columns:
        yield f"{people}, read as {remembered_path(found.hr_file.path).name} specifies.{rest}"
    else:
        names: dict[str, list[str]] = {}
        for field, column in found.columns.names().items():
            names.setdefault(column, []).append(field)
        if "name" not in found.columns.indexes:
            names[found.columns.name("email")].append("name")
        yield f"{people}.{rest} Columns (change with --map FIELD=COLUMN):"
        width = max(map(len, names))
        for column, fields in names.items():
            yield f"  {column:{width}}  {', '.join(fields)}"
    if found.export.above:
        header, above = found.export.header.line, ", ".join(map(str, found.export.above))
        yield f"{found.export.path}:{header}: this line is used as the header; lines above it were skipped: {above}."


def passed_over_lines(found: Import) -> Iterator[str]:
    """Yield what needs a check: rows without an employee, rows left out and why, and warnings."""
    path = found.export.path
    for row in found.export.totals:
        text = " ".join(cell.strip() for cell in row.cells if cell.strip())
        yield f"{path}:{row.line}: '{text}' is a total; no employee was read from this line."
    if found.leavers:
        is_taken = found.remembered.leavers is OnLeaver.TAKE
        done = "imported anyway" if is_taken else "left out"
        yield f"{path}: {counted(len(found.leavers), 'row')} {done} (employee has left): {_some(found.leavers)}."
    for one in found.left_out:
        yield f"{path}:{one.line}: {one.who} is left out: {' '.join(one.mistakes)}"
    yield from found.warnings
    yield from found.still_written


def _some(things: Sequence[object]) -> str:
    """Return the first few, and how many more there are."""
    more = len(things) - MOST_JOINED
    return ", ".join(map(str, things[:MOST_JOINED])) + (f" and {more} more" if more > 0 else "")


def counts_line(found: Import) -> str:
    """Return the number of changes of each kind."""
    difference = found.difference
    same = difference.before - len(difference.changed) - len(difference.left) - len(difference.kept)
    bad = len(found.names_left_out)
    absent = len(difference.kept) - bad
    kept = f", {absent} kept that are missing from the export" if absent else ""
    kept += f", {bad} kept whose rows are left out" if bad else ""
    if difference.is_nothing:
        return f"Nothing to change in {visible(found.hr_file.path.name)}: {same} unchanged{kept}."
    rest = f", {same} unchanged" if difference.before else ""
    joined, changed, left = len(difference.joined), len(difference.changed), len(difference.left)
    return f"{joined} joined, {changed} changed, {left} left{rest}{kept}."


def difference_table(difference: Difference) -> Table:
    """Return a table of who joined, changed and left, with old and new values."""
    table = plain("", "Employee", Column("Change in the inventory", overflow="fold", ratio=1))
    for person in difference.joined[:MOST_JOINED]:
        values = [*dict.fromkeys(person.groups.values()), *_facts(person.name, dict(leaves(person.variables)))]
        table.add_row(Text("joined", "green"), Text(visible(person.name)), Text(visible(" · ".join(values))))
    more = len(difference.joined) - MOST_JOINED
    if more > 0:
        table.add_row(Text("joined", "green"), Text(f"and {more} more", "dim"), Text("--output json lists all", "dim"))
    for changed in difference.changed:
        what = Text()
        for number, change in enumerate(changed.changes):
            what.append("\n" if number else "").append(f"{_called(change.path)} ", "dim")
            if change.before is not None:
                what.append(visible(change.before)).append(" → ", "dim")
            what.append(visible(change.after) if change.after is not None else "removed")
        table.add_row(Text("changed", "yellow"), Text(visible(changed.person.name)), what)
    for entry in difference.left:
        values = [*entry.groups, *_facts(entry.name, dict(leaves(entry.variables)))]
        table.add_row(Text("left", "red"), Text(visible(entry.name)), Text(visible(" · ".join(values))))
    return table


def authority_table(authorities: Sequence[Authority]) -> Table:
    """Return a table of the mandates and company accounts that an import writes, changes or removes, by employee."""
    table = plain("Employee", Column("Mandate or account owner in the export", overflow="fold", ratio=1))
    for one in authorities:
        what = Text(visible(one.after))
        if one.before:
            what.append("\nuntil now ", "dim").append(visible(one.before))
        table.add_row(Text(visible(one.employee)), what)
    return table


def _facts(name: str, values: Mapping[tuple[str, ...], Any]) -> Iterator[str]:
    """Yield the values that identify people; an address that repeats the name is omitted."""
    for path, value in values.items():
        is_name = path == ("fleet_email",) and str(value).partition("@")[0].lower() == name.lower()
        if value is not None and len(path) == 1 and not is_name:
            yield value
        elif path[-1] == "profile":
            owner = " (the company's)" if values.get((*path[:-1], "owner")) == "company" else ""
            yield f"{path[1]} {value}{owner}"
        elif path == ("fleet_mandate", "reference"):
            yield f"mandate {value}"


def _called(path: tuple[str, ...]) -> str:
    """Return a value's path for people: `fleet_accounts.linkedin.profile` becomes `linkedin.profile`."""
    names = {"fleet_email": "email", "fleet_locale": "locale", "fleet_country": "country", "fleet_mandate": "mandate"}
    steps = path[1:] if path[0] == "fleet_accounts" else (names.get(path[0], path[0]), *path[1:])
    return ".".join(steps)


def import_fields(found: Import, *, is_written: bool) -> dict[str, Any]:
    """Return an import for programs."""
    difference = found.difference
    return {
        "inventory": str(found.hr_file.path),
        "columns": found.columns.names(),
        "not_read": list(found.columns.unread),
        "header_line": found.export.header.line,
        "written": is_written,
        "joined": [
            {"employee": one.name, "line": one.line, "groups": list(one.groups.values()), "variables": one.variables}
            for one in difference.joined
        ],
        "changed": [
            {
                "employee": one.person.name,
                "line": one.person.line,
                "changes": [
                    {"field": _called(each.path), "before": each.before, "after": each.after} for each in one.changes
                ],
            }
            for one in difference.changed
        ],
        "left": [one.name for one in difference.left],
        "kept": [one.name for one in difference.kept],
        "renames": [
            {"old": one.rename.old, "new": one.rename.new, "line": one.line, "same": one.same.replace(" ", "_")}
            for one in difference.renames
        ],
        "authority": [
            {"employee": one.employee, "before": one.before, "after": one.after} for one in difference.authority
        ],
        "left_out": [{"line": one.line, "who": one.who, "mistakes": list(one.mistakes)} for one in found.left_out],
        "totals": [one.line for one in found.export.totals],
        "leavers": [{"line": one.line, "column": one.column, "value": one.value} for one in found.leavers],
        "warnings": [*found.warnings, *found.still_written],
    }


def rename_lines(found: Import, inventory: Path, not_renamed: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each person who may have joined under a new name, unless they were said to be another."""
    for one in found.difference.renames:
        old, new = one.rename.old, one.rename.new
        if new not in not_renamed:
            command = f"fleet inventory rename {old} {new} -i {shlex.quote(str(inventory))}"
            yield (
                f"{found.export.path}:{one.line}: {new} has the {one.same} of {old}, who is missing. If they are one "
                f"person: {command}; if not: --not-renamed {new}"
            )


def leavers_table(found: Leavers) -> Table:
    """Return a table of the employees who are in no inventory any more, and what is kept about them."""
    counts = (Column(heading, justify="right") for heading in ("Sessions", "Screenshots"))
    table = plain("Employee", *counts, Column("Mandate", overflow="fold", ratio=1))
    for one in found.people:
        mandate = f"revoked on {one.revoked_on.isoformat()}; stays revoked" if one.revoked_on else ""
        table.add_row(Text(visible(one.employee)), str(one.sessions or "-"), str(one.evidence or "-"), mandate)
    return table


def leavers_fields(found: Leavers, *, is_removed: bool) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "known": found.known,
        "left": [
            {
                "employee": one.employee,
                "sessions": one.sessions,
                "evidence": one.evidence,
                "revoked_on": one.revoked_on.isoformat() if one.revoked_on else None,
                "removed": is_removed and one.is_removable,
            }
            for one in found.people
        ],
    }
