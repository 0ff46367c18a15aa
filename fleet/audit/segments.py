"""The files with the records: 65,536 lines each, named by the number of their first record.

A power of two, so that each full segment is a complete subtree of the Merkle tree. Retention deletes the oldest lines
and keeps their hashes in a file beside (`.hashes`, 32 bytes each): later proofs need nothing more.
"""

from __future__ import annotations

import itertools
import mmap
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from fleet.audit.records import MAX_LINE_BYTES, RUN_STARTED, parse
from fleet.audit.tree import Frontier, leaf_hash
from fleet.errors import AuditError, InputError
from fleet.paths import is_folder, is_there, read_regular, write_private

SEGMENT_RECORDS = 1 << 16
_BLOCK = 1 << 18
_NAME = re.compile(r"([0-9]{12})\.(jsonl|hashes)")


@dataclass(frozen=True)
class Segment:
    """One file of lines, and the hashes of pruned lines."""

    folder: Path
    first: int

    @property
    def path(self) -> Path:
        """The lines."""
        return self.folder / f"{self.first:012}.jsonl"

    @property
    def hashes_path(self) -> Path:
        """The hashes of pruned lines, from the segment's first one."""
        return self.path.with_suffix(".hashes")

    @property
    def root_path(self) -> Path:
        """The root of a full segment's tree; only a cache."""
        return self.path.with_suffix(".root")

    def pruned(self) -> list[bytes]:
        """The stored hashes."""
        if not is_there(self.hashes_path):
            return []
        _require_file(self.hashes_path, 32 * SEGMENT_RECORDS)
        kept = self.hashes_path.read_bytes()
        return [kept[at : at + 32] for at in range(0, len(kept) - len(kept) % 32, 32)]

    def start(self) -> int:
        """Number of the first line still present; an interrupted prune has deleted fewer lines than it has hashes."""
        kept = len(self.pruned())
        if kept and is_there(self.path):
            _require_file(self.path)
            with self.path.open("rb") as file:
                seq = seq_of(file.readline(MAX_LINE_BYTES))
            if seq is not None and self.first <= seq <= self.first + kept:
                return seq
        return self.first + kept

    def blocks(self, offset: int = 0) -> Iterator[list[bytes]]:
        """Yield blocks of lines without their LF, from byte `offset`. Text after the last LF is omitted.

        Raises AuditError if it is not a regular file, and for a complete line that is too long for a record.
        """
        if not is_there(self.path):
            return
        _require_file(self.path)
        rest = b""
        with self.path.open("rb") as file:
            file.seek(offset)
            while block := file.read(_BLOCK):
                if len(rest) > MAX_LINE_BYTES:
                    # Too long to keep; whether it ends decides what it is.
                    if b"\n" not in block:
                        continue
                    raise AuditError(f"{self.path.name} has a line of more than {MAX_LINE_BYTES} bytes, not a record.")
                *lines, rest = (rest + block).split(b"\n")
                yield lines

    def entries(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the hash of each line and the line itself, or None if it was pruned."""
        for kept in self.pruned()[: self.start() - self.first]:
            yield kept, None
        for lines in self.blocks():
            for line in lines:
                yield leaf_hash(line), line

    def torn(self) -> bytes:
        """Return what follows the last LF. Batches are written at once, so it may exceed a line after a power cut."""
        if not is_there(self.path) or not self.path.stat().st_size:
            return b""
        _require_file(self.path)
        with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return data[data.rfind(b"\n") + 1 :]

    def remembered_root(self) -> bytes | None:
        """Return the root written by `remember`; only a checkpoint shows whether it is right."""
        try:
            root = bytes.fromhex(read_regular(self.root_path, 100).decode())
        except (OSError, ValueError):
            return None
        return root if len(root) == 32 else None

    def remember(self, root: bytes) -> None:
        """Write the root of a full segment. Raises OSError."""
        write_private(self.root_path, root.hex().encode())

    def tree(self) -> Frontier:
        """Return the tree of its current lines."""
        return Frontier(leaf for leaf, _ in self.entries())


def _require_file(path: Path, most: int | None = None) -> None:
    """Raise AuditError for a link, a folder, a pipe, or a file that is too large."""
    if path.is_symlink() or not path.is_file() or (most is not None and path.stat().st_size > most):
        raise AuditError(f"{path.name} is not a file written by the log; run: fleet audit verify")


def seq_of(line: bytes) -> int | None:
    """Return the record number in a line; None if it is not a record."""
    try:
        seq = orjson.loads(line)["seq"]
    except (ValueError, KeyError, TypeError):
        return None
    return seq if type(seq) is int else None


def segments(folder: Path) -> list[Segment]:
    """Return the existing segments, oldest first; callers must detect gaps."""
    if not is_folder(folder):
        return []
    names = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    firsts = {int(name[1]) for name in names if name}
    return [Segment(folder, first) for first in sorted(firsts) if first % SEGMENT_RECORDS == 0]


def read_records(folder: Path, since: int = 0) -> Iterator[dict[str, Any]]:
    """Yield all complete records from number `since`, oldest first, without one that is still being written.

    Raises AuditError for a line that is not a record.
    """
    return (record for _, record in read_lines(folder, since))


def read_lines(folder: Path, since: int = 0) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Like `read_records`, with each record's line."""
    for segment in segments(folder):
        if segment.first + SEGMENT_RECORDS > since:
            yield from ((line, record) for line, record in _lines_of(segment) if record["seq"] >= since)


def of_kind(log: Iterable[dict[str, Any]], *, rehearsal: bool) -> Iterator[dict[str, Any]]:
    """Yield the records of real runs or of rehearsals; records of no run belong to both. `log` starts before its runs.

    Logs of older versions may hold both kinds, and neither tells anything about the other's accounts.
    """
    others: set[str | None] = set()
    for record in log:
        if record["event"] == RUN_STARTED and record["rehearsal"] != rehearsal:
            others.add(record["run"])
        if record["run"] not in others:
            yield record


class Growing:
    """A log that is being written: each call reads only what is new."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._next = 0
        self._file: tuple[int, int] | None = None
        """The current segment and its file's inode: a prune rewrites the file."""
        self._offset = 0

    def new(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Yield new complete records, oldest first, each with its line. Raises as `read_records` does."""
        for segment in segments(self._folder):
            if segment.first + SEGMENT_RECORDS <= self._next or not is_there(segment.path):
                continue
            file = segment.first, segment.path.stat().st_ino
            if file != self._file:
                self._file, self._offset = file, 0
            for line, record in _lines_of(segment, self._offset):
                self._offset += len(line) + 1
                if record["seq"] >= self._next:
                    self._next = record["seq"] + 1
                    yield line, record


def read_last_run(folder: Path, *, rehearsal: bool | None) -> Iterator[dict[str, Any]]:
    """Yield the records from the newest `run.started` on, of this kind or (None) of any; none without such a run.

    Raises as `read_records` does.
    """
    later: list[Segment] = []
    for segment in reversed(segments(folder)):
        for offset, start in _starts(segment):
            if rehearsal in (None, start["rehearsal"]):
                for _, record in itertools.chain(_lines_of(segment, offset), *map(_lines_of, reversed(later))):
                    yield record
                return
        later.append(segment)


def read_starts(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield each `run.started`, newest first, without reading the records between. Raises as `read_records` does."""
    for segment in reversed(segments(folder)):
        for _, start in _starts(segment):
            yield start


def runs_of_kind(folder: Path, *, rehearsal: bool) -> frozenset[str]:
    """Return the ids of all real runs, or of all rehearsals. Raises as `read_records` does."""
    return frozenset(start["run"] for start in read_starts(folder) if start["rehearsal"] == rehearsal)


def read_run(folder: Path, run: str, *, rehearsal: bool) -> list[dict[str, Any]]:
    """Return all records of one run; `last` is the newest of this kind.

    Raises InputError if there is no such run or it is of the other kind; and as `read_records` does.
    """
    if run == "last":
        found = list(read_last_run(folder, rehearsal=rehearsal))
        run = found[0]["run"] if found else run
    else:
        found = [record for record in read_records(folder) if record["run"] == run]
    if not found or found[0]["event"] != RUN_STARTED:
        raise InputError(
            "The log has no run yet." if run == "last" else f"The log has no run '{run}'; 'fleet audit show' lists all."
        )
    if found[0]["rehearsal"] != rehearsal:
        what = "a rehearsal, so it has no real accounts" if found[0]["rehearsal"] else "not a rehearsal"
        raise InputError(f"Run '{run}' was {what}; name another run ('fleet audit show' lists all).")
    return [record for record in found if record["run"] == run]


def _starts(segment: Segment) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each `run.started` with the offset of its line, newest first."""
    path = segment.path
    if not is_there(path) or not path.stat().st_size:
        return
    _require_file(path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        end = data.rfind(b"\n") + 1
        while (position := data.rfind(f'"event":"{RUN_STARTED}"'.encode(), 0, end)) >= 0:
            end = data.rfind(b"\n", 0, position) + 1
            yield end, next(record for _, record in _lines_of(segment, end))


def _lines_of(segment: Segment, offset: int = 0) -> Iterator[tuple[bytes, dict[str, Any]]]:
    for lines in segment.blocks(offset):
        for line in lines:
            record = parse(line)
            if record is None:
                raise AuditError(f"{segment.path} has a line that is not a record; run: fleet audit verify")
            yield line, record
