"""`fleet inventory check`: every mistake in an inventory, before a browser opens."""

from __future__ import annotations

import typer

from fleet.commands.options import INVENTORY, LIMIT, OUTPUT, RECIPES, Output, say, settings_of
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
    """Validate everything, and name file, line, employee and field of each mistake. Changes nothing.

    Exit codes: 0 without mistakes, 2 with mistakes.
    """
    read, _ = read_people(settings_of(inventory, recipes=recipes), limit)
    mistakes = [*read.warnings, *map(str, read.all_problems()), *map(str, gaps_in_mandates(read))]
    for remark in read.remarks:
        say(f"Ansible warns: {remark}", "yellow")
    counts = {
        "employee": len(read.employees),
        "account": sum(len(employee.accounts) for employee in read.employees),
        "mistake": len(mistakes),
    }
    return Answer(
        {f"{noun}s": count for noun, count in counts.items()} | {"warnings": list(read.remarks)},
        lambda: typer.echo(", ".join(counted(count, noun) for noun, count in counts.items())),
        EXIT_BAD_INPUT if mistakes else EXIT_OK,
        mistakes,
    )
