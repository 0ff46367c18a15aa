"""The Merkle tree, against the vectors of others and another implementation (pymerkle)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree, verify_inclusion

from fleet.audit.tree import EMPTY_ROOT, Frontier, inclusion_proof, leaf_hash, root_by_proof

# The leaves and roots with which Certificate Transparency's own implementations are tested
# (github.com/google/certificate-transparency, merkle/merkle_tree_test).
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LINES = st.lists(st.binary(max_size=40), min_size=1, max_size=70)


def root_of(leaves: list[bytes]) -> bytes:
    return Frontier(leaf_hash(leaf) for leaf in leaves).root


def proof_of(index: int, lines: list[bytes]) -> list[bytes]:
    return inclusion_proof(index, len(lines), lambda start, end: root_of(lines[start:end]))


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    """The published roots for one to eight leaves."""
    assert root_of(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_an_empty_tree_has_the_hash_of_nothing() -> None:
    """RFC 6962, 2.1."""
    assert Frontier().root == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(LINES)
def test_the_root_is_pymerkles(lines: list[bytes]) -> None:
    """Another implementation comes to the same root, at every size on the way."""
    theirs, ours = InmemoryTree(algorithm="sha256"), Frontier()
    for line in lines:
        theirs.append_entry(line)
        ours.add(leaf_hash(line))
        assert ours.root == theirs.get_root()


@given(LINES, st.data())
def test_an_inclusion_proof_leads_to_the_root(lines: list[bytes], data: st.DataObject) -> None:
    """The proof of any leaf gives the root of the tree, and pymerkle's proof has the same hashes."""
    index = data.draw(st.integers(0, len(lines) - 1))
    proof, root = proof_of(index, lines), root_of(lines)
    assert root_by_proof(leaf_hash(lines[index]), index, len(lines), proof) == root
    theirs = InmemoryTree(algorithm="sha256")
    for line in lines:
        theirs.append_entry(line)
    their_proof = theirs.prove_inclusion(index + 1, len(lines))
    verify_inclusion(leaf_hash(lines[index]), root, their_proof)
    assert [bytes(step) for step in their_proof.path[1:]] == proof


@given(LINES, st.data())
def test_a_proof_of_something_else_leads_elsewhere(lines: list[bytes], data: st.DataObject) -> None:
    """Another line, another place, a flipped bit, a hash too many or too few: never the root."""
    index = data.draw(st.integers(0, len(lines) - 1))
    proof, root, leaf = proof_of(index, lines), root_of(lines), leaf_hash(lines[index])
    size = len(lines)
    assert root_by_proof(leaf_hash(lines[index] + b"x"), index, size, proof) != root
    assert root_by_proof(leaf, index, size, [*proof, leaf]) != root
    assert root_by_proof(leaf, size, size, proof) is None
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        flipped = bytes([proof[at][0] ^ 1]) + proof[at][1:]
        assert root_by_proof(leaf, index, size, [*proof[:at], flipped, *proof[at + 1 :]]) != root
        assert root_by_proof(leaf, index, size, proof[:-1]) != root


def test_a_leaf_outside_the_tree_has_no_proof() -> None:
    """Neither before the first nor behind the last."""
    for index in (-1, 3):
        with pytest.raises(ValueError, match="is not in a tree of 3"):
            proof_of(index, [b"a", b"b", b"c"])


@pytest.mark.parametrize("count", [8, 11, 12, 13, 23])
def test_complete_subtrees_can_be_added_by_their_roots(count: int) -> None:
    """Segments of four leaves and a rest give the tree that the leaves alone give; neither half is changed by it."""
    leaves = [leaf_hash(bytes([number])) for number in range(count)]
    full, whole = Frontier(), count - count % 4
    for start in range(0, whole, 4):
        full.add(Frontier(leaves[start : start + 4]).root, 4)
    rest = Frontier(leaves[whole:])
    both = full.followed_by(rest)
    assert (both.size, both.root) == (count, Frontier(leaves).root)
    assert (full.root, rest.root) == (Frontier(leaves[:whole]).root, Frontier(leaves[whole:]).root)
    both.add(leaf_hash(b"more"))
    assert (full.size, rest.size) == (whole, count % 4)
