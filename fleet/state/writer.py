"""The holder of a state's audit log, and what all acts on it have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from fleet.audit.keys import read_signing_key
from fleet.audit.log import AuditLog
from fleet.audit.operator import Operator
from fleet.audit.pseudonyms import Subjects
from fleet.authority.blocklist import Blocklist
from fleet.authority.mandates import Revocations
from fleet.paths import StateDir


class StrictAct(BaseModel):
    """An act as sent to an agent: exactly its fields, of exactly their types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class OperatorAct(StrictAct):
    """An act of an operator. The agent's user is the command's, or it would not answer; the claimed name is sent."""

    operator_claimed: Annotated[str, StringConstraints(max_length=200)] | None

    @property
    def operator(self) -> Operator:
        """Who did it."""
        return Operator(self.operator_claimed)


@dataclass(frozen=True)
class Writer:
    """The holder of a state's audit log."""

    state: StateDir
    log: AuditLog
    subjects: Subjects

    @cached_property
    def revocations(self) -> Revocations:
        """The revoked mandates. From here on, a missing folder counts as all revoked."""
        revocations = Revocations(self.state.revocations)
        revocations.prepare()
        return revocations

    @cached_property
    def stopped(self) -> Blocklist:
        """The stopped services. From here on, a missing folder counts as all stopped."""
        stopped = Blocklist(self.state.stopped_services)
        stopped.prepare()
        return stopped

    @classmethod
    @contextlib.contextmanager
    def opened(cls, state: StateDir, log_key: Path, owner: str, patience: float = 0.0) -> Iterator[Writer]:
        """Open the writer of a state for the duration of the block. Raises as `AuditLog` and `Subjects` do."""
        log = AuditLog(state.audit, owner, read_signing_key(state.audit, log_key), patience=patience)
        with contextlib.closing(log), contextlib.closing(Subjects(state.audit.subjects)) as subjects:
            yield cls(state, log, subjects)
