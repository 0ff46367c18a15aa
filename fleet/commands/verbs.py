"""Verbs that are imported when they are asked for: each starts with what it needs, not with what all of them need."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup


class Verbs(Mapping[str, Any]):
    """The verbs of a group, in their order, by where they are: `MODULE:NAME` of a function, or of a typer.Typer with
    verbs of its own. Those that are `hidden` are not listed, and answer all the same."""

    def __init__(self, places: Mapping[str, str], hidden: Collection[str] = ()) -> None:
        self._places, self._hidden = places, hidden

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = self._places[name].partition(":")
        verb, hidden = getattr(import_module(module), attribute), name in self._hidden
        alone = typer.Typer(rich_markup_mode="markdown")  # "rich" takes brackets in a help for a style, and drops them
        if isinstance(verb, typer.Typer):
            alone.add_typer(verb, name=name, hidden=hidden)
        else:
            alone.command(name, hidden=hidden)(verb)
        return typer.main.get_group(alone).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def group(self) -> type[TyperGroup]:
        """What `typer.Typer(cls=...)` needs to have these verbs, and no others."""
        commands = self

        class Group(TyperGroup):
            def __init__(self, **how: Any) -> None:
                super().__init__(**(how | {"commands": commands}))

        return Group
