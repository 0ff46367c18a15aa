"""Records that a command shows employees' names beside what the log says of them."""

from __future__ import annotations

import os

from fleet.audit.keys import read_signing_key
from fleet.commands.carry_out import carry_out
from fleet.commands.options import say
from fleet.errors import InputError
from fleet.plan.plan import claimed_operator
from fleet.settings.resolve import Settings
from fleet.state.acts import ShowNames


def record_names_shown(settings: Settings, command: str, people: int, employee: str | None = None) -> None:
    """Record that `fleet COMMAND` is about to show so many employees by name, or only `employee`.

    A reader of a copy, who may not write the log or does not have its key, is told that nothing was recorded. Raises as
    `carry_out` does if the log could be written but is not: then nothing may be shown.
    """
    if not people:
        return
    why = _cannot_record(settings)
    if why is not None:
        say(f"Not recorded in the log that names are shown: {why}", "yellow")
        return
    act = ShowNames(command=command, employee=employee, people=people, operator_claimed=claimed_operator())
    carry_out(settings, f"fleet {command}", act)


def _cannot_record(settings: Settings) -> str | None:
    """Return why this user cannot write this log, or None."""
    places = settings.state_dir.audit
    for folder in (places.root, places.log, places.checkpoints):
        if not os.access(folder, os.W_OK | os.X_OK):
            return f"{folder} is not writable."
    try:
        read_signing_key(places, settings.log_key)
    except InputError as error:
        return str(error)
    return None
