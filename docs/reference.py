"""Write docs/reference.md and the role's argument_specs.yml from the code (`make reference`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer
import yaml
from pydantic import BaseModel

from fleet.cli import app
from fleet.commands.audit.verify import SAYS
from fleet.model import EXIT_MEANING, OUTCOME_MEANING, Outcome, Reason, Result
from fleet.next_steps import has_step_of_its_own, next_step
from fleet.settings.file import VERSION
from fleet.settings.setting import Setting
from fleet.settings.table import SELECTION, SETTINGS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference.md"
SPECS = ROOT / "roles" / "optout" / "meta" / "argument_specs.yml"

PIPELINE = {
    0: "pass, even if there was nothing to do",
    1: "fail, and send the job's output to its owner",
    2: "fail; nothing was touched, and a retry will not help",
    3: "pass with a warning; forward the list (`next` in the JSON), and run `--only-failed last` later",
    4: "with `--check`: start a run without it; otherwise fail",
    5: "try `--only-failed last` once, then fail",
    130: "run `--resume`",
}
"""What a pipeline should do on each exit code of `fleet run`."""


def reference() -> str:
    """The whole page."""
    return "\n".join(
        [
            "# Reference",
            "",
            "Generated from the code by `make reference`; a test keeps it up to date. Contents: [outcomes](#outcomes), "
            "[reasons](#reasons), [exit codes](#exit-codes), [settings](#settings), [commands](#commands), "
            "[JSON and records](#json-and-records).",
            "",
            *_outcomes(),
            *_exit_codes(),
            *_settings(),
            *_commands(),
            "## JSON and records",
            "",
            "Commands with `--output json` print one object to stdout; messages for people go to stderr. "
            "[records.md](records.md) lists the records of the audit log, field by field. The recipe format is in "
            "[recipes.md](recipes.md), its JSON Schema in [recipe.schema.json](recipe.schema.json).",
            "",
        ]
    )


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """A Markdown table, with an empty line after it."""
    headings = list(headings)
    yield f"| {' | '.join(headings)} |"
    yield "|" + "---|" * len(headings)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def step(outcome: Outcome, reason: Reason | None = None) -> str:
    """Who must do what."""
    return next_step(Result("EMPLOYEE", "SERVICE", None, outcome, reason=reason)) or ""


def _outcomes() -> Iterator[str]:
    yield from ("## Outcomes", "")
    yield from (
        "In each run, every employee × service × control gets exactly one outcome. Output shows real names in place of "
        "EMPLOYEE and SERVICE.",
        "",
    )
    yield from table(
        ("outcome", "meaning", "exit code", "what to do"),
        ((f"`{one}`", OUTCOME_MEANING[one], str(one.exit_code), step(one)) for one in Outcome),
    )
    yield from ("## Reasons", "")
    yield from ("An outcome may have a reason with a more specific next step.", "")
    yield from table(
        ("outcome", "reason", "what to do"),
        (
            (f"`{outcome}`", f"`{reason}`", step(outcome, reason))
            for outcome in Outcome
            for reason in Reason
            if has_step_of_its_own(outcome, reason)
        ),
    )


def _exit_codes() -> Iterator[str]:
    yield from ("## Exit codes", "")
    yield from ("### Exit codes of `fleet run`", "")
    yield from ("If several apply, the first of these is used: 130, 1, 2, 5, 4, 3, 0.", "")
    yield from table(
        ("code", "meaning", "what a pipeline should do"),
        ((str(code), meaning, PIPELINE[code]) for code, meaning in EXIT_MEANING.items()),
    )
    yield from ("`fleet status --drift` ends with 6 if there is drift.", "")
    yield from ("### Exit codes of `fleet audit verify`", "")
    yield from table(("code", "verdict"), ((str(verdict.value), said) for verdict, said in SAYS.items()))


def _settings() -> Iterator[str]:
    yield from ("## Settings", "")
    yield from (
        "Options override environment variables, which override `fleet.yml`. Paths in the file are relative to its "
        "folder. `fleet config show` prints every setting and its source. Plain `ansible-playbook` uses role variables "
        "in place of options. A list in `fleet.yml` may be a single value without brackets; in a role variable, it may "
        "be a YAML list or text with commas between its entries.",
        "",
    )
    version = ("`version`", "", "", "", f"`{VERSION}`", "Version of the file's format.")
    yield from table(
        ("key in `fleet.yml`", "option", "environment", "role variable", "default", ""),
        [version, *(_row(one, in_file=True) for one in SETTINGS), *(_row(one, in_file=False) for one in SELECTION)],
    )


def _row(setting: Setting, *, in_file: bool) -> tuple[str, ...]:
    option = setting.option
    flags = ", ".join(f"`{flag}`" for flag in option.flags) if option else ""
    return (
        f"`{setting.name}`" if in_file else "",
        flags + (" (repeatable)" if option and setting.is_list else ""),
        f"`{setting.environment}`" if setting.environment else "",
        f"`{setting.role_variable}`" if setting.role_variable else "",
        _default(setting),
        f"{setting.help} {setting.details}".strip(),
    )


def _default(setting: Setting) -> str:
    if setting.default_text:
        return f"`{setting.default_text}`"
    value = setting.default()
    if isinstance(value, BaseModel):
        value = "{" + ", ".join(f"{key}: {one}" for key, one in value.model_dump().items() if one != {}) + "}"
    if value in (None, (), {}):
        return ""
    return f"`{json.dumps(value) if isinstance(value, bool) else value}`"


def commands(group: Any = None, path: str = "fleet") -> Iterator[tuple[str, Any]]:
    """Every command that `--help` lists, with the words that call it; groups before what is in them."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if not command.hidden:
            yield f"{path} {name}", command
            if hasattr(command, "commands"):
                yield from commands(command, f"{path} {name}")


def _commands() -> Iterator[str]:
    yield from ("## Commands", "")
    yield from ("All take `--help`.", "")
    everything = [("fleet", typer.main.get_command(app)), *commands()]
    for words, command in everything:
        if hasattr(command, "commands") and words != "fleet":
            continue
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        options = [one for one in command.params if one.param_type_name == "option"]
        yield from (f"### `{words}`", "", *(line.strip() for line in (command.help or "").strip().splitlines()), "")
        if arguments:
            yield from (" ".join([f"    {words} [OPTIONS]", *map(_argument, arguments)]), "")
            yield from table(("argument", ""), ((f"`{_metavar(one)}`", one.help or "") for one in arguments))
        if options:
            yield from table(("option", ""), ((_flags(one), _help(one)) for one in options))


def _argument(argument: Any) -> str:
    return _metavar(argument) if argument.required else f"[{_metavar(argument)}]"


def _metavar(parameter: Any) -> str:
    """What stands for the value: nothing for a flag, the words for a choice."""
    if getattr(parameter, "is_flag", False):
        return ""
    choices = "|".join(type(parameter.default)) if isinstance(parameter.default, Enum) else ""
    return parameter.metavar or choices or parameter.name.upper()


def _flags(option: Any) -> str:
    # The long form last, with its value: `-i`, `--inventory INVENTORY`.
    *short, long = sorted(option.opts, key=lambda flag: flag.startswith("--"))
    return ", ".join(f"`{flag}`" for flag in (*short, f"{long} {_metavar(option)}".rstrip()))


def _help(option: Any) -> str:
    shown = option.default not in (None, False, (), []) and not callable(option.default)
    default = getattr(option.default, "value", option.default)
    return (
        (option.help or "") + (f" Default: `{default}`." if shown else "") + (" Required." if option.required else "")
    )


class _Indented(yaml.SafeDumper):
    """Lists are indented below their key, as ansible-lint asks for."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


def argument_specs() -> str:
    """The role's argument_specs.yml."""
    options = {one.role_variable: _spec(one) for one in (*SETTINGS, *SELECTION) if one.role_variable}
    main = {
        "short_description": "Opt employees out",
        "description": [
            "Each host of the play is an employee. Without variables, everything planned in the inventory is visited.",
            "C(fleet run) sets these itself; they are for plays that run without it. They apply to the whole play.",
        ],
        "options": options,
    }
    text = yaml.dump(
        {"argument_specs": {"main": main}}, Dumper=_Indented, sort_keys=False, width=110, allow_unicode=True
    )
    return f"---\n# Generated from fleet/settings/table.py by `make reference`.\n{text}"


def _spec(setting: Setting) -> dict[str, str]:
    pieces = setting.help.split("`")
    described = "".join(f"C({piece})" if number % 2 else piece for number, piece in enumerate(pieces))
    kind = "path" if setting.is_path else {int: "int", bool: "bool"}.get(setting.plain_type, "str")
    return {"description": described} | ({"type": "list", "elements": kind} if setting.is_list else {"type": kind})


if __name__ == "__main__":
    PAGE.write_text(reference(), "utf-8")
    SPECS.write_text(argument_specs(), "utf-8")
