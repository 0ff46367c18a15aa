"""The truth of a rehearsal: what each account has actually stored, and the requests the service received."""

from __future__ import annotations

import json
import os
import secrets
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fleet.paths import write_private
from fleet.rehearsal.account import RehearsalAccount
from fleet.rehearsal.behavior import Case, Save
from fleet.rehearsal.cases import CONTROLS

Value = Literal["in", "out"]

_STORING = (Save.STORES, Save.FAILS_STORED, Save.REVERTS, Save.LOST_ANSWER)
MAX_REQUESTS = 200
"""Number of an account's latest requests that are kept."""


class WorldFileError(Exception):
    """The world file is damaged or not one of ours."""


@dataclass
class Account:
    """One account's truth. `writes` counts the changes received with a valid token, whatever happened to them."""

    who: RehearsalAccount
    case: Case
    token: str
    controls: dict[str, Value]
    writes: dict[str, int]
    requests: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_REQUESTS))
    has_saved: bool = False
    """True once a change was received since the rehearsal started."""
    has_viewed: bool = False
    """True once the settings page was requested since the rehearsal started."""
    has_answered: bool = False
    """True once a code was submitted to the challenge, which is over then."""
    stale_views: int = 0
    """Number of further views that show the state before the last change."""
    touched: Counter[str] = field(default_factory=Counter)
    """Number of presses and inputs on its pages, by control name, NAME.save, or `elsewhere`."""

    @property
    def csrf_token(self) -> str:
        """Token required for a change. It is derived from the session's token and does not reveal it."""
        return f"ajax:{int(self.token[:15], 16):019d}"

    @property
    def signed_in_profile(self) -> str:
        """The profile that the service considers signed in."""
        if self.is_replaced:
            return self.case.replaced_by or self.who.profile
        return self.case.signed_in_as or self.who.profile

    @property
    def is_replaced(self) -> bool:
        """True once another person has taken over (Case.replaced_by)."""
        has_happened = self.has_saved if self.case.replaced_after == "save" else self.has_viewed
        return self.case.replaced_by is not None and has_happened

    def as_truth(self) -> dict[str, Any]:
        """Return the account's data for tests."""
        return {
            "employee": self.who.employee,
            "service": self.who.service,
            "controls": self.controls,
            "writes": self.writes,
            "requests": list(self.requests),
            "touched": dict(self.touched),
        }


class World:
    """All accounts. With a `file`, values and tokens outlive the process.

    A change appends one line to a second file, so its cost does not grow with the accounts; `close` writes the whole
    file.
    """

    def __init__(self, people: Iterable[tuple[RehearsalAccount, Case]], file: Path | None = None) -> None:
        """Raises WorldFileError if `file` exists but is invalid."""
        self._file = file
        known = read_world(file) if file is not None else {}
        self._accounts = {(who.employee, who.service): _account(who, case, known) for who, case in people}
        self._by_token = {(account.who.service, account.token): account for account in self._accounts.values()}
        # Accounts that are not part of this rehearsal stay in the file.
        self._others = {key: kept for key, kept in known.items() if key not in self._accounts}
        self.close()

    def close(self) -> None:
        """Write the whole file."""
        if self._file is not None:
            accounts = [*map(_kept, self._accounts.values()), *self._others.values()]
            write_private(self._file, json.dumps({"accounts": accounts}).encode())
            changes_of(self._file).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    def get(self, employee: str, service: str) -> Account | None:
        """Return one employee's account at one service."""
        return self._accounts.get((employee, service))

    def signed_in(self, service: str, token: str | None) -> Account | None:
        """Return the account that a session's token belongs to."""
        return self._by_token.get((service, token)) if token else None

    def of_profile(self, service: str, profile: str) -> Account | None:
        """Return the account with this profile."""
        own = (one for one in self if one.who.service == service and one.who.profile == profile)
        return next(own, None)

    def set_value(self, account: Account, control: str, value: Value) -> None:
        """Store a value without counting it as a write."""
        account.controls[control] = value
        self._note(account)

    def receive(self, account: Account, control: str, value: Value) -> None:
        """Count a received change, and store it if the account's case allows it."""
        account.writes[control] += 1
        account.has_saved = True
        account.stale_views = account.case.stale_views
        if account.case.save in _STORING:
            account.controls[control] = value
        self._note(account)

    def _note(self, account: Account) -> None:
        if self._file is not None:
            descriptor = os.open(changes_of(self._file), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as changes:
                changes.write(json.dumps(_kept(account)).encode() + b"\n")


def changes_of(file: Path) -> Path:
    """Return the file with changes since the world file was written, one account per line; the last may be torn."""
    return file.with_suffix(".changes")


def _kept(account: Account) -> dict[str, Any]:
    return {
        "employee": account.who.employee,
        "service": account.who.service,
        "case": account.who.case,
        "token": account.token,
        "controls": account.controls,
        "writes": account.writes,
    }


def _account(who: RehearsalAccount, case: Case, known: dict[tuple[str, str], dict[str, Any]]) -> Account:
    names = CONTROLS[who.service]
    kept = known.get((who.employee, who.service), {})
    if kept.get("case", who.case) != who.case:
        kept = {}  # a different case starts from its own initial state
    values, writes = kept.get("controls", {}), kept.get("writes", {})
    return Account(
        who=who,
        case=case,
        token=kept.get("token") or secrets.token_hex(24),
        controls={name: values.get(name, case.start) for name in names},
        writes={name: writes.get(name, 0) for name in names},
    )


def read_world(file: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return each account's data in a world file and its changes, by employee and service. Raises WorldFileError."""
    changes = changes_of(file)
    try:
        accounts = json.loads(file.read_bytes())["accounts"] if file.exists() else []
        lines = changes.read_bytes().split(b"\n")[:-1] if changes.exists() else []
        return {(kept["employee"], kept["service"]): kept for kept in (*accounts, *map(json.loads, lines))}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorldFileError(str(file)) from error
