"""Sessions: signed-in browser data (Playwright's storage state), one sealed file per account.

Sealed with age to the organisation's recipients; opened only inside the agent. The sealed text names its account,
so that a file renamed to somebody else's opens nothing. What must be known without opening (age, expiry) stands
beside it in clear.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import pyrage
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from fleet.errors import InputError, SessionError
from fleet.mistakes import mistakes
from fleet.model import Reason
from fleet.paths import StateDir, make_private_dir, read_private, read_regular, write_private
from fleet.recipe import Recipe

MAX_BYTES = 5 * 1024 * 1024
"""Browsers keep at most 5 MB of stored data per origin; a larger file is no storage state."""

MAX_IDENTITY_BYTES = 64 * 1024
LATEST = 253402300799
"""The end of the year 9999, in seconds since 1970: Playwright takes no later expiry."""


class _Part(BaseModel):
    # Other keys come and go with Playwright versions; what is not known here is dropped.
    model_config = ConfigDict(extra="ignore", populate_by_name=True)


def _origin(value: str) -> str:
    urlsplit(value)  # raises ValueError for what is no address
    return value


class Cookie(_Part):
    """One cookie, in Playwright's spelling. `expires` is in seconds since 1970, -1 for a session cookie."""

    name: str = Field(min_length=1, max_length=4096)
    value: str = Field(max_length=16384)
    domain: str = Field(pattern=r"^[!-~]{1,255}$")
    path: str = "/"
    expires: float = Field(default=-1, ge=-1, le=LATEST)
    http_only: bool = Field(default=False, alias="httpOnly")
    secure: bool = False
    same_site: Literal["Strict", "Lax", "None"] = Field(default="Lax", alias="sameSite")
    partition_key: str | None = Field(default=None, alias="partitionKey")
    has_cross_site_ancestor: bool | None = Field(default=None, alias="_crHasCrossSiteAncestor")


class _Item(_Part):
    name: str
    value: str


class Origin(_Part):
    """What one origin has stored."""

    origin: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,300}$"), AfterValidator(_origin)]
    local_storage: list[_Item] = Field(default_factory=list, alias="localStorage")
    indexed_db: list[dict[str, Any]] | None = Field(default=None, alias="indexedDB")


class StorageState(_Part):
    """Playwright's storage state, strictly."""

    cookies: list[Cookie] = Field(default_factory=list)
    origins: list[Origin] = Field(default_factory=list)

    def as_playwright(self) -> dict[str, Any]:
        """The dictionary that `browser.new_context(storage_state=…)` takes."""
        return self.model_dump(by_alias=True, exclude_none=True)

    def own_part(self, recipe: Recipe) -> tuple[StorageState, list[str]]:
        """What belongs to the recipe's service, and the names of the foreign hosts that were left out."""
        cookies = [cookie for cookie in self.cookies if recipe.owns_host(cookie.domain)]
        origins = [origin for origin in self.origins if recipe.owns_host(urlsplit(origin.origin).hostname or "")]
        foreign = {cookie.domain.lstrip(".") for cookie in self.cookies if not recipe.owns_host(cookie.domain)}
        foreign |= {origin.origin for origin in self.origins if origin not in origins}
        return StorageState(cookies=cookies, origins=origins), sorted(foreign)

    def expires_at(self, recipe: Recipe) -> float | None:
        """When the session ends by its cookies, in seconds since 1970; None if they do not say.

        The earliest of the recipe's session cookies; where it names none, the latest of all.
        """
        named = [cookie.expires for cookie in self.cookies if cookie.name in recipe.session_cookies]
        lasting = [expires for expires in named if expires > 0]
        if named:
            return min(lasting, default=None)
        return max((cookie.expires for cookie in self.cookies if cookie.expires > 0), default=None)


def parse_storage_state(data: bytes, origin: str) -> StorageState:
    """Validate a storage state. Raises InputError that names `origin` and never a value from it."""
    if len(data) > MAX_BYTES:
        raise InputError(f"{origin} is larger than {MAX_BYTES // 1024 // 1024} MiB; that is no storage state.")
    try:
        content = json.loads(data)
        if not isinstance(content, dict) or not {"cookies", "origins"} & content.keys():
            raise InputError(f"{origin} is not a Playwright storage state (JSON with cookies and origins).")
        return StorageState.model_validate(content)
    except ValidationError as error:
        location, what = next(mistakes(error))
        where = ".".join(str(step) for step in location)
        raise InputError(f"{origin} is not a Playwright storage state: {where}: {what}.") from None
    except (ValueError, RecursionError):
        raise InputError(f"{origin} is not JSON; export the session again as a Playwright storage state.") from None


def is_storable(state: Mapping[str, Any] | None) -> bool:
    """True if a storage state is no larger than one that would be taken again."""
    return state is not None and len(json.dumps(state)) <= MAX_BYTES


def is_over(expires_at: float | None) -> bool:
    """True if that moment (seconds since 1970) has come; None is not known, and counts as still to come."""
    return expires_at is not None and expires_at <= time.time()


@dataclass(frozen=True)
class SessionInfo:
    """What is known of a sealed session without opening it. Times in seconds since 1970."""

    employee: str
    service: str
    sealed_at: float
    expires_at: float | None

    @property
    def is_expired(self) -> bool:
        """True if its own cookies say that it is over."""
        return is_over(self.expires_at)


def new_identity(path: Path) -> str:
    """Make an age identity at `path` (0600) and return its public recipient. An existing one is kept and read."""
    if path.exists():
        return str(read_identity(path).to_public())
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    make_private_dir_if_missing(path.parent)
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    write_private(path, f"# created: {created}\n# public key: {recipient}\n{identity}\n".encode(), durable=True)
    return recipient


def make_private_dir_if_missing(path: Path) -> None:
    """Make a folder privately where there is none; one that exists is somebody's choice and stays as it is."""
    if not path.is_dir():
        make_private_dir(path)


def read_identity(path: Path) -> pyrage.x25519.Identity:
    """Read an age identity file. Raises InputError if it is missing, open to others, or holds no identity."""
    if not path.is_file():
        raise InputError(f"There is no age identity at {path}; run 'fleet init', or give one with --identity.")
    for line in read_private(path, MAX_IDENTITY_BYTES).decode("utf-8", "replace").splitlines():
        if line.startswith("AGE-SECRET-KEY-"):
            try:
                return pyrage.x25519.Identity.from_str(line.strip())
            except pyrage.IdentityError:
                break
    raise InputError(f"{path} holds no age identity (a line AGE-SECRET-KEY-…).")


class _Times(BaseModel):
    """What stands in clear beside a sealed session."""

    sealed_at: float = Field(ge=0, le=LATEST)
    expires_at: float | None = Field(ge=0, le=LATEST)


class SessionStore:
    """The sealed sessions of one state directory."""

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self._recipients: Sequence[pyrage.x25519.Recipient] | None = None

    def _path(self, employee: str, service: str) -> Path:
        return self._state.sessions / f"{employee}.{service}.age"

    def seal(self, employee: str, recipe: Recipe, state: StorageState) -> SessionInfo:
        """Seal a session over an older one of the same account."""
        content = {"employee": employee, "service": recipe.service, "storage_state": state.as_playwright()}
        sealed = pyrage.encrypt(json.dumps(content).encode(), list(self._read_recipients()))
        info = SessionInfo(employee, recipe.service, time.time(), state.expires_at(recipe))
        path = self._path(employee, recipe.service)
        make_private_dir_if_missing(path.parent)
        write_private(path, sealed, durable=True)
        times = _Times(sealed_at=info.sealed_at, expires_at=info.expires_at)
        write_private(path.with_suffix(".json"), times.model_dump_json().encode())
        return info

    def open(self, employee: str, service: str, identity: pyrage.x25519.Identity) -> StorageState | None:
        """The session of an account, or None if there is none.

        Raises SessionError if it cannot be opened with this identity or is another account's.
        """
        path = self._path(employee, service)
        try:
            sealed = read_regular(path, 2 * MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SessionError(f"{path} cannot be read: {error.strerror}.", Reason.SESSION_UNREADABLE) from None
        try:
            content = json.loads(pyrage.decrypt(sealed, [identity]))
            state, owner = (
                StorageState.model_validate(content["storage_state"]),
                (content["employee"], content["service"]),
            )
        except (pyrage.DecryptError, ValueError, KeyError, TypeError, RecursionError):
            raise SessionError(f"{path} does not open with this identity.", Reason.SESSION_UNREADABLE) from None
        if owner != (employee, service):
            raise SessionError(f"{path} holds the session of another account.", Reason.SESSION_UNREADABLE)
        return state

    def list(self) -> Iterator[SessionInfo]:
        """All sessions, by employee and service. Nothing is opened."""
        for path in sorted(self._state.sessions.glob("*.age")):
            employee, _, service = path.stem.rpartition(".")
            try:
                known = _Times.model_validate_json(path.with_suffix(".json").read_bytes())
                yield SessionInfo(employee, service, known.sealed_at, known.expires_at)
            except (OSError, ValueError):
                yield SessionInfo(employee, service, path.stat().st_mtime, None)

    def remove(self, employee: str, service: str) -> bool:
        """Remove a session. Returns whether there was one."""
        path = self._path(employee, service)
        existed = path.exists()
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)  # last: as long as it is there, the session is listed
        return existed

    def _read_recipients(self) -> Sequence[pyrage.x25519.Recipient]:
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
                raise InputError(f"{path} holds a line that is no age recipient (age1…).") from None
            if not self._recipients:
                raise InputError(f"{path} names no recipient; run 'fleet init'.")
        return self._recipients
