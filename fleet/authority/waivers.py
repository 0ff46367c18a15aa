"""Waivers: an agreed exception, with a rationale, an owner and an expiry."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict

from fleet.authority.mandates import IsoDate, ShortText


class Waiver(BaseModel):
    """One entry of `fleet_waivers` among an employee's own host variables; without `control` it covers all."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    service: ShortText
    control: ShortText | None = None
    rationale: ShortText
    owner: ShortText
    expires_on: IsoDate

    def covers(self, service: str, control: str, today: date) -> bool:
        """True if this waiver is in force today (UTC, the expiry day included) for that control."""
        return self.service == service and self.control in (None, control) and today <= self.expires_on
