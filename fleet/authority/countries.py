"""Countries by ISO 3166, and in which of them employees may be invited to the desk for a personal account."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from typing import Annotated, Any

from babel import Locale
from pydantic import BeforeValidator

_FORM = re.compile(r"([A-Z]{2})(-[A-Z0-9]{1,3})?")
_NOT_COUNTRIES = frozenset({"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"})
"""Codes of Unicode's list that ISO 3166-1 does not assign. XK (Kosovo) stays: ISO leaves it to its users."""
HOW_TO_WRITE = "not a country code such as FR or US-CA (ISO 3166); in YAML, put it in quotes (an unquoted NO is false)"


@cache
def codes() -> frozenset[str]:
    """Return the two-letter codes of all countries (ISO 3166-1)."""
    return frozenset(code for code in map(str, Locale("en").territories) if len(code) == 2) - _NOT_COUNTRIES


def country(code: Any) -> str:
    """Return a country, or a part of one (ISO 3166-2), in upper case. Raises ValueError for anything else."""
    found = _FORM.fullmatch(code.upper()) if isinstance(code, str) else None
    if found is None or found[1] not in codes():
        raise ValueError(HOW_TO_WRITE)
    return found[0]


Country = Annotated[str, BeforeValidator(country)]


def may_be_attended(where: str | None, countries: Collection[str]) -> bool:
    """Return True if `countries` (desk.countries) covers an employee's country; without a country, it does not.

    `DE` covers `DE-BY`, and `US-CA` only itself.
    """
    return where is not None and (where in countries or where.partition("-")[0] in countries)
