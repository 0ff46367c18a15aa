"""The writable end of the log: the open segment, and the tree of all earlier ones.

Errors are raised as OSError; `log` decides what they mean for a run.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from fleet.audit.checkpoints import write_checkpoint
from fleet.audit.recovery import Recovered
from fleet.audit.segments import SEGMENT_RECORDS, Segment
from fleet.audit.signed_note import Checkpoint, SigningKey
from fleet.audit.tree import Frontier, leaf_hash
from fleet.paths import AuditDir, sync_folder

CHECKPOINT_RECORDS = 1000
"""Records after which a signature is due."""


class SegmentWriter:
    """Appends lines, starts new segments, signs."""

    def __init__(self, places: AuditDir, keys: Sequence[SigningKey], found: Recovered) -> None:
        self._places = places
        self.keys = tuple(keys)
        self._before, self._segment, self._signed = found.before, found.segment, found.signed
        self._is_new = found.is_new
        self.is_in_doubt = False
        """True once the file's content is uncertain: nothing may be written to it any more."""
        self._file = self._open(self._before.size)
        self._bytes = os.fstat(self._file).st_size

    def begin(self) -> None:
        """Sign the empty tree of a new log, so that a log with records but no checkpoint is known to be changed."""
        if self._is_new:
            self._write_checkpoint()

    @property
    def size(self) -> int:
        """Number of records."""
        return self._before.size + self._segment.size

    @property
    def is_signed(self) -> bool:
        """Return True if a checkpoint signs all records."""
        return self.size == self._signed

    def _open(self, first: int) -> int:
        path = Segment(self._places.log, first).path
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        try:
            sync_folder(self._places.log)  # a new file is durable only once its name is
        except OSError:
            os.close(file)
            raise
        return file

    @property
    def room(self) -> int:
        """Number of records that still fit into the segment."""
        return SEGMENT_RECORDS - self._segment.size

    def append(self, lines: Sequence[bytes]) -> None:
        """Write whole lines (LF included), at most `room`; they are on disk on return."""
        remaining = memoryview(b"".join(lines))
        total = len(remaining)
        try:
            while remaining:
                remaining = remaining[os.write(self._file, remaining) :]
            self.is_in_doubt = True
            os.fdatasync(self._file)
        except OSError:
            self._roll_back()
            raise
        self.is_in_doubt = False
        self._bytes += total
        for line in lines:
            self._segment.add(leaf_hash(line[:-1]))

    @property
    def is_due(self) -> bool:
        """Return True if `seal` is due."""
        return not self.room or self.size - self._signed >= CHECKPOINT_RECORDS

    def seal(self) -> None:
        """Sign, and start a new segment if this one is full."""
        self.sign()
        if not self.room:
            Segment(self._places.log, self._before.size).remember(self._segment.root)
            following = self._open(self.size)
            # Last, when nothing can fail any more.
            self._before.add(self._segment.root, SEGMENT_RECORDS)
            self._segment = Frontier()
            os.close(self._file)
            self._file, self._bytes = following, 0

    def sign(self) -> None:
        """Write a checkpoint of the current tree, unless there is one."""
        if not self.is_signed:
            self._write_checkpoint()

    def hand_over(self, key: SigningKey) -> None:
        """Sign with the current key and with `key`, which alone signs from then on."""
        self.keys = (*self.keys, key)
        self._write_checkpoint()
        self.keys = (key,)

    def _write_checkpoint(self) -> None:
        tree = self._before.followed_by(self._segment)
        checkpoint = Checkpoint(self.keys[0].name, tree.size, tree.root)
        write_checkpoint(self._places.checkpoints, checkpoint.size, checkpoint.signed(self.keys))
        self._signed = checkpoint.size

    def reopen(self) -> None:
        """Reopen the open segment after its file was rewritten."""
        file = self._open(self._before.size)
        os.close(self._file)
        self._file, self._bytes = file, os.fstat(file).st_size

    def _roll_back(self) -> None:
        """Truncate the file to the last good line after a failed write, as far as possible."""
        try:
            os.ftruncate(self._file, self._bytes)
        except OSError:
            self.is_in_doubt = True

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
