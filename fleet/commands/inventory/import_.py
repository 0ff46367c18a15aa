"""`fleet inventory import`: from an HR system's export to an inventory."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fleet.commands.options import RECIPES, Output, confirm, say, settings_of
from fleet.errors import InputError
from fleet.people.columns import parse_map, place_of_remembered
from fleet.people.export import Encoding
from fleet.people.importing import Import, prepare
from fleet.plan import catalogue_for
from fleet.report.people import columns_lines, counts_line, difference_table, import_envelope


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Export of the HR system: CSV, UTF-8 or UTF-16.")],
    inventory: Annotated[
        Path,
        typer.Option("-i", "--inventory", "-o", metavar="FILE", help="YAML inventory to write; made if there is none."),
    ],
    mapped: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="Which column holds a field. Repeatable; remembered."),
    ] = None,
    encoding: Annotated[
        Encoding | None, typer.Option("--encoding", help="For a file that does not say it itself.")
    ] = None,
    check: Annotated[bool, typer.Option("-C", "--check", help="Show the difference; write nothing.")] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Write without asking.")] = False,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="EMPLOYEE", help="Stays although no export has them. Repeatable; remembered."),
    ] = None,
    keep_left: Annotated[bool, typer.Option("--keep-left", help="Nobody leaves, this time.")] = False,
    accept_shrink: Annotated[
        bool, typer.Option("--accept-shrink", help="Half of the people, or more, may leave.")
    ] = False,
    output: Annotated[Output, typer.Option("--output", help="text, or one JSON object.")] = Output.TEXT,
    recipes: RECIPES = None,
) -> None:
    """Bring employees in from an HR export: shows who joined, changed and left, and asks before it writes.

    All mistakes are named by line, and nothing is written then. What the export does not say stays as it is.

    Exit codes: 0 written, or nothing to write; 1 not wanted at the question; 2 refused, and nothing was written.
    """
    settings = settings_of(recipes=recipes, inventory=[str(inventory)])
    services = catalogue_for(settings, rehearsal=True).recipes
    found = prepare(file, inventory, services, parse_map(mapped or ()), encoding, None if keep_left else keep or ())
    if output is Output.TEXT:
        _show(found)
    if not check:
        _write(found, inventory, yes=yes, accept_shrink=accept_shrink)
    if output is Output.JSON:
        typer.echo(json.dumps(import_envelope(found, is_written=not check and not found.difference.is_nothing)))


def _write(found: Import, inventory: Path, *, yes: bool, accept_shrink: bool) -> None:
    difference, name = found.difference, found.inventory.name
    if difference.shrinks_by_half and not accept_shrink:
        raise InputError(
            f"{len(difference.left)} of {difference.before} people would leave {name}: see that {found.export.path} "
            "is the whole export. Nothing was written; --accept-shrink does, --keep-left lets nobody leave."
        )
    if not difference.is_nothing and not yes:
        left = f", and take {len(difference.left)} out of it" if difference.left else ""
        confirm(f"Write {name}{left}?", "--yes")
    found.write()
    if difference.is_nothing:
        return
    say(f"{found.inventory} is written; the columns are remembered in {place_of_remembered(found.inventory).name}.")
    if difference.left:
        say(f"What the state still has of those who left: fleet inventory prune -i {shlex.quote(str(inventory))}")


def _show(found: Import) -> None:
    console = Console(highlight=False)
    for line in columns_lines(found):
        say(line, "dim")
    if not found.export.ends_with_line_end:
        last = found.export.rows[-1].line
        say(f"{found.export.path}:{last}: the last line has no end; see that it was not cut.", "yellow")
    if not found.difference.is_nothing:
        console.print()
        console.print(difference_table(found.difference))
        console.print()
    console.print(counts_line(found))
