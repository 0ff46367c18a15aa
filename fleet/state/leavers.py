"""People known to the state but missing from every inventory: what is stored about them, and how to remove it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from fleet.audit.pseudonyms import known_subjects
from fleet.authority.mandates import Revocations
from fleet.paths import StateDir
from fleet.sessions.store import SessionStore


@dataclass(frozen=True)
class Leaver:
    """The data stored about one person. `is_met` is True if a run included them: they have a pseudonym and a key."""

    employee: str
    is_met: bool
    sessions: int
    evidence: int
    revoked_on: date | None

    @property
    def is_removable(self) -> bool:
        """False if a revoked mandate is the only entry: that stays."""
        return self.is_met or self.sessions > 0


@dataclass(frozen=True)
class Leavers:
    """Everyone who is no longer in any inventory, by name, and the number of people the state knows."""

    people: tuple[Leaver, ...]
    known: int

    @property
    def removable(self) -> tuple[Leaver, ...]:
        """Those with data that can be removed."""
        return tuple(one for one in self.people if one.is_removable)


def find_leavers(state: StateDir, present: Collection[str]) -> Leavers:
    """Return the people the state knows and `present` does not name. Nothing is opened or changed.

    Raises InputError and AuditError if revocations or the side store cannot be read.
    """
    subjects, revoked = known_subjects(state.audit.subjects), Revocations(state.revocations).all()
    sessions = Counter(session.employee for session in SessionStore(state).list())
    pictures = Counter(path.name.lstrip(".").partition(".")[0] for path in state.evidence.glob("*/*"))
    known = subjects.keys() | sessions.keys()
    people = [
        Leaver(
            name,
            name in subjects,
            sessions[name],
            pictures[subjects[name].pseudonym] if name in subjects else 0,
            revoked.get(name),
        )
        for name in sorted((known | revoked.keys()) - set(present))
    ]
    return Leavers(tuple(people), len(known))
