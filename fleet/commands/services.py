"""`fleet services`: show the catalog, check recipes, stop and start services."""

from __future__ import annotations

import asyncio
import json
import os
from functools import partial
from typing import Annotated, Any

import typer
from rich.table import Column

from fleet.authority.blocklist import Blocklist, Entry
from fleet.browser.engine import Engine
from fleet.browser.find_browser import BrowserProgram, find_browser
from fleet.browser.network import Network
from fleet.browser.selector_check import require_selectors
from fleet.commands.carry_out import block, carry_out, reference_of
from fleet.commands.options import (
    BESIDE,
    LOG_KEY,
    OUTPUT,
    RECIPES,
    REHEARSAL,
    STATE,
    Output,
    people,
    say,
    screen,
    settings_of,
    settings_with_state,
)
from fleet.errors import BrowserMissingError, InputError
from fleet.model import SERVICE_NAME
from fleet.plan.plan import catalog_for, claimed_operator
from fleet.recipes.catalog import Catalog, load_catalog
from fleet.recipes.recipe import json_schema
from fleet.report.envelope import Answer
from fleet.report.table import plain
from fleet.state.acts import Start

app = typer.Typer(no_args_is_help=True, help="List services, check recipes, and stop or start visits to a service.")

SERVICE = Annotated[str, typer.Argument(help="Service, such as linkedin.")]


def _catalog(inventory: list[str] | None, recipes: list[str] | None) -> Catalog:
    return load_catalog(settings_of(inventory, recipes=recipes).recipes)


@app.command("list")
def list_(
    inventory: BESIDE = None, recipes: RECIPES = None, state: STATE = None, output: OUTPUT = Output.TEXT
) -> Answer:
    """List every control, what the service's terms say about automation, and which services are stopped."""
    controls = [
        {
            "service": recipe.service,
            "control": name,
            "title": control.title,
            "kind": control.kind,
            "terms": recipe.terms.automation,
            "seen_live": control.verified_live,
        }
        for recipe in _catalog(inventory, recipes)
        for name, control in recipe.controls.items()
    ]
    stopped = list(Blocklist(settings_of(inventory, state=state).state_dir.stopped_services).entries())
    fields = [{"service": one.name, "stopped_on": one.since.isoformat(), "reference": one.reference} for one in stopped]
    return Answer({"controls": controls, "stopped": fields}, partial(_print, controls, stopped))


def _print(controls: list[dict[str, Any]], stopped: list[Entry]) -> None:
    facts = (Column(heading, no_wrap=True) for heading in ("Kind", "Terms", "Seen live"))
    table = plain(Column("Control", no_wrap=True), Column("Setting", overflow="fold", ratio=1), *facts)
    for one in controls:
        seen = str(one["seen_live"] or "not yet")
        table.add_row(f"{one['service']}.{one['control']}", one["title"], one["kind"], one["terms"], seen)
    screen().print(table)
    for entry in stopped:
        rests_on = f" ({entry.reference})" if entry.reference else ""
        say(f"{entry.name} has been stopped since {entry.since.isoformat()}{rests_on}: no run visits it.", "yellow")


@app.command()
def show(service: SERVICE, inventory: BESIDE = None, recipes: RECIPES = None) -> None:
    """Print a recipe file with its sources."""
    catalog = _catalog(inventory, recipes)
    if catalog.get(service) is None:
        raise InputError(f"There is no recipe for '{service}'; known services: {', '.join(catalog.recipes)}.")
    typer.echo(f"# {catalog.paths[service]}")
    typer.echo(catalog.paths[service].read_text("utf-8").rstrip())


@app.command()
def stop(
    service: SERVICE,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference", metavar="TEXT", help="Reference of the decision, such as a ticket; not a person's name."
        ),
    ] = None,
    inventory: BESIDE = None,
    recipes: RECIPES = None,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> None:
    """Stop all visits to a service immediately, even during a run.

    If a run is in progress, it writes the record. Exit code 1: the service is stopped, but that is
    not recorded yet; the next command or run that writes to the log records it.
    """
    _require_name(service)
    settings = settings_with_state(inventory, state=state, recipes=recipes, log_key=log_key, rehearsal=rehearsal)
    try:
        known = catalog_for(settings, rehearsal=rehearsal).recipes
    except InputError as error:  # an emergency stop must not wait until a recipe is fixed
        say(f"Could not check whether there is a recipe for {service}: {error}", "yellow")
    else:
        if service not in known:
            raise InputError(f"There is no recipe for '{service}'; known: {', '.join(known)}. Nothing was stopped.")
    stopped = Blocklist(settings.state_dir.stopped_services)
    block(settings, stopped, service, reference, "fleet services stop", service, "stopped")


def _require_name(service: str) -> None:
    if not SERVICE_NAME.fullmatch(service):
        raise InputError(f"'{service}' is not a valid service name.")


@app.command()
def start(
    service: SERVICE,
    reference: Annotated[
        str,
        typer.Option(
            "--reference", metavar="TEXT", help="Reference of the decision, such as a ticket; not a person's name."
        ),
    ],
    inventory: BESIDE = None,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> None:
    """Allow visits to a stopped service again. Recorded before it takes effect."""
    _require_name(service)
    settings = settings_with_state(inventory, state=state, log_key=log_key, rehearsal=rehearsal)
    act = Start(service=service, reference=reference_of(reference), operator_claimed=claimed_operator())
    carry_out(settings, "fleet services start", act)
    typer.echo(f"Runs visit {service} again, in the state directory {settings.state}.")


@app.command()
def check(inventory: BESIDE = None, recipes: RECIPES = None, output: OUTPUT = Output.TEXT) -> Answer:
    """Check all recipes, those of the catalog and your own. Exit code 2 if one is invalid.

    Visits no page. If a browser is installed, also checks that each selector is valid CSS.
    """
    catalog = _catalog(inventory, recipes)
    try:
        asyncio.run(_check_selectors(catalog, find_browser()))
    except BrowserMissingError:
        people.print("The selectors were not checked because there is no browser; run: fleet browser install")
    checked = [(recipe.service, str(catalog.paths[recipe.service]), len(recipe.controls)) for recipe in catalog]

    def show() -> None:
        for _, path, count in checked:
            typer.echo(f"{path}: ok, {count} control(s)")

    fields = [{"service": service, "file": path, "controls": count} for service, path, count in checked]
    return Answer({"recipes": fields}, show)


async def _check_selectors(catalog: Catalog, program: BrowserProgram) -> None:
    engine = Engine(program, Network(), sandbox=os.geteuid() != 0)
    try:
        await require_selectors(engine, frozenset(), catalog, catalog)
    finally:
        await engine.stop()


@app.command()
def schema() -> None:
    """Print the JSON Schema of recipes for editors, the same as docs/recipe.schema.json."""
    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
