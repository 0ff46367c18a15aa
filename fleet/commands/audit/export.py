"""`fleet audit export`: the records for other programs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fleet.audit.export import Format
from fleet.audit.export import export as convert
from fleet.audit.keys import read_keys
from fleet.audit.pseudonyms import known_names
from fleet.commands.audit.record_filter import EMPLOYEE, NAMES, OUTCOME, RUN, SERVICE, SINCE, Choice
from fleet.commands.names_shown import record_names_shown
from fleet.commands.options import BESIDE, LOG_KEY, REHEARSAL, STATE, settings_of, with_log


def export(
    form: Annotated[
        Format, typer.Option("--format", help="`jsonl` (the log's own lines), `csv`, `ocsf` (1.8.0) or `ecs` (9).")
    ] = Format.JSONL,
    run: RUN = None,
    employee: EMPLOYEE = None,
    service: SERVICE = None,
    outcome: OUTCOME = None,
    since: SINCE = None,
    with_names: NAMES = False,
    rehearsal: REHEARSAL = False,
    inventory: BESIDE = None,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> None:
    """Print records for another program, such as a SIEM. Employees are pseudonyms unless --with-names is passed."""
    settings = with_log(settings_of(inventory, state=state, log_key=log_key), rehearsal=rehearsal)
    places = settings.state_dir.audit
    names = known_names(places.subjects)
    choice = Choice.of(places, names, run, employee, service, outcome, since, rehearsal=rehearsal)
    origin = read_keys(places.vkey)[0].name
    if with_names or employee is not None:
        shown = choice.people(record for _, record in choice.read(places))
        record_names_shown(settings, "audit export", shown, employee)
    for line in convert(form, choice.read(places), origin, names if with_names else {}):
        sys.stdout.write(line)
