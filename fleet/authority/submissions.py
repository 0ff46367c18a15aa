"""Requests of the organization's own that a service confirmed, such as a letter to it. One small file each.

The audit log's writer changes this folder, after the record. The confirmation itself stays with the organization.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

from fleet.authority.attestations import Control, Service
from fleet.authority.instruction import Sha256
from fleet.model import control_name
from fleet.paths import make_private_dir, read_regular, write_private

MAX_BYTES = 4096
Reference = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Submission(BaseModel):
    """One request that a service confirmed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: Service
    control: Control
    recorded_at: AwareDatetime
    confirmation_sha256: Sha256
    """Digest of the confirmation's file."""
    reference: Reference | None = None


class Submissions:
    """What was confirmed, one file for each request."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, request: object) -> bool:
        """Return True if this request (service, control) was confirmed; False also for a damaged file."""
        if not isinstance(request, tuple):
            return False
        try:
            kept = Submission.model_validate_json(read_regular(self._path(*request), MAX_BYTES))
        except (OSError, ValidationError):
            return False
        return (kept.service, kept.control) == request

    def put(self, submission: Submission) -> None:
        """Store a submission in place of an earlier one; durable on return. Raises OSError."""
        make_private_dir(self._folder)
        path = self._path(submission.service, submission.control)
        write_private(path, submission.model_dump_json(indent=1).encode(), durable=True)

    def _path(self, service: str, control: str) -> Path:
        return self._folder / f"{control_name(service, control)}.json"
