"""Texts of reports and receipts in the reader's language, keyed by the English text (as in gettext)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from math import floor
from pathlib import Path

from babel.dates import format_date, format_time, format_timedelta
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent

from fleet.errors import InputError

LANGUAGES = ("en", "fr", "de", "it")
LOCALE = Path(__file__).parent / "locale"


@dataclass(frozen=True)
class Translator:
    """One language."""

    language: str

    def __call__(self, text: str, **values: object) -> str:
        """Return the text in this language, its {placeholders} filled in."""
        said = _texts(self.language).get(text) or text
        return said.format(**values) if values else said

    def number(self, value: int) -> str:
        """Return a number with this language's digit grouping."""
        return str(format_decimal(value, locale=self.language))

    def percent(self, share: float) -> str:
        """Return a share as whole percent, in this language's format."""
        return str(format_percent(whole_percents(share) / 100, locale=self.language))

    def day(self, on: date) -> str:
        """Return a day, such as `November 29, 2026`."""
        return str(format_date(on, "long", locale=self.language))

    def moment(self, at: datetime) -> str:
        """Return day and time in UTC."""
        return f"{self.day(at)}, {format_time(at, 'HH:mm', locale=self.language)} UTC"

    def age(self, age: timedelta) -> str:
        """Return a rough age, such as `3 days`."""
        return str(format_timedelta(age, locale=self.language))


def whole_percents(share: float) -> int:
    """Return percent rounded down: only all is 100."""
    return floor(share * 100 + 1e-9)


def translator_for(language: str | None) -> Translator:
    """Return the translator for a language, such as `de` or `de-AT`; English for languages without a translation."""
    base = _base(language or "en")
    return Translator(base if base in LANGUAGES else "en")


def requested_translator(language: str | None, otherwise: str | None = None) -> Translator:
    """Return the translator for a requested language, else for `otherwise`. Raises InputError for an unknown one."""
    if language is not None and _base(language) not in LANGUAGES:
        raise InputError(f"--language {language}: unknown language; available: {', '.join(LANGUAGES)}.")
    return translator_for(language or otherwise)


def _base(language: str) -> str:
    return language.replace("_", "-").split("-")[0].lower()


@cache
def _texts(language: str) -> dict[str, str]:
    if language == "en":
        return {}
    with (LOCALE / f"{language}.po").open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id}


def visible(text: str) -> str:
    """Return text with control characters and marks of writing direction replaced."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
