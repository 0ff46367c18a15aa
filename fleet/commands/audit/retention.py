"""`fleet audit erase` and `fleet audit prune`: deliberate deletion."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

import typer

from fleet.commands.carry_out import carry_out
from fleet.commands.options import BESIDE, LOG_KEY, REHEARSAL, STATE, settings_of, with_log
from fleet.errors import InputError
from fleet.model import counted
from fleet.plan.plan import claimed_operator
from fleet.state.acts import Erase, Prune
from fleet.state.own_files import erase_in_portal


def erase(
    employee: Annotated[str, typer.Argument(help="Employee, as in the inventory.")],
    inventory: BESIDE = None,
    state: STATE = None,
    log_key: LOG_KEY = None,
    rehearsal: REHEARSAL = False,
) -> None:
    """Delete everything that identifies a person: pseudonym, key, sessions, screenshots, what they said and gave.

    What waits in the portal's inbox goes, too, and what the portal shows them. The log stays verifiable. Revocations of
    mandates are kept. Do the same on every copy of the state directory, and remove the person from the inventory.
    """
    settings = with_log(settings_of(inventory, state=state, log_key=log_key), rehearsal=rehearsal, to_write=True)
    act = Erase(employees=[employee], operator_claimed=claimed_operator())
    erased = carry_out(settings, "fleet audit erase", act)["erased"].get(employee)
    # The portal of fleet.yml is that of the real accounts. It is not in the state, so this comes after the record.
    of_portal = set() if rehearsal else erase_in_portal(settings.inbox, settings.portal_data, [employee])
    if erased is None:
        if of_portal:
            typer.echo(f"{employee} is erased from the portal. The state directory {settings.state} had no data.")
            return
        raise InputError(f"There is no data about '{employee}': no run has included them, and there is no session.")
    # Do not print the pseudonym: kept output would link the log to the person again.
    met = "" if erased["pseudonym"] else " No run had included them."
    gone = f"{erased['sessions']} sessions, {erased['evidence']} screenshots"
    typer.echo(f"{employee} is erased from the state directory {settings.state}: {gone}.{met}")


def prune(
    before: Annotated[
        datetime | None,
        typer.Option(
            "--before", metavar="DAY", formats=["%Y-%m-%d"], help="Remove runs that ended before this day (UTC)."
        ),
    ] = None,
    inventory: BESIDE = None,
    state: STATE = None,
    log_key: LOG_KEY = None,
    rehearsal: REHEARSAL = False,
) -> None:
    """Delete what has been kept long enough: what `retention` in fleet.yml names, and with --before old runs.

    Of runs, records, screenshots and diagnostics go. Their hashes stay, so later proofs remain valid. Run it daily.
    """
    settings = with_log(settings_of(inventory, state=state, log_key=log_key), rehearsal=rehearsal, to_write=True)
    keep = settings.retention
    if before is None and keep.pictures is None and keep.tokens is None:
        raise InputError("Nothing says what is old: add retention to fleet.yml, or give --before DAY.")
    act = Prune(
        before=before and date(before.year, before.month, before.day),
        pictures_days=keep.pictures,
        tokens_days=keep.tokens,
        operator_claimed=claimed_operator(),
    )
    done = carry_out(settings, "fleet audit prune", act)
    if before is not None:
        first = done["first"]
        typer.echo(
            f"The log in {settings.state} now begins with record {first}." if first else "No records are that old."
        )
    if keep.pictures is not None or keep.tokens is not None:
        expired = done["expired"]
        gone = f"{counted(expired['pictures'], 'picture')}, {counted(expired['tokens'], 'token')}"
        typer.echo(
            f"Deleted by retention in {settings.state}: {gone}, {counted(expired['acts'], 'act')} of the portal."
        )
