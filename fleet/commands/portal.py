"""`fleet portal`: take in what employees did on their portal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import typer

from fleet.authority.inbox import ACT, Inbox
from fleet.authority.mandates import Revocations
from fleet.commands.carry_out import add_to, carry_out
from fleet.commands.options import (
    INVENTORY,
    LOG_KEY,
    OUTPUT,
    RECIPES,
    REHEARSAL,
    STATE,
    Output,
    people,
    settings_with_state,
)
from fleet.errors import InputError
from fleet.model import EXIT_BAD_INPUT, EXIT_OK, counted
from fleet.plan.plan import read_people
from fleet.report.envelope import Answer
from fleet.report.translations import visible
from fleet.state.acts import Attest, Settle
from fleet.state.ingest import Taken, ingest

app = typer.Typer(no_args_is_help=True, help="Take in what employees did on their portal.")


@app.command("ingest")
def ingest_(
    inventory: INVENTORY = None,
    recipes: RECIPES = None,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
    log_key: LOG_KEY = None,
    output: OUTPUT = Output.TEXT,
) -> Answer:
    """Check each act in the portal's inbox, record it, and let it count. Run it every few minutes.

    Works during a run, too. Files that are taken in are kept in portal/done in the state directory, refused ones with
    their reason in portal/refused. Exit code 2 if any is refused.
    """
    settings = settings_with_state(inventory, state=state, log_key=log_key, recipes=recipes, rehearsal=rehearsal)
    if settings.inbox is None:
        raise InputError("fleet.yml names no inbox; add inbox: FOLDER, the folder that the portal writes to.")
    everybody, catalog = read_people(settings)
    everybody.require_own_state(is_rehearsal=rehearsal)
    revocations = Revocations(settings.state_dir.revocations)

    def revoke(names: Sequence[str]) -> None:
        for name in names:
            add_to(revocations, name, "portal")
        carry_out(settings, "fleet portal ingest", Settle(), lambda: all(map(revocations.is_recorded, names)))

    taken = ingest(
        Inbox(settings.inbox),
        settings.state_dir,
        {recipe.service: recipe.controls.keys() for recipe in catalog},
        {employee.name for employee in everybody.employees},
        lambda statements: carry_out(settings, "fleet portal ingest", Attest(statements=list(statements))),
        revoke,
    )
    refused = [one for one in taken if one.refusal is not None]
    return Answer(
        {"taken": dict(_counts(taken)), "refused": [{"file": one.name, "reason": one.refusal} for one in refused]},
        lambda: _print(taken, str(settings.inbox)),
        EXIT_BAD_INPUT if refused else EXIT_OK,
    )


@app.command()
def schema() -> None:
    """Print the JSON Schema of a file in the inbox."""
    typer.echo(json.dumps(ACT.json_schema(), indent=2))


def _counts(taken: list[Taken]) -> Counter[str]:
    return Counter(one.act.act for one in taken if one.act is not None and one.refusal is None)


def _print(taken: list[Taken], inbox: str) -> None:
    nouns = {"attest": "statement", "revoke": "revocation"}
    for kind, count in sorted(_counts(taken).items()):
        typer.echo(f"Took in {counted(count, nouns[kind])}.")
    for one in taken:
        if one.refusal is not None:
            rest = "" if one.is_removed else " It is still there; remove it."
            people.print(f"Refused {visible(one.name)}: {one.refusal}.{rest}", markup=False, highlight=False)
    if not taken:
        typer.echo(f"Nothing to take in: {inbox} is empty.")
