"""`fleet services`: look at the catalogue and check recipes."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Annotated

import typer
from rich.table import Table

from fleet.browser.engine import Engine
from fleet.browser.find import BrowserProgram, find_browser
from fleet.browser.network import Network
from fleet.catalogue import Catalogue, load_catalogue
from fleet.commands.options import RECIPES, people, screen, settings_of
from fleet.errors import BrowserMissingError, InputError
from fleet.recipe import json_schema
from fleet.selectors import require_selectors

app = typer.Typer(no_args_is_help=True, help="Look at the catalogue and check recipes.")


def _catalogue(recipes: list[str] | None) -> Catalogue:
    return load_catalogue(settings_of(recipes=recipes).recipes)


@app.command("list")
def list_(recipes: RECIPES = None) -> None:
    """List every control that can be opted out of, and what the service's terms say of automation."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("Control", no_wrap=True)
    table.add_column("Setting", overflow="fold", ratio=1)
    for heading in ("Kind", "Terms", "Seen live"):
        table.add_column(heading, no_wrap=True)
    for recipe in _catalogue(recipes):
        for name, control in recipe.controls.items():
            seen = control.verified_live or "not yet"
            table.add_row(f"{recipe.service}.{name}", control.title, control.kind, recipe.terms.automation, seen)
    screen().print(table)


@app.command()
def show(service: Annotated[str, typer.Argument(help="Service, such as linkedin.")], recipes: RECIPES = None) -> None:
    """Show a recipe as it stands in its file, sources and all."""
    catalogue = _catalogue(recipes)
    if catalogue.get(service) is None:
        raise InputError(f"There is no recipe for '{service}'; known are {', '.join(catalogue.recipes)}.")
    typer.echo(f"# {catalogue.paths[service]}")
    typer.echo(catalogue.paths[service].read_text("utf-8").rstrip())


@app.command()
def check(recipes: RECIPES = None) -> None:
    """Validate all recipes, the catalogue's and your own. Exit code 2 if one is wrong.

    No page is visited; the browser, where there is one, is only asked whether it takes every selector for CSS.
    """
    catalogue = _catalogue(recipes)
    try:
        asyncio.run(_check_selectors(catalogue, find_browser()))
    except BrowserMissingError:
        people.print("The selectors were not tried, for there is no browser: fleet browser install")
    for recipe in catalogue:
        typer.echo(f"{catalogue.paths[recipe.service]}: ok, {len(recipe.controls)} control(s)")


async def _check_selectors(catalogue: Catalogue, program: BrowserProgram) -> None:
    engine = Engine(program, Network(), sandbox=os.geteuid() != 0)
    try:
        await require_selectors(engine, frozenset(), catalogue, catalogue)
    finally:
        await engine.stop()


@app.command()
def schema() -> None:
    """Print the JSON Schema of recipes, for editors. The same is published as docs/recipe.schema.json."""
    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
