"""Attestations: what employees say that they did themselves, in their own browser. No page was read for them.

An employee may also close a control: they leave it as it is, and want no more reminders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from fleet.authority.person_files import PersonFile, PersonFiles
from fleet.errors import InputError
from fleet.model import SAFE_NAME, SERVICE_NAME

FRESH_DAYS = 180
"""Days for which an attestation counts unless fleet.yml says otherwise."""

Name = Annotated[str, StringConstraints(pattern=rf"^{SAFE_NAME.pattern}$")]
"""An employee's name."""
Service = Annotated[str, StringConstraints(pattern=rf"^{SERVICE_NAME.pattern}$")]
Control = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Said = Literal["switched", "was_off", "sent"]
"""What an employee may say that they did; values of `Reason`."""
Answer = Said | Literal["closed"]


class Attestation(BaseModel):
    """One answer about one control: switched off, off already, a form sent and its confirmation seen, or closed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: Service
    control: Control
    said: Answer
    attested_on: date
    at: AwareDatetime | None = None
    """When, by the portal's clock. None in files of older versions."""

    @property
    def is_closed(self) -> bool:
        """True if the employee leaves the control as it is."""
        return self.said == "closed"

    def is_fresh(self, today: date, days: int) -> bool:
        """Return True if it says that something was done, at most `days` days before `today` (UTC)."""
        return not self.is_closed and self.attested_on <= today <= self.fresh_until(days)

    def fresh_until(self, days: int) -> date:
        """Return the last day (UTC) on which it counts."""
        return min(self.attested_on, date.max - timedelta(days=days)) + timedelta(days=days)


class _Content(PersonFile):
    attestations: Annotated[tuple[Attestation, ...], Field(max_length=1000)] = ()


class Attestations:
    """What employees said, one file each."""

    def __init__(self, folder: Path, fresh_days: Mapping[str, int] | None = None) -> None:
        """`fresh_days` by service, where the organization has decided for how long a statement counts."""
        self._files = PersonFiles(folder, _Content)
        self.fresh_days = fresh_days or {}

    def of(self, employee: str) -> tuple[Attestation, ...]:
        """Return an employee's attestations, one per control. Raises InputError for a file that cannot be read."""
        content = self._files.of(employee)
        return content.attestations if content else ()

    def find(self, employee: str, service: str, control: str) -> Attestation | None:
        """Return what the employee said about one control. Raises InputError as `of` does."""
        return next((one for one in self.of(employee) if (one.service, one.control) == (service, control)), None)

    def fresh(self, employee: str, service: str, control: str, today: date) -> Attestation | None:
        """Return what the employee says that they did, if it still counts; None also if that cannot be read."""
        try:
            said = self.find(employee, service, control)
        except InputError:
            return None
        return said if said and said.is_fresh(today, self._days(said)) else None

    def fresh_until(self, said: Attestation) -> date:
        """Return the last day (UTC) on which a statement counts."""
        return said.fresh_until(self._days(said))

    def _days(self, said: Attestation) -> int:
        return self.fresh_days.get(said.service, FRESH_DAYS)

    def names(self) -> Iterator[str]:
        """Yield who has attested anything, in order."""
        return self._files.names()

    def put(self, employee: str, attestation: Attestation) -> None:
        """Store what the employee said, in place of an earlier statement; durable on return. Raises OSError."""
        about = attestation.service, attestation.control
        others = [one for one in self.of(employee) if (one.service, one.control) != about]
        self._files.put(_Content(employee=employee, attestations=(*others, attestation)))

    def remove(self, employee: str, service: str, control: str) -> bool:
        """Forget what the employee said about a control; False if there was nothing. Raises InputError, OSError."""
        said = self.of(employee)
        others = [one for one in said if (one.service, one.control) != (service, control)]
        if len(others) == len(said):
            return False
        self._files.put(_Content(employee=employee, attestations=tuple(others)))
        return True
