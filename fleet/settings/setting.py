"""What a setting is: where it can be given, what its value may be, and how a value is read from text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from fleet.errors import InputError
from fleet.validation import mistakes

Parser = Callable[[Any, str], Any]
"""Turns a checked value into what the code works with; gets the source to name in an InputError."""

_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True)
class Option:
    """How a setting is passed on the command line."""

    flags: tuple[str, ...]
    metavar: str | None = None
    type: Any = None
    """Where the option takes other values than fleet.yml."""
    default: Any = None
    """What means that the option was not passed."""

    @property
    def name(self) -> str:
        """The long form."""
        return self.flags[-1]


@dataclass(frozen=True)
class Setting:
    """One setting. Its key in fleet.yml is `name`, its role variable `optout_NAME`."""

    name: str
    type: Any
    """What the value (in a list: each entry) may be, as pydantic takes it."""
    help: str
    """For --help, the role and docs/reference.md."""
    details: str = ""
    """More about it, for docs/reference.md."""
    option: Option | None = None
    environment: str | None = None
    in_role: bool = False
    is_list: bool = False
    is_path: bool = False
    default: Callable[[], Any] = lambda: None
    default_text: str | None = None
    """The default as people write it, where it depends on the user."""
    parse: Parser = lambda value, _source: value

    @property
    def role_variable(self) -> str | None:
        """The variable of the role, None if it has none."""
        return f"optout_{self.name}" if self.in_role else None

    @property
    def plain_type(self) -> Any:
        """The type of the value (in a list: each entry) without what restricts it, such as str or int."""
        return get_args(self.type)[0] if get_origin(self.type) is Annotated else self.type

    @property
    def whole_type(self) -> Any:
        """What fleet.yml takes: the type, or a list of it, where a single entry needs no brackets."""
        entry: Any = self.type
        return Annotated[tuple[entry, ...], BeforeValidator(_listed)] if self.is_list else entry

    def check(self, value: Any, source: str) -> Any:
        """The value, if the setting can have it. Raises InputError that names the source and not the value, which may
        be a secret."""
        accepted = (self.option and self.option.type) or self.whole_type
        try:
            return TypeAdapter(accepted).validate_python(value)
        except ValidationError as error:
            raise InputError("\n".join(f"{source}: {what}." for _, what in mistakes(error))) from None

    def from_text(self, value: Any, source: str) -> Any:
        """The value that a text stands for, as the environment or `ansible-playbook -e` has it: commas divide the
        entries of a list. None for an empty text. Raises InputError."""
        if value in (None, "", [], ()):
            return None
        if self.is_list:
            entries = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
            if not isinstance(entries, list | tuple):
                raise InputError(f"{source}: give text or a list of texts.")
            return self.check(tuple(str(entry) for entry in entries), source)
        text = str(value)
        if self.plain_type is int:
            if not text.removeprefix("-").isdecimal() or len(text) > 9:
                raise InputError(f"{source}: {text} is not a number.")
            return self.check(int(text), source)
        if self.plain_type is bool:
            if text.lower() not in _BOOLEANS:
                raise InputError(f"{source}: {text} is neither true nor false.")
            return _BOOLEANS[text.lower()]
        return self.check(text, source)


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value
