"""The open end of the log: the segment that is written, and the tree of all that came before.

Everything here raises OSError as the disk does; what that means for a run is for `log` to say.
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
"""A signature is due after so many records."""


class SegmentWriter:
    """Appends lines, starts new segments, signs."""

    def __init__(self, places: AuditDir, keys: Sequence[SigningKey], found: Recovered) -> None:
        self._places = places
        self.keys = tuple(keys)
        self._before, self._segment, self._signed = found.before, found.segment, found.signed
        self._is_new = found.is_new
        self.is_in_doubt = False
        """True once nobody can say what the file holds: nothing may be written to it any more."""
        self._file = self._open(self._before.size)
        self._bytes = os.fstat(self._file).st_size

    def begin(self) -> None:
        """Sign the empty tree of a new log: a log that has records and no checkpoint is then not as it was."""
        if self._is_new:
            self._write_checkpoint()

    @property
    def size(self) -> int:
        """How many records there are."""
        return self._before.size + self._segment.size

    @property
    def is_signed(self) -> bool:
        """True if a checkpoint signs all of them."""
        return self.size == self._signed

    def _open(self, first: int) -> int:
        path = Segment(self._places.log, first).path
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        try:
            sync_folder(self._places.log)  # a new file is not safe before its name is
        except OSError:
            os.close(file)
            raise
        return file

    @property
    def room(self) -> int:
        """How many records the segment still takes."""
        return SEGMENT_RECORDS - self._segment.size

    def append(self, lines: Sequence[bytes]) -> None:
        """Write whole lines (LF included), at most `room`; they are on disk when this returns."""
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
        """True if it is time to `seal`."""
        return not self.room or self.size - self._signed >= CHECKPOINT_RECORDS

    def seal(self) -> None:
        """Sign, and go on in a new segment if this one is full."""
        self.sign()
        if not self.room:
            Segment(self._places.log, self._before.size).remember(self._segment.root)
            following = self._open(self.size)
            # Only now, when nothing can fail any more.
            self._before.add(self._segment.root, SEGMENT_RECORDS)
            self._segment = Frontier()
            os.close(self._file)
            self._file, self._bytes = following, 0

    def sign(self) -> None:
        """Write a checkpoint of the tree as it is now, unless there is one."""
        if not self.is_signed:
            self._write_checkpoint()

    def hand_over(self, key: SigningKey) -> None:
        """Sign with the key so far and with `key`, which signs alone from here on."""
        self.keys = (*self.keys, key)
        self._write_checkpoint()
        self.keys = (key,)

    def _write_checkpoint(self) -> None:
        tree = self._before.followed_by(self._segment)
        checkpoint = Checkpoint(self.keys[0].name, tree.size, tree.root)
        write_checkpoint(self._places.checkpoints, checkpoint.size, checkpoint.signed(self.keys))
        self._signed = checkpoint.size

    def reopen(self) -> None:
        """Go on in the file that has the open segment's name now: it was written anew."""
        file = self._open(self._before.size)
        os.close(self._file)
        self._file, self._bytes = file, os.fstat(file).st_size

    def _roll_back(self) -> None:
        """Take away what a failed write has left behind the last good line, as well as can be."""
        try:
            os.ftruncate(self._file, self._bytes)
        except OSError:
            self.is_in_doubt = True

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
