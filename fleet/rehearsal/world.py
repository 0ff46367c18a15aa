"""The truth of a rehearsal: what each account has really stored, and what was asked of the service."""

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
"""So many of an account's latest requests are kept."""


class WorldFileError(Exception):
    """The world file is not one of ours, or is damaged."""


@dataclass
class Account:
    """One account's truth. `writes` counts the changes that arrived with a good token, whatever became of them."""

    who: RehearsalAccount
    case: Case
    token: str
    controls: dict[str, Value]
    writes: dict[str, int]
    requests: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_REQUESTS))
    has_saved: bool = False
    """True once a change arrived since the rehearsal was started."""
    has_viewed: bool = False
    """True once the settings page was asked for since the rehearsal was started."""
    stale_views: int = 0
    """So many views more show what was stored before the last change."""
    touched: Counter[str] = field(default_factory=Counter)
    """What was pressed or typed on its pages: a control's name, NAME.save, or `elsewhere`."""

    @property
    def csrf_token(self) -> str:
        """What a change must present; it can be told from the session's token, but not the other way round."""
        return f"ajax:{int(self.token[:15], 16):019d}"

    @property
    def signed_in_profile(self) -> str:
        """The profile that the service takes the visitor for."""
        if self.is_replaced:
            return self.case.replaced_by or self.who.profile
        return self.case.signed_in_as or self.who.profile

    @property
    def is_replaced(self) -> bool:
        """True once somebody else has taken over (Case.replaced_by)."""
        has_happened = self.has_saved if self.case.replaced_after == "save" else self.has_viewed
        return self.case.replaced_by is not None and has_happened

    def as_truth(self) -> dict[str, Any]:
        """What tests are told."""
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

    A change is one line in a file beside it, which many accounts make no longer; `close` puts all into the file.
    """

    def __init__(self, people: Iterable[tuple[RehearsalAccount, Case]], file: Path | None = None) -> None:
        """Raises WorldFileError if `file` exists but cannot be understood."""
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
        """One employee's account at one service."""
        return self._accounts.get((employee, service))

    def signed_in(self, service: str, token: str | None) -> Account | None:
        """The account that a session's token belongs to."""
        return self._by_token.get((service, token)) if token else None

    def set_value(self, account: Account, control: str, value: Value) -> None:
        """Store a value without counting it as a write."""
        account.controls[control] = value
        self._note(account)

    def receive(self, account: Account, control: str, value: Value) -> None:
        """A change arrived: count it, and store it if the account's case lets it be stored."""
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
    """What has changed since a world file was written, an account a line; the last one may be torn."""
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
        kept = {}  # another story, which begins at its own beginning
    values, writes = kept.get("controls", {}), kept.get("writes", {})
    return Account(
        who=who,
        case=case,
        token=kept.get("token") or secrets.token_hex(24),
        controls={name: values.get(name, case.start) for name in names},
        writes={name: writes.get(name, 0) for name in names},
    )


def read_world(file: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """What a world file and its changes have of each account, by employee and service. Raises WorldFileError."""
    changes = changes_of(file)
    try:
        accounts = json.loads(file.read_bytes())["accounts"] if file.exists() else []
        lines = changes.read_bytes().split(b"\n")[:-1] if changes.exists() else []
        return {(kept["employee"], kept["service"]): kept for kept in (*accounts, *map(json.loads, lines))}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorldFileError(str(file)) from error
