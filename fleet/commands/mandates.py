"""`fleet mandates`: take mandates back, at once and also in the middle of a run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from fleet.audit.subjects import known_names
from fleet.commands.options import STATE, settings_of
from fleet.employee import SAFE_NAME
from fleet.errors import InputError
from fleet.mandates import Revocations

app = typer.Typer(no_args_is_help=True, help="Take mandates back.")

EMPLOYEE = Annotated[str, typer.Argument(help="Employee, as in the inventory.")]


def _revocations(state: str | None) -> Revocations:
    settings = settings_of(state)
    settings.state_dir.check()
    return Revocations(settings.state_dir.revocations)


@app.command()
def revoke(employee: EMPLOYEE, state: STATE = None) -> None:
    """Nothing of this employee is touched any more, whatever the inventory says."""
    if not SAFE_NAME.fullmatch(employee):
        raise InputError(f"'{employee}' cannot be an employee's name in an inventory.")
    _revocations(state).add(employee, datetime.now(UTC).date())
    typer.echo(f"The mandate of {employee} is revoked as of now.")
    if employee not in known_names(settings_of(state).state_dir.audit.subjects).values():
        typer.echo(f"No run has met an employee named {employee} yet; see that the name is the inventory's.", err=True)


@app.command()
def renew(employee: EMPLOYEE, state: STATE = None) -> None:
    """Forget a revocation, because the employee has given a new mandate."""
    if not _revocations(state).remove(employee):
        raise InputError(f"{employee} has not revoked; 'fleet mandates list' shows who has.")
    typer.echo(f"The mandate of {employee} in the inventory counts again.")


@app.command("list")
def list_(state: STATE = None) -> None:
    """Who revoked, and when."""
    revoked = _revocations(state).all()
    for employee, day in revoked.items():
        typer.echo(f"{employee}  {day.isoformat()}")
    if not revoked:
        typer.echo("Nobody has revoked.")
