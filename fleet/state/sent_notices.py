"""Which notices went out, one file per employee."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from fleet.authority.instruction import ControlName
from fleet.authority.person_files import PersonFile, PersonFiles

MAX_CONTROLS = 500
NoticeId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Controls = Annotated[tuple[ControlName, ...], Field(max_length=MAX_CONTROLS)]


class NoticeKind(StrEnum):
    """What a notice is about."""

    FIRST = "first"
    """What the employee can do."""
    REMINDER = "reminder"
    """The same again; two at most."""
    RECEIPT = "receipt"
    """What was switched for them."""


class SentNotice(BaseModel):
    """One notice that went out. `id` is that of its row in notices.csv, `controls` are those that it is about."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: NoticeId
    kind: NoticeKind
    written_at: AwareDatetime
    """What happened later is not in it."""
    sent_on: date
    controls: Controls


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
