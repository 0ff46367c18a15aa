"""Appointments: who asked in the portal to do it together, at the desk, and has not been there since.

An appointment permits nothing: at the desk, the person signs in, and what they agree to there is recorded.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import AwareDatetime

from fleet.authority.person_files import PersonFile, PersonFiles


class Appointment(PersonFile):
    """One employee's open appointment."""

    asked_at: AwareDatetime
    """When they asked, by the portal's clock."""


class Appointments:
    """Open appointments, one file each."""

    def __init__(self, folder: Path) -> None:
        self._files = PersonFiles(folder, Appointment)

    def of(self, employee: str) -> Appointment | None:
        """Return an employee's open appointment. Raises InputError for a file that cannot be read."""
        return self._files.of(employee)

    def open(self) -> list[Appointment]:
        """Return all open appointments, the one asked for first comes first. Raises InputError as `of` does."""
        found = filter(None, map(self.of, self._files.names()))
        return sorted(found, key=lambda one: (one.asked_at, one.employee))

    def put(self, appointment: Appointment) -> None:
        """Store an appointment; durable on return. Who has one keeps it. Raises InputError and OSError."""
        if self.of(appointment.employee) is None:
            self._files.put(appointment)

    def close(self, employee: str) -> bool:
        """Delete an employee's appointment, after an attended visit or when they withdraw it; False without one."""
        return self._files.remove(employee)
