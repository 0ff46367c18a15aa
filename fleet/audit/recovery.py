"""Opening an existing log: detects leftovers of a crash, and whether the records match the signature."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.audit import checkpoints, records
from fleet.audit.segments import SEGMENT_RECORDS, Segment, segments
from fleet.audit.signed_note import NoteError, VerifierKey, open_checkpoint
from fleet.audit.tree import Frontier
from fleet.errors import AuditError
from fleet.paths import AuditDir, make_private_dir, write_private


@dataclass(frozen=True)
class Recovered:
    """A log as found: the trees of its full segments and of the open one, and how much of it is signed."""

    before: Frontier
    segment: Frontier
    signed: int
    """Tree size signed by the newest checkpoint."""
    torn: tuple[int, str] | None
    """Length and SHA-256 (hex) of a torn last line that was set aside."""
    is_new: bool
    """True if nothing was ever written or signed here."""

    @property
    def size(self) -> int:
        """Number of records."""
        return self.before.size + self.segment.size


def recover(places: AuditDir, key: VerifierKey) -> Recovered:
    """Check the existing files before anything is appended.

    Reads only the last segment; for the others it uses the cached roots, which the newest checkpoint proves. A torn
    last line is moved to `torn/`.

    Raises AuditError if the records do not match the newest checkpoint signed with `key`, or if an unsigned line is not
    a record; OSError.
    """
    present = segments(places.log)
    if [segment.first for segment in present] != list(range(0, len(present) * SEGMENT_RECORDS, SEGMENT_RECORDS)):
        raise _changed(places, "a segment is missing")
    torn = _put_aside_torn_line(present[-1], places) if present else None
    signed_sizes = checkpoints.sizes(places.checkpoints)
    newest = max(signed_sizes, default=0)
    signed = _signed_root(places, newest, key) if signed_sizes else Frontier().root
    before, segment, root = _trees(places, present, newest, is_trusting=True)
    if root != signed:
        # Perhaps only a cached root is wrong.
        before, segment, root = _trees(places, present, newest, is_trusting=False)
    size = before.size + segment.size
    if newest > size:
        raise _changed(places, f"it has {size} records, and {newest} were signed")
    if root != signed:
        raise _changed(places, f"the first {newest} records do not match their signature")
    if size and not signed_sizes:
        raise _changed(places, "it has records but no checkpoint, and the first is written before any record")
    return Recovered(before, segment, newest, torn, is_new=not signed_sizes)


def _trees(
    places: AuditDir, present: Sequence[Segment], size: int, *, is_trusting: bool
) -> tuple[Frontier, Frontier, bytes | None]:
    """Return the tree of the full segments, that of the rest, and the root at `size` (None if there are fewer)."""
    before, open_one = Frontier(), Frontier()
    root = before.root if size == 0 else None
    for segment in present:
        remembered = segment.remembered_root() if is_trusting else None
        if remembered is None or segment.first < size < segment.first + SEGMENT_RECORDS or segment is present[-1]:
            for leaf, line in segment.entries():
                open_one.add(leaf)
                now = segment.first + open_one.size
                if now == size:
                    root = before.followed_by(open_one).root
                elif now > size and line is not None:
                    record = records.parse(line)
                    if record is None or record["seq"] != now - 1:
                        raise _changed(places, f"record {now - 1} is not a record")
            if open_one.size < SEGMENT_RECORDS:
                if segment is not present[-1]:
                    raise _changed(places, f"{segment.path.name} is incomplete")
                break
            if open_one.size > SEGMENT_RECORDS:
                raise _changed(places, f"{segment.path.name} has too many records")
            remembered = open_one.root
            segment.remember(remembered)
        before.add(remembered, SEGMENT_RECORDS)
        open_one = Frontier()
        if before.size == size:
            root = before.root
    return before, open_one, root


def _changed(places: AuditDir, what: str) -> AuditError:
    return AuditError(
        f"The audit log in {places.root} was changed: {what}. Run 'fleet audit verify' for details. Nothing more is "
        "written to it: restore it from a backup, or move the folder away and run 'fleet init' to begin a new log."
    )


def _signed_root(places: AuditDir, size: int, key: VerifierKey) -> bytes:
    try:
        checkpoint = open_checkpoint(checkpoints.read_note(places.checkpoints, size), [key])
    except NoteError as error:
        raise _changed(places, f"checkpoint {size}: {error}") from None
    if checkpoint.size != size:
        raise _changed(places, f"checkpoint {size} signs another size than its name says")
    return checkpoint.root


def _put_aside_torn_line(last: Segment, places: AuditDir) -> tuple[int, str] | None:
    torn = last.torn()
    if not torn:
        return None
    digest = hashlib.sha256(torn).hexdigest()
    make_private_dir(places.torn)
    write_private(places.torn / digest, torn, durable=True)
    with last.path.open("r+b") as file:
        file.truncate(file.seek(0, os.SEEK_END) - len(torn))
        os.fdatasync(file.fileno())
    return len(torn), digest
