"""`fleet services`: show the catalog, check recipes, stop and start services."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from functools import partial
from pathlib import Path
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
from fleet.paths import read_regular
from fleet.plan.plan import catalog_for, claimed_operator
from fleet.recipes.catalog import Catalog, load_catalog
from fleet.recipes.recipe import Recipe, json_schema
from fleet.report.envelope import Answer
from fleet.report.table import plain
from fleet.state.acts import Start, Submit

app = typer.Typer(no_args_is_help=True, help="List services, check recipes, and stop or start visits to a service.")

MAX_CONFIRMATION = 64 * 1024 * 1024
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
        for name, control in recipe.entries.items()
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
def submitted(
    service: SERVICE,
    confirmation: Annotated[
        Path,
        typer.Option("--confirmation", metavar="FILE", help="What the service answered, such as its e-mail. Keep it."),
    ],
    request: Annotated[
        str | None,
        typer.Option(
            "--request", metavar="NAME", help="Request of the recipe; needed if it has several for organizations."
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option("--reference", metavar="TEXT", help="Reference, such as a file number; not a person's name."),
    ] = None,
    inventory: BESIDE = None,
    recipes: RECIPES = None,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> None:
    """Record that a service confirmed a request that the organization sent. Its outcome is then `submitted`.

    The log gets the file's SHA-256 and who recorded it, never the text. A form or letter that employees sign stays
    theirs: they say in the portal that they sent it.
    """
    _require_name(service)
    settings = settings_with_state(inventory, state=state, recipes=recipes, log_key=log_key, rehearsal=rehearsal)
    recipe = catalog_for(settings, rehearsal=rehearsal).get(service)
    if recipe is None:
        raise InputError(f"There is no recipe for '{service}'. Nothing was recorded.")
    control = _request_of(recipe, request)
    act = Submit(
        service=service,
        control=control,
        confirmation_sha256=_digest_of(confirmation),
        reference=None if reference is None else reference_of(reference),
        operator_claimed=claimed_operator(),
    )
    carry_out(settings, "fleet services submitted", act)
    digest = act.confirmation_sha256
    typer.echo(f"Recorded the confirmation with SHA-256 {digest}, in the state directory {settings.state}.")
    if control is None:
        typer.echo(f"No outcome changes: the recipe of {service} has no request that the organization signs.")
    else:
        typer.echo(f"{service}.{control} is submitted from the next run on. Keep {confirmation}.")


def _request_of(recipe: Recipe, wanted: str | None) -> str | None:
    """Return the organization's request to a service; None if the recipe has none. Raises InputError."""
    own = [name for name, one in recipe.requests.items() if one.signed_by == "organization"]
    if wanted is None and len(own) > 1:
        raise InputError(f"{recipe.service} has several requests: {', '.join(own)}; name one with --request.")
    if wanted is None or wanted in own:
        return wanted or next(iter(own), None)
    if wanted in recipe.requests:
        raise InputError(
            f"{recipe.service}.{wanted} is signed by each employee, who says in the portal that it was sent. Nothing "
            "was recorded."
        )
    raise InputError(f"{recipe.service} has no request '{wanted}'; it has: {', '.join(own) or 'none'}.")


def _digest_of(file: Path) -> str:
    """Return the SHA-256 of a confirmation. Raises InputError if it is missing, empty or no regular file."""
    try:
        content = read_regular(file, MAX_CONFIRMATION + 1)
    except OSError as error:
        raise InputError(f"--confirmation {file}: cannot be read ({error.strerror}).") from None
    if not content or len(content) > MAX_CONFIRMATION:
        what = "is larger than 64 MiB" if content else "is empty"
        raise InputError(f"--confirmation {file}: {what}; save what the service answered.")
    return hashlib.sha256(content).hexdigest()


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
    checked = [(recipe.service, str(catalog.paths[recipe.service]), len(recipe.entries)) for recipe in catalog]

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
