"""`fleet spot-check`: draw people among those who attested, and end the check."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated

import typer

from fleet.audit.pseudonyms import known_subjects
from fleet.audit.segments import of_kind, read_records
from fleet.authority.countries import may_be_attended
from fleet.commands.carry_out import carry_out
from fleet.commands.options import BESIDE, INVENTORY, LOG_KEY, RECIPES, REHEARSAL, STATE, settings_with_state
from fleet.errors import InputError
from fleet.inventory.employee import Employee
from fleet.model import control_name
from fleet.plan.gates import attestations_of, today
from fleet.plan.plan import claimed_operator, read_people
from fleet.recipes.catalog import Catalog
from fleet.report.spot_check import LastSpotCheck
from fleet.settings.resolve import Settings
from fleet.state.acts import Draw, EndSpotCheck
from fleet.state.spot_checks import CAN_BE_READ, Found, Invitation, Invitations, draw_people

app = typer.Typer(
    no_args_is_help=True, help="Check at the desk how many of those who say that they did it are right, by a sample."
)


@app.command()
def draw(
    count: Annotated[int, typer.Argument(metavar="COUNT", min=1, help="How many people to draw, such as 60.")],
    days: Annotated[
        int, typer.Option("--days", metavar="DAYS", min=1, max=90, help="Show the invitation for this many days.")
    ] = 30,
    inventory: INVENTORY = None,
    recipes: RECIPES = None,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> None:
    """Draw people at random and invite them on their page in the portal. Only their number is recorded.

    Drawn among those who attested a setting, can sign in to the portal, and work in a country of `desk` in fleet.yml.
    `fleet status` shows the result, which `fleet spot-check end` keeps; names are deleted then.
    """
    settings = settings_with_state(inventory, state=state, log_key=log_key, recipes=recipes, rehearsal=rehearsal)
    everybody, catalog = read_people(settings)
    everybody.require_own_state(is_rehearsal=rehearsal)
    if not settings.desk.countries:
        raise InputError("fleet.yml names no countries for the desk; add desk: {countries: [DE]}.")
    attested = {one.name: found for one in everybody.employees if (found := _attested(one, settings, catalog))}
    ends_on = today() + timedelta(days=days)
    act = Draw(
        invitations=[
            Invitation(employee=name, controls=attested[name], ends_on=ends_on)
            for name in draw_people(list(attested), count)
        ],
        among=len(attested),
        operator_claimed=claimed_operator(),
    )
    carry_out(settings, "fleet spot-check draw", act)
    typer.echo(
        f"Drew {count:,} of {len(attested):,} people, in the state directory {settings.state}. "
        "Invite them with: fleet portal publish"
    )


def _attested(employee: Employee, settings: Settings, catalog: Catalog) -> tuple[str, ...]:
    """Return what somebody attested that still counts and can be read; nothing for those who cannot be invited."""
    if employee.subject is None or not may_be_attended(employee.country, settings.desk.countries):
        return ()
    attestations = attestations_of(settings)
    own = [service for service, account in employee.accounts.items() if account.owner == "employee"]
    return tuple(
        control_name(service, control)
        for service in own
        if (recipe := catalog.get(service)) is not None
        for control in recipe.controls
        if (said := attestations.fresh(employee.name, service, control, today())) and said.said in CAN_BE_READ
    )


@app.command()
def end(
    inventory: BESIDE = None,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> None:
    """End the spot check: record its result as numbers, and delete who was drawn."""
    settings = settings_with_state(inventory, state=state, log_key=log_key, rehearsal=rehearsal)
    typer.echo(_end(settings, "fleet spot-check end", rehearsal=rehearsal))


def end_if_over(settings: Settings, command: str, *, rehearsal: bool) -> str | None:
    """End a spot check whose invitations are no longer shown, and return its result; None if there is none."""
    invitations = Invitations(settings.state_dir.spot_checks).all()
    if not invitations or any(today() <= one.ends_on for one in invitations):
        return None
    return _end(settings, command, rehearsal=rehearsal)


def _end(settings: Settings, command: str, *, rehearsal: bool) -> str:
    """End the spot check that is open and return its result for people. Raises InputError, and as `carry_out` does."""
    places, last = settings.state_dir.audit, LastSpotCheck()
    invitations = Invitations(settings.state_dir.spot_checks).all()
    found = Found(invitations, known_subjects(places.subjects))
    for _ in last.watch(found.watch(of_kind(read_records(places.log), rehearsal=rehearsal))):
        pass
    result = last.result(found)
    if not invitations and (result is None or result.ended_on is not None):
        raise InputError("No spot check is open.")
    act = EndSpotCheck(checked=found.checked, wrong=found.wrong, operator_claimed=claimed_operator())
    carry_out(settings, command, act)
    return replace(result, ended_on=today()).sentence if result else "Ended. The log no longer holds the draw."
