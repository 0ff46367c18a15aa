"""Writes a difference into an inventory's text: values in place, people where they belong, comments where they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import yaml

from fleet.errors import InputError
from fleet.hr_import.columns import GROUPS
from fleet.hr_import.diff import Changed, Difference
from fleet.hr_import.document import (
    STEP,
    Document,
    Edits,
    Entry,
    Group,
    child,
    column_of,
    flow,
    is_empty,
    lines_of,
    pair_of,
    scalar,
)
from fleet.hr_import.hr_export import listed
from fleet.hr_import.people import Person

NEW = (
    "# The employees. 'fleet inventory import' brings in what the HR system exports; comments, order and whatever no\n"
    "# export says are yours, and stay.\n"
)
DEPTH = 2
"""Of an employee: accounts stand below each other, each in braces; a mandate has a line for each part."""


def edited(source: str, text: str, difference: Difference, groups: Mapping[str, Collection[str]]) -> str:
    """The inventory's text with the difference in it. `source` is what sentences call the file.

    `groups` are those of each field between which people move. Raises InputError, with `file:line`, where the text is
    written in a way that cannot be changed.
    """
    ending = "\r\n" if "\r\n" in text else "\n"
    if text and not text.endswith("\n"):
        return edited(source, text + ending, difference, groups).removesuffix(ending)
    document = Document.of(source, text)
    if document.root is None or is_empty(document.root):
        document = Document.of(source, f"{text.rstrip()}{document.newline if text.strip() else NEW}all:\n")
    _refuse_shared_names(document, difference)
    edits, before = Edits(document), _Moves(document, groups)
    for changed in difference.changed:
        _set_values(edits, changed, before)
    # Second, because an entry may move with what has just been changed in it.
    moves = _Moves(Document.of(source, edits.result()), groups)
    for employee in difference.left:
        moves.remove(employee.name)
    for changed in difference.changed:
        moves.move(changed)
    for person in difference.joined:
        moves.join(person)
    return moves.result()


def _refuse_shared_names(document: Document, difference: Difference) -> None:
    """Raise InputError for each name that would be an employee's and a group's: Ansible takes one for the other."""
    way_out = "of the export; rename one of them."
    mistakes = [
        f"{document.line(document.groups[person.name][0].key)}: the group '{person.name}' has the name of the employee "
        f"in line {person.line} {way_out}"
        for person in difference.joined
        if person.name in document.groups
    ]
    stay = document.entries.keys() - {employee.name for employee in difference.left} - document.groups.keys()
    coming = [*difference.joined, *(changed.person for changed in difference.changed)]
    new = {group: (field, person) for person in reversed(coming) for field, group in person.groups.items()}
    mistakes += (
        f"{document.line(document.entries[group][0].key)}: the employee '{group}' has the name of a {field} in line "
        f"{person.line} {way_out}"
        for group, (field, person) in new.items()
        if group in stay
    )
    if mistakes:
        raise InputError(listed(mistakes))


def _set_values(edits: Edits, changed: Changed, before: _Moves) -> None:
    name, document = changed.person.name, edits.document
    entries = _entries(document, name)
    wanted: dict[str, Any] = {}
    for change in changed.changes:
        if change.path[0] not in GROUPS:
            inner, value = wanted, changed.person.variables
            for step in change.path[:-1]:
                inner, value = inner.setdefault(step, {}), value[step]
            inner[change.path[-1]] = value[change.path[-1]]
    language = changed.person.variables.get("fleet_locale")
    if changed.is_moved and language and before.locales(changed.person.groups.values()) != {language}:
        wanted["fleet_locale"] = language  # it may have been the old group's
    # Whoever is in several groups has the variables in one of them, or some here and some there.
    usual = next((entry for entry in entries if entry.has_variables), entries[0])
    parts: dict[int, tuple[Entry, dict[str, Any]]] = {}
    for variable, value in wanted.items():
        holder = next((entry for entry in entries if child(entry.value, variable) is not None), usual)
        parts.setdefault(id(holder.key), (holder, {}))[1][variable] = value
    for entry, part in parts.values():
        _merge(edits, entry.key, entry.value, part, DEPTH)


def _merge(edits: Edits, key: yaml.ScalarNode, node: yaml.Node, wanted: Mapping[str, Any], depth: int) -> None:
    """Bring values into what stands below `key`; what is not among them stays."""
    document = edits.document
    if is_empty(node):
        if depth == DEPTH:
            column = key.start_mark.column + STEP
            edits.fill(key, node, [line for name, value in wanted.items() for line in lines_of(name, value, column)])
        else:
            _replace(edits, key, node, flow(dict(wanted)))
        return
    if not isinstance(node, yaml.MappingNode):
        raise InputError(f"{document.line(node)}: holds no keys of its own, so it cannot be changed; write them out.")
    for name, value in wanted.items():
        pair = pair_of(node, name)
        if pair is None:
            lines = lines_of(name, value, column_of(node), depth=max(depth - 1, 0))
            edits.append(node, lines, f"{scalar(name)}: {flow(value)}")
        elif isinstance(value, dict):
            _merge(edits, *pair, value, depth - 1)
        else:
            style = pair[1].style if isinstance(pair[1], yaml.ScalarNode) else None
            _replace(edits, *pair, flow(value) if isinstance(value, list) else scalar(value, style))


def _replace(edits: Edits, key: yaml.ScalarNode, node: yaml.Node, text: str) -> None:
    """Write `text` as the value of a key. What an alias elsewhere refers to cannot be told from here: Ansible's
    reading of the result shows it."""
    document = edits.document
    start = document.text.index(":", document.end(key)) + 1
    between = document.text[start : node.start_mark.index]
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and not between.strip():
        edits.replace(start, document.end(node), f" {text}")  # a block begins on a line of its own
    else:
        end = max(document.end(node), node.start_mark.index)
        edits.replace(node.start_mark.index, end, text if between.endswith((" ", "\n")) else f" {text}")


def _entries(document: Document, name: str) -> list[Entry]:
    entries = document.entries.get(name)
    if not entries:
        raise InputError(
            f"{document.source}: {name} does not stand in it by name (a range, an alias or another file); "
            "write the name out there."
        )
    return entries


class _Moves:
    """Who goes, who comes, and who changes groups, in one document."""

    def __init__(self, document: Document, groups: Mapping[str, Collection[str]]) -> None:
        self._document, self._edits, self._groups = document, Edits(document), groups
        self._coming: dict[str, dict[str, list[str]]] = {}
        """By group and employee, the lines to come, not indented."""
        self._above: dict[str, set[str]] = {}
        for name, places in document.groups.items():
            for inner in (children for place in places if (children := child(place.value, "children")) is not None):
                if isinstance(inner, yaml.MappingNode):
                    for key, _ in inner.value:
                        self._above.setdefault(key.value, set()).add(name)

    def remove(self, name: str) -> None:
        """Take an employee out of all groups, with the comments that belong to the entries."""
        for entry in _entries(self._document, name):
            self._cut(entry)

    def move(self, changed: Changed) -> None:
        """Take an employee from the groups of a field to another one; the entry goes along as it is written."""
        fields = [change.path[0] for change in changed.changes if change.path[0] in GROUPS]
        if not fields:
            return
        person = changed.person
        entries = _entries(self._document, person.name)
        wanted = set(person.groups.values())
        left = {group for field in fields for group in self._groups.get(field, ())} - wanted
        going = [entry for entry in entries if entry.group in left]
        staying = [entry for entry in entries if entry.group not in left]
        if not going:  # a new membership is all there is; the group of those who had none is given up for it
            going = [entry for entry in entries if entry.group in ("all", "ungrouped")]
            staying = [entry for entry in entries if entry not in going]
        groups = self._needed([person.groups[field] for field in fields], [entry.group for entry in staying])
        carried = [entry for entry in going if entry.has_variables]
        if len(carried) > 1:
            raise InputError(
                f"{self._document.line(carried[1].key)}: {person.name} has variables in two groups; write them in one."
            )
        lines = self._text(carried[0]) if carried else [f"{scalar(person.name)}:"]
        if carried and not groups and staying:
            going.append(staying[0])  # makes place for the whole entry
            groups = [staying[0].group]
        for entry in going:
            self._cut(entry)
        for number, group in enumerate(groups):
            self._come(group, person.name, [f"{scalar(person.name)}:"] if number else lines)

    def join(self, person: Person) -> None:
        """Add an employee: all of it in the first group, the name alone in others."""
        groups = self._needed(list(person.groups.values()), []) or ["all"]
        variables = dict(person.variables)
        if self.locales(groups) == {variables.get("fleet_locale")}:
            del variables["fleet_locale"]  # a group says it already
        self._come(groups[0], person.name, lines_of(person.name, variables or None, 0, depth=DEPTH))
        for group in groups[1:]:
            self._come(group, person.name, [f"{scalar(person.name)}:"])

    def result(self) -> str:
        """The text with all of it done."""
        new = {name: people for name, people in self._coming.items() if name not in self._document.groups}
        for name, people in self._coming.items():
            if name not in new:
                self._fill_group(self._place(name), people)
        if "all" in new:
            self._add_each(
                self._document.root,
                ["all"],
                lambda _, column: _indented(["all:", "  hosts:", *_people(new["all"], 2 * STEP)], column),
            )
        self._add_groups({name: people for name, people in new.items() if name != "all"})
        return self._edits.result()

    def _needed(self, groups: Iterable[str], present: Iterable[str]) -> list[str]:
        """Those groups that somebody is not in already, by being in one below them."""
        needed: list[str] = []
        every = list(dict.fromkeys(groups))
        for group in every:
            others = [*present, *(one for one in every if one != group)]
            if not any(group == one or group in self._lineage(one) for one in others if one != group or one in present):
                needed.append(group)
        return needed

    def _lineage(self, group: str) -> set[str]:
        """The groups above a group."""
        found: set[str] = set()
        waiting = [group]
        while waiting:
            for above in self._above.get(waiting.pop(), ()):
                if above not in found:
                    found.add(above)
                    waiting.append(above)
        return found

    def locales(self, groups: Iterable[str]) -> set[str | None]:
        """The languages that groups, and those above them, give to their people."""
        every = {above for group in groups for above in (group, *self._lineage(group))} | {"all"}
        found = set()
        for place in (place for name in every for place in self._document.groups.get(name, ())):
            value = child(child(place.value, "vars") or place.key, "fleet_locale")
            if value is not None:
                found.add(value.value if isinstance(value, yaml.ScalarNode) else None)
        return found

    def _come(self, group: str, name: str, lines: list[str]) -> None:
        self._coming.setdefault(group, {})[name] = lines

    def _text(self, entry: Entry) -> list[str]:
        """The lines of an entry with its comments, as they are, but for what indents them all."""
        column, (start, end) = entry.key.start_mark.column, self._document.block(entry.key, entry.value)
        return [
            line[column:] if not line[:column].strip() else line.lstrip()
            for line in self._document.text[start:end].rstrip().splitlines()
        ]

    def _cut(self, entry: Entry) -> None:
        if entry.hosts.flow_style:
            raise InputError(f"{self._document.line(entry.key)}: stands in braces; write one name a line.")
        self._edits.replace(*self._document.block(entry.key, entry.value), "")

    def _place(self, name: str) -> Group:
        places = self._document.groups[name]
        return next((one for one in places if isinstance(child(one.value, "hosts"), yaml.MappingNode)), places[0])

    def _fill_group(self, group: Group, people: dict[str, list[str]]) -> None:
        hosts = pair_of(group.value, "hosts")
        if hosts is None or is_empty(hosts[1]):
            column = group.key.start_mark.column + STEP
            if hosts is not None:
                self._edits.fill(*hosts, _people(people, hosts[0].start_mark.column + STEP))
            elif is_empty(group.value):
                self._edits.fill(group.key, group.value, _indented(["hosts:"], column) + _people(people, column + STEP))
            else:
                mapping = self._require_lines(group.value)
                column = column_of(mapping)
                self._edits.append(mapping, _indented(["hosts:"], column) + _people(people, column + STEP), "")
            return
        self._add_each(hosts[1], people, lambda name, column: _indented(people[name], column))

    def _home(self) -> Group | None:
        """The group below which new groups come: where those of earlier imports are, else `all`."""
        known = [name for names in self._groups.values() for name in names if name in self._document.groups]
        parents = {above for name in known for above in self._above.get(name, ())}
        for name in (*sorted(parents), "all"):
            if name in self._document.groups:
                places = self._document.groups[name]
                return next((one for one in places if child(one.value, "children") is not None), places[0])
        return None

    def _add_groups(self, groups: dict[str, dict[str, list[str]]]) -> None:
        if not groups:
            return

        def lines(name: str, column: int) -> list[str]:
            return [*_indented([f"{scalar(name)}:", "  hosts:"], column), *_people(groups[name], column + 2 * STEP)]

        def all_lines(column: int) -> list[str]:
            return [line for name in sorted(groups) for line in lines(name, column)]

        home = self._home()
        children = pair_of(home.value, "children") if home else None
        if home is None:
            self._add_each(self._document.root, groups, lines)
        elif children is not None and is_empty(children[1]):
            self._edits.fill(*children, all_lines(children[0].start_mark.column + STEP))
        elif children is not None:
            self._add_each(children[1], groups, lines)
        elif is_empty(home.value):
            column = home.key.start_mark.column + STEP
            self._edits.fill(home.key, home.value, [" " * column + "children:", *all_lines(column + STEP)])
        else:
            mapping = self._require_lines(home.value)
            column = column_of(mapping)
            self._edits.append(mapping, [" " * column + "children:", *all_lines(column + STEP)], "")

    def _add_each(self, node: yaml.Node | None, names: Iterable[str], lines: Callable[[str, int], list[str]]) -> None:
        mapping = self._require_lines(node)
        for name in sorted(names):
            self._edits.add(mapping, name, lines(name, column_of(mapping)))

    def _require_lines(self, node: yaml.Node | None) -> yaml.MappingNode:
        assert node is not None
        if not isinstance(node, yaml.MappingNode) or node.flow_style:
            raise InputError(f"{self._document.line(node)}: stands in braces or is an alias; write one name a line.")
        return node


def _indented(lines: Iterable[str], column: int) -> list[str]:
    return [" " * column + line if line.strip() else "" for line in lines]


def _people(people: Mapping[str, list[str]], column: int) -> list[str]:
    return [line for _, lines in sorted(people.items()) for line in _indented(lines, column)]
