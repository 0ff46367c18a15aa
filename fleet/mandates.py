"""Mandates: an employee's permission to act for them at named services, between two dates, revocable."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from fleet.errors import InputError
from fleet.model import Reason
from fleet.paths import write_private
from fleet.yamlfile import read_yaml


def _iso_date(value: Any) -> date:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else _refuse_date()
    except ValueError:
        return _refuse_date()


def _refuse_date() -> date:
    raise ValueError("not a date; write it as YYYY-MM-DD")


IsoDate = Annotated[date, BeforeValidator(_iso_date)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


class Mandate(BaseModel):
    """One employee's mandate, as `fleet_mandate` among that employee's own host variables."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    employee: Words
    reference: Words
    services: Annotated[tuple[Words, ...], Field(min_length=1, strict=False)]
    granted_on: IsoDate
    expires_on: IsoDate
    revoked_on: IsoDate | None = None

    @model_validator(mode="after")
    def _dates_in_order(self) -> Mandate:
        if self.expires_on < self.granted_on:
            raise ValueError("expires_on lies before granted_on; mend the dates")
        return self

    def refusal(self, employee: str, service: str, today: date) -> Reason | None:
        """Why this mandate does not open `service` for `employee` today (UTC), or None if it does.

        Both dates are inclusive. A mandate that names somebody else is none (authority is personal).
        """
        if self.employee != employee:
            return Reason.MANDATE_OF_ANOTHER
        if self.revoked_on is not None and self.revoked_on <= today:
            return Reason.MANDATE_REVOKED
        if today < self.granted_on:
            return Reason.MANDATE_NOT_YET_VALID
        if today > self.expires_on:
            return Reason.MANDATE_EXPIRED
        if service not in self.services:
            return Reason.MANDATE_MISSES_SERVICE
        return None


class Revocations:
    """Mandates taken back, kept in the state directory: they win over any inventory.

    The file is read anew at each question, because a revocation counts from the moment it is made,
    also in the middle of a run.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> dict[str, date]:
        """Who revoked, and on which day. Raises InputError if the file is damaged."""
        if not self._path.exists():
            return {}
        try:
            return {employee: _iso_date(day) for employee, day in read_yaml(self._path).data.items()}
        except (AttributeError, ValueError):
            raise InputError(f"{self._path} is damaged: each line must be 'EMPLOYEE: YYYY-MM-DD'.") from None

    def add(self, employee: str, day: date) -> None:
        """Record that `employee` revoked on `day`; the first day stays."""
        self._write({employee: day} | self.all())

    def remove(self, employee: str) -> bool:
        """Forget a revocation, for a mandate given anew. Returns whether there was one."""
        revoked = self.all()
        if employee not in revoked:
            return False
        self._write({name: day for name, day in revoked.items() if name != employee})
        return True

    def _write(self, revoked: dict[str, date]) -> None:
        text = yaml.safe_dump({name: day.isoformat() for name, day in sorted(revoked.items())}, allow_unicode=True)
        write_private(self._path, text.encode(), durable=True)
