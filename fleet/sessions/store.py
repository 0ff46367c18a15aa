"""Sessions: signed-in browser data (Playwright's storage state), one sealed file per account.

Sealed with age to the organization's recipients; opened only inside the agent. The sealed text contains the account's
name, so a file renamed to another account does not open. Data needed without opening (age, expiry) is stored next to it
in clear text.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyrage
from pydantic import BaseModel, Field

from fleet.errors import InputError, SessionError
from fleet.model import Reason
from fleet.paths import StateDir, is_folder, is_there, make_private_dir, read_private, read_regular, write_private
from fleet.recipes.recipe import Recipe
from fleet.sessions.storage_state import LATEST, MAX_BYTES, StorageState, as_json

MAX_IDENTITY_BYTES = 64 * 1024
MAX_CONTENT = 2 * MAX_BYTES
"""Maximum bytes of a session before sealing: an import with every default written out."""

MAX_SEALED = MAX_CONTENT + MAX_BYTES
"""Maximum bytes of a sealed session: age adds a line for each recipient, and 16 bytes to each 64 KiB."""


def is_over(expires_at: float | None) -> bool:
    """Return True if that time (seconds since 1970) has passed; None is unknown and counts as not passed."""
    return expires_at is not None and expires_at <= time.time()


@dataclass(frozen=True)
class SessionInfo:
    """Data of a sealed session that is readable without opening it. Times in seconds since 1970."""

    employee: str
    service: str
    sealed_at: float
    expires_at: float | None

    @property
    def is_expired(self) -> bool:
        """True if its own cookies have expired."""
        return is_over(self.expires_at)


def new_identity(path: Path) -> str:
    """Create an age identity at `path` (0600) and return its public recipient. An existing one is kept and read."""
    if is_there(path):
        return str(read_identity(path).to_public())
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    make_private_dir_if_missing(path.parent)
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    write_private(path, f"# created: {created}\n# public key: {recipient}\n{identity}\n".encode(), durable=True)
    return recipient


def make_private_dir_if_missing(path: Path) -> None:
    """Create a private folder if it is missing. An existing folder's mode is left as its owner chose it."""
    if not is_folder(path):
        make_private_dir(path)


def read_identity(path: Path) -> pyrage.x25519.Identity:
    """Read an age identity file. Raises InputError if it is missing, readable by others, or contains no identity."""
    if not is_there(path):
        raise InputError(f"There is no age identity at {path}; run 'fleet init', or pass one with --identity.")
    for line in read_private(path, MAX_IDENTITY_BYTES).decode("utf-8", "replace").splitlines():
        if line.startswith("AGE-SECRET-KEY-"):
            try:
                return pyrage.x25519.Identity.from_str(line.strip())
            except pyrage.IdentityError:
                break
    raise InputError(f"{path} contains no age identity (a line AGE-SECRET-KEY-…); pass the right file with --identity.")


class _Times(BaseModel):
    """The clear-text data next to a sealed session."""

    sealed_at: float = Field(ge=0, le=LATEST)
    expires_at: float | None = Field(ge=0, le=LATEST)


@dataclass(frozen=True)
class Opened:
    """An opened session, and the digest of the sealed file it came from."""

    state: StorageState
    sealed_sha256: str


@dataclass(frozen=True)
class Resealed:
    """Number of sessions sealed again, and the files that the identity could not open."""

    count: int
    unopened: tuple[Path, ...]


class SessionStore:
    """The sealed sessions of one state directory. Only what the recipe calls a session is sealed and opened."""

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self._recipients: Sequence[pyrage.x25519.Recipient] | None = None

    def _path(self, employee: str, service: str) -> Path:
        return self._state.sessions / f"{employee}.{service}.age"

    def seal(self, employee: str, recipe: Recipe, state: StorageState, *, durable: bool = True) -> SessionInfo:
        """Seal a session, replacing an older one of the same account. Raises InputError if it is too large."""
        sealed, info = self._sealed(employee, recipe, state)
        with self._locked():
            self._write(sealed, info, durable=durable)
        return info

    def copies(self, employee: str, name: str, identity: pyrage.x25519.Identity) -> list[tuple[bytes, SessionInfo]]:
        """Return an employee's sessions, sealed again for another name of theirs. Writes nothing.

        Raises SessionError for one that cannot be opened, InputError if the recipients cannot be read.
        """
        copies = []
        for info in [one for one in self.list() if one.employee == employee]:
            path = self._path(employee, info.service)
            state = _state_in(path, read_regular(path, MAX_SEALED), identity, employee, info.service)
            sealed = pyrage.encrypt(_content(name, info.service, state), list(self.recipients()))
            copies.append((sealed, replace(info, employee=name)))
        return copies

    def store(self, copies: Sequence[tuple[bytes, SessionInfo]]) -> None:
        """Store what `copies` returned; durable on return. Raises OSError."""
        with self._locked():
            for sealed, info in copies:
                self._write(sealed, info)

    def seal_back(self, employee: str, recipe: Recipe, opened: Opened, state: StorageState) -> bool:
        """Seal the session again after a visit; False if it was removed or replaced meanwhile."""
        sealed, info = self._sealed(employee, recipe, state.left_by_visit(recipe, opened.state))
        with self._locked():
            try:
                present = read_regular(self._path(employee, recipe.service), MAX_SEALED)
            except OSError:
                return False
            if hashlib.sha256(present).hexdigest() != opened.sealed_sha256:
                return False
            self._write(sealed, info)
        return True

    def _sealed(self, employee: str, recipe: Recipe, state: StorageState) -> tuple[bytes, SessionInfo]:
        own = state.own_part(recipe)
        content = _content(employee, recipe.service, own)
        if len(content) > MAX_CONTENT:
            raise InputError(f"The session of {employee} at {recipe.name} is too large to store.")
        sealed = pyrage.encrypt(content, list(self.recipients()))
        return sealed, SessionInfo(employee, recipe.service, time.time(), own.expires_at(recipe))

    def _write(self, sealed: bytes, info: SessionInfo, *, durable: bool = True) -> None:
        path = self._path(info.employee, info.service)
        write_private(path, sealed, durable=durable)
        times = _Times(sealed_at=info.sealed_at, expires_at=info.expires_at)
        write_private(path.with_suffix(".json"), times.model_dump_json().encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock out other writers: a visit must not overwrite a session just imported or removed."""
        make_private_dir_if_missing(self._state.sessions)
        folder = os.open(self._state.sessions, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def open(
        self, employee: str, recipe: Recipe, identity: pyrage.x25519.Identity, known: Opened | None = None
    ) -> Opened | None:
        """Return an account's session, or None if it has none; `known` itself if the sealed file is unchanged.

        Raises SessionError if it cannot be opened with this identity or belongs to another account.
        """
        path = self._path(employee, recipe.service)
        try:
            sealed = read_regular(path, MAX_SEALED)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SessionError(f"{path} cannot be read: {error.strerror}.", Reason.SESSION_UNREADABLE) from None
        digest = hashlib.sha256(sealed).hexdigest()
        if known is not None and known.sealed_sha256 == digest:
            return known
        return Opened(_state_in(path, sealed, identity, employee, recipe.service).own_part(recipe), digest)

    def reseal(self, identity: pyrage.x25519.Identity) -> Resealed:
        """Seal every session again to the state's current recipients, one file at a time.

        A file that does not open is left unchanged. After an interruption each session is intact, sealed to the old or
        the new recipients. Nothing else may use the sessions meanwhile: a visit could not seal its session back. Raises
        InputError if the recipients cannot be read, OSError if a session cannot be written.
        """
        recipients, count, unopened = list(self.recipients()), 0, []
        for path in sorted(self._state.sessions.glob("*.age")):
            with self._locked():
                try:
                    content = pyrage.decrypt(read_regular(path, MAX_SEALED), [identity])
                except FileNotFoundError:
                    continue  # removed meanwhile
                except (OSError, pyrage.DecryptError):
                    unopened.append(path)
                    continue
                write_private(path, pyrage.encrypt(content, recipients), durable=True)
            count += 1
        return Resealed(count, tuple(unopened))

    def list(self) -> Iterator[SessionInfo]:
        """Yield all sessions, sorted by employee and service. Nothing is opened."""
        for path in sorted(self._state.sessions.glob("*.age")):
            employee, _, service = path.stem.rpartition(".")
            try:
                known = _Times.model_validate_json(path.with_suffix(".json").read_bytes())
                yield SessionInfo(employee, service, known.sealed_at, known.expires_at)
            except (OSError, ValueError):
                yield SessionInfo(employee, service, path.stat().st_mtime, None)

    def remove(self, employee: str, service: str) -> bool:
        """Remove a session. Returns True if it existed."""
        path = self._path(employee, service)
        with self._locked():
            existed = is_there(path)
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink(missing_ok=True)  # last: as long as it exists, the session is listed
        return existed

    def recipients(self) -> Sequence[pyrage.x25519.Recipient]:
        """Return the state's public keys to which sessions are sealed. Raises InputError."""
        if self._recipients is None:
            path = self._state.recipients
            try:
                lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
                self._recipients = [
                    pyrage.x25519.Recipient.from_str(line) for line in lines if line and not line.startswith("#")
                ]
            except OSError as error:
                raise InputError(f"{path} cannot be read ({error.strerror}); run 'fleet init'.") from None
            except (pyrage.RecipientError, ValueError):
                raise InputError(
                    f"{path} contains a line that is not an age recipient (age1…); fix or remove it."
                ) from None
            if not self._recipients:
                raise InputError(f"{path} names no recipient; run 'fleet init'.")
        return self._recipients


def _content(employee: str, service: str, state: StorageState) -> bytes:
    return as_json({"employee": employee, "service": service, "storage_state": state.as_playwright()})


def _state_in(path: Path, sealed: bytes, identity: pyrage.x25519.Identity, employee: str, service: str) -> StorageState:
    """Return what a sealed session contains. Raises SessionError if it cannot be opened or is another account's."""
    try:
        content = json.loads(pyrage.decrypt(sealed, [identity]))
        state = StorageState.model_validate(content["storage_state"])
        owner = content["employee"], content["service"]
    except (pyrage.DecryptError, ValueError, KeyError, TypeError, RecursionError):
        raise SessionError(f"{path} cannot be decrypted with this identity.", Reason.SESSION_UNREADABLE) from None
    if owner != (employee, service):
        raise SessionError(f"{path} contains the session of another account.", Reason.SESSION_UNREADABLE)
    return state
