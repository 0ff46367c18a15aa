"""Proof that one record is in the log, as one text that can be checked with only the public key.

The format is C2SP's (https://c2sp.org/tlog-proof): the record's line as `extra`, its number, the hashes from its
sibling up to the root, and the checkpoint that signs the root.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.audit import checkpoints
from fleet.audit.segments import SEGMENT_RECORDS, Segment, segments
from fleet.audit.signed_note import Checkpoint, NoteError, VerifierKey, decoded, open_checkpoint
from fleet.audit.tree import Frontier, inclusion_proof, leaf_hash, root_by_proof
from fleet.errors import AuditError, InputError
from fleet.paths import AuditDir

HEADER = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 63
MAX_TEXT_BYTES = 4 * 1024 * 1024
_FORM = f"not a proof: {HEADER}, extra, index, hashes, an empty line, a checkpoint"


@dataclass(frozen=True)
class Proof:
    """Proof that `line` is record `index` of the log whose checkpoint is in `note`."""

    line: bytes
    index: int
    hashes: Sequence[bytes]
    note: str

    @property
    def text(self) -> str:
        """The proof in its file format."""
        hashes = "".join(f"{base64.b64encode(one).decode()}\n" for one in self.hashes)
        extra = base64.b64encode(self.line).decode()
        return f"{HEADER}\nextra {extra}\nindex {self.index}\n{hashes}\n{self.note}"

    @classmethod
    def parse(cls, text: str) -> Proof:
        """Parse a proof. Raises NoteError."""
        body, _, note = text.partition("\n\n")
        header, extra, index, *hashes = [*body.split("\n"), "", ""]
        hashes = hashes[:-2]
        line, nodes = decoded(extra.removeprefix("extra ")), [decoded(one) for one in hashes]
        is_index = re.fullmatch(r"index (0|[1-9][0-9]{0,17})", index) is not None
        if (
            header != HEADER
            or not extra.startswith("extra ")
            or not is_index
            or line is None
            or len(nodes) > MAX_HASHES
        ):
            raise NoteError(_FORM)
        whole = [node for node in nodes if node is not None and len(node) == 32]
        if len(whole) != len(nodes):
            raise NoteError(_FORM)
        return cls(line, int(index.removeprefix("index ")), whole, note)

    def check(self, keys: Sequence[VerifierKey]) -> Checkpoint:
        """Return the checkpoint that signs it. Raises NoteError if the record differs or no key of `keys` signed."""
        checkpoint = open_checkpoint(self.note, keys)
        if root_by_proof(leaf_hash(self.line), self.index, checkpoint.size, self.hashes) != checkpoint.root:
            raise NoteError("the record is not the one that the log holds at this number")
        return checkpoint


def find_proofs(text: str) -> list[str]:
    """Return the proofs found anywhere in a text, such as a receipt.

    Each line that begins like a proof counts, even if incomplete: a damaged proof must not be skipped.
    """
    found: list[list[str]] = []
    ended = True
    for line in text.splitlines():
        line = line.lstrip(" \t>").rstrip()
        if line.lower().startswith("c2sp.org/tlog-proof"):
            found.append([line])
            ended = False
        elif not ended:
            # Text after the signatures belongs to the next paragraph.
            ended = found[-1][-1].startswith("— ") and not line.startswith("— ")
            if not ended:
                found[-1].append(line)
    return ["".join(f"{line}\n" for line in lines) for lines in found]


class Prover:
    """Proves records of one log against its newest checkpoint."""

    def __init__(self, places: AuditDir, keys: Sequence[VerifierKey]) -> None:
        """Raises AuditError if there is no checkpoint, or if it does not belong to this log."""
        newest = max(checkpoints.sizes(places.checkpoints), default=0)
        if not newest:
            raise AuditError(f"The log in {places.root} has no checkpoint yet; write one with: fleet audit checkpoint")
        self._keys = keys
        self._note = checkpoints.read_note(places.checkpoints, newest)
        try:
            self._checkpoint = open_checkpoint(self._note, keys)
        except NoteError as error:
            raise AuditError(f"Checkpoint {newest} cannot be used: {error}; run: fleet audit verify") from None
        self._segments = segments(places.log)
        self._leaves: dict[int, list[bytes]] = {}
        self._roots: dict[int, bytes] = {}

    @property
    def size(self) -> int:
        """How many records are signed."""
        return self._checkpoint.size

    def prove(self, index: int, line: bytes | None = None) -> Proof:
        """Return the proof of record `index`, whose line need not be searched if it is given.

        Raises InputError if there is no such record or it was pruned, AuditError if the log does not match its
        signature.
        """
        size = self._checkpoint.size
        if not 0 <= index < size:
            raise InputError(
                f"Record {index} is not among the {size} that are signed; 'fleet audit checkpoint' signs all."
            )
        hashes = inclusion_proof(index, size, self._root_of)
        proof = Proof(self._line(index) if line is None else line, index, hashes, self._note)
        try:
            proof.check(self._keys)
        except NoteError:
            raise AuditError("The log does not match its signature; run: fleet audit verify") from None
        return proof

    def _line(self, index: int) -> bytes:
        for segment in self._segments:
            if segment.first <= index < segment.first + SEGMENT_RECORDS:
                number = segment.start()
                if index < number:
                    raise InputError(f"Record {index} was pruned; only its hash is left.")
                for lines in segment.blocks():
                    if index < number + len(lines):
                        return lines[index - number]
                    number += len(lines)
        raise AuditError(f"Record {index} is missing; run: fleet audit verify")

    def _root_of(self, start: int, end: int) -> bytes:
        tree = Frontier()
        for segment in self._segments:
            first, last = max(start, segment.first), min(end, segment.first + SEGMENT_RECORDS)
            if last - first == SEGMENT_RECORDS:
                tree.add(self._segment_root(segment), SEGMENT_RECORDS)
            elif first < last:
                for leaf in self._segment_leaves(segment)[first - segment.first : last - segment.first]:
                    tree.add(leaf)
        return tree.root

    def _segment_root(self, segment: Segment) -> bytes:
        if segment.first not in self._roots:
            self._roots[segment.first] = segment.remembered_root() or segment.tree().root
        return self._roots[segment.first]

    def _segment_leaves(self, segment: Segment) -> list[bytes]:
        if segment.first not in self._leaves:
            self._leaves[segment.first] = [leaf for leaf, _ in segment.entries()]
        return self._leaves[segment.first]
