"""Spot checks: people drawn at random among those who attested are invited to the desk, where the setting is read.

The draw itself is in the log as numbers alone. While a check is open, one file for each person drawn says that their
page shows the invitation; it is deleted when they decline, and the rest when the check ends.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from fleet.audit import records
from fleet.audit.pseudonyms import Subject
from fleet.authority.instruction import ControlName
from fleet.authority.person_files import PersonFile, PersonFiles
from fleet.errors import InputError
from fleet.model import Reading, Reason, control_name

CAN_BE_READ = frozenset({Reason.SWITCHED, Reason.WAS_OFF})
"""What employees say of settings; a form that was sent cannot be read."""


class Invitation(PersonFile):
    """One person who was drawn."""

    controls: Annotated[tuple[ControlName, ...], Field(min_length=1, max_length=1000)]
    """What they had attested when they were drawn."""
    ends_on: date
    """The last day on which their page shows the invitation."""
    coming_at: AwareDatetime | None = None
    """When it was taken in that they are coming."""


class Invitations:
    """The people who were drawn for the check that is open, one file each."""

    def __init__(self, folder: Path) -> None:
        self._files = PersonFiles(folder, Invitation)

    def of(self, employee: str) -> Invitation | None:
        """Return a person's invitation. Raises InputError for a file that cannot be read."""
        return self._files.of(employee)

    def all(self) -> list[Invitation]:
        """Return every invitation. Raises InputError as `of` does."""
        return [found for name in self._files.names() if (found := self.of(name)) is not None]

    def put(self, invitation: Invitation) -> None:
        """Store an invitation; durable on return. Raises OSError."""
        self._files.put(invitation)

    def names(self) -> Iterator[str]:
        """Yield who was drawn and has not declined, in order."""
        return self._files.names()

    def remove(self, employee: str) -> bool:
        """Delete a person's invitation; False if there is none. Raises InputError and OSError."""
        return self._files.remove(employee)

    def remove_all(self) -> None:
        """Delete every invitation. Raises OSError."""
        for name in list(self.names()):
            self.remove(name)


def draw_people(eligible: Sequence[str], count: int) -> list[str]:
    """Return `count` of these people, drawn by the operating system's random numbers. Raises InputError if too few."""
    if count > len(eligible):
        raise InputError(
            f"{len(eligible):,} people can be drawn: those who attested a setting, can sign in to the portal, and work "
            "in a country of desk. Draw fewer."
        )
    return secrets.SystemRandom().sample(eligible, count)


class Found:
    """What was read at the accounts of those who came, against what they had said. Fed with the log, oldest first."""

    def __init__(self, invitations: Iterable[Invitation], known: Mapping[str, Subject]) -> None:
        self._coming = {
            known[one.employee].pseudonym: (one.coming_at, frozenset(one.controls))
            for one in invitations
            if one.coming_at is not None and one.employee in known
        }
        self._is_wrong: dict[str, dict[str, bool]] = {}

    @property
    def checked(self) -> int:
        """People of whom at least one setting that they attested was read."""
        return len(self._is_wrong)

    @property
    def wrong(self) -> int:
        """People of whom one of these was read as still in."""
        return sum(any(of_one.values()) for of_one in self._is_wrong.values())

    def watch(self, log: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the records of a log and take note of them."""
        for record in log:
            if record["event"] == records.CONTROL_FINISHED and record["subject"] in self._coming:
                self._note(record)
            yield record

    def _note(self, record: Mapping[str, Any]) -> None:
        coming_at, controls = self._coming[record["subject"]]
        control = control_name(record["service"], record["control"])
        if record["before"] is None or control not in controls or datetime.fromisoformat(record["at"]) < coming_at:
            return
        # The first reading counts: what was found, before anything was switched.
        self._is_wrong.setdefault(record["subject"], {}).setdefault(control, record["before"] == Reading.IN)
