"""What all pages and texts for people are made with: one environment of templates, and the files that pages embed."""

from __future__ import annotations

import base64
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from fleet.model import Outcome
from fleet.report.translations import Translator, visible

SHADES = {0: "done", 3: "person", 4: "in", 5: "failed"}
"""How an outcome is marked, by its exit code."""


def shade(outcome: Outcome) -> str:
    """The style class of an outcome."""
    return SHADES[outcome.exit_code]


def templates(words: Translator, *, is_page: bool) -> Environment:
    """The templates in one language; what comes from outside is escaped in pages, and stays as it is in plain text."""
    environment = Environment(
        loader=PackageLoader("fleet.report"),
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


def asset(name: str) -> str:
    """A style sheet or script of ours, to be put into a page."""
    return files("fleet.report").joinpath("templates", name).read_text("utf-8")


def digest(text: str) -> str:
    """How a Content-Security-Policy names it."""
    return f"sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}"
