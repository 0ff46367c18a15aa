"""Evidence that a visit keeps beside the log: pictures of controls, and labels of renamed ones."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from fleet.audit.pseudonyms import Subject


class EvidenceKind(StrEnum):
    """Kind of a piece of evidence; the suffix of its file name."""

    BEFORE = "before.png"
    AFTER = "after.png"
    LABEL = "label.txt"


def file_name(pseudonym: str, service: str | None, control: str | None, kind: EvidenceKind) -> str:
    """Return the file name of a piece of evidence in its run's folder."""
    return f"{pseudonym}.{service}.{control}.{kind}"


def read_evidence(
    folder: Path,
    subject: Subject | None,
    service: str | None,
    control: str | None,
    kind: EvidenceKind,
    digest: str | None,
) -> bytes | None:
    """Return a piece of evidence from a run's folder; None if it is gone, erased, or its digest does not match."""
    if subject is None or digest is None:
        return None
    try:
        kept = (folder / file_name(subject.pseudonym, service, control, kind)).read_bytes()
    except OSError:
        return None
    return kept if subject.hmac("evidence", kept) == digest else None
