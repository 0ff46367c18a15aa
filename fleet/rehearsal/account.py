"""Accounts in the rehearsal, and how the service treats each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RehearsalAccount:
    """One employee's account at one service. `locale` is the page language, `case` the service's behavior."""

    employee: str
    service: str
    profile: str
    name: str
    locale: str
    case: str
