"""Waivers: agreed exceptions, each with a rationale, an owner and an expiry."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict

from fleet.authority.mandates import IsoDate, ShortText


class Waiver(BaseModel):
    """One entry of `fleet_waivers` among an employee's host variables; without `control` it covers all controls."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    service: ShortText
    control: ShortText | None = None
    rationale: ShortText
    owner: ShortText
    expires_on: IsoDate

    def covers(self, service: str, control: str, today: date) -> bool:
        """Return True if this waiver is in force for that control today (UTC, expiry day included)."""
        return self.service == service and self.control in (None, control) and today <= self.expires_on
