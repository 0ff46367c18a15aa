"""What controls are called: comparing labels, and the languages that they are in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

MAX_LABEL = 200
_UNSEEN = r"[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
"""Marks that nobody sees: of the direction of a text, of where it may break (Unicode: Bidi_Control, Cf)."""


def exact_names(names: Sequence[str]) -> re.Pattern[str]:
    """A pattern for exactly one of `names`, whatever their case, apostrophes, kinds of space, marks that nobody sees,
    and ways to write an accent."""

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
    """True if a label is one of `names`, as `exact_names` has it, however wide its characters are."""
    pattern = exact_names(names)
    return any(pattern.match(one) for one in (label, unicodedata.normalize("NFKC", label)))


def plain_language(language: str) -> str:
    """A language tag for comparing; empty if it is none."""
    tag = language.strip().replace("_", "-").lower()
    return tag if re.fullmatch(r"[a-z]{2,3}(-[a-z0-9]{1,8})*", tag) else ""


def shown_label(label: str) -> str:
    """A label as it can be kept and shown: one line of at most MAX_LABEL characters, those that nobody sees spelled."""
    seen = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in " ".join(label.split()))
    return seen[:MAX_LABEL].rstrip()


def covers(known: str, spoken: str) -> bool:
    """True if names in the language `known` are names on a page in `spoken`: fr on fr-CH, pt-BR on pt, not on pt-PT."""
    one, other = plain_language(known), plain_language(spoken)
    return f"{other}-".startswith(f"{one}-") or f"{one}-".startswith(f"{other}-")
