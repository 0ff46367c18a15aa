"""`fleet inventory import`: turns an HR system's export into an inventory."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from fleet.commands.options import OUTPUT, RECIPES, Output, confirm, say, screen, settings_of
from fleet.errors import InputError
from fleet.hr_import.columns import parse_map
from fleet.hr_import.hr_export import Encoding, OnBadRow
from fleet.hr_import.leavers import OnLeaver, parse_where
from fleet.hr_import.options import Options, remembered_path
from fleet.hr_import.run_import import Import, prepare_import
from fleet.model import EXIT_BAD_INPUT, EXIT_OK, EXIT_PERSON_NEEDED, counted
from fleet.plan.plan import services_for
from fleet.report.envelope import Answer
from fleet.report.people import (
    authority_table,
    columns_lines,
    counts_line,
    difference_table,
    import_fields,
    passed_over_lines,
    rename_lines,
)


def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Export of the HR system as CSV, UTF-8 or UTF-16; `-` reads stdin."),
    ],
    inventory: Annotated[
        Path,
        typer.Option("-i", "--inventory", "-o", metavar="PATH", help="Folder to write hr.yml to, or a YAML file."),
    ],
    mapped: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="Column that holds a field. Repeatable; remembered."),
    ] = None,
    encoding: Annotated[
        Encoding | None,
        typer.Option("--encoding", metavar="|".join(Encoding), help="Encoding of a file that does not declare it."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="COLUMN=VALUE",
            help="Import only rows with this value; repeat for more values. Remembered.",
        ),
    ] = None,
    leavers: Annotated[
        OnLeaver | None,
        typer.Option(
            "--leavers",
            metavar="|".join(OnLeaver),
            help="Rows of people who have left: refuse the export, skip them, or import them (take) "
            "[default: refuse]. Remembered.",
        ),
    ] = None,
    on_bad_row: Annotated[
        OnBadRow,
        typer.Option("--on-bad-row", help="If a row is invalid: refuse the export, or skip the row and name it."),
    ] = OnBadRow.REFUSE,
    check: Annotated[bool, typer.Option("-C", "--check", help="Show the difference; write nothing.")] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Write without asking.")] = False,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            metavar="EMPLOYEE",
            help="Keep this employee, who is not in the HR system. Repeatable; remembered.",
        ),
    ] = None,
    keep_left: Annotated[
        bool, typer.Option("--keep-left", help="Keep all employees who are missing from this export; not remembered.")
    ] = False,
    accept_shrink: Annotated[
        bool,
        typer.Option(
            "--accept-shrink", help="Write even if half or more of the people, accounts or mandates are missing."
        ),
    ] = False,
    not_renamed: Annotated[
        list[str] | None,
        typer.Option(
            "--not-renamed",
            metavar="EMPLOYEE",
            help="This new employee is not one who is missing, although an identifier is the same. Repeatable.",
        ),
    ] = None,
    output: OUTPUT = Output.TEXT,
    recipes: RECIPES = None,
) -> Answer:
    """Write hr.yml from an HR export. Shows who joined, changed and left, and asks before it writes.

    Replaces the whole file; keep hand-written entries in other files of the folder. An export with mistakes is refused,
    and every mistake is listed with its line.

    Somebody new with the personnel number or subject of somebody missing may be the same person: nothing is written
    until they are renamed ('fleet inventory rename'), or said not to be (--not-renamed).

    Exit codes: 0 written, or nothing to write; 1 answered no; 2 refused, nothing was written; 3 like 0, but rows
    with mistakes were skipped (--on-bad-row skip).
    """
    settings = settings_of([str(inventory)], recipes=recipes)
    options = Options(
        parse_map(mapped or ()),
        encoding,
        None if keep_left else keep or (),
        parse_where(where or ()),
        leavers,
        on_bad_row,
    )
    found = prepare_import(file, inventory, services_for(settings), options)
    renames = list(rename_lines(found, inventory, not_renamed or ()))
    if output is Output.TEXT:
        _show(found)
        for line in renames if check else ():
            say(line, "yellow")
    if renames and not check:
        errors = [*renames, f"Nothing was written to {found.hr_file.path.name}."]
        return Answer(import_fields(found, is_written=False), exit_code=EXIT_BAD_INPUT, errors=errors)
    if not check:
        _write(found, inventory, yes=yes, accept_shrink=accept_shrink)
    fields = import_fields(found, is_written=not check and not found.difference.is_nothing)
    return Answer(fields, exit_code=EXIT_PERSON_NEEDED if found.left_out else EXIT_OK)


def _write(found: Import, inventory: Path, *, yes: bool, accept_shrink: bool) -> None:
    difference, name = found.difference, found.hr_file.path.name
    if difference.losses and not accept_shrink:
        raise InputError(
            f"{' and '.join(map(str, difference.losses))} would be removed from {name}: check that "
            f"{found.export.path} is the whole export. Nothing was written; --accept-shrink writes it, "
            "--keep-left keeps everyone."
        )
    if not difference.is_nothing and not yes:
        held = counted(len({one.employee for one in difference.authority}), "employee")
        given = f", changing authority over the accounts of {held}" if difference.authority else ""
        left = f", removing {counted(len(difference.left), 'employee')}" if difference.left else ""
        confirm(f"Write {name}{given}{left}?", "--yes")
    found.write()
    if difference.is_nothing:
        return
    say(f"{found.hr_file.path} was written; the columns are remembered in {remembered_path(found.hr_file.path).name}.")
    if difference.left:
        say(f"To list the data stored about those who left: fleet inventory prune -i {shlex.quote(str(inventory))}")


def _show(found: Import) -> None:
    console = screen()
    for line in columns_lines(found):
        say(line, "dim")
    for line in passed_over_lines(found):
        say(line, "yellow")
    if not found.export.ends_with_line_end:
        last = max(row.line for row in (*found.export.rows, *found.export.totals))
        say(f"{found.export.path}:{last}: the last line has no newline; check that the file is complete.", "yellow")
    if not found.difference.is_nothing:
        console.print()
        console.print(difference_table(found.difference))
        console.print()
    if found.difference.authority:
        console.print(authority_table(found.difference.authority))
        console.print()
    console.print(counts_line(found))
