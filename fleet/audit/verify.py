"""Verifies a log from its files alone: every line, every checkpoint, and anchors kept elsewhere.

Changes nothing, and may run while the log is being written.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import orjson

from fleet.audit import checkpoints
from fleet.audit.anchors import Anchor
from fleet.audit.records import (
    LOG_KEY_ROTATED,
    LOG_PRUNED,
    LOG_RECOVERED,
    MAX_LINE_BYTES,
    SCHEMA_VERSION,
    is_stamped,
    newer,
)
from fleet.audit.segments import SEGMENT_RECORDS, Segment, segments
from fleet.audit.signed_note import (
    Checkpoint,
    NoteError,
    UnknownKey,
    VerifierKey,
    is_signed_by,
    open_checkpoint,
    parse_checkpoint,
)
from fleet.audit.tree import Frontier
from fleet.errors import AuditError
from fleet.paths import AuditDir


class Verdict(Enum):
    """Results of a verification, the gravest last; the value is the exit code."""

    OK = 0
    UNSIGNED_TAIL = 10
    TORN_TAIL = 11
    UNKNOWN_KEY = 12
    GAP = 13
    TRUNCATED = 14
    MODIFIED = 15
    FORK = 16


@dataclass(frozen=True)
class Finding:
    """One problem found."""

    verdict: Verdict
    what: str


@dataclass
class Verification:
    """Result of a verification. `records` counts existing records, `signed` those proved by a checkpoint."""

    records: int = 0
    signed: int = 0
    pruned: int = 0
    checkpoints: int = 0
    anchors: int = 0
    anchored: int = 0
    """Number of records that an anchor signs."""
    newest: Checkpoint | None = None
    keys: list[VerifierKey] = field(default_factory=list)
    is_being_written: bool = False
    set_back: list[int] = field(default_factory=list)
    """Records dated before their predecessor: the clock was set back."""
    recovered: list[tuple[int, int]] = field(default_factory=list)
    """First and last record of each range that a writer found unsigned, perhaps after a crash, and only then signed."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """The gravest finding's verdict."""
        return max((finding.verdict for finding in self.findings), key=lambda one: one.value, default=Verdict.OK)

    def find(self, verdict: Verdict, what: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(verdict, what))


def verify(
    places: AuditDir,
    first_keys: Sequence[VerifierKey],
    anchors: Sequence[Anchor] = (),
    advance: Callable[[int], None] = lambda _records: None,
) -> Verification:
    """Check everything. Trusts the first of `first_keys`, and later keys if a checkpoint hands over to them.

    `advance` is called from time to time with the number of further records. Raises AuditError if the files cannot be
    read.
    """
    return _Verifier(places, first_keys, anchors, advance).run()


class _Verifier:
    def __init__(
        self,
        places: AuditDir,
        first_keys: Sequence[VerifierKey],
        anchors: Sequence[Anchor],
        advance: Callable[[int], None],
    ) -> None:
        self._places = places
        self._anchors = anchors
        self._advance = advance
        self._report = Verification(keys=list(first_keys[:1]), is_being_written=is_locked(places))
        # List checkpoints before reading records: a checkpoint written meanwhile would sign records not read.
        self._sizes = checkpoints.sizes(places.checkpoints)
        self._roots: dict[int, bytes] = {0: Frontier().root}
        self._signers = list(first_keys[:1])
        self._introduced: list[VerifierKey] = []
        self._prunings: list[tuple[int, int]] = []
        self._pruned_end = 0
        self._at = ""
        self._has_bad_line = False
        self._newest_version = 0

    def run(self) -> Verification:
        wanted = {*self._sizes, *(size for anchor in self._anchors for size in _claimed_size(anchor))}
        self._walk(sorted(wanted - {0}))
        self._check_checkpoints()
        self._check_prunings()
        for anchor in self._anchors:
            self._check_anchor(anchor)
        unsigned = self._report.records - self._report.signed
        if unsigned and self._report.verdict.value <= Verdict.TORN_TAIL.value:
            what = "the last record is" if unsigned == 1 else f"the last {unsigned} records are"
            why = " yet: the log is being written" if self._report.is_being_written else ""
            self._report.find(Verdict.UNSIGNED_TAIL, f"{what} not signed{why}")
        if self._newest_version > SCHEMA_VERSION and self._report.verdict.value <= Verdict.TORN_TAIL.value:
            # This version does not know what newer events mean for keys and gaps, so "OK" would be a guess.
            raise AuditError(newer(self._newest_version))
        return self._report

    def _walk(self, wanted: Sequence[int]) -> None:
        """Read all records in order and store the roots at the wanted sizes."""
        tree, targets = Frontier(), iter([*wanted, -1])
        target = next(targets)
        present = segments(self._places.log)
        for segment in present:
            if segment.first != tree.size:
                self._report.find(Verdict.GAP, f"{_span(tree.size, segment.first)}: missing")
                break
            try:
                for leaf, line in segment.entries():
                    if line is None:
                        self._report.pruned += 1
                        self._pruned_end = tree.size + 1
                    else:
                        self._check_line(tree.size, line)
                    tree.add(leaf)
                    if tree.size == target:
                        self._roots[target] = tree.root
                        target = next(targets)
            except (AuditError, OSError) as error:
                self._report.find(Verdict.MODIFIED, f"record {tree.size}: {error}")
                break
            self._advance(tree.size - self._report.records)
            self._report.records = tree.size
            self._check_end(segment, tree.size - segment.first, is_last=segment is present[-1])
        self._report.records = tree.size

    def _check_end(self, segment: Segment, count: int, *, is_last: bool) -> None:
        name, torn = segment.path.name, len(segment.torn())
        if count > SEGMENT_RECORDS:
            self._report.find(Verdict.MODIFIED, f"{name} has {count} records, more than a segment")
        if torn and not is_last:
            self._report.find(Verdict.MODIFIED, f"{name} ends in {torn} bytes that are not a record")
        elif torn and not self._report.is_being_written:
            self._report.find(Verdict.TORN_TAIL, f"{torn} bytes after the last record: an interrupted write")

    def _check_line(self, number: int, line: bytes) -> None:
        try:
            record = orjson.loads(line)
            seq, at, event = record["seq"], record["at"], record["event"]
            is_record = is_stamped(record) and isinstance(at, str) and len(line) < MAX_LINE_BYTES
        except (ValueError, KeyError, TypeError):
            seq, at, event, record, is_record = None, "", "", {}, False
        if not is_record or seq != number:
            said = f"has the number {seq}" if type(seq) is int and seq != number else "is not a record"
            self._note_line(number, said)
            return
        version = record.get("v")
        self._newest_version = max(self._newest_version, version if type(version) is int else 0)
        if at < self._at:
            self._report.set_back.append(number)
        self._at = at
        if event == LOG_KEY_ROTATED:
            self._introduce([record.get("vkey")])
        elif event == LOG_PRUNED:
            before, keys = record.get("before"), record.get("keys")
            if type(before) is int and isinstance(keys, list):
                self._prunings.append((number, before))
                self._introduce(keys)
        elif event == LOG_RECOVERED:
            unsigned = record.get("unsigned")
            if type(unsigned) is int and 0 < unsigned <= number:
                self._report.recovered.append((number - unsigned, number - 1))

    def _introduce(self, keys: Sequence[Any]) -> None:
        """Collect keys named in the log; a checkpoint signed with the previous key too must prove them."""
        for text in keys:
            with contextlib.suppress(NoteError, AttributeError):
                self._introduced.append(VerifierKey.parse(text))

    def _note_line(self, number: int, what: str) -> None:
        # Report only the first: removing one line makes all later numbers wrong.
        if not self._has_bad_line:
            self._report.find(Verdict.MODIFIED, f"record {number} {what}")
        self._has_bad_line = True

    def _check_checkpoints(self) -> None:
        report, lost = self._report, 0
        is_broken = any(found.verdict is Verdict.GAP for found in report.findings)
        for size in self._sizes:
            note = checkpoints.read_note(self._places.checkpoints, size)
            checkpoint = self._open(note, self._signers, f"checkpoint {size}")
            if checkpoint is None:
                continue
            if checkpoint.size != size:
                report.find(Verdict.MODIFIED, f"checkpoint {size} signs {checkpoint.size} records")
            elif size > report.records:
                lost = size
            elif self._roots.get(size) != checkpoint.root:
                if not is_broken:
                    report.find(Verdict.MODIFIED, f"{_span(report.signed, size)}: different from what was signed")
                is_broken = True  # all later roots depend on these records
            else:
                report.checkpoints += 1
                report.signed, report.newest = size, checkpoint
                self._hand_over(note)
        if report.records and not self._sizes:
            report.find(Verdict.MODIFIED, "there is no checkpoint, although the first is written before any record")
        if lost and not is_broken:
            report.find(Verdict.TRUNCATED, _fewer(report.records, lost, "a checkpoint"))

    def _hand_over(self, note: str) -> None:
        """Accept only the next key from here on, if this checkpoint is signed with it and with the previous one."""
        for key in self._introduced:
            if key not in self._report.keys and is_signed_by(note, key):
                self._signers = [key]
                self._report.keys.append(key)

    def _check_prunings(self) -> None:
        """Require a signed record for each pruning; one that a writer found unsigned does not count."""
        before = 0
        for number, stays in self._prunings:
            if number < self._report.signed and not any(a <= number <= b for a, b in self._report.recovered):
                before = max(before, stays)
        if self._pruned_end > before:
            gone = _span(before, self._pruned_end)
            self._report.find(Verdict.GAP, f"{gone}: deleted without a signed record of pruning")

    def _check_anchor(self, anchor: Anchor) -> None:
        report = self._report
        checkpoint = self._open(anchor.note, self._report.keys, f"the anchor in {anchor.source}")
        if checkpoint is None:
            return
        size = checkpoint.size
        if size > report.records:
            report.find(Verdict.TRUNCATED, _fewer(report.records, size, f"the anchor in {anchor.source}"))
        elif self._roots.get(size) == checkpoint.root:
            report.anchored = max(report.anchored, size)
            report.anchors += 1
        elif size <= report.signed:
            report.find(
                Verdict.FORK,
                f"the anchor in {anchor.source} signs another history of the first {size} records than this log: "
                "one of them was forged by someone with the signing key",
            )
        else:
            report.find(Verdict.MODIFIED, f"the first {size} records: different from the anchor in {anchor.source}")

    def _open(self, note: str, keys: Sequence[VerifierKey], what: str) -> Checkpoint | None:
        try:
            checkpoint = open_checkpoint(note, keys)
        except UnknownKey:
            self._report.find(Verdict.UNKNOWN_KEY, f"{what} is not signed with a key that this log had then")
            return None
        except NoteError as error:
            self._report.find(Verdict.MODIFIED, f"{what}: {error}")
            return None
        return checkpoint


def _span(start: int, end: int) -> str:
    return f"record {start}" if end - start == 1 else f"records {start} to {end - 1}"


def _fewer(there: int, signed: int, by: str) -> str:
    gone = "the last one is" if signed - there == 1 else f"the last {signed - there} are"
    return f"there are {there} records, and {by} signs {signed}: {gone} missing"


def _claimed_size(anchor: Anchor) -> Iterator[int]:
    try:
        yield parse_checkpoint(anchor.note).size
    except NoteError:
        return


def is_locked(places: AuditDir) -> bool:
    """Return True if a process is writing to the log. Reads /proc/locks, so that it never blocks a writer."""
    try:
        lock = _as_locks_name_it(places.lock)
        locks = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return False
    return any(" FLOCK " in line and any(word.endswith(lock) for word in line.split()) for line in locks)


def _as_locks_name_it(path: Path) -> str:
    """Return a file's `MAJOR:MINOR:INODE` in /proc/locks, or `:INODE` if its filesystem is unknown.

    Another disk may have a locked file with the same inode number. The device is the mount's, which on btrfs and
    overlays differs from stat's. Raises OSError.
    """
    descriptor = os.open(path, os.O_PATH)
    try:
        said = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
        inode = os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)
    known = {name: value.strip() for name, _, value in (line.partition(":") for line in said)}
    mounts = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    device = next((words[2] for words in mounts if words[0] == known.get("mnt_id")), None)
    name = f":{known.get('ino', inode)}"  # Linux names it there since 5.14
    return name if device is None else "{:02x}:{:02x}".format(*map(int, device.split(":"))) + name
