"""`fleet mandates`: take mandates back, at once and also in the middle of a run."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import ValidationError

from fleet.acts import Renew, Settle
from fleet.audit.subjects import known_names
from fleet.commands.options import LOG_KEY, STATE, reference_of, require_recorded, settings_of
from fleet.config import Settings
from fleet.employee import SAFE_NAME
from fleet.errors import InputError
from fleet.mandates import Revocations
from fleet.plan import claimed_operator
from fleet.writing import carry_out

app = typer.Typer(no_args_is_help=True, help="Take mandates back.")

EMPLOYEE = Annotated[str, typer.Argument(help="Employee, as in the inventory.")]


def _settings(state: str | None, log_key: str | None = None) -> Settings:
    settings = settings_of(state, log_key=log_key)
    settings.state_dir.check()
    return settings


@app.command()
def revoke(
    employee: EMPLOYEE,
    reference: Annotated[
        str | None, typer.Option("--reference", metavar="TEXT", help="What it rests on, such as a letter's number.")
    ] = None,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> None:
    """Nothing of this employee is touched any more, whatever the inventory says.

    It counts first and is recorded then, by the run that is writing where there is one. Exit code 1: it counts, and is
    recorded by the next command or run that writes.
    """
    if not SAFE_NAME.fullmatch(employee):
        raise InputError(f"'{employee}' cannot be an employee's name in an inventory.")
    settings = _settings(state, log_key)
    revocations = Revocations(settings.state_dir.revocations)
    is_new = revocations.add(
        employee,
        datetime.now(UTC).date(),
        reference=reference_of(reference),
        operator=os.getuid(),
        operator_claimed=claimed_operator(),
    )
    typer.echo(f"The mandate of {employee} {'is revoked as of now' if is_new else 'was revoked already'}.")
    with require_recorded(f"The mandate of {employee} is revoked"):
        carry_out(settings, "fleet mandates revoke", Settle(), lambda: revocations.is_recorded(employee))
    if employee not in known_names(settings.state_dir.audit.subjects).values():
        typer.echo(f"No run has met an employee named {employee} yet; see that the name is the inventory's.", err=True)


@app.command()
def renew(
    employee: EMPLOYEE,
    reference: Annotated[str, typer.Option("--reference", metavar="TEXT", help="Of the new mandate.")],
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> None:
    """Forget a revocation, because the employee has given a new mandate. It is recorded first."""
    settings = _settings(state, log_key)
    try:
        act = Renew(employee=employee, reference=reference_of(reference) or "", operator_claimed=claimed_operator())
    except ValidationError:
        raise InputError(f"'{employee}' cannot be an employee's name in an inventory.") from None
    carry_out(settings, "fleet mandates renew", act)
    typer.echo(f"The mandate of {employee} in the inventory counts again.")


@app.command("list")
def list_(state: STATE = None) -> None:
    """Who revoked, when, and on what reference."""
    revoked = list(Revocations(_settings(state).state_dir.revocations).entries())
    for entry in revoked:
        typer.echo("  ".join(part for part in (entry.name, entry.since.isoformat(), entry.reference) if part))
    if not revoked:
        typer.echo("Nobody has revoked.")
