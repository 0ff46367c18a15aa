"""`fleet mandates`: revoke mandates, effective at once, also during a run."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.audit.pseudonyms import known_names
from fleet.authority.mandates import Revocations
from fleet.commands.carry_out import block, carry_out, reference_of
from fleet.commands.options import (
    BESIDE,
    INVENTORY,
    LOG_KEY,
    OUTPUT,
    REHEARSAL,
    STATE,
    Output,
    settings_with_state,
)
from fleet.errors import FleetError, InputError
from fleet.model import SAFE_NAME
from fleet.plan.plan import claimed_operator, read_people
from fleet.report.envelope import Answer
from fleet.settings.resolve import Settings
from fleet.state.acts import Renew

app = typer.Typer(no_args_is_help=True, help="Revoke and renew mandates, and list revocations.")

EMPLOYEE = Annotated[str, typer.Argument(help="Employee, as in the inventory.")]


@app.command()
def revoke(
    employee: EMPLOYEE,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference", metavar="TEXT", help="Reference of the revocation, such as the number of a letter."
        ),
    ] = None,
    inventory: INVENTORY = None,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Accept a name that is in no inventory and not in the log.")
    ] = False,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> None:
    """Revoke an employee's mandate. Takes effect immediately, even during a run, and overrides the inventory.

    If a run is in progress, it writes the record. Exit code 1: the revocation is in force, but not
    recorded yet; the next command or run that writes to the log records it.
    """
    _require_name(employee)
    settings = settings_with_state(inventory, state=state, log_key=log_key, rehearsal=rehearsal)
    revocations = Revocations(settings.state_dir.revocations)
    if not unknown:
        _require_known(employee, settings, revocations, rehearsal=rehearsal)
    subject = f"The mandate of {employee}"
    block(settings, revocations, employee, reference, "fleet mandates revoke", subject, "revoked")


def _require_name(employee: str) -> None:
    if not SAFE_NAME.fullmatch(employee):
        raise InputError(f"'{employee}' is not a valid employee name.")


def _require_known(employee: str, settings: Settings, revocations: Revocations, *, rehearsal: bool) -> None:
    """Refuse an unknown name: the intended person would still be visited. Raises InputError."""
    known = {*known_names(settings.state_dir.audit.subjects).values(), *(one.name for one in revocations.entries())}
    if employee in known:
        return
    places = f"the log of {settings.state}"
    if settings.inventory:
        try:
            people, _ = read_people(settings)
            people.require_own_state(is_rehearsal=rehearsal)
        except FleetError as error:
            raise InputError(f"{error} Nothing was revoked; --unknown revokes without checking the name.") from None
        if any(one.name == employee for one in people.employees):
            return
        places += f" and {', '.join(settings.inventory)}"
    raise InputError(
        f"'{employee}' is not in {places}; nothing was revoked. Correct the name, give its inventory with -i, "
        "or add --unknown."
    )


@app.command()
def renew(
    employee: EMPLOYEE,
    reference: Annotated[str, typer.Option("--reference", metavar="TEXT", help="Reference of the new mandate.")],
    inventory: BESIDE = None,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> None:
    """End a revocation because the employee has given a new mandate. Recorded before it takes effect."""
    _require_name(employee)
    settings = settings_with_state(inventory, state=state, log_key=log_key, rehearsal=rehearsal)
    act = Renew(employee=employee, reference=reference_of(reference), operator_claimed=claimed_operator())
    carry_out(settings, "fleet mandates renew", act)
    typer.echo(f"The mandate of {employee} in the inventory is valid again, in the state directory {settings.state}.")


@app.command("list")
def list_(
    inventory: BESIDE = None, rehearsal: REHEARSAL = False, state: STATE = None, output: OUTPUT = Output.TEXT
) -> Answer:
    """List revoked mandates with dates and references."""
    settings = settings_with_state(inventory, state=state, rehearsal=rehearsal)
    revoked = list(Revocations(settings.state_dir.revocations).entries())

    def show() -> None:
        for entry in revoked:
            typer.echo("  ".join(part for part in (entry.name, entry.since.isoformat(), entry.reference) if part))
        if not revoked:
            typer.echo("There are no revocations.")

    fields = [
        {"employee": one.name, "revoked_on": one.since.isoformat(), "reference": one.reference} for one in revoked
    ]
    return Answer({"revoked": fields}, show)
