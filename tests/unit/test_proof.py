"""The proof that one record is in the log: made here, checked with the text and the public key alone."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest

from fleet.audit.checkpoints import read_newest
from fleet.audit.keys import read_keys
from fleet.audit.proof import Proof, Prover, find_proofs
from fleet.audit.signed_note import NoteError, VerifierKey
from fleet.errors import AuditError, InputError
from fleet.paths import AuditDir
from tests.logs import log_path, shrink, write


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of 16 records, so that a proof must lead through several."""
    shrink(monkeypatch, 16)


@pytest.fixture
def place(tmp_path: Path) -> AuditDir:
    asyncio.run(write(tmp_path / "audit", 43))
    return AuditDir(tmp_path / "audit")


@pytest.fixture
def keys(place: AuditDir) -> list[VerifierKey]:
    return read_keys(place.vkey)


def test_every_record_can_be_proved(place: AuditDir, keys: list[VerifierKey]) -> None:
    """The text says which record, and holds its line."""
    prover = Prover(place, keys)
    lines = b"".join(path.read_bytes() for path in sorted(place.log.glob("*.jsonl"))).splitlines()
    for index in range(43):
        proof = Proof.parse(prover.prove(index).text)
        assert (proof.index, proof.line) == (index, lines[index])
        assert proof.check(keys).size == 43


def test_the_text_is_that_of_c2sp(place: AuditDir, keys: list[VerifierKey]) -> None:
    """Header, the record, its number, hashes, an empty line, the checkpoint."""
    header, extra, index, *hashes = Prover(place, keys).prove(7).text.partition("\n\n")[0].split("\n")
    assert (header, index) == ("c2sp.org/tlog-proof@v1", "index 7")
    assert base64.b64decode(extra.removeprefix("extra ")) == log_path(place.root).read_bytes().splitlines()[7]
    assert [len(base64.b64decode(one)) for one in hashes] == [32] * 6
    assert Prover(place, keys).prove(7).text.endswith("\n\n" + read_newest(place.checkpoints))


def test_another_record_is_not_proved(place: AuditDir, keys: list[VerifierKey]) -> None:
    """Nor the same at another number, nor with a hash too few, nor with another's signature."""
    proof = Prover(place, keys).prove(7)
    for wrong in (
        Proof(proof.line.replace(b"opted_out", b"not_saved"), 7, proof.hashes, proof.note),
        Proof(proof.line, 6, proof.hashes, proof.note),
        Proof(proof.line, 7, proof.hashes[:-1], proof.note),
        Proof(proof.line, 43, proof.hashes, proof.note),
    ):
        with pytest.raises(NoteError, match="is not the one that the log holds"):
            wrong.check(keys)
    stranger = VerifierKey(keys[0].name, bytes(32))
    with pytest.raises(NoteError, match="no known key has signed it"):
        proof.check([stranger])


def test_no_flipped_bit_passes(place: AuditDir, keys: list[VerifierKey]) -> None:
    """At each byte of the text that says something."""
    text = Prover(place, keys).prove(7).text.encode()
    for at in range(len(text)):
        try:
            flipped = (text[:at] + bytes([text[at] ^ 1 << at % 8]) + text[at + 1 :]).decode()
            Proof.parse(flipped).check(keys)
        except (NoteError, UnicodeDecodeError):
            continue
        pytest.fail(f"byte {at} may be anything")


@pytest.mark.parametrize(
    "text", ["", "hello", "c2sp.org/tlog-proof@v1\nextra AA==\nindex x\n\n", "c2sp.org/tlog-proof@v1\n\n", "\n\n\n\n"]
)
def test_what_is_no_proof_is_said_to_be_none(text: str) -> None:
    """No traceback."""
    with pytest.raises(NoteError, match="not a proof"):
        Proof.parse(text)


def test_proofs_are_found_in_what_surrounds_them(place: AuditDir, keys: list[VerifierKey]) -> None:
    """A receipt holds several, between words."""
    texts = [Prover(place, keys).prove(index).text for index in (3, 42)]
    receipt = f"Dear Anna,\n\nsee:\n\n{texts[0]}\nand\n\n{texts[1]}\nBye\n"
    assert find_proofs(receipt) == texts
    assert find_proofs(receipt.replace("\n", "\r\n")) == texts


def test_what_cannot_be_proved_is_refused(place: AuditDir, keys: list[VerifierKey], tmp_path: Path) -> None:
    """No such record; no checkpoint at all; a log that is not what was signed."""
    with pytest.raises(InputError, match="Record 43 is not among the 43 that are signed"):
        Prover(place, keys).prove(43)
    lines = log_path(place.root).read_bytes().replace(b'"c5"', b'"c6"')
    log_path(place.root).write_bytes(lines)
    with pytest.raises(AuditError, match="does not match its signature"):
        Prover(place, keys).prove(7)
    for path in place.checkpoints.iterdir():
        path.unlink()
    with pytest.raises(AuditError, match="has no checkpoint yet"):
        Prover(place, keys)


def test_another_log_s_proof_is_not_this_log_s(place: AuditDir, keys: list[VerifierKey], tmp_path: Path) -> None:
    """Two logs with one private key: a proof of the one, relabeled, does not count for the other."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "log-key.pem").write_bytes((tmp_path / "log-key.pem").read_bytes())
    (tmp_path / "other" / "log-key.pem").chmod(0o600)
    asyncio.run(write(tmp_path / "other" / "audit", 5))
    other = AuditDir(tmp_path / "other" / "audit")
    proof = Prover(other, read_keys(other.vkey)).prove(3)
    text, signature = proof.note.rsplit("\n\n", 1)
    raw = base64.b64decode(signature.split()[2])
    relabeled = f"{text}\n\n— {keys[0].name} {base64.b64encode(keys[0].id + raw[4:]).decode()}\n"
    with pytest.raises(NoteError, match="belongs to another log"):
        Proof(proof.line, 3, proof.hashes, relabeled).check(keys)


def test_a_damaged_proof_is_not_passed_over(place: AuditDir, keys: list[VerifierKey]) -> None:
    """It counts as one that proves nothing."""
    text = Prover(place, keys).prove(3).text
    first, second = find_proofs(text.replace("index 3", "idnex 3") + "\n" + text)
    assert second == text
    with pytest.raises(NoteError, match="not a proof"):
        Proof.parse(first)
