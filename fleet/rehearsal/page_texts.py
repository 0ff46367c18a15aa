"""The languages of the rehearsal's pages (page_texts.toml)."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

PageTexts = dict[str, str]
"""The texts of one language by name, as pages use them; `language` is its tag."""


@cache
def texts_for(locale: str) -> PageTexts:
    """Return the texts of a locale such as `fr_CH` or `pt-BR`: the exact locale, else its language, else English."""
    languages = _languages()
    exact = locale.replace("_", "-").lower()
    for wanted in (exact, exact.partition("-")[0]):
        for language, words in languages.items():
            if language.lower() == wanted:
                return {**words, "language": language}
    return {**languages["en"], "language": "en"}


@cache
def _languages() -> dict[str, PageTexts]:
    data: dict[str, PageTexts] = tomllib.loads(Path(__file__).with_name("page_texts.toml").read_text("utf-8"))
    # Missing texts are English, as on real services.
    return {language: {**data["en"], **words} for language, words in data.items()}
