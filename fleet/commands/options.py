"""Options that several verbs share, and the console that words for people go to."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fleet.errors import AuditError, FleetError, InputError
from fleet.paths import is_there, look, write_private
from fleet.report.translations import visible
from fleet.settings.resolve import Given, Settings, resolve_settings

INVENTORY = Annotated[
    list[str] | None,
    typer.Option("-i", "--inventory", metavar="INVENTORY", help="Inventory, as for ansible. Repeatable."),
]
BESIDE = Annotated[
    list[str] | None,
    typer.Option("-i", "--inventory", metavar="INVENTORY", help="Inventory whose fleet.yml counts. Repeatable."),
]
LIMIT = Annotated[
    str | None, typer.Option("-l", "--limit", metavar="PATTERN", help="Only these employees, as for ansible.")
]
STATE = Annotated[str | None, typer.Option("--state", metavar="DIR", help="State directory [env: FLEET_STATE].")]
IDENTITY = Annotated[
    str | None,
    typer.Option("--identity", metavar="FILE", help="Age identity that opens sessions [env: FLEET_IDENTITY]."),
]
LOG_KEY = Annotated[
    str | None,
    typer.Option("--log-key", metavar="FILE", help="Key that signs the audit log [env: FLEET_LOG_KEY]."),
]
RECIPES = Annotated[
    list[str] | None,
    typer.Option("--recipes", metavar="DIR", help="Recipes of your own, beside the catalog. Repeatable."),
]
FORKS = Annotated[int | None, typer.Option("-f", "--forks", metavar="N", help="Accounts at a time [default: 8].")]
WORKERS = Annotated[
    list[str] | None,
    typer.Option("--worker", metavar="[USER@]HOST", help="Visit from there, by SSH, not from here. Repeatable."),
]
SERVICES = Annotated[
    list[str] | None, typer.Option("--service", metavar="SERVICE", help="Only this service. Repeatable.")
]
CONTROLS = Annotated[
    list[str] | None, typer.Option("--control", metavar="CONTROL", help="Only this control. Repeatable.")
]
RESOLVE = Annotated[
    list[str] | None,
    typer.Option("--resolve", metavar="HOST:PORT=ADDR:PORT", help="Reach HOST:PORT at a loopback address. Repeatable."),
]
TRUST_SPKI = Annotated[
    list[str] | None,
    typer.Option("--trust-spki", metavar="B64", help="Trust this public key (base64 SHA-256). Repeatable."),
]
PROXY = Annotated[
    str | None, typer.Option("--proxy", metavar="URL", help="The forward proxy to go through, http://HOST:PORT.")
]
NOTIFY = Annotated[
    list[str] | None,
    typer.Option("--notify", metavar="URL", help="Send counts to https://…, mailto:ADDRESS, Apprise URL. Repeatable."),
]
NOTIFY_FILE = Annotated[
    str | None,
    typer.Option("--notify-file", metavar="FILE", help="Private file with such URLs, one on a line."),
]
REHEARSAL = Annotated[bool, typer.Option("--rehearsal", help="The log of rehearsals, not of the real runs.")]
LANGUAGE = Annotated[str | None, typer.Option("--language", metavar="CODE", help="en, fr, de or it.")]


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


BREAKER = Annotated[Switch, typer.Option("--breaker", help="Circuit breaker; off on loopback only.")]


class Output(StrEnum):
    """How results are shown."""

    TEXT = "text"
    JSON = "json"


def screen(*, stderr: bool = False) -> Console:
    """A console that prints names as they are: `:smile:` is no picture, and `[red]` no color."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


people = screen(stderr=True)
"""Words for people; stdout is kept for data."""


def say(text: str, style: str | None = None) -> None:
    """Tell people something that may quote names, files or pages: nothing in it steers their terminal."""
    people.print("\n".join(map(visible, text.split("\n"))), style=style, soft_wrap=True)


def complain(errors: Iterable[str]) -> None:
    """Tell people what went wrong, a sentence each."""
    for error in errors:
        say(f"Error: {error}", "red")


def confirm(question: str, option: str) -> None:
    """Ask before something is done; only a y goes on. Ends with exit code 1 for a no.

    Raises InputError where nobody can answer, naming the option that answers for them.
    """
    if not sys.stdin.isatty():
        raise InputError(f"{question} There is no terminal to ask at, so nothing was done; add {option}.")
    if not typer.confirm(question, err=True):
        say("Nothing was done.")
        raise typer.Exit(1)


def reference_of(text: str | None) -> str | None:
    """What an act rests on, as the log can hold it. Raises InputError."""
    reference = text and text.strip()
    if text is not None and (not reference or len(reference) > 200 or not reference.isprintable()):
        raise InputError("--reference: give one line of 1 to 200 characters, such as the number of a letter.")
    return reference


@contextmanager
def require_recorded(what: str) -> Iterator[None]:
    """Where recording fails, say that what was shut is shut all the same. Raises AuditError."""
    try:
        yield
    except FleetError as error:
        raise AuditError(
            f"{what}, but it is not in the audit log yet: {error} The next command or run that writes records it."
        ) from None


def settings_of(
    inventory: list[str] | None,
    *,
    state: str | None = None,
    identity: str | None = None,
    log_key: str | None = None,
    recipes: list[str] | None = None,
    workers: list[str] | None = None,
) -> Settings:
    """Settings of the verbs that only need places: the same that a run over the inventory has."""
    given = Given(
        inventory=tuple(inventory or ()),
        state=state,
        identity=identity,
        log_key=log_key,
        recipes=tuple(recipes or ()),
        workers=tuple(workers or ()),
    )
    return resolve_settings(given)


def settings_with_state(
    inventory: list[str] | None,
    *,
    rehearsal: bool,
    state: str | None = None,
    identity: str | None = None,
    log_key: str | None = None,
    recipes: list[str] | None = None,
) -> Settings:
    """The settings of real runs or of rehearsals. Raises InputError where their state is missing or of no use."""
    settings = settings_of(inventory, state=state, identity=identity, log_key=log_key, recipes=recipes)
    settings = settings.of_kind(rehearsal=rehearsal)
    settings.state_dir.check(rehearsal=rehearsal)
    return settings


def with_log(settings: Settings, *, rehearsal: bool) -> Settings:
    """The settings whose audit log the options name. Raises InputError if there is none yet."""
    settings = settings.of_kind(rehearsal=rehearsal)
    places = settings.state_dir
    if not rehearsal or is_there(places.root):  # the first rehearsal makes its own
        places.check(rehearsal=rehearsal)
    if not is_there(places.audit.log) and not is_there(places.audit.checkpoints):
        raise InputError(f"There is no audit log in {places.root} yet; it begins with the first run.")
    return settings


def write_output(path: Path, content: str) -> None:
    """Write a file that a command was asked for, private from its first byte. Raises InputError."""
    there = look(path)
    if there is not None and not stat.S_ISREG(there.st_mode):
        raise InputError(f"'{path}' is no file that can be written anew; choose another place.")
    try:
        # Of a link it is the target that is written.
        write_private(path.resolve(), content.encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); choose another place.") from None
