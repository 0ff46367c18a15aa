"""Signed notes and checkpoints of C2SP: a few lines of text that state a log's tree, and signatures.

Sources: https://c2sp.org/signed-note and https://c2sp.org/tlog-checkpoint. Supports only Ed25519 signatures (type
0x01).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MAX_NOTE_BYTES = 64 * 1024
MAX_SIGNATURES = 64
_ED25519 = b"\x01"
_SIGNATURE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")


class NoteError(Exception):
    """A text that is not a signed note, checkpoint or key, or whose signatures prove nothing."""


class UnknownKey(NoteError):
    """A note signed only with unknown keys."""


@dataclass(frozen=True)
class VerifierKey:
    """A log's public key, in C2SP's text format: `name+id+key`."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Parse a key. Raises NoteError."""
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        raw = decoded(encoded)
        if not name or " " in name or not name.isprintable() or raw is None or raw[:1] != _ED25519 or len(raw) != 33:
            raise NoteError("not an Ed25519 key in the form name+id+key")
        key = cls(name, raw[1:])
        if key.id.hex() != key_id:
            raise NoteError("the key's id does not belong to its name and bytes")
        return key

    @property
    def id(self) -> bytes:
        """Four bytes that distinguish keys of one name."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    def has_signed(self, text: bytes, signature: bytes) -> bool:
        """Return True if `signature` is this key's signature of `text`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """A log's private key with its name."""

    name: str
    private: Ed25519PrivateKey

    @property
    def verifier(self) -> VerifierKey:
        """The public key."""
        return VerifierKey(self.name, self.private.public_key().public_bytes_raw())


@dataclass(frozen=True)
class Checkpoint:
    """A log's tree at one size."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def signed(self, keys: Iterable[SigningKey]) -> str:
        """Return the note: the text and one signature per key."""
        text = self.text.encode()
        lines = [
            f"— {key.name} {base64.b64encode(key.verifier.id + key.private.sign(text)).decode()}\n" for key in keys
        ]
        return f"{self.text}\n{''.join(lines)}"


def open_checkpoint(note: str, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Parse a signed checkpoint. Raises NoteError unless one of `keys` signed it and none of theirs is wrong."""
    text, signatures = _split(note)
    known = {(key.name, key.id): key for key in keys}
    signers = set()
    for name, raw in signatures:
        key = known.get((name, raw[:4]))
        if key is None:
            continue  # a witness, or a key from another time
        if not key.has_signed(text.encode(), raw[4:]):
            raise NoteError(f"the signature of {name} is wrong")
        signers.add(name)
    if not signers:
        raise UnknownKey("no known key has signed it")
    checkpoint = parse_checkpoint(text)
    if checkpoint.origin not in signers:
        raise UnknownKey(f"it belongs to another log, {checkpoint.origin}")
    return checkpoint


def is_signed_by(note: str, key: VerifierKey) -> bool:
    """Return True if `key` has signed a checkpoint, regardless of other signatures."""
    try:
        open_checkpoint(note, [key])
    except NoteError:
        return False
    return True


def parse_checkpoint(text: str) -> Checkpoint:
    """Parse the signed text alone. Raises NoteError."""
    origin, size, root, *_ = [*text.split("\n"), "", "", ""]
    hash_ = decoded(root)
    if not origin or not re.fullmatch(r"0|[1-9][0-9]{0,17}", size) or hash_ is None or len(hash_) != 32:
        raise NoteError("not a checkpoint: origin, size and root are the first three lines")
    return Checkpoint(origin, int(size), hash_)


def _split(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    if len(note.encode("utf-8", "replace")) > MAX_NOTE_BYTES:
        raise NoteError(f"longer than {MAX_NOTE_BYTES} bytes")
    text, separator, rest = note.rpartition("\n\n")
    lines = rest.split("\n")
    if not separator or lines.pop() != "" or not 1 <= len(lines) <= MAX_SIGNATURES:
        raise NoteError("not a signed note: text, an empty line, signatures")
    if re.search(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]", note):
        raise NoteError("a signed note contains no control characters and no lone surrogates")
    signatures = []
    for line in lines:
        match = _SIGNATURE.fullmatch(line)
        raw = decoded(match[2]) if match else None
        if match is None or raw is None or len(raw) < 5:
            raise NoteError("not a signature line")
        signatures.append((match[1], raw))
    return text + "\n", signatures


def decoded(text: str) -> bytes | None:
    """Decode standard base64 strictly: exactly one text per value."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None
