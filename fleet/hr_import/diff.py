"""What an export changes in an inventory: who joined, whose entry changed and how, who left."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.hr_import.columns import GROUPS
from fleet.hr_import.people import Person
from fleet.inventory.employee import Employee


@dataclass(frozen=True)
class Change:
    """One value of one employee. `path` leads to it among the host's variables; a group's is its field alone."""

    path: tuple[str, ...]
    before: str | None
    after: str


@dataclass(frozen=True)
class Changed:
    """One employee whose entry changes."""

    person: Person
    changes: tuple[Change, ...]
    stays_in: tuple[str, ...] = ()
    """For somebody who comes into a group and leaves none: the groups until now, which no import knows. One made by
    hand is left to its people; a site of before the first import looks the same, so a person must decide."""

    @property
    def is_moved(self) -> bool:
        """True if groups are among what changes."""
        return any(change.path[0] in GROUPS for change in self.changes)


@dataclass(frozen=True)
class Authority:
    """What an export gives that lets an account be set, in words, and what there was of it before."""

    employee: str
    before: str | None
    after: str


@dataclass(frozen=True)
class Difference:
    """What an import would do."""

    joined: tuple[Person, ...]
    changed: tuple[Changed, ...]
    left: tuple[Employee, ...]
    kept: tuple[Employee, ...]
    """Not in the export, and staying all the same."""
    before: int
    """People in the inventory so far."""
    authority: tuple[Authority, ...]
    """Mandates and owners among what is new or changed, in the export's order."""

    @property
    def is_nothing(self) -> bool:
        """True if the inventory says all that already."""
        return not (self.joined or self.changed or self.left)

    @property
    def shrinks_by_half(self) -> bool:
        """True if half of the people so far, or more, would go."""
        return shrinks_by_half(len(self.left), self.before)


def shrinks_by_half(gone: int, before: int) -> bool:
    """True if half or more would go: an export of one department looks like that, and a wrong inventory."""
    return gone > 0 and 2 * gone >= before


def compare(
    people: Sequence[Person],
    employees: Sequence[Employee],
    groups: Mapping[str, Collection[str]],
    keep: Collection[str] | None,
) -> Difference:
    """The difference between an export and an inventory.

    `groups` are those of each field between which people move; `keep` names who stays although the export does not
    have them, None for everybody.
    """
    known = {employee.name: employee for employee in employees}
    wanted = {person.name for person in people}
    changed = []
    for person in people:
        if person.name in known:
            changes = tuple(_changes(person, known[person.name], groups))
            if changes:
                changed.append(Changed(person, changes, _stays_in(person, known[person.name], changes, groups)))
    gone = [employee for employee in employees if employee.name not in wanted]
    return Difference(
        tuple(person for person in people if person.name not in known),
        tuple(changed),
        tuple(one for one in gone if keep is not None and one.name not in keep),
        tuple(one for one in gone if keep is None or one.name in keep),
        len(employees),
        tuple(one for person in people for one in _authority(person, known.get(person.name))),
    )


def _authority(person: Person, employee: Employee | None) -> Iterator[Authority]:
    """A person's mandate and the owners of accounts, as far as the inventory does not say them already."""
    now, new = values_of(employee) if employee else {}, dict(leaves(person.variables))
    after = _mandate({**now, **new})
    before = _mandate(now)
    if after and after != before:
        yield Authority(person.name, before, after)
    for path, owner in new.items():
        was = now.get(path, _EMPLOYEE)
        if path[0] == "fleet_accounts" and path[-1] == "owner" and owner != was:
            yield Authority(person.name, _ownership(path[1], was) if employee else None, _ownership(path[1], owner))


_EMPLOYEE = "employee"
"""Whose an account is where nothing is said."""


def _mandate(values: Mapping[tuple[str, ...], Any]) -> str | None:
    """A mandate in one line."""
    said = {path[1]: _shown(value) for path, value in values.items() if path[0] == "fleet_mandate"}
    if not said:
        return None
    return f"mandate {said['reference']} for {said['services']}, {said['granted_on']} to {said['expires_on']}"


def _ownership(service: str, owner: str) -> str:
    if owner == _EMPLOYEE:
        return f"{service} is the employee's: it needs a mandate"
    return f"{service} is the company's: it needs no mandate"


def _changes(person: Person, employee: Employee, groups: Mapping[str, Collection[str]]) -> Iterator[Change]:
    now = values_of(employee)
    for path, after in leaves(person.variables):
        before = now.get(path)
        if before != after:
            yield Change(path, _shown(before), str(_shown(after)))
    for field, group in person.groups.items():
        others = sorted((set(groups.get(field, ())) - {group} - set(person.groups.values())) & set(employee.groups))
        if others or group not in employee.groups:
            yield Change((field,), ", ".join(others) or None, group)


def _stays_in(
    person: Person, employee: Employee, changes: Sequence[Change], groups: Mapping[str, Collection[str]]
) -> tuple[str, ...]:
    if all(change.path[0] not in GROUPS or change.before for change in changes):
        return ()
    known = {group for names in groups.values() for group in names} | set(person.groups.values())
    return tuple(group for group in employee.groups if group not in known)


def values_of(employee: Employee) -> dict[tuple[str, ...], Any]:
    """An employee's values by the way to them, as `leaves` gives a person's."""
    found: dict[tuple[str, ...], Any] = {("fleet_email",): employee.email, ("fleet_locale",): employee.locale}
    for service, account in employee.accounts.items():
        for key, value in account.model_dump(exclude_none=True).items():
            found["fleet_accounts", service, key] = value
    if employee.mandate is not None:
        for key, value in employee.mandate.model_dump(mode="json", exclude_none=True).items():
            found["fleet_mandate", key] = value
    return found


def leaves(variables: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each value of a person's variables with the way to it; a list is one value."""
    for key, value in variables.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _shown(value: Any) -> str | None:
    return ", ".join(value) if isinstance(value, list | tuple) else value
