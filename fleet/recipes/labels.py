"""Labels of controls: comparing them, and their languages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

MAX_LABEL = 200
_UNSEEN = r"[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
"""Invisible characters: marks of writing direction and of line breaks (Unicode: Bidi_Control, Cf)."""


def exact_names(names: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern for exactly one of `names`, ignoring case, kinds of apostrophe and space, invisible characters,
    and composed or decomposed accents.
    """

    def character(wanted: str) -> str:
        if wanted in "'’ʼ":
            return "['’ʼ]"
        apart = unicodedata.normalize("NFD", wanted)
        either = [re.escape(way).replace("/", r"\/") for way in dict.fromkeys((wanted, apart))]
        return either[0] if len(either) == 1 else f"(?:{'|'.join(either)})"

    def pattern(name: str) -> str:
        words = re.sub(_UNSEEN, "", unicodedata.normalize("NFC", name)).split()
        return rf"(?:\s|{_UNSEEN})+".join(f"{_UNSEEN}*".join(map(character, word)) for word in words)

    around = rf"(?:\s|{_UNSEEN})*"
    return re.compile(f"^{around}(?:{'|'.join(map(pattern, names))}){around}$", re.IGNORECASE)


def is_one_of(label: str, names: Sequence[str]) -> bool:
    """Return True if a label is one of `names` as defined by `exact_names`, also with full-width characters."""
    pattern = exact_names(names)
    return any(pattern.match(one) for one in (label, unicodedata.normalize("NFKC", label)))


def plain_language(language: str) -> str:
    """Return a normalized language tag for comparison; empty if it is invalid."""
    tag = language.strip().replace("_", "-").lower()
    return tag if re.fullmatch(r"[a-z]{2,3}(-[a-z0-9]{1,8})*", tag) else ""


def shown_label(label: str) -> str:
    """Return a label for storing and showing: one line of at most MAX_LABEL characters, invisible ones escaped."""
    seen = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in " ".join(label.split()))
    return seen[:MAX_LABEL].rstrip()


def covers(known: str, spoken: str) -> bool:
    """Return True if names in language `known` apply to a page in `spoken`: fr on fr-CH, pt-BR on pt, not on pt-PT."""
    one, other = plain_language(known), plain_language(spoken)
    return f"{other}-".startswith(f"{one}-") or f"{one}-".startswith(f"{other}-")


def in_language(texts: Mapping[str, T], language: str) -> tuple[str, T] | None:
    """Return a text's language and the text, or texts: in the wanted one, else in English, else in any."""
    for spoken, text in texts.items():
        if covers(spoken, language):
            return spoken, text
    return ("en", texts["en"]) if "en" in texts else next(iter(texts.items()), None)
