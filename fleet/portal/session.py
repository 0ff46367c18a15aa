"""Who is signed in, and who is on the way to the identity provider. In memory only: a restart signs everybody out."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, TypeVar

from fleet.authority.instruction import nonce_of

IDLE_SECONDS = 15 * 60
LONGEST_SECONDS = 8 * 60 * 60
MOST_SESSIONS = 10_000

T = TypeVar("T")


@dataclass
class Session:
    """One signed-in person."""

    subject: str
    form_token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    """Hidden in each form: another site cannot know it."""
    began: float = field(default_factory=time.monotonic)
    statement: str | None = None
    """The instruction under review, exactly as it would be signed. It never leaves the server."""
    language: str | None = None
    """The employee's own language, once known."""
    saved: str | None = None
    """The control about which something was just saved; shown once."""

    def is_over(self, longest: float) -> bool:
        """Return True if it has lasted as long as a session may."""
        return time.monotonic() - self.began > longest


@dataclass(frozen=True)
class SignInRequest:
    """One trip to the identity provider."""

    browser: str
    """The cookie of the browser that began it."""
    verifier: str
    """PKCE: proves to the provider that who redeems the code also asked for it."""
    statement: str | None = None
    """The instruction that this sign-in is to sign; None for a plain sign-in."""
    session: str | None = None
    """The session in which the mandate is given."""
    random: str = field(default_factory=lambda: secrets.token_hex(32))
    sent_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def nonce(self) -> str:
        """What the provider signs: the instruction's digest, or a random value that can be none."""
        return self.random if self.statement is None else nonce_of(self.statement)


class Store(Generic[T]):
    """Values under random ids. The oldest go when there are too many; what is idle for too long is gone."""

    def __init__(self, most: int, idle: float = IDLE_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._idle, self._clock = most, idle, clock
        self._values: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def add(self, value: T) -> str:
        """Store a value and return its new id."""
        while len(self._values) >= self._most:
            self._values.popitem(last=False)
        name = secrets.token_urlsafe(32)
        self._values[name] = self._clock(), value
        return name

    def get(self, name: str | None) -> T | None:
        """Return a value and mark it as used; None if it is unknown or was idle for too long."""
        seen, value = self._values.pop(name or "", (0.0, None))
        if value is None or self._clock() - seen > self._idle:
            return None
        self._values[name or ""] = self._clock(), value
        return value

    def take(self, name: str | None) -> T | None:
        """Return a value as `get` does, and remove it."""
        value = self.get(name)
        self._values.pop(name or "", None)
        return value
