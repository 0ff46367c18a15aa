"""The words of LinkedIn's setting in each language; the texts are in words.yml."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from fleet.yamlfile import read_yaml


@dataclass(frozen=True)
class Words:
    """The texts of one language. `direction` is ltr or rtl."""

    language: str
    direction: str
    settings: str
    title: str
    question: str
    help: str
    label: str
    on: str
    off: str
    yes: str
    limited: str
    no: str
    saved: str
    failed: str


@cache
def all_words() -> dict[str, Words]:
    """All languages, by tag."""
    data = read_yaml(Path(__file__).with_name("words.yml")).data
    texts = {field.name for field in fields(Words)} - {"language", "direction"}
    return {
        tag: Words(tag, words.get("direction", "ltr"), **{name: words[name] for name in texts})
        for tag, words in data.items()
    }


def words_for(locale: str | None) -> Words:
    """The words for a locale such as `pt_BR` or `de-AT`; a language that is not played gets English."""
    words = all_words()
    tag = (locale or "en").replace("_", "-")
    language = tag.partition("-")[0].lower()
    candidates = [known for known in words if known.lower() == tag.lower()]
    candidates += [known for known in words if known == language]
    candidates += [known for known in words if known.partition("-")[0] == language]
    return words[candidates[0]] if candidates else words["en"]
