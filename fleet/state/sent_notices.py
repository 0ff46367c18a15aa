"""Which notices went out, one file per employee."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from fleet.authority.attestations import Name
from fleet.errors import InputError
from fleet.model import SAFE_NAME
from fleet.paths import look, make_private_dir, read_regular, write_private

MAX_BYTES = 64 * 1024
PAUSE = timedelta(days=14)
"""Between two notices to the same employee, and from the last one until it counts as unanswered."""
MOST_REMINDERS = 2


class NoticeKind(StrEnum):
    """What a notice is about."""

    FIRST = "first"
    """What the employee can do."""
    REMINDER = "reminder"
    """The same again; two at most."""
    RECEIPT = "receipt"
    """What was switched for them."""


class SentNotice(BaseModel):
    """One notice that went out. `id` is that of its row in notices.csv."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    kind: NoticeKind
    sent_on: date


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    employee: Name
    sent: Annotated[tuple[SentNotice, ...], Field(max_length=1000)] = ()


class SentNotices:
    """A folder with one file per employee. Only the audit log's writer changes it, after the record."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, employee: str) -> tuple[SentNotice, ...]:
        """Return what an employee was sent, in order. Raises InputError for a file that cannot be read."""
        path = self._path(employee)
        if look(path) is None:
            return ()
        try:
            return _Content.model_validate_json(read_regular(path, MAX_BYTES)).sent
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); fix its mode or disk.") from None
        except ValidationError:
            raise InputError(f"{path} is damaged; restore it from a backup, or delete it to begin anew.") from None

    def put(self, employee: str, notice: SentNotice) -> None:
        """Add a notice; durable on return. Raises OSError."""
        make_private_dir(self.folder)
        content = _Content(employee=employee, sent=(*self.of(employee), notice))
        write_private(self._path(employee), content.model_dump_json(indent=1).encode(), durable=True)

    def forget(self, employee: str) -> None:
        """Delete an employee's file. Raises OSError."""
        self._path(employee).unlink(missing_ok=True)

    def _path(self, employee: str) -> Path:
        if not SAFE_NAME.fullmatch(employee):
            raise InputError(f"'{employee}' cannot be looked up in {self.folder}: it is not a safe name.")
        return self.folder / f"{employee}.json"


def next_kind(sent: tuple[SentNotice, ...], today: date) -> NoticeKind | None:
    """Return the notice to send to somebody who has not answered, or None if it is too early or enough.

    Receipts do not count: they ask nothing.
    """
    asked = [one for one in sent if one.kind is not NoticeKind.RECEIPT]
    if not asked:
        return NoticeKind.FIRST
    if today - asked[-1].sent_on < PAUSE or _reminders(asked) >= MOST_REMINDERS:
        return None
    return NoticeKind.REMINDER


def is_unanswered(sent: tuple[SentNotice, ...], today: date) -> bool:
    """Return True once the last reminder has gone without an answer for `PAUSE`."""
    asked = [one for one in sent if one.kind is not NoticeKind.RECEIPT]
    return _reminders(asked) >= MOST_REMINDERS and today - asked[-1].sent_on >= PAUSE


def _reminders(asked: list[SentNotice]) -> int:
    return sum(one.kind is NoticeKind.REMINDER for one in asked)
