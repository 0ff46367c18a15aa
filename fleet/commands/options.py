"""Options that several verbs share, and the console that words for people go to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fleet.config import Given, Settings, resolve_settings

INVENTORY = Annotated[
    list[str] | None,
    typer.Option("-i", "--inventory", metavar="INVENTORY", help="Inventory, as for ansible. Repeatable."),
]
STATE = Annotated[str | None, typer.Option("--state", metavar="DIR", help="State directory [env: FLEET_STATE].")]
IDENTITY = Annotated[
    str | None,
    typer.Option("--identity", metavar="FILE", help="Age identity that opens sessions [env: FLEET_IDENTITY]."),
]
RECIPES = Annotated[
    list[str] | None,
    typer.Option("--recipes", metavar="DIR", help="Recipes of your own, beside the catalogue. Repeatable."),
]

people = Console(stderr=True, highlight=False)
"""Words for people; stdout is kept for data."""


def settings_of(
    state: str | None = None,
    identity: str | None = None,
    recipes: list[str] | None = None,
    inventory: list[str] | None = None,
) -> Settings:
    """Settings of the verbs that only need places."""
    given = Given(state=state, identity=identity, recipes=tuple(recipes or ()))
    return resolve_settings(given, inventory or (), Path.cwd())
