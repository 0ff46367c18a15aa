"""Validation errors in words for the author of the value, without repeating the value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

# By pydantic error type (https://docs.pydantic.dev/latest/errors/validation_errors/), filled with its context.
_WORDS = {
    "missing": "missing; add it",
    "extra_forbidden": "unknown key; remove it or fix its spelling",
    "string_type": "must be text; put it in quotes",
    "string_too_short": "must not be empty",
    "string_too_long": "longer than {max_length} characters",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "too_short": "must not be empty",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "string_pattern_mismatch": "contains characters that are not allowed here",
}


def mistakes(error: ValidationError) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Yield each validation error: location (keys and indexes) and message, without a full stop."""
    found = error.errors(include_url=False, include_input=False)
    wrong = [mistake["loc"] for mistake in found]
    for mistake in found:
        at = mistake["loc"]
        if mistake["type"] == "too_short" and any(other[: len(at)] == at and other != at for other in wrong):
            continue  # it is too short only because its items are invalid
        words = _WORDS.get(mistake["type"])
        where = tuple(step for step in mistake["loc"] if step != "[key]")
        yield where, words.format(**mistake.get("ctx", {})) if words else mistake["msg"].removeprefix("Value error, ")


@dataclass(frozen=True)
class Shape:
    """A text pattern with its description in words, for `Annotated`."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": self.pattern}

    def _check(self, value: str) -> str:
        if not re.fullmatch(self.pattern, value):  # `$` would also match before a line end
            raise ValueError(f"must be {self.words}")
        return value
