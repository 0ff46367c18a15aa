"""`fleet inventory check`: every mistake in an inventory, before a browser opens."""

from __future__ import annotations

import typer

from fleet.commands.options import INVENTORY, LIMIT, RECIPES, say, settings_of
from fleet.inventory.read import gaps_in_mandates
from fleet.model import EXIT_BAD_INPUT, counted
from fleet.plan.plan import read_people


def check(
    inventory: INVENTORY = None,
    limit: LIMIT = None,
    recipes: RECIPES = None,
) -> None:
    """Check an inventory, and print file, line, employee and field of every mistake. Changes nothing.

    Exit codes: 0 no mistakes, 2 mistakes.
    """
    read, _ = read_people(settings_of(inventory, recipes=recipes), limit)
    mistakes = [*read.warnings, *map(str, read.all_problems()), *map(str, gaps_in_mandates(read))]
    for remark in read.remarks:
        say(f"Ansible warns: {remark}", "yellow")
    for mistake in mistakes:
        say(mistake)
    accounts = sum(len(employee.accounts) for employee in read.employees)
    counts = ((len(read.employees), "employee"), (accounts, "account"), (len(mistakes), "mistake"))
    typer.echo(", ".join(counted(*one) for one in counts))
    if mistakes:
        raise typer.Exit(EXIT_BAD_INPUT)
