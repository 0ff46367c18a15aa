"""Compares an export with `hr.yml`: who joined, which entries changed and how, who left."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.authority.former_names import Rename
from fleet.hr_import.hr_yml import Entry
from fleet.hr_import.people import Person


@dataclass(frozen=True)
class Change:
    """One value of one employee. `path` is its path in the host's variables; for a group, the field alone."""

    path: tuple[str, ...]
    before: str | None
    after: str | None
    """None for a value that the export no longer has."""


@dataclass(frozen=True)
class Changed:
    """One employee whose entry changes."""

    person: Person
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Authority:
    """A mandate or an account's owner that an import adds, changes or removes, as text."""

    employee: str
    before: str | None
    after: str


@dataclass(frozen=True)
class ProposedRename:
    """Somebody who is missing and somebody new who may be one person: `same` is what they have in common."""

    rename: Rename
    line: int
    same: str


@dataclass(frozen=True)
class Loss:
    """How many items of a kind would be removed."""

    what: str
    gone: int
    before: int

    def __str__(self) -> str:
        return f"{self.gone} of {self.before} {self.what}"


@dataclass(frozen=True)
class Difference:
    """The changes an import would make."""

    joined: tuple[Person, ...]
    changed: tuple[Changed, ...]
    left: tuple[Entry, ...]
    kept: tuple[Entry, ...]
    """Missing from the export, but kept."""
    before: int
    """Number of people in the file so far."""
    authority: tuple[Authority, ...]
    """In the export's order."""
    losses: tuple[Loss, ...]
    """Kinds that would lose half or more: people, or the accounts or mandates of those who stay."""
    renames: tuple[ProposedRename, ...] = ()

    @property
    def is_nothing(self) -> bool:
        """True if the file already has this content."""
        return not (self.joined or self.changed or self.left)


def shrinks_by_half(gone: int, before: int) -> bool:
    """Return True if half or more would be removed: typical of a one-department export or of the wrong inventory."""
    return gone > 0 and 2 * gone >= before


def compare(
    people: Sequence[Person],
    entries: Sequence[Entry],
    groups: Mapping[str, Collection[str]],
    keep: Collection[str] | None,
) -> Difference:
    """Return the difference between an export and the current entries.

    `groups` maps each field to its groups; `keep` names people who stay although the export lacks them, None for all.
    """
    known = {entry.name: entry for entry in entries}
    wanted = {person.name: person for person in people}
    stay = [person for person in people if person.name in known]
    changed = (Changed(person, tuple(_changes(person, known[person.name], groups))) for person in stay)
    gone = [entry for entry in entries if entry.name not in wanted]
    left = tuple(one for one in gone if keep is not None and one.name not in keep)
    both = [(known[person.name].variables, person.variables) for person in stay]
    joined = tuple(person for person in people if person.name not in known)
    return Difference(
        joined,
        tuple(one for one in changed if one.changes),
        left,
        tuple(one for one in gone if keep is None or one.name in keep),
        len(entries),
        tuple(one for person in people for one in _authority(person, known.get(person.name))),
        tuple(_losses(len(left), len(entries), both)),
        tuple(_renames(joined, gone)),
    )


def _renames(joined: Sequence[Person], gone: Sequence[Entry]) -> Iterator[ProposedRename]:
    """Yield each new person who shares an identifier with just one of the missing, and with nobody else."""
    for person in joined:
        for variable, same in _IDENTIFIERS.items():
            identifier = person.variables.get(variable)
            before = [entry for entry in gone if entry.variables.get(variable) == identifier]
            others = [one for one in joined if one.variables.get(variable) == identifier]
            if identifier is not None and len(before) == len(others) == 1:
                yield ProposedRename(Rename(before[0].name, person.name), person.line, same)
                break


def _losses(left: int, before: int, both: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Iterator[Loss]:
    accounts = [(set(old.get("fleet_accounts", ())), set(new.get("fleet_accounts", ()))) for old, new in both]
    mandates = [({"fleet_mandate"} & old.keys(), {"fleet_mandate"} & new.keys()) for old, new in both]
    counts = [Loss("people", left, before)]
    for what, pairs in (("accounts", accounts), ("mandates", mandates)):
        counts.append(Loss(what, sum(len(old - new) for old, new in pairs), sum(len(old) for old, _ in pairs)))
    yield from (one for one in counts if shrinks_by_half(one.gone, one.before))


def _authority(person: Person, entry: Entry | None) -> Iterator[Authority]:
    """Yield a person's mandate and account owners that differ from the current entry."""
    now, new = dict(leaves(entry.variables)) if entry else {}, dict(leaves(person.variables))
    before, after = _mandate(now), _mandate(new)
    if after != before:
        yield Authority(person.name, before, after or "no mandate: only company accounts are visited")
    for service in person.variables.get("fleet_accounts", ()):
        path = ("fleet_accounts", service, "owner")
        was, owner = now.get(path, _EMPLOYEE), new.get(path, _EMPLOYEE)
        if owner != was:
            yield Authority(person.name, _ownership(service, was) if entry else None, _ownership(service, owner))


_IDENTIFIERS = {"fleet_personnel_number": "personnel number", "fleet_subject": "subject"}
"""Variables that identify a person whatever their name is."""
_EMPLOYEE = "employee"
"""Default owner of an account."""


def _mandate(values: Mapping[tuple[str, ...], Any]) -> str | None:
    """Return a mandate as one line."""
    said = {path[1]: _shown(value) for path, value in values.items() if path[0] == "fleet_mandate"}
    if not said:
        return None
    return f"mandate {said['reference']} for {said['services']}, {said['granted_on']} to {said['expires_on']}"


def _ownership(service: str, owner: str) -> str:
    if owner == _EMPLOYEE:
        return f"{service} is owned by the employee and needs a mandate"
    return f"{service} is owned by the company and needs no mandate"


def _changes(person: Person, entry: Entry, groups: Mapping[str, Collection[str]]) -> Iterator[Change]:
    now, new = dict(leaves(entry.variables)), dict(leaves(person.variables))
    for path in {**new, **now}:
        if now.get(path) != new.get(path):
            yield Change(path, _shown(now.get(path)), _shown(new.get(path)))
    gone = [group for group in entry.groups if group not in person.groups.values()]
    for field, group in person.groups.items():
        others = [one for one in gone if one in groups.get(field, ())]
        if others or group not in entry.groups:
            yield Change((field,), ", ".join(others) or None, group)
        gone = [one for one in gone if one not in others]
    for group in gone:
        yield Change((next((field for field, names in groups.items() if group in names), "group"),), group, None)


def leaves(variables: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each value of a person's variables with its path; a list is one value."""
    for key, value in variables.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _shown(value: Any) -> str | None:
    return ", ".join(value) if isinstance(value, list) else value
