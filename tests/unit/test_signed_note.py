"""Signed notes and checkpoints, against the examples of others and openssl."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fleet.audit.signed_note import Checkpoint, NoteError, SigningKey, VerifierKey, open_checkpoint

# From the documentation of golang.org/x/mod/sumdb/note, and the key of Go's checksum database.
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NEUMANN_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
SUMDB = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"

ORIGIN = "example.org/log"
ROOT = bytes(range(32))


@pytest.fixture
def key() -> SigningKey:
    return SigningKey(ORIGIN, Ed25519PrivateKey.generate())


@pytest.fixture
def checkpoint() -> Checkpoint:
    return Checkpoint(ORIGIN, 17, ROOT)


class TestKeys:
    @pytest.mark.parametrize("text", [NEUMANN, SUMDB])
    def test_keys_of_others_are_read_and_written_alike(self, text: str) -> None:
        """Name, id and bytes come back as they were."""
        assert str(VerifierKey.parse(text)) == text

    def test_a_signature_of_another_implementation_verifies(self) -> None:
        """Go's documented example."""
        raw = base64.b64decode(NEUMANN_SIGNATURE)
        key = VerifierKey.parse(NEUMANN)
        assert raw[:4] == key.id
        assert key.has_signed(NEUMANN_TEXT.encode(), raw[4:])
        assert not key.has_signed(NEUMANN_TEXT.encode() + b"\n", raw[4:])

    @pytest.mark.parametrize(
        "text",
        ["", "x", "a+b", NEUMANN.replace("c74f20a3", "c74f20a4"), NEUMANN[:-1], "A" + NEUMANN, NEUMANN + "AA=="],
    )
    def test_a_text_that_is_no_key_is_refused(self, text: str) -> None:
        """A mistyped key must not become another one."""
        with pytest.raises(NoteError):
            VerifierKey.parse(text)


class TestCheckpoints:
    def test_a_signed_checkpoint_is_read_back(self, key: SigningKey, checkpoint: Checkpoint) -> None:
        """With the key that signed it."""
        assert open_checkpoint(checkpoint.signed([key]), [key.verifier]) == checkpoint

    def test_openssl_says_that_the_signature_is_good(
        self, key: SigningKey, checkpoint: Checkpoint, tmp_path: Path
    ) -> None:
        """An auditor needs none of our code; and openssl refuses a changed text."""
        note = checkpoint.signed([key])
        body, _, line = note.rpartition("\n\n")
        (tmp_path / "body").write_text(body + "\n", "utf-8")
        (tmp_path / "signature").write_bytes(base64.b64decode(line.split()[2])[4:])
        pem = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / "key.pem").write_bytes(pem)
        verify = [
            "openssl",
            "pkeyutl",
            "-verify",
            "-pubin",
            "-inkey",
            "key.pem",
            "-rawin",
            "-in",
            "body",
            "-sigfile",
            "signature",
        ]
        assert subprocess.run(verify, cwd=tmp_path, capture_output=True, check=False).returncode == 0
        (tmp_path / "body").write_text(body.replace("17", "18") + "\n", "utf-8")
        assert subprocess.run(verify, cwd=tmp_path, capture_output=True, check=False).returncode != 0

    def test_signatures_of_strangers_do_not_count(self, key: SigningKey, checkpoint: Checkpoint) -> None:
        """They are passed over beside a known one, and are not enough alone."""
        stranger = SigningKey("witness.example", Ed25519PrivateKey.generate())
        both = checkpoint.signed([stranger, key])
        assert open_checkpoint(both, [key.verifier]) == checkpoint
        with pytest.raises(NoteError, match="no known key"):
            open_checkpoint(checkpoint.signed([stranger]), [key.verifier])

    def test_a_wrong_signature_of_a_known_key_spoils_the_note(self, key: SigningKey, checkpoint: Checkpoint) -> None:
        """Even beside a good one of another known key."""
        other = SigningKey(ORIGIN, Ed25519PrivateKey.generate())
        forged = checkpoint.signed([key]).replace("\n17\n", "\n18\n")
        with pytest.raises(NoteError, match="is wrong"):
            open_checkpoint(forged, [key.verifier])
        resigned = Checkpoint(ORIGIN, 18, ROOT).signed([other]) + forged.rpartition("\n\n")[2]
        with pytest.raises(NoteError, match="is wrong"):
            open_checkpoint(resigned, [key.verifier, other.verifier])

    @pytest.mark.parametrize("at", range(0, 180, 7))
    def test_no_changed_byte_goes_unseen(self, key: SigningKey, checkpoint: Checkpoint, at: int) -> None:
        """Whatever is changed in the note, it does not open as something else."""
        note = checkpoint.signed([key])
        changed = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :] if at < len(note) else note + "x"
        with pytest.raises(NoteError):
            open_checkpoint(changed, [key.verifier])

    @pytest.mark.parametrize("size", ["-1", "017", "1e3", "", "9" * 19])
    def test_a_size_is_a_plain_number(self, key: SigningKey, size: str) -> None:
        """One way to write one size."""
        text = f"{ORIGIN}\n{size}\n{base64.b64encode(ROOT).decode()}\n"
        line = base64.b64encode(key.verifier.id + key.private.sign(text.encode())).decode()
        with pytest.raises(NoteError, match="not a checkpoint"):
            open_checkpoint(f"{text}\n— {ORIGIN} {line}\n", [key.verifier])

    @pytest.mark.parametrize(
        "note", ["", "\n\n", "a\n1\nb\n", "a\n\n— x AAAA\n", "a\x00\n\n— x AAAAAAAA\n", "é" * 70_000]
    )
    def test_a_text_that_is_no_note_is_refused(self, note: str, key: SigningKey) -> None:
        """In words, without a traceback of something else."""
        with pytest.raises(NoteError):
            open_checkpoint(note, [key.verifier])
