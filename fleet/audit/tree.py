"""The Merkle tree of RFC 6962 over the lines of the log: its root, and the proof that a line is in it.

Nothing here reads files or parses lines. Test oracles: the vectors of RFC 6962 and pymerkle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(line: bytes) -> bytes:
    """Return the hash of one line without its LF."""
    return sha256(b"\x00" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two adjacent nodes."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The tree of all leaves added so far, kept as the roots of its complete subtrees: a few dozen hashes at most."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._peaks: list[bytes] = []
        for leaf in leaves:
            self.add(leaf)

    def add(self, root: bytes, leaves: int = 1) -> None:
        """Add the hash of one more leaf, or the root of a complete subtree of `leaves` (a power of two) leaves.

        The current size must be a multiple of `leaves`.
        """
        position, peaks = self.size // leaves, self._peaks
        while position & 1:
            root = sha256(b"\x01" + peaks.pop() + root).digest()
            position >>= 1
        peaks.append(root)
        self.size += leaves

    def followed_by(self, other: Frontier) -> Frontier:
        """Return the tree of these leaves plus those of `other`, too few to complete a subtree of these."""
        both = Frontier()
        both.size, both._peaks = self.size + other.size, self._peaks + other._peaks
        return both

    @property
    def root(self) -> bytes:
        """The current root."""
        if not self._peaks:
            return EMPTY_ROOT
        *lefts, root = self._peaks
        for left in reversed(lefts):
            root = node_hash(left, root)
        return root


def inclusion_proof(index: int, size: int, root_of: Callable[[int, int], bytes]) -> list[bytes]:
    """Return the proof that leaf `index` is in the tree of the first `size` leaves, sibling first (RFC 6962, 2.1.1).

    `root_of(start, end)` returns the root of the tree over those leaves. Raises ValueError for an invalid index.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    return [root_of(start, end) for start, end in reversed(list(_siblings(index, 0, size)))]


def _siblings(index: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the leaf range of each sibling from the root down to leaf `index`."""
    while end - start > 1:
        middle = start + (1 << (end - start - 1).bit_length() - 1)
        if index < middle:
            yield middle, end
            end = middle
        else:
            yield start, middle
            start = middle


def root_by_proof(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """Return the root of a tree of `size` leaves in which `proof` puts `leaf` at `index`; None if that is impossible.

    See RFC 9162, 2.1.3.2. The caller must check that it is the right root.
    """
    if not 0 <= index < size:
        return None
    root, position, last = leaf, index, size - 1
    for sibling in proof:
        if last == 0:
            return None
        if position & 1 or position == last:
            root = node_hash(sibling, root)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            root = node_hash(root, sibling)
        position >>= 1
        last >>= 1
    return root if last == 0 else None
