"""Commands: imported when used; their answers are printed here, for people or as JSON."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Mapping
from importlib import import_module
from itertools import pairwise
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from fleet.commands.options import Output, complain
from fleet.errors import FleetError, told
from fleet.model import EXIT_INTERRUPTED, EXIT_TOOL_FAILED
from fleet.report.envelope import Answer, envelope

_UsageError: Any = typer.BadParameter.__bases__[0]  # typer does not export it


class _PlainHelp:
    """Help that shows no type for flags, and arguments as `EMPLOYEE`; typer would show `<bool>` and `{employee}`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, including `--help`."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc] # of TyperCommand or TyperGroup
        for one in params:
            if one.metavar is None and one.param_type_name == "argument":
                one.metavar = one.name.upper()
            elif one.metavar is None and one.is_flag:
                one.metavar = ""
        return params

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage line after the command."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]  # type: ignore[misc]


class Verb(_PlainHelp, TyperCommand):
    """A command. Its function returns an Answer; one without `--output` may print by itself and return nothing.

    With `--output json` stdout is always one JSON object; messages for people go to stderr.
    """

    @property
    def offers_json(self) -> bool:
        """Return True if the command has `--output json`."""
        return any(one.name == "output" and one.default is Output.TEXT for one in self.params)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the command line."""
        given = [*args, ""]  # parsing consumes them
        try:
            return super().make_context(info_name, args, parent, **extra)
        except _UsageError as error:
            if self.offers_json and any(both == ("--output", "json") for both in _options(given)):
                _print_failure([*_names(parent), info_name or ""], error.exit_code, [error.format_message()])
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command and print its answer. Errors are left to `fleet.cli`."""
        is_json = self.offers_json and ctx.params["output"] is Output.JSON
        try:
            answer = super().invoke(ctx)
        except (FleetError, OSError, KeyboardInterrupt) as error:
            if is_json and not isinstance(error, BrokenPipeError):
                _print_failure(_names(ctx), *failure(error))
            raise
        if not isinstance(answer, Answer):
            return answer
        if is_json:
            typer.echo(envelope(" ".join(_names(ctx)), answer.exit_code, answer.errors, answer.fields))
        else:
            answer.show()
        complain(answer.errors)
        raise typer.Exit(answer.exit_code)


class VerbGroup(_PlainHelp, TyperGroup):
    """A group of commands."""


def _options(args: list[str]) -> Iterator[tuple[str, str]]:
    """Yield every argument with the one after it, its possible value."""
    for one, following in pairwise(args):
        name, equals, value = one.partition("=")
        yield name, value if equals else following


def _names(ctx: Any) -> list[str]:
    """Return the words of a command after `fleet`, such as audit, show."""
    return [*_names(ctx.parent), ctx.info_name] if ctx.parent is not None else []


def failure(error: BaseException) -> tuple[int, list[str]]:
    """Return the exit code of an error that ends a command, and its sentences."""
    if isinstance(error, FleetError):
        return error.exit_code, [str(error)]
    if isinstance(error, OSError):
        return EXIT_TOOL_FAILED, [told(error)]
    return EXIT_INTERRUPTED, ["The command was interrupted."]


def _print_failure(names: list[str], exit_code: int, errors: list[str]) -> None:
    typer.echo(envelope(" ".join(names), exit_code, errors, {}))


class Verbs(Mapping[str, Any]):
    """The commands of a group, in order, by location: `MODULE:NAME` of a function, or of a typer.Typer.

    Those that are `hidden` are not listed but work.
    """

    def __init__(self, places: Mapping[str, str], hidden: Collection[str] = ()) -> None:
        self._places, self._hidden = places, hidden

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = self._places[name].partition(":")
        # What an import makes lasts as long as the process: searching it for garbage is a seventh of a command's start.
        gc.disable()
        try:
            verb, hidden = getattr(import_module(module), attribute), name in self._hidden
            gc.freeze()
        finally:
            gc.enable()
        alone = typer.Typer(rich_markup_mode="markdown")  # "rich" takes brackets in help text for styles and drops them
        if isinstance(verb, typer.Typer):
            for one in verb.registered_commands:
                one.cls = Verb
            given = verb.info.cls
            alone.add_typer(verb, name=name, hidden=hidden, cls=given if isinstance(given, type) else VerbGroup)
        else:
            alone.command(name, cls=Verb, hidden=hidden)(verb)
        return typer.main.get_group(alone).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def group(self) -> type[TyperGroup]:
        """Return a class for `typer.Typer(cls=...)` that has exactly these commands."""
        commands = self

        class Group(VerbGroup):
            def __init__(self, **how: Any) -> None:
                super().__init__(**(how | {"commands": commands}))

        return Group
