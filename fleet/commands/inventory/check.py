"""`fleet inventory check`: every error in an inventory, before a browser opens."""

from __future__ import annotations

from pathlib import Path

import typer

from fleet.commands.options import INVENTORY, LIMIT, OUTPUT, RECIPES, Output, say, settings_of
from fleet.hr_import.hand_written import check_folder
from fleet.inventory.read import gaps_in_mandates
from fleet.model import EXIT_BAD_INPUT, EXIT_OK, counted
from fleet.plan.plan import read_people
from fleet.report.envelope import Answer


def check(
    inventory: INVENTORY = None,
    limit: LIMIT = None,
    recipes: RECIPES = None,
    output: OUTPUT = Output.TEXT,
) -> Answer:
    """Check an inventory, and print the file, line, employee and field of each mistake. Changes nothing.

    In a folder with hr.yml it also lists hand-written entries of people who are no longer in the HR export (a mistake),
    and values that are both in hr.yml and in a hand-written file (a warning).

    Exit codes: 0 no mistakes, 2 mistakes.
    """
    settings = settings_of(inventory, recipes=recipes)
    read, _ = read_people(settings, limit)
    folders = [check_folder(Path(source)) for source in settings.inventory if Path(source).is_dir()]
    unknown = [what for folder in folders for what in folder.unknown_to_hr] if limit is None else []
    mistakes = [*read.warnings, *map(str, read.all_problems()), *map(str, gaps_in_mandates(read)), *unknown]
    for remark in read.remarks:
        say(f"Ansible warns: {remark}", "yellow")
    overridden = [what for folder in folders for what in folder.overridden]
    for what in overridden:
        say(f"Warning: {what}", "yellow")
    counts = {
        "employee": len(read.employees),
        "account": sum(len(employee.accounts) for employee in read.employees),
        "mistake": len(mistakes),
    }
    return Answer(
        {f"{noun}s": count for noun, count in counts.items()} | {"warnings": [*read.remarks, *overridden]},
        lambda: typer.echo(", ".join(counted(count, noun) for noun, count in counts.items())),
        EXIT_BAD_INPUT if mistakes else EXIT_OK,
        mistakes,
    )
