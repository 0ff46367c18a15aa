"""Options shared by several commands, and the console for messages to people."""

from __future__ import annotations

import inspect
import stat
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from fleet.errors import FleetError, InputError
from fleet.paths import is_there, look, write_private
from fleet.report.envelope import Answer
from fleet.report.translations import LANGUAGES, visible
from fleet.settings.resolve import Given, Settings, resolve_settings
from fleet.settings.setting import Setting
from fleet.settings.table import SETTINGS, setting_named

SETTINGS_PANEL = "Settings (also in fleet.yml)"


def option(name: str, text: str | None = None, panel: str | None = None) -> Any:
    """Return the option of a setting, built from its declaration; `text` replaces its help."""
    setting = setting_named(name)
    if setting.option is None:
        raise TypeError(f"{name} has no option")
    return typer.Option(
        *setting.option.flags,
        metavar=setting.option.metavar,
        help=text or help_of(setting),
        rich_help_panel=panel,
        callback=None if setting in SETTINGS else _checker(setting),
    )


def help_of(setting: Setting) -> str:
    """Return the `--help` text of a setting's option."""
    default = setting.default_text or (
        str(setting.default()) if setting.plain_type is int and setting.default() else ""
    )
    notes = [f"env: {setting.environment}"] if setting.environment else []
    notes += [f"default: {default}"] if default else []
    text = setting.help + (" Repeatable." if setting.is_list else "")
    return f"{text.removesuffix('.')} [{'; '.join(notes)}]." if notes else text


def _checker(setting: Setting) -> Callable[[Any], Any]:
    """Return a callback that checks an option which is not a key of fleet.yml, and so not checked with those."""
    return lambda value: value if not value else setting.check(value, setting.option.name if setting.option else "")


def with_settings(verb: Callable[..., Answer]) -> Callable[..., Answer]:
    """Replace the parameter `given` of a command with one option per setting; the command gets what was passed."""
    signature = inspect.signature(verb, eval_str=True)
    added = [
        inspect.Parameter(
            one.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=one.option.default,
            annotation=Annotated[
                _type_of(one), option(one.name, panel=SETTINGS_PANEL if one.name != "inventory" else None)
            ],
        )
        for one in SETTINGS
        if one.option
    ]

    @wraps(verb)
    def command(**values: Any) -> Answer:
        passed = {each.name: values.pop(each.name) for each in added}
        return verb(
            given=Given(**{each.name: passed[each.name] for each in added if passed[each.name] != each.default}),
            **values,
        )

    parameters = [each for one in signature.parameters.values() for each in (added if one.name == "given" else [one])]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined] # typer reads it
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _type_of(setting: Setting) -> Any:
    """Return the type of a setting's option for typer."""
    if setting.option and setting.option.type:
        return setting.option.type
    plain = int if setting.plain_type is int else bool if setting.plain_type is bool else str
    return (list[str] if setting.is_list else plain) | None


INVENTORY = Annotated[list[str] | None, option("inventory")]
BESIDE = Annotated[
    list[str] | None, option("inventory", "Inventory whose fleet.yml sets the state directory. Repeatable.")
]
LIMIT = Annotated[
    str | None, typer.Option("-l", "--limit", metavar="PATTERN", help="Only these employees, as in Ansible.")
]
STATE = Annotated[str | None, option("state")]
IDENTITY = Annotated[str | None, option("identity")]
LOG_KEY = Annotated[str | None, option("log_key")]
RECIPES = Annotated[list[str] | None, option("recipes")]
WORKERS = Annotated[list[str] | None, option("workers")]
NOTIFY = Annotated[list[str] | None, option("notify")]
NOTIFY_FILE = Annotated[str | None, option("notify_file")]
REHEARSAL = Annotated[bool, typer.Option("--rehearsal", help="Use the rehearsal state directory.")]
LANGUAGE = Annotated[
    str | None, typer.Option("--language", metavar="CODE", help=f"Language of the output: {', '.join(LANGUAGES)}.")
]


class Output(StrEnum):
    """How results are shown."""

    TEXT = "text"
    JSON = "json"


OUTPUT = Annotated[Output, typer.Option("--output", help="text, or one JSON object.")]


def screen(*, stderr: bool = False) -> Console:
    """Return a console that prints names verbatim: `:smile:` stays text, and `[red]` is not a color."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


people = screen(stderr=True)
"""Console for people; stdout is kept for data."""


def say(text: str, style: str | None = None) -> None:
    """Print a message that may quote names, files or pages, with terminal control characters removed."""
    people.print("\n".join(map(visible, text.split("\n"))), style=style, soft_wrap=True)


def complain(errors: Iterable[str]) -> None:
    """Print errors, one sentence each."""
    for error in errors:
        say(f"Error: {error}", "red")


def confirm(question: str, option: str) -> None:
    """Ask before an action; only y confirms.

    Raises FleetError (exit code 1) for any other answer, and InputError without a terminal, naming the option to use.
    """
    if not sys.stdin.isatty():
        raise InputError(f"{question} There is no terminal to ask at, so nothing was done; add {option}.")
    if not typer.confirm(question, err=True):
        raise FleetError("Not confirmed. Nothing was done.")


def settings_of(
    inventory: list[str] | None,
    *,
    state: str | None = None,
    identity: str | None = None,
    log_key: str | None = None,
    recipes: list[str] | None = None,
    workers: list[str] | None = None,
) -> Settings:
    """Return the settings for commands that only need paths: the same as for a run over the inventory."""
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
    """Return the settings of real runs or of rehearsals. Raises InputError if their state is missing or unusable."""
    settings = settings_of(inventory, state=state, identity=identity, log_key=log_key, recipes=recipes)
    settings = settings.of_kind(rehearsal=rehearsal)
    settings.state_dir.check(rehearsal=rehearsal)
    return settings


def with_log(settings: Settings, *, rehearsal: bool, to_write: bool = False) -> Settings:
    """Return the settings whose audit log the options name. Raises InputError if there is none yet.

    A log to read may be a copy that this user cannot write.
    """
    settings = settings.of_kind(rehearsal=rehearsal)
    places = settings.state_dir
    if not rehearsal or is_there(places.root):  # the first rehearsal creates its own
        places.check(rehearsal=rehearsal, to_write=to_write)
    if not is_there(places.audit.log) and not is_there(places.audit.checkpoints):
        raise InputError(f"There is no audit log in {places.root} yet; the first run creates it.")
    return settings


def write_output(path: Path, content: str | bytes) -> None:
    """Write a requested output file, private from its first byte. Raises InputError."""
    there = look(path)
    if there is not None and not stat.S_ISREG(there.st_mode):
        raise InputError(f"'{path}' is not a file that can be replaced; choose another path.")
    try:
        # If it is a link, write to its target.
        written = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        write_private(path.resolve(), written)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); choose another path.") from None
