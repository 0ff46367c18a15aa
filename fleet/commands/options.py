"""Options that several verbs share, and the console that words for people go to."""

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
    """The option of a setting, with everything that its declaration says; `text` for another help."""
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
    """What `--help` says of a setting's option."""
    default = setting.default_text or (
        str(setting.default()) if setting.plain_type is int and setting.default() else ""
    )
    notes = [f"env: {setting.environment}"] if setting.environment else []
    notes += [f"default: {default}"] if default else []
    text = setting.help + (" Repeatable." if setting.is_list else "")
    return f"{text.removesuffix('.')} [{'; '.join(notes)}]." if notes else text


def _checker(setting: Setting) -> Callable[[Any], Any]:
    """What refuses a value of an option that is no key of fleet.yml, and so is not checked with those."""
    return lambda value: value if not value else setting.check(value, setting.option.name if setting.option else "")


def with_settings(verb: Callable[..., Answer]) -> Callable[..., Answer]:
    """Replace the parameter `given` of a verb by one option for each setting; the verb gets what was passed."""
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
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined] # what typer reads
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _type_of(setting: Setting) -> Any:
    """The type of a setting's option, as typer takes it."""
    if setting.option and setting.option.type:
        return setting.option.type
    plain = int if setting.plain_type is int else bool if setting.plain_type is bool else str
    return (list[str] if setting.is_list else plain) | None


INVENTORY = Annotated[list[str] | None, option("inventory")]
BESIDE = Annotated[
    list[str] | None, option("inventory", "Inventory; its fleet.yml names the state to use. Repeatable.")
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
REHEARSAL = Annotated[bool, typer.Option("--rehearsal", help="Use the state of rehearsals.")]
LANGUAGE = Annotated[
    str | None, typer.Option("--language", metavar="CODE", help=f"Language of the output: {', '.join(LANGUAGES)}.")
]


class Output(StrEnum):
    """How results are shown."""

    TEXT = "text"
    JSON = "json"


OUTPUT = Annotated[Output, typer.Option("--output", help="text, or one JSON object.")]


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
    """Ask before something is done; only a y goes on.

    Raises FleetError (exit code 1) for a no, and InputError where nobody can answer, naming the option that does.
    """
    if not sys.stdin.isatty():
        raise InputError(f"{question} There is no terminal to ask at, so nothing was done; add {option}.")
    if not typer.confirm(question, err=True):
        raise FleetError("You did not confirm. Nothing was done.")


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
