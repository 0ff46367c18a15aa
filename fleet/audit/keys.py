"""The keys of a log: the private key is outside the state, the public keys are beside the log.

`log.vkey` contains every public key that the log has had, oldest first, in C2SP's format; `log.pub.pem` contains the
newest for `openssl`. Keep a copy of the first elsewhere: a process that can rewrite the log can replace both.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fleet.audit.checkpoints import read_newest
from fleet.audit.signed_note import NoteError, SigningKey, VerifierKey, is_signed_by
from fleet.errors import InputError
from fleet.paths import AuditDir, is_held, is_there, read_private, read_regular, write_private

MAX_KEY_BYTES = 64 * 1024


def create_keys(places: AuditDir, path: Path) -> VerifierKey:
    """Create the private key at `path` and name the log, if missing. Return the newest public key.

    Raises InputError if either exists but is unusable.
    """
    if not is_there(path):
        if is_there(places.vkey):
            raise InputError(
                f"The key of the log in {places.root} is not at {path}; restore it from a backup, or begin a new log "
                "(docs/operations.md)."
            )
        make_private_key(path)
    if not is_there(places.vkey):
        # A name that no other log has; C2SP asks for an address without a scheme, and this one does not exist.
        name = f"fleet-optout.invalid/{secrets.token_hex(8)}"
        publish(places, [SigningKey(name, _read_private_key(path)).verifier])
    return read_signing_key(places, path).verifier


def make_private_key(path: Path) -> Ed25519PrivateKey:
    """Create a key at `path`, private and durable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(path, pem, durable=True)
    return key


def publish(places: AuditDir, keys: list[VerifierKey]) -> None:
    """Write the public keys, oldest first."""
    write_private(places.vkey, "".join(f"{key}\n" for key in keys).encode(), durable=True)
    pem = Ed25519PublicKey.from_public_bytes(keys[-1].public).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_private(places.pem, pem, durable=True)


def read_keys(path: Path) -> list[VerifierKey]:
    """Return the public keys in a file, oldest first. Raises InputError."""
    try:
        text = read_regular(path, MAX_KEY_BYTES).decode()
        keys = [VerifierKey.parse(line) for line in text.splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise InputError(f"{path} cannot be read as a public key ({reason}).") from None
    except NoteError as error:
        raise InputError(f"{path}: {error}; give the file log.vkey of the log.") from None
    if not keys:
        raise InputError(f"{path} contains no public key; give the file log.vkey of the log.")
    return keys


def read_signing_key(places: AuditDir, path: Path) -> SigningKey:
    """Return the private key at `path` under the name of the log in `places`.

    Raises InputError if it is missing, open to others, not an Ed25519 key, or not the log's newest.
    """
    if not is_there(places.vkey):
        raise InputError(f"The log in {places.root} has no key yet; run: fleet init (with the same --state).")
    known = read_keys(places.vkey)
    _settle_rotation(places, path, known)
    if not is_there(path):
        raise InputError(f"There is no signing key at {path}; run: fleet init, or name it with --log-key.")
    key = SigningKey(known[-1].name, _read_private_key(path))
    if key.verifier == known[-1]:
        return key
    raise InputError(f"{path} is not the key that the log in {places.root} is signed with; name that with --log-key.")


def _settle_rotation(places: AuditDir, path: Path, known: list[VerifierKey]) -> None:
    """Complete an interrupted rotation if the log has a checkpoint with the new key, else undo it."""
    successor = successor_of(path)
    if not is_there(successor):
        return
    key = SigningKey(known[-1].name, _read_private_key(successor)).verifier
    if is_signed_by(read_newest(places.checkpoints), key):
        if key not in known:
            known.append(key)
            publish(places, known)
        successor.replace(path)
    elif not (is_there(places.lock) and is_held(places.lock)):  # a rotation in progress may need it
        successor.unlink()


def successor_of(path: Path) -> Path:
    """Return the path of the next private key during a rotation."""
    return path.with_name(f"{path.name}.next")


def _read_private_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(read_private(path, MAX_KEY_BYTES), None)
    except (OSError, ValueError, TypeError):
        raise InputError(f"{path} is not a private key in PEM format; name the log's key with --log-key.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path} is not an Ed25519 key; name the log's key with --log-key.")
    return key
