"""Proofs, notes, keys and anchors: what an outsider is handed, by somebody who may want to be believed."""

from __future__ import annotations

import base64
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st

from fleet.audit.anchors import read_anchors
from fleet.audit.proof import HEADER, Proof, find_proofs
from fleet.audit.signed_note import Checkpoint, NoteError, SigningKey, VerifierKey, open_checkpoint, parse_checkpoint
from fleet.audit.tree import Frontier, inclusion_proof, leaf_hash
from fleet.commands.audit.proof import _readable
from fleet.errors import InputError
from tests.fuzz.cases import WORDS, fuzz, mutated, texts

KEY = SigningKey("fleet-optout.invalid/0", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
STRANGER = SigningKey(KEY.name, Ed25519PrivateKey.from_private_bytes(bytes(32)))
LINES = [f'{{"v":1,"seq":{seq},"event":"control.finished","outcome":"opted_out"}}'.encode() for seq in range(43)]
LEAVES = [leaf_hash(line) for line in LINES]
NOTE = Checkpoint(KEY.name, 43, Frontier(LEAVES).root).signed([KEY])
SMALLER = Checkpoint(KEY.name, 7, Frontier(LEAVES[:7]).root).signed([KEY, STRANGER])


def proof_of(index: int) -> Proof:
    hashes = inclusion_proof(index, 43, lambda start, end: Frontier(LEAVES[start:end]).root)
    return Proof(LINES[index], index, hashes, NOTE)


PROOFS = [proof_of(index).text for index in (0, 7, 31, 42)]


@st.composite
def forged(draw: st.DrawFn) -> str:
    """A proof that was put together anew from parts of real ones and from others, as somebody would who wants more."""
    real = proof_of(draw(st.integers(0, 42)))
    hashes = list(real.hashes)
    for _ in range(draw(st.integers(0, 2))):
        if hashes and draw(st.booleans()):
            hashes[draw(st.integers(0, len(hashes) - 1))] = draw(
                st.sampled_from([*LEAVES[:3], sha256(b"x").digest(), *hashes])
            )
        else:
            hashes.insert(draw(st.integers(0, len(hashes))), draw(st.sampled_from([*LEAVES, bytes(32)])))
    del hashes[draw(st.integers(max(0, len(hashes) - 2), 70)) :]
    lines = st.sampled_from([real.line, LINES[0], LEAVES[0] + LEAVES[1], b"", b"[" * 5000])
    line = draw(lines | st.binary(max_size=64))
    index = draw(st.sampled_from([real.index, real.index + 1, 43, 2**63, 0]) | st.integers(0, 50))
    return Proof(line, index, hashes, draw(st.sampled_from([NOTE, SMALLER]))).text


@fuzz(
    2000,
    *PROOFS,
    case=st.sampled_from(PROOFS).flatmap(mutated) | forged() | texts.map(lambda text: f"{HEADER}\n{text}\n\n{NOTE}"),
)
def test_a_proof_proves_the_record_that_the_log_holds_or_nothing(case: str) -> None:
    """Whatever is done to proofs: what is accepted is a real record of this log, under its own number."""
    for text in [*find_proofs(case), case]:
        try:
            proof = Proof.parse(text)
            checkpoint = proof.check([KEY.verifier])
        except NoteError as error:
            assert "\n" not in str(error)
            continue
        assert proof.line == LINES[proof.index]
        assert (checkpoint.size, checkpoint.root) == (43, Frontier(LEAVES).root) or checkpoint.size == 7
        assert checkpoint.origin == KEY.name


@fuzz(1500, NOTE, SMALLER, case=st.sampled_from([NOTE, SMALLER]).flatmap(mutated) | texts)
def test_a_note_says_what_was_signed_or_nothing(case: str) -> None:
    """A changed checkpoint opens as no other."""
    try:
        opened = open_checkpoint(case, [KEY.verifier])
    except NoteError:
        return
    assert opened in (parse_checkpoint(NOTE), parse_checkpoint(SMALLER))


@fuzz(500, str(KEY.verifier), case=mutated(str(KEY.verifier)) | texts)
def test_a_mistyped_key_is_no_key(case: str) -> None:
    """There is one text for one key: what can be read is written back alike."""
    try:
        key = VerifierKey.parse(case)
    except NoteError:
        return
    assert str(key) == case.strip()
    key.has_signed(b"x", bytes(64))


@fuzz(
    700,
    f"Dear all,\r\n> {NOTE}",
    "<p>" + NOTE.replace("—", "&mdash;"),
    "<" * 300_000,
    "&" * 300_000,
    "&#" + "9" * 5000 + ";",
    "— x A\n" * 50_000,
    "a\n1\n" * 50_000,
    "c2sp.org/tlog-proof@v1\n" * 20_000,
    case=st.lists(st.sampled_from([NOTE, SMALLER, *WORDS, "<", "&lt;", "> "]) | texts, max_size=5).map("".join)
    | mutated(f"Regards\n{NOTE}\nBye"),
)
def test_anchors_are_found_in_any_text_that_holds_some(case: str) -> None:
    """In a mail, in a page, beside anything else, and in reasonable time."""
    path = MAIL
    path.write_bytes(case.encode("utf-8", "surrogatepass"))
    find_proofs(case)
    try:
        anchors = read_anchors(path)
    except InputError as error:
        assert "contains no checkpoint" in str(error)
        return
    assert all(anchor.source == str(path) and anchor.note.endswith("\n") for anchor in anchors)


MAIL = Path()
"""The file of all cases, in a folder of the test's own."""


@pytest.fixture(scope="module", autouse=True)
def _mail(tmp_path_factory: pytest.TempPathFactory) -> None:
    global MAIL
    MAIL = tmp_path_factory.mktemp("anchors") / "mail.txt"


@fuzz(300, *LINES[:1], b"[" * 100_000, case=texts.map(lambda text: text.encode("utf-8", "replace")) | st.binary())
def test_a_proved_line_is_shown_whatever_it_is(case: bytes) -> None:
    """Somebody's log may hold anything; nothing of it steers the terminal."""
    assert all(line.isprintable() for line in _readable(case).split("\n"))


def test_the_forged_proofs_are_not_all_refused_for_their_form() -> None:
    """The test above means something: a real proof is accepted, and one with a hash of another is refused for it."""
    assert base64.b64encode(LINES[7]).decode() in PROOFS[1]
    assert Proof.parse(PROOFS[1]).check([KEY.verifier]).size == 43
    with pytest.raises(NoteError, match="is not the one that the log holds"):
        Proof(LINES[7], 7, proof_of(8).hashes, NOTE).check([KEY.verifier])
