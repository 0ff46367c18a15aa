"""Which notices went out, one file per employee."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from fleet.authority.person_files import PersonFile, PersonFiles

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


class _Content(PersonFile):
    sent: Annotated[tuple[SentNotice, ...], Field(max_length=1000)] = ()


class SentNotices:
    """What was sent, one file per employee."""

    def __init__(self, folder: Path) -> None:
        self._files = PersonFiles(folder, _Content)

    def of(self, employee: str) -> tuple[SentNotice, ...]:
        """Return what an employee was sent, in order. Raises InputError for a file that cannot be read."""
        content = self._files.of(employee)
        return content.sent if content else ()

    def put(self, employee: str, notice: SentNotice) -> None:
        """Add a notice; durable on return. Raises OSError."""
        self._files.put(_Content(employee=employee, sent=(*self.of(employee), notice)))


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
