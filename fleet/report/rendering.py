"""Jinja environment and embedded files for all pages and texts for people."""

from __future__ import annotations

import base64
from functools import cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from fleet.model import Outcome, Result
from fleet.report.translations import Translator, visible

SHADES = {0: "done", 3: "person", 4: "in", 5: "failed"}
"""Style class of an outcome by its exit code."""


def shade(ended: Outcome | Result) -> str:
    """Return the style class of an outcome or a result."""
    return SHADES[ended.exit_code]


@cache
def templates(words: Translator, *, is_page: bool, package: str = "fleet.report") -> Environment:
    """Return a package's templates in one language; outside content is escaped in pages and unchanged in plain text."""
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=is_page,  # noqa: S701 - the other one is plain text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["say"] = words
    environment.filters |= {
        "visible": visible,
        "outcome": lambda outcome: words(outcome.value.replace("_", " ")),
        "shade": shade,
    }
    return environment


def asset(name: str, package: str = "fleet.report") -> str:
    """Return one of our style sheets or scripts, for embedding into a page."""
    return files(package).joinpath("templates", name).read_text("utf-8")


def digest(text: str) -> str:
    """Return a text's hash source for a Content-Security-Policy."""
    return f"sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}"
