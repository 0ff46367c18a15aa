"""Types of values in recipes: names, texts by language, hosts and addresses."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from fleet.model import SERVICE_NAME
from fleet.validation import Shape

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
PROFILE = "{profile}"
Slug = Annotated[
    str,
    Shape(rf"^{SERVICE_NAME.pattern}$", "a name of lower-case letters, digits and _ such as wiki_2"),
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]
LongText = Annotated[str, StringConstraints(min_length=1, max_length=8000, strip_whitespace=True)]


def _day(text: str) -> str:
    date.fromisoformat(text)  # raises ValueError for a day that no month has
    return text


Date = Annotated[
    str, Shape(r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$", "a date such as 2026-03-31"), AfterValidator(_day)
]
Language = Annotated[str, Shape(r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", "a language such as fr or pt-BR")]
Labels = dict[Language, list[Text]]


def _host(value: str) -> str:
    if not re.fullmatch(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?", value):
        raise ValueError("must be a host name in lower case, such as static.example.com, without https:// and path")
    return value


def page(value: str) -> str:
    """Return the address of a page. Raises ValueError with what it must be."""
    if " " in value or not value.isprintable():
        raise ValueError("must be an address without spaces")
    parts = urlsplit(value)
    if parts.scheme != "https" and not (parts.scheme == "http" and (parts.hostname or "") in LOOPBACK_NAMES):
        raise ValueError("must be an https:// address (http:// only for localhost)")
    if not parts.hostname or parts.username or parts.password:
        raise ValueError("must be an address with a host and without a user name")
    if parts.hostname not in LOOPBACK_NAMES:
        _host(parts.hostname)  # the host name goes into the browser's arguments
    if parts.port == 0:  # an invalid port raises ValueError by itself
        raise ValueError("must be an address whose port is not 0")
    if PROFILE in parts.netloc or re.search(r"[{}]", value.replace(PROFILE, "")):
        raise ValueError("the only placeholder is {profile}, in the path or query")
    if not parts.path.startswith("/"):
        raise ValueError("must be an address with a path, at least /")
    return value


Host = Annotated[str, AfterValidator(_host)]
Page = Annotated[str, AfterValidator(page)]


class Strict(BaseModel):
    """A part of a recipe: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
