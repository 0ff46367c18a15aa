"""`fleet mandates`: list, export, revoke and renew mandates. A revocation counts at once, also during a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column

from fleet.audit.pseudonyms import known_names
from fleet.authority.former_names import FormerNames
from fleet.authority.given import GivenMandates
from fleet.authority.mandates import Revocations
from fleet.commands.carry_out import block, carry_out, reference_of
from fleet.commands.options import (
    BESIDE,
    INVENTORY,
    LOG_KEY,
    OUTPUT,
    RECIPES,
    REHEARSAL,
    STATE,
    Output,
    people,
    settings_with_state,
    write_output,
)
from fleet.errors import FleetError, InputError
from fleet.inventory.employee import Employee
from fleet.model import SAFE_NAME
from fleet.plan.gates import attestations_of, mandates_of, today
from fleet.plan.mandate_list import listed
from fleet.plan.plan import claimed_operator, read_people
from fleet.report.envelope import Answer
from fleet.report.table import plain
from fleet.settings.resolve import Settings
from fleet.state.acts import Renew

app = typer.Typer(no_args_is_help=True, help="List, export, revoke and renew mandates.")

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
    inventory: INVENTORY = None,
    recipes: RECIPES = None,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
    output: OUTPUT = Output.TEXT,
) -> Answer:
    """List all mandates, what each covers, and what opens or shuts it; then the revocations.

    Mandates that employees gave are in the state; those that an administrator wrote down are in the inventory. The JSON
    has their first day and reference, too.
    """
    settings = settings_with_state(inventory, state=state, recipes=recipes, rehearsal=rehearsal)
    people_of_inventory = _people_of_inventory(settings, rehearsal=rehearsal)
    revocations = Revocations(settings.state_dir.revocations)
    found = list(listed(people_of_inventory, mandates_of(settings, revocations), today()))
    revoked = list(revocations.entries())
    answers = attestations_of(settings)
    for name in answers.names():
        answers.of(name)  # raises InputError: an employee whose answers cannot be read has no mandate

    def show() -> None:
        if found:
            table = plain(Column("employee", no_wrap=True), "state", "assurance", "until", "covers")
            for one in found:
                until, covers = one.expires_on.isoformat(), ", ".join(one.covers)
                table.add_row(one.employee, one.state, one.assurance, until, covers)
            people.print(table)
        else:
            typer.echo("There are no mandates.")
        for entry in revoked:
            day = entry.since.isoformat()
            typer.echo("  ".join(filter(None, (f"Revoked: {entry.name}", day, entry.reference))))

    return Answer(
        {
            "mandates": [one.fields() for one in found],
            "revoked": [
                {"employee": one.name, "revoked_on": one.since.isoformat(), "reference": one.reference}
                for one in revoked
            ],
        },
        show,
    )


@app.command()
def export(
    employee: EMPLOYEE,
    folder: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write the files to.")],
    reference: Annotated[
        str | None,
        typer.Option("--reference", metavar="TEXT", help="Beginning of the mandate's reference; else the latest."),
    ] = None,
    inventory: BESIDE = None,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
) -> None:
    """Write one given mandate with its proof, and a script that checks it with openssl alone."""
    _require_name(employee)
    settings = settings_with_state(inventory, state=state, rehearsal=rehearsal)
    store = GivenMandates(settings.state_dir.mandates)
    given = [one for one in store.of(employee).mandates if one.reference.startswith(reference or "")]
    if not given:
        raise InputError(f"{employee} has given no such mandate; see 'fleet mandates list'.")
    if given[-1].is_token_expired:
        raise InputError(
            "The token that proves this mandate is no longer kept (retention in fleet.yml). The mandate counts as "
            "before; its record in the log has the token's HMAC."
        )
    from fleet.authority.mandate_export import export_mandate  # slow to load, and revoking must be quick

    try:
        text = store.text(given[-1].instruction.text.sha256)
    except OSError as error:
        raise InputError(f"The text of this mandate is missing in {store.texts} ({error.strerror}).") from None
    folder.mkdir(parents=True, exist_ok=True)
    former = FormerNames(settings.state_dir.former_names)
    files = export_mandate(given[-1], text, employee, former)
    for name, content in files.items():
        write_output(folder / name, content)
    if "verify.sh" in files:
        typer.echo(f"To check it: sh {folder / 'verify.sh'}")
    else:
        typer.echo(f"Written to {folder}. It was given at the desk: the proof is its record in the log.")


def _people_of_inventory(settings: Settings, *, rehearsal: bool) -> tuple[Employee, ...]:
    if not settings.inventory:
        return ()
    inventory, _ = read_people(settings)
    inventory.require_own_state(is_rehearsal=rehearsal)
    return inventory.employees
