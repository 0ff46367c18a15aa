"""`fleet sessions capture`: a person signs in in a plain browser window; their session is sealed, the profile wiped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from fleet.agent.browsers import is_in_sandbox, open_engine, proxied_hosts
from fleet.authority.blocklist import Blocklist
from fleet.authority.mandates import Revocations
from fleet.browser.find_browser import BrowserProgram, find_window_browser
from fleet.browser.network import Network
from fleet.commands.carry_out import carry_out
from fleet.commands.options import IDENTITY, INVENTORY, LOG_KEY, RECIPES, STATE, say, settings_of
from fleet.desk.browser_policies import require_no_obstacle
from fleet.desk.plain_window import plain_window, require_display
from fleet.desk.private_profile import private_profile, require_memory
from fleet.desk.signed_in import Expected, read_session, require_person
from fleet.errors import InputError
from fleet.inventory.read import Inventory
from fleet.model import Result
from fleet.next_steps import next_step
from fleet.plan.gates import gates_of
from fleet.plan.plan import PlannedAccount, claimed_operator, read_people, require_sandbox
from fleet.recipes.catalog import Catalog
from fleet.recipes.recipe import Recipe
from fleet.rehearsal.stage import raise_stage_alone
from fleet.sessions.storage_state import StorageState
from fleet.sessions.store import SessionStore
from fleet.settings.resolve import Settings
from fleet.state.acts import Capture


def capture(
    employee: Annotated[str, typer.Argument(help="Employee, as in the inventory.")],
    service: Annotated[str, typer.Argument(help="Service, such as linkedin.")],
    inventory: INVENTORY = None,
    recipes: RECIPES = None,
    state: STATE = None,
    identity: IDENTITY = None,
    log_key: LOG_KEY = None,
) -> None:
    """Let the employee sign in in a plain browser window, then encrypt and store the session.

    Opens the installed Chrome, Chromium or Edge with an empty profile in memory and nothing attached. Once the window
    is closed, checks whose session it is, stores what the recipe declares, and wipes the profile.
    """
    settings = settings_of(inventory, recipes=recipes, state=state, identity=identity, log_key=log_key)
    people, catalog = read_people(settings)
    settings = settings.of_kind(rehearsal=people.rehearsal)
    account = _account(people, catalog, employee, service)
    recipe = catalog.recipes[service]
    with _network(people, settings, catalog) as network:
        settings.state_dir.check(rehearsal=people.rehearsal)
        live = not network.is_loopback(recipe.page_hosts)
        expected = _expected(settings, account, recipe, live=live)
        if live:
            require_sandbox(settings.sandbox)
        require_display()
        require_memory()
        program = find_window_browser()
        require_no_obstacle(program)
        say(f"Sign in to {recipe.name} in the window of {program.name}, then close the window.")
        captured = asyncio.run(_captured(program, network, recipe, expected, sandbox=settings.sandbox))
    act = Capture(employee=employee, service=service, operator_claimed=claimed_operator())
    carry_out(settings, "fleet sessions capture", act)
    SessionStore(settings.state_dir).seal(employee, recipe, captured)
    typer.echo(f"Sealed the session of {employee} at {recipe.name} in the state directory {settings.state}.")


def _account(people: Inventory, catalog: Catalog, name: str, service: str) -> PlannedAccount:
    sources = ", ".join(people.sources)
    employee = next((one for one in people.employees if one.name == name), None)
    if employee is None or not employee.is_name_safe:
        raise InputError(f"'{name}' is not an employee in {sources}.")
    recipe = catalog.get(service)
    if recipe is None:
        raise InputError(f"There is no recipe for '{service}'; known services: {', '.join(catalog.recipes)}.")
    problem = employee.problem_for(service)
    if problem is not None:
        raise InputError(f"{name}'s data is invalid; 'fleet inventory check' shows the file and field.")
    if service not in employee.accounts:
        raise InputError(f"{name} has no account at {service} in {sources}.")
    return PlannedAccount(employee, service, recipe, tuple(recipe.controls))


@contextmanager
def _network(people: Inventory, settings: Settings, catalog: Catalog) -> Iterator[Network]:
    """Yield the network of a live sign-in or, for a rehearsal inventory, one that leads to its stand-in services."""
    if not people.rehearsal:
        yield settings.network
        return
    stage = raise_stage_alone(people, settings, catalog)
    try:
        yield stage.network
    finally:
        stage.strike()


def _expected(settings: Settings, account: PlannedAccount, recipe: Recipe, *, live: bool) -> Expected:
    """Return who must sign in. Raises InputError if no browser may open this account."""
    employee, state = account.employee, settings.state_dir
    gates = gates_of(settings, Revocations(state.revocations), Blocklist(state.stopped_services))
    refused = gates.refusal_of_sign_in(account, live=live)
    if refused is not None:
        step = next_step(
            Result(
                employee.name, recipe.service, None, refused.outcome, reason=refused.reason, service_name=recipe.name
            )
        )
        raise InputError(f"{employee.name}'s account at {recipe.name} may not be opened. {step}")
    profile = gates.profile(employee, recipe.service, None)
    assert profile is not None  # else refused: PROFILE_UNKNOWN
    return Expected(employee.name, profile, employee.locale)


async def _captured(
    program: BrowserProgram, network: Network, recipe: Recipe, expected: Expected, *, sandbox: bool
) -> StorageState:
    """Return the session of a sign-in in a plain window, once its profile is wiped and its owner recognized."""
    live = not network.is_loopback(recipe.page_hosts)
    with private_profile() as profile:
        engine = await open_engine(
            network, proxied_hosts(network, [recipe]), sandbox=sandbox, live=live, program=program, is_visible=True
        )
        try:
            reach = network.window_arguments(recipe.page_hosts)
            async with plain_window(
                program, profile, recipe.sign_in_page(expected.profile), reach, sandbox=is_in_sandbox(sandbox)
            ) as window:
                await window.closed()
            session = await read_session(engine, profile, recipe)
            profile.wipe()
            await require_person(engine, recipe, session, expected)
        finally:
            await engine.stop()
    return session
