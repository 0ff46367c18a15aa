"""What a setting is: where it can be given, which values it allows, and how it is parsed from text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from fleet.errors import InputError
from fleet.validation import mistakes

Parser = Callable[[Any, str], Any]
"""Converts a checked value to the code's type; gets the source to name in an InputError."""

_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True)
class Option:
    """How a setting is passed on the command line."""

    flags: tuple[str, ...]
    metavar: str | None = None
    type: Any = None
    """Type of the option's value if it differs from fleet.yml's."""
    default: Any = None
    """The option's value that means it was not passed."""

    @property
    def name(self) -> str:
        """The long option."""
        return self.flags[-1]


@dataclass(frozen=True)
class Setting:
    """One setting. Its key in fleet.yml is `name`, its role variable `optout_NAME`."""

    name: str
    type: Any
    """Allowed value (in a list: of each entry), as a pydantic type."""
    help: str
    """Help text for --help, the role and docs/reference.md."""
    details: str = ""
    """Further help for docs/reference.md."""
    option: Option | None = None
    environment: str | None = None
    in_role: bool = False
    is_list: bool = False
    is_path: bool = False
    default: Callable[[], Any] = lambda: None
    default_text: str | None = None
    """The default as shown to people, if it depends on the user."""
    parse: Parser = lambda value, _source: value

    @property
    def role_variable(self) -> str | None:
        """The role variable, or None."""
        return f"optout_{self.name}" if self.in_role else None

    @property
    def plain_type(self) -> Any:
        """The type of the value (in a list: of each entry) without its constraints, such as str or int."""
        return get_args(self.type)[0] if get_origin(self.type) is Annotated else self.type

    @property
    def whole_type(self) -> Any:
        """The type in fleet.yml: the value's type, or a list of it, in which a single entry needs no brackets."""
        entry: Any = self.type
        return Annotated[tuple[entry, ...], BeforeValidator(_listed)] if self.is_list else entry

    def check(self, value: Any, source: str) -> Any:
        """Return the value if the setting allows it. Raises InputError without the value: it may be secret."""
        accepted = (self.option and self.option.type) or self.whole_type
        try:
            return TypeAdapter(accepted).validate_python(value)
        except ValidationError as error:
            raise InputError("\n".join(f"{source}: {what}." for _, what in mistakes(error))) from None

    def from_text(self, value: Any, source: str) -> Any:
        """Parse a value from text, as in the environment or `ansible-playbook -e`: commas separate list entries.

        Returns None for an empty text. Raises InputError.
        """
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
