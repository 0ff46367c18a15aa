"""Who has an account in the rehearsal, and how the service behaves towards it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RehearsalAccount:
    """One employee's account at one service. `locale` is the language that the service shows, `case` its behavior."""

    employee: str
    service: str
    profile: str
    name: str
    locale: str
    case: str
