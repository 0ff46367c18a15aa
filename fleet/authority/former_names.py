"""Former names of employees who were renamed, one file each: acts and mandates of that time contain them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from fleet.authority.attestations import Name
from fleet.authority.person_files import PersonFile, PersonFiles

MAX_NAMES = 100


@dataclass(frozen=True)
class Rename:
    """One employee's old and new name."""

    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.old} to {self.new}"


class FormerName(BaseModel):
    """A name, and the day (UTC) from which the employee has another one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    until: date
    is_complete: bool
    """False while the rename is in progress, and after it was interrupted."""


class _Content(PersonFile):
    former: Annotated[tuple[FormerName, ...], Field(max_length=MAX_NAMES)] = ()
    """In the order in which they were given up."""


class FormerNames:
    """All former names of a state's employees."""

    def __init__(self, folder: Path) -> None:
        self._files = PersonFiles(folder, _Content)

    def of(self, employee: str) -> tuple[FormerName, ...]:
        """Return an employee's former names, oldest first. Raises InputError for a file that cannot be read."""
        content = self._files.of(employee)
        return content.former if content else ()

    def all(self) -> dict[str, str]:
        """Return each former name with the employee's name of today. Raises InputError as `of` does."""
        return {former.name: employee for employee, former in self._everybody()}

    def unfinished(self) -> Rename | None:
        """Return the rename that was interrupted, or None. Raises InputError as `of` does."""
        pending = (Rename(one.name, employee) for employee, one in self._everybody() if not one.is_complete)
        return next(pending, None)

    def begin(self, rename: Rename, today: date) -> None:
        """Note a rename, durable on return: from here on it is carried out. Raises InputError and OSError."""
        earlier = [one for one in self.of(rename.old) if one.name != rename.new]
        self._put(rename.new, *earlier, FormerName(name=rename.old, until=today, is_complete=False))

    def complete(self, rename: Rename) -> None:
        """Note that a rename was carried out. Raises InputError and OSError."""
        self._files.remove(rename.old)
        self._put(rename.new, *(one.model_copy(update={"is_complete": True}) for one in self.of(rename.new)))

    def _put(self, employee: str, *former: FormerName) -> None:
        self._files.put(_Content(employee=employee, former=former[-MAX_NAMES:]))

    def _everybody(self) -> Iterator[tuple[str, FormerName]]:
        for employee in self._files.names():
            for one in self.of(employee):
                yield employee, one
