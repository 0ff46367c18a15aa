"""Inventories for tests: what an employee's own host variables say."""

from __future__ import annotations

from typing import Any


def mandate(employee: str, *services: str) -> dict[str, Any]:
    """A mandate of `employee` that is in force for `services`."""
    return {
        "employee": employee,
        "reference": "M-2026-001",
        "services": list(services),
        "granted_on": "2026-01-01",
        "expires_on": "2099-12-31",
    }


def at_linkedin(employee: str, profile: str | None = None, case: str | None = None) -> dict[str, Any]:
    """The variables of somebody with an account and a mandate at LinkedIn, and the rehearsal's case, if any."""
    return {
        "fleet_accounts": {"linkedin": {"profile": profile or employee.replace(".", "-")}},
        "fleet_mandate": mandate(employee, "linkedin"),
        **({"fleet_rehearsal_case": {"linkedin": case}} if case else {}),
    }
