"""What a visit keeps beside the log for people to see: pictures of controls, and what a renamed one is called."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from fleet.audit.pseudonyms import Subject


class EvidenceKind(StrEnum):
    """What a piece of evidence is; the end of its file's name."""

    BEFORE = "before.png"
    AFTER = "after.png"
    LABEL = "label.txt"


def file_name(pseudonym: str, service: str | None, control: str | None, kind: EvidenceKind) -> str:
    """The name of a piece of evidence in its run's folder."""
    return f"{pseudonym}.{service}.{control}.{kind}"


def read_evidence(
    folder: Path,
    subject: Subject | None,
    service: str | None,
    control: str | None,
    kind: EvidenceKind,
    digest: str | None,
) -> bytes | None:
    """A piece of evidence in a run's folder; None if it is gone, erased, or not the one that was recorded."""
    if subject is None or digest is None:
        return None
    try:
        kept = (folder / file_name(subject.pseudonym, service, control, kind)).read_bytes()
    except OSError:
        return None
    return kept if subject.hmac("evidence", kept) == digest else None
