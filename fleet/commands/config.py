"""`fleet config`: the settings in effect, and the source of each."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from rich.table import Column, Table
from rich.text import Text

from fleet.commands.options import OUTPUT, Output, screen, with_settings
from fleet.report.envelope import Answer
from fleet.report.table import plain, shown
from fleet.report.translations import visible
from fleet.settings.file import config_places
from fleet.settings.resolve import Configuration, Given, Settings, Source, SourceKind, configure

app = typer.Typer(no_args_is_help=True, help="Show the settings.")


@app.callback()
def _verbs() -> None:
    """Keeps `show` a subcommand: Typer would turn a lone command into the group itself."""


@app.command()
@with_settings
def show(
    given: Given,
    output: OUTPUT = Output.TEXT,
) -> Answer:
    """Show every setting and its source, as `fleet run` with the same options would use them.

    Reads fleet.yml only; other files are named, not opened. Addresses to notify are shortened, because they may hold
    secrets. Exit codes: 0, or 2 for an invalid setting.
    """
    configuration = configure(given)
    settings = configuration.settings
    values = {key: one.value for key, one in configuration.values.items()}
    values["notify"] = [str(target) for target in configuration.channels.targets]

    def show() -> None:
        console = screen()
        console.print()
        console.print(_table(configuration, values))
        console.print()
        for line in _notes(configuration, settings, given["inventory"] or ()):
            console.print(Text(line), soft_wrap=True)

    return Answer(_fields(configuration, values), show)


def _fields(configuration: Configuration, values: Mapping[str, Any]) -> dict[str, Any]:
    def source(one: Source) -> dict[str, Any]:
        return {"kind": one.kind, "name": one.name or None, "line": one.line}

    return {
        "file": str(configuration.file) if configuration.file else None,
        "settings": [
            {"key": key, "value": _plain(values[key]), "from": source(one.source)}
            for key, one in configuration.values.items()
        ],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _table(configuration: Configuration, values: Mapping[str, Any]) -> Table:
    table = plain(Column("Setting", no_wrap=True), "Value", "From")
    for key, one in configuration.values.items():
        is_default = one.source.kind is SourceKind.DEFAULT
        table.add_row(Text(key), _words(values[key]), _from(one.source), style="dim" if is_default else None)
    return table


def _words(value: Any) -> Text:
    """Return a value for people: a list has one entry per line, an empty value is a dash."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, Mapping):
        value = [f"{name}: {one}" for name, one in value.items()]
    if isinstance(value, bool):
        value = "true" if value else "false"
    entries = value if isinstance(value, list | tuple) else [] if value is None else [value]
    said = [shown(one) if isinstance(one, Path) else visible(str(one)) for one in entries]
    return Text("\n".join(said) or "-")


def _from(source: Source) -> Text:
    if source.kind is not SourceKind.FILE:
        return Text(str(source))
    return Text(f"{visible(_near(Path(source.name)))}:{source.line}")


def _near(path: Path) -> str:
    """Return the path relative to the working directory if it is below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else shown(path)


def _notes(configuration: Configuration, settings: Settings, sources: Sequence[str]) -> list[str]:
    if configuration.file:
        why = " (FLEET_CONFIG names it)" if os.environ.get("FLEET_CONFIG") else ""
        notes = [f"Settings file: {visible(_near(configuration.file))}{why}"]
    else:
        where = " nor ".join(visible(_near(place)) for place in config_places(sources, Path.cwd()))
        notes = [f"Settings file: none; there is no {where}."]
    place = visible(shown(settings.of_kind(rehearsal=True).state))
    return [*notes, f"A rehearsal keeps its own state, in {place}, and keys named rehearsal-…."]
