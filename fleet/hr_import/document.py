"""An inventory's YAML as text with places in it: what is not changed keeps every byte.

A YAML library that writes whole files back loses the comments of people who leave, and lays out anew what nobody
touched. Here only the lines of a change are written; PyYAML says where they are.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import yaml

from fleet.errors import InputError
from fleet.yamlfile import ALIAS, NotPlain, compose_places

STEP = 2
"""Spaces of one level in what is written anew."""

_STR = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
_PLAIN = re.compile(r"[^\W\d_][\w.@+/-]*( [\w.@+/()&'’-]+)*")


@dataclass(frozen=True)
class Entry:
    """One employee in one group's `hosts`."""

    group: str
    hosts: yaml.MappingNode
    key: yaml.ScalarNode
    value: yaml.Node

    @property
    def has_variables(self) -> bool:
        """False where only the membership is written."""
        return not is_empty(self.value)


@dataclass(frozen=True)
class Group:
    """One place where a group is described."""

    name: str
    key: yaml.ScalarNode
    value: yaml.Node
    parent: yaml.MappingNode
    """The `children`, or the whole file, that it stands in."""


@dataclass
class Document:
    """An inventory's text, which ends with a line end, and where its groups and employees are."""

    source: str
    text: str
    root: yaml.Node | None
    groups: dict[str, list[Group]] = field(default_factory=dict)
    entries: dict[str, list[Entry]] = field(default_factory=dict)

    @classmethod
    def of(cls, source: str, text: str) -> Document:
        """Parse; `source` is what sentences call it. Raises InputError for what is no YAML inventory."""
        try:
            root = compose_places(text)
        except (yaml.YAMLError, ValueError, OverflowError, NotPlain) as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{source}:{mark.line + 1}" if mark else source
            raise InputError(f"{where}: is no YAML; only a YAML inventory can be written into.") from None
        document = cls(source, text, root)
        if root is not None and not is_empty(root):
            if not isinstance(root, yaml.MappingNode):
                raise InputError(f"{source}: is no YAML inventory (groups with hosts); only such can be written into.")
            document._walk(root)
        return document

    def _walk(self, parent: yaml.MappingNode) -> None:
        for key, value in parent.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            self.groups.setdefault(key.value, []).append(Group(key.value, key, value, parent))
            hosts, children = child(value, "hosts"), child(value, "children")
            if isinstance(hosts, yaml.MappingNode):
                for name, variables in hosts.value:
                    if isinstance(name, yaml.ScalarNode):
                        self.entries.setdefault(name.value, []).append(Entry(key.value, hosts, name, variables))
            if isinstance(children, yaml.MappingNode):
                self._walk(children)

    @cached_property
    def newline(self) -> str:
        """The line end that the file has."""
        return "\r\n" if "\r\n" in self.text else "\n"

    def line(self, node: yaml.Node) -> str:
        """`file:line` of a node."""
        return f"{self.source}:{node.start_mark.line + 1}"

    def end(self, node: yaml.Node) -> int:
        """Behind the last character of a node; PyYAML counts the blank lines and comments behind a block to it."""
        while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            node = last if not isinstance(last, tuple) else last[0] if is_blank(last[1]) else last[1]
        if is_blank(node):
            return int(node.start_mark.index)
        end = int(node.end_mark.index)
        while self.text[end - 1].isspace():
            end -= 1
        return end

    def line_start(self, index: int) -> int:
        """Where the line of an index begins."""
        return self.text.rfind("\n", 0, index) + 1

    def line_end(self, index: int) -> int:
        """Where the line of an index ends, its line end not counted."""
        found = self.text.find("\n", index)
        found = len(self.text) if found < 0 else found
        return found - 1 if self.text[found - 1 : found] == "\r" and found > index else found

    def block(self, key: yaml.Node, value: yaml.Node) -> tuple[int, int]:
        """The lines of a key with its value, and the comments that belong to it: those directly above it, and those
        below it that are indented deeper."""
        column, start = key.start_mark.column, self.line_start(key.start_mark.index)
        while start:
            above = self.text[self.line_start(start - 1) : start]
            if not re.match(rf" {{{column}}}#", above):
                break
            start = self.line_start(start - 1)
        end = self._next_line(self.line_end(self.end(key) if is_blank(value) else self.end(value)))
        while True:
            below = end
            while re.match(r"[ \t]*\r?\n", self.text[below : below + 200]):
                below = self._next_line(below)
            if not re.match(rf" {{{column + 1},}}#", self.text[below : below + 200]):
                return start, end
            end = self._next_line(below)

    def _next_line(self, index: int) -> int:
        found = self.text.find("\n", index)
        return len(self.text) if found < 0 else found + 1


def child(node: yaml.Node, name: str) -> yaml.Node | None:
    """The value of a key; None if there is none."""
    pair = pair_of(node, name)
    return pair[1] if pair else None


def pair_of(node: yaml.Node, name: str) -> tuple[yaml.ScalarNode, yaml.Node] | None:
    """A key and its value; None if there is none."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == name:
                return key, value
    return None


def column_of(mapping: yaml.MappingNode) -> int:
    """How far the keys of a mapping with something in it are indented; it may itself begin with an anchor."""
    return int(mapping.value[0][0].start_mark.column)


def is_blank(node: yaml.Node) -> bool:
    """True for a value of which nothing is written."""
    return isinstance(node, yaml.ScalarNode) and node.start_mark.index == node.end_mark.index


def is_empty(node: yaml.Node) -> bool:
    """True for a value that says nothing: none, `null`, `~`, or empty braces."""
    if isinstance(node, yaml.ScalarNode):
        return node.tag == _NULL
    return isinstance(node, yaml.MappingNode) and not node.value


def is_alias(node: yaml.Node) -> bool:
    """True for `*name`."""
    return node.tag == ALIAS


def scalar(text: str, style: str | None = None) -> str:
    """A text as YAML that stays that text: in quotes where YAML would read a number, a date or a truth in it."""
    if style == '"' and not set(text) & set('"\\'):
        return f'"{text}"'
    is_plain = _PLAIN.fullmatch(text) and _tag(text) == _STR
    if style is None and is_plain and len(text) > 1:
        return text
    return "'" + text.replace("'", "''") + "'"


_RESOLVER = yaml.SafeLoader("")


def _tag(text: str) -> str:
    """What YAML takes a text for that stands without quotes."""
    return str(_RESOLVER.resolve(yaml.ScalarNode, text, (True, False)))  # type: ignore[no-untyped-call]


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def lines_of(key: str, value: Any, column: int, *, depth: int = 1) -> list[str]:
    """A key with its value as a person would write them, such lines as are indented by `column` spaces.

    Mappings are opened `depth` levels deep; what lies deeper stands in braces.
    """
    lead = " " * column + scalar(key) + ":"
    if value is None:
        return [lead]
    if not isinstance(value, dict) or not depth:
        return [f"{lead} {flow(value)}"]
    inner = (lines_of(name, item, column + STEP, depth=depth - 1) for name, item in value.items())
    return [lead, *(line for lines in inner for line in lines)]


def _place(edit: tuple[int, int, str]) -> tuple[int, int, int]:
    start, end, text = edit
    return start, end, len(text.lstrip()) - len(text)


class Edits:
    """Changes to a text, by place; none may reach into another."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._edits: list[tuple[int, int, str]] = []
        self._cuts: set[tuple[int, int]] = set()
        self._orders: dict[int, list[str] | None] = {}

    def replace(self, start: int, end: int, text: str) -> None:
        """Write `text` in place of what stands from `start` to `end`. Of several that are added at one place, the more
        indented come first: they belong to what stands before it."""
        if text or (start, end) not in self._cuts:
            self._edits.append((start, end, text))
        if not text:
            self._cuts.add((start, end))

    def result(self) -> str:
        """The text with all changes."""
        parts, at = [], 0
        for start, end, text in sorted(self._edits, key=_place):
            if start < at:
                line = self.document.text.count("\n", 0, start) + 1
                raise InputError(f"{self.document.source}:{line}: two changes meet here; write it on lines of its own.")
            parts += [self.document.text[at:start], text]
            at = end
        return "".join([*parts, self.document.text[at:]])

    def add(self, mapping: yaml.MappingNode, name: str, lines: list[str]) -> None:
        """Add a key to a mapping with lines of its own: where its name belongs if the keys are in order, else last."""
        document = self.document
        keys = self._order(mapping)
        place = bisect.bisect_right(keys, name.casefold()) if keys is not None else len(mapping.value)
        following = mapping.value[place] if place < len(mapping.value) else None
        at = document.block(*(following or mapping.value[-1]))[0 if following else 1]
        if following and not at:
            at = document.line_start(following[0].start_mark.index)  # what stands first in a file is about all of it
        self.replace(at, at, "".join(line + document.newline for line in lines))

    def _order(self, mapping: yaml.MappingNode) -> list[str] | None:
        """The keys of a mapping without case; None where they are not in order."""
        if id(mapping) not in self._orders:
            keys = [key.value.casefold() if isinstance(key, yaml.ScalarNode) else "" for key, _ in mapping.value]
            self._orders[id(mapping)] = keys if keys == sorted(keys) else None
        return self._orders[id(mapping)]

    def append(self, mapping: yaml.MappingNode, lines: list[str], braces: str) -> None:
        """Add a key behind the last one of a mapping: `lines` where it has lines of its own, else `braces`."""
        document = self.document
        if mapping.flow_style:
            end = mapping.end_mark.index - 1
            self.replace(end, end, f", {braces}" if mapping.value else braces)
            return
        end = document.block(*mapping.value[-1])[1]
        self.replace(end, end, "".join(line + document.newline for line in lines))

    def fill(self, key: yaml.ScalarNode, value: yaml.Node, lines: list[str]) -> None:
        """Write lines below a key whose value says nothing yet."""
        document = self.document
        if not is_blank(value):
            self.replace(document.end(key) + 1, document.end(value), "")
        end = document.line_end(key.end_mark.index if is_blank(value) else document.end(value))
        self.replace(end, end, "".join(document.newline + line for line in lines))
