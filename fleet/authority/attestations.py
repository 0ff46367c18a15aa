"""Attestations: what employees say that they did themselves, in their own browser. No page was read for them.

An employee may also close a control: they leave it as it is, and want no more reminders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from fleet.errors import InputError
from fleet.model import SAFE_NAME, SERVICE_NAME
from fleet.paths import look, make_private_dir, read_regular, write_private

MAX_BYTES = 256 * 1024
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
        return not self.is_closed and timedelta() <= today - self.attested_on <= timedelta(days=days)


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    employee: str
    attestations: Annotated[tuple[Attestation, ...], Field(max_length=1000)]


class Attestations:
    """A folder with one file per employee. Only the audit log's writer changes it, after the record."""

    def __init__(self, folder: Path, fresh_days: Mapping[str, int] | None = None) -> None:
        """`fresh_days` by service, where the organization has decided for how long a statement counts."""
        self.folder = folder
        self.fresh_days = fresh_days or {}

    def of(self, employee: str) -> tuple[Attestation, ...]:
        """Return an employee's attestations, one per control. Raises InputError for a file that cannot be read."""
        path = self._path(employee)
        if look(path) is None:
            return ()
        try:
            content = _Content.model_validate_json(read_regular(path, MAX_BYTES))
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); fix its mode or disk.") from None
        except ValidationError:
            raise InputError(f"{path} is damaged; restore it from a backup, or delete it to ask again.") from None
        if content.employee != employee:
            raise InputError(f"{path} names another employee; delete it to ask again.")
        return content.attestations

    def find(self, employee: str, service: str, control: str) -> Attestation | None:
        """Return what the employee said about one control. Raises InputError as `of` does."""
        return next((one for one in self.of(employee) if (one.service, one.control) == (service, control)), None)

    def fresh(self, employee: str, service: str, control: str, today: date) -> Attestation | None:
        """Return what the employee says that they did, if it still counts; None also if that cannot be read."""
        try:
            said = self.find(employee, service, control)
        except InputError:
            return None
        return said if said and said.is_fresh(today, self.fresh_days.get(service, FRESH_DAYS)) else None

    def names(self) -> Iterator[str]:
        """Yield who has attested anything, in order."""
        if look(self.folder) is not None:
            yield from sorted(path.stem for path in self.folder.glob("*.json") if SAFE_NAME.fullmatch(path.stem))

    def put(self, employee: str, attestation: Attestation) -> None:
        """Store what the employee said, in place of an earlier statement; durable on return. Raises OSError."""
        about = attestation.service, attestation.control
        others = [one for one in self.of(employee) if (one.service, one.control) != about]
        self._write(employee, [*others, attestation])

    def remove(self, employee: str, service: str, control: str) -> bool:
        """Forget what the employee said about a control; False if there was nothing. Raises InputError, OSError."""
        said = self.of(employee)
        others = [one for one in said if (one.service, one.control) != (service, control)]
        if len(others) == len(said):
            return False
        self._write(employee, others)
        return True

    def forget(self, employee: str) -> None:
        """Delete an employee's file. Raises OSError."""
        self._path(employee).unlink(missing_ok=True)

    def _write(self, employee: str, attestations: Iterable[Attestation]) -> None:
        make_private_dir(self.folder)
        content = _Content(employee=employee, attestations=tuple(attestations))
        write_private(self._path(employee), content.model_dump_json(indent=1).encode(), durable=True)

    def _path(self, employee: str) -> Path:
        if not SAFE_NAME.fullmatch(employee):
            raise InputError(f"'{employee}' cannot be looked up in {self.folder}: it is not a safe name.")
        return self.folder / f"{employee}.json"
