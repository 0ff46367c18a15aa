"""The portal's inbox: one small JSON file for each act of an employee, written by the portal's own user.

The portal may be taken over, so nothing in this folder is trusted. It can only take away: a revocation counts as soon
as its file is there. Everything else counts after `fleet portal ingest` has checked it and recorded it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from fleet.authority.attestations import Control, Name, Said, Service
from fleet.authority.blocklist import NEVER_ENDS
from fleet.authority.former_names import FormerNames
from fleet.authority.given import Statement, Token
from fleet.authority.in_force import RevokedAt
from fleet.errors import InputError
from fleet.validation import mistakes

MAX_BYTES = 16 * 1024
MAX_FILES = 20_000
"""Files in the inbox. With more, no mandate counts until `fleet portal ingest`, which takes as many at once, has
emptied it."""
MAX_AGE = timedelta(days=30)
CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far an act may be in the future: the clocks of two machines differ."""
REVOCATION = "revoke-"
"""Start of a revocation's file name, so that a run reads these files alone before each click."""
_NOT_OURS = "its name is not one that the portal gives"
_NAME = re.compile(r"(appointment|attest|close|mandate|revoke|spot_check)-[0-9a-f]{32}\.json")


class _Act(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1]
    employee: Name
    at: AwareDatetime
    """When the employee did it."""


class AttestAct(_Act):
    """The employee says what they did at a control; null withdraws an earlier statement."""

    act: Literal["attest"]
    service: Service
    control: Control
    said: Said | None


class CloseAct(_Act):
    """The employee leaves a control as it is and wants no more reminders. Why is not asked."""

    act: Literal["close"]
    service: Service
    control: Control


class MandateAct(_Act):
    """The employee gives a mandate: the instruction, and the ID token whose `nonce` is its SHA-256."""

    act: Literal["mandate"]
    statement: Statement
    id_token: Token


class RevokeAct(_Act):
    """The employee revokes their mandates."""

    act: Literal["revoke"]


class AppointmentAct(_Act):
    """The employee asks to do it together at the desk, or withdraws that."""

    act: Literal["appointment"]
    is_wanted: Annotated[bool, Field(strict=True)]


class SpotCheckAct(_Act):
    """The employee, who was drawn for a spot check, is coming to the desk, or is not."""

    act: Literal["spot_check"]
    is_coming: Annotated[bool, Field(strict=True)]


Act = AttestAct | CloseAct | MandateAct | RevokeAct | AppointmentAct | SpotCheckAct
ACT: TypeAdapter[Act] = TypeAdapter(Annotated[Act, Field(discriminator="act")])
"""One file of the inbox; `fleet portal schema` prints its JSON Schema."""


def is_ours(name: str) -> bool:
    """Return True for a file name that the portal gives."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True)
class Arrived:
    """One file of the inbox: an act, or why it is refused. `content` is what was read, at most MAX_BYTES."""

    name: str
    act: Act | None
    refusal: str | None = None
    content: bytes = b""


class Inbox:
    """Reads the folder by descriptor; a file is followed nowhere else, and a pipe or a huge file holds nobody up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._revocations: dict[tuple[str, int, int, int], str] = {}

    def arrived(self, now: datetime | None = None) -> Iterator[Arrived]:
        """Yield at most MAX_FILES entries, revocations first. Raises InputError if the folder cannot be read."""
        now = now or datetime.now(UTC)
        with _opened(self.folder) as place:
            names = sorted(_names(place), key=lambda name: (not name.startswith(REVOCATION), name))
            for name in names[:MAX_FILES]:
                yield self._read(place, name, now)

    def revoked(self) -> set[str]:
        """Return who has a revocation here. Raises InputError if that cannot be determined: then no mandate counts."""
        found: dict[tuple[str, int, int, int], str] = {}
        with _opened(self.folder) as place:
            names = _names(place)
            if len(names) > MAX_FILES:
                raise InputError(f"{self.folder} has more than {MAX_FILES:,} files; run: fleet portal ingest")
            for name in names:
                if not name.startswith(REVOCATION):
                    continue
                seen = _stat(place, name)
                if seen is None:
                    continue  # ingested meanwhile: the revocation is in the state by now
                key = (name, seen.st_ino, seen.st_mtime_ns, seen.st_size)
                found[key] = self._revocations.get(key) or self._who(place, name)
        self._revocations = found
        return set(found.values()) - {""}

    def remove(self, name: str) -> bool:
        """Delete one entry, also an empty folder; False if it is still there. Raises InputError as `arrived` does."""
        with _opened(self.folder) as place:
            for delete in (os.unlink, os.rmdir):
                with suppress(OSError):
                    delete(name, dir_fd=place)
            return _stat(place, name) is None

    def _who(self, place: int, name: str) -> str:
        """Return who revokes in a file; empty if it is another act. Raises InputError if it cannot be read."""
        content, refusal = _content(place, name)
        if refusal is not None:
            raise InputError(f"{self.folder / name} {refusal}; run: fleet portal ingest")
        try:
            act = ACT.validate_json(content)
        except ValidationError:
            raise InputError(f"{self.folder / name} is damaged; run: fleet portal ingest") from None
        return act.employee if isinstance(act, RevokeAct) else ""

    def _read(self, place: int, name: str, now: datetime) -> Arrived:
        content, refusal = _content(place, name)
        if refusal is not None:
            return Arrived(name, None, refusal if is_ours(name) else _NOT_OURS)
        try:
            act = ACT.validate_json(content)
        except ValidationError as error:
            where, what = next(mistakes(error))
            why = ": ".join(filter(None, (".".join(map(str, where)), what)))
            return Arrived(name, None, why if is_ours(name) else _NOT_OURS, content)
        if isinstance(act, RevokeAct):
            return Arrived(name, act, None, content)  # it takes away, whatever its date and name
        if not is_ours(name):
            refusal = _NOT_OURS
        elif not name.startswith(f"{act.act}-"):
            refusal = "its name and its act differ"
        elif act.at > now + CLOCK_TOLERANCE:
            refusal = f"at: {act.at.isoformat()} is in the future"
        elif act.at < now - MAX_AGE:
            refusal = f"at: {act.at.isoformat()} is more than {MAX_AGE.days} days ago"
        return Arrived(name, None if refusal else act, refusal, content)


class WithInbox:
    """Employees who have revoked, in the state or in the portal's inbox."""

    def __init__(self, revocations: RevokedAt, inbox: Inbox, former: FormerNames) -> None:
        self._revocations, self._inbox, self._former = revocations, inbox, former

    def revoked_at(self, employee: str) -> datetime | None:
        """Return when an employee last revoked, or None. Raises InputError if that cannot be determined.

        What is in the inbox comes after everything: until it is taken in, no mandate of theirs counts.
        """
        # The inbox first: an entry that is ingested in between is in the state by the time that is read.
        revoked = self._inbox.revoked()
        if revoked and not revoked.isdisjoint((employee, *(one.name for one in self._former.of(employee)))):
            return NEVER_ENDS
        return self._revocations.revoked_at(employee)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """Open the folder: its entries are read by this descriptor, whatever takes the folder's place meanwhile."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise InputError(
            f"The portal's inbox {folder} cannot be read ({error.strerror}); check inbox in fleet.yml."
        ) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _names(place: int) -> list[str]:
    return [name for name in os.listdir(place) if not name.startswith(".")]  # a dot: still being written


def _stat(place: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _content(place: int, name: str) -> tuple[bytes, str | None]:
    """Return a file's content, or why it is not read."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    except OSError as error:
        return b"", f"cannot be read ({error.strerror})"
    try:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode):
            return b"", "is not a regular file"
        if seen.st_nlink != 1:
            return b"", "has a second name elsewhere"
        if seen.st_size > MAX_BYTES:
            return b"", f"is larger than {MAX_BYTES // 1024} KiB"
        return os.read(descriptor, MAX_BYTES), None
    except OSError as error:
        return b"", f"cannot be read ({error.strerror})"
    finally:
        os.close(descriptor)
