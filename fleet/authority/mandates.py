"""Mandates: an employee's permission to act for them at named services, between two dates, revocable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from fleet.authority.blocklist import Blocklist, Entry
from fleet.errors import InputError
from fleet.model import SAFE_NAME, Reason
from fleet.paths import is_there, look, sync_folder
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
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


class Mandate(BaseModel):
    """One employee's mandate: `fleet_mandate` among that employee's host variables."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    employee: ShortText
    reference: ShortText
    services: Annotated[tuple[ShortText, ...], Field(min_length=1, strict=False)]
    granted_on: IsoDate
    expires_on: IsoDate
    revoked_on: IsoDate | None = None

    @model_validator(mode="after")
    def _dates_in_order(self) -> Mandate:
        if self.expires_on < self.granted_on:
            raise ValueError("expires_on is before granted_on; correct the dates")
        return self

    def refusal(self, employee: str, service: str, today: date) -> Reason | None:
        """Return why this mandate does not cover `service` for `employee` today (UTC), or None if it does.

        Both dates are inclusive. A mandate that names another employee is invalid (authority is personal).
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


def _end_of(day: date) -> datetime:
    """Return the last moment of a day (UTC): an older version kept only the day."""
    return datetime.combine(day, time.max, UTC)


class Revocations(Blocklist):
    """Revoked mandates in the state directory, which override any inventory.

    Read again for each query, because a revocation takes effect immediately, also during a run. `revocations.yml`
    beside the folder, written by earlier versions, counts as well until it is migrated.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._older = folder.with_name(f"{folder.name}.yml")
        self._read: tuple[tuple[int, ...], dict[str, date]] | None = None

    def prepare(self) -> None:
        """As for any blocklist; and migrate the file of an earlier version, once everything is durable.

        Raises InputError if that cannot be read or written.
        """
        super().prepare()
        older = self._of_older_version()
        if not is_there(self._older) or not all(map(SAFE_NAME.fullmatch, older)):
            return
        try:
            for employee, day in older.items():
                self.add(employee, day, is_durable=False)
            os.sync()  # once for all files
            self._older.unlink()
            sync_folder(self._older.parent)
        except OSError as error:
            raise InputError(f"{self._older} cannot be migrated ({error.strerror}); free space.") from None

    def __contains__(self, employee: object) -> bool:
        """Return True if an employee has revoked. Raises InputError if that cannot be determined."""
        return super().__contains__(employee) or employee in self._of_older_version()

    def revoked_at(self, employee: str) -> datetime | None:
        """Return when an employee last revoked, or None. Raises InputError if that cannot be determined."""
        older = self._of_older_version().get(employee)
        times = [_end_of(older)] if older else []
        if super().__contains__(employee):
            times.append(self._entry(employee).at)
        return max(times, default=None)

    def entries(self) -> Iterator[Entry]:
        """Yield who has revoked, by name. Raises InputError if that cannot be read."""
        found = {employee: Entry(employee, day, _end_of(day)) for employee, day in self._of_older_version().items()}
        for entry in super().entries():
            older = found.get(entry.name, entry)
            found[entry.name] = replace(entry, since=min(entry.since, older.since), at=max(entry.at, older.at))
        yield from (found[name] for name in sorted(found))

    def remove(self, employee: str) -> None:
        """Lift a revocation, so that the mandate counts again. Raises InputError if that fails."""
        self.prepare()
        if employee in self._of_older_version():
            raise InputError(f"{employee} is in {self._older}, which cannot be migrated; remove that line.")
        super().remove(employee)

    def _of_older_version(self) -> dict[str, date]:
        there = look(self._older)
        if there is None:
            return {}
        seen = (there.st_mtime_ns, there.st_ctime_ns, there.st_size, there.st_ino)
        if self._read is None or self._read[0] != seen:
            try:
                revoked = {name: _iso_date(day) for name, day in read_yaml(self._older).data.items()}
            except (AttributeError, ValueError):
                raise InputError(f"{self._older} is damaged: each line must be 'EMPLOYEE: YYYY-MM-DD'.") from None
            self._read = seen, revoked
        return self._read[1]
