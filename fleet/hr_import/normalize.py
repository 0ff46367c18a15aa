"""Normalizes an export's cells for an inventory: clean text, addresses, languages, names of groups."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from babel import Locale
from babel.core import get_global

from fleet.authority.countries import codes
from fleet.authority.countries import country as read_country

HR_LANGUAGES = ("en", "fr", "de", "it")
"""Languages whose names for languages and countries are recognized: an HR system may write `German` or `Deutsch`."""

_FORMULA = "=+-@\t\r＝＋－＠"
"""First characters that make a cell a formula (https://owasp.org/www-community/attacks/CSV_Injection), including
full-width forms."""
_NOTHING = frozenset({"-", "--", "–", "—", "n/a", "#n/a", "none"})
"""Placeholders for an empty cell."""
_JINJA = ("{{", "{%", "{#")
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
"""Lowercase letters that Unicode does not decompose into a-z and an accent; `ß` casefolds to `ss`."""
_SPACING = re.compile(r"[\s.,_-]")
"""Characters in which two spellings of one place differ: St. Gallen, St Gallen."""
_NO_GROUPS = frozenset({"all", "ungrouped", "hosts", "children", "vars"})


def clean(cell: str) -> str:
    """Return a cell with plain spaces and none around it: HR systems export no-break spaces.

    A placeholder such as `-` or `n/a` becomes empty.
    """
    text = "".join(" " if unicodedata.category(one) == "Zs" else one for one in cell).strip(" ")
    return "" if text.casefold() in _NOTHING else text


def danger(text: str) -> str | None:
    """Return why a value must not be in an inventory, as text; None if it may."""
    if text.startswith(tuple(_FORMULA)):
        return "starts like a formula (= + - @ or a tab), which a spreadsheet would run; write the plain value."
    if any(mark in text for mark in _JINJA):
        return "contains a Jinja template, which Ansible would run as code; write the plain value."
    hidden = next((one for one in text if not one.isprintable() and unicodedata.category(one) != "Zs"), None)
    if hidden:
        return f"contains the invisible character U+{ord(hidden):04X}; remove it."
    return None


def plain(header: str) -> str:
    """Return a header, or a word of a cell, without case, accents and punctuation."""
    spelled = unicodedata.normalize("NFKD", header.casefold().replace("#", " number "))
    bare = "".join(one for one in spelled if not unicodedata.combining(one))
    return " ".join(re.findall(r"[^\W_]+", bare))


def address(text: str) -> str:
    """Return the e-mail address in a cell, also from `mailto:a@b.example` and `Anna Keller <a@b.example>`.

    Raises ValueError for several addresses. An invalid one is returned unchanged: the inventory's own rules refuse it.
    """
    if text.count("@") > 1:
        raise ValueError("contains more than one address; keep only the work address.")
    named = re.fullmatch(r"[^<>]*<([^<>]+)>", text)
    linked = re.fullmatch(r"mailto:([^?]+)(?:\?.*)?", named[1].strip() if named else text, re.IGNORECASE)
    return (linked[1] if linked else named[1] if named else text).strip()


def name_of(email: str) -> str:
    """Return the employee name for an address: the part before the `@`, without accents and apostrophes."""
    return re.sub("['’`´]", "", bare(email.partition("@")[0]))


def language(text: str) -> str:
    """Return a language's code, also for its name in four languages; other text is returned as is, and refused."""
    if text.isascii() and re.fullmatch(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]+)*", text):
        head, *rest = re.split("[-_]", text)
        return "-".join([head.lower(), *rest])
    return _languages().get(text.partition("(")[0].strip().casefold(), text)


@cache
def _languages() -> dict[str, str]:
    return {str(name).casefold(): code for known in HR_LANGUAGES for code, name in Locale(known).languages.items()}


def country(text: str) -> str | None:
    """Return a country's code, also for its name in four languages and its code of three letters; None if unknown."""
    try:
        return read_country(text)
    except ValueError:
        return _countries().get(plain(text))


@cache
def _countries() -> dict[str, str]:
    """Return the code of each country by its names and by its other codes, such as `DEU` and `UK`."""
    others = ((other, all_of[0]) for other, all_of in get_global("territory_aliases").items() if len(all_of) == 1)
    names = ((name, code) for known in HR_LANGUAGES for code, name in Locale(known).territories.items())
    found = {plain(name): code for name, code in (*others, *names) if code in codes()}
    return {**found, "united states of america": "US"}


def bare(value: str) -> str:
    """Return a value in lower case, a-z without accents. In other scripts a mark makes another letter: й, ガ."""
    kept = ""
    for one in unicodedata.normalize("NFKD", value.casefold().translate(_LETTERS)):
        if not (unicodedata.combining(one) and kept[-1:].isascii()):
            kept += one
    return unicodedata.normalize("NFC", kept)


def same_place(value: str) -> str:
    """Return a key that is equal for two spellings of one site, department or country."""
    return _SPACING.sub("", bare(value))


def group_name(field: str, value: str) -> str | None:
    """Return an Ansible group name: `Research & Development` is `research_development`, `東京` stays.

    Returns None for text with only punctuation, letters with marks that Ansible rejects (`मुंबई`), or more than 100
    characters.
    """
    small = bare(value)
    name = "_".join(re.findall(r"[^\W_]+", small))
    if not name or len(name) > 100 or any(unicodedata.category(one)[0] == "M" for one in small):
        return None
    return f"{field}_{name}" if name[:1].isdigit() or name in _NO_GROUPS else name
