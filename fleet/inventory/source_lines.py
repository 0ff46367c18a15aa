"""Finds the line of an employee's variable in static inventory files, for error messages only.

Ansible's own listing has no line numbers. For a script or a plugin only the source's name is returned.
"""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from fleet.paths import read_regular
from fleet.yamlfile import NotPlain, compose

MAX_BYTES = 64 * 1024 * 1024
"""Larger inventories are not searched for lines."""


@dataclass(frozen=True)
class _Place:
    """Where a name is defined. `above` is its parent key, or the folder (with its `/`) of a file of that name."""

    above: str | None
    file: Path
    node: yaml.Node
    line: int


@dataclass(frozen=True)
class HostEntry:
    """A host in one file, with the variables it gets there, as far as they are plain."""

    name: str
    file: Path
    source: str
    """`file:line`."""
    variables: Mapping[str, object]
    is_host: bool
    """False for a file in host_vars/, which does not define a host."""


class SourceLines:
    """Returns `file:line` for a variable of a host or group; reads each file at most once, and only on demand."""

    def __init__(self, sources: Sequence[str], cwd: Path | None = None) -> None:
        self._sources = tuple(sources)
        self._cwd = cwd or Path.cwd()
        self._roots: dict[Path, yaml.Node | None] | None = None
        self._index: dict[str, list[_Place]] | None = None

    def of_host(self, host: str, path: str) -> str:
        """Return where `path` (dotted, such as `fleet_mandate.expires_on`) of a host is defined."""
        return self._find("hosts", host, path, "host_vars")

    def of_group(self, group: str, variable: str) -> str:
        """Return where a variable of a group is defined."""
        return self._find(None, group, f"vars.{variable}", "group_vars")

    def mentions(self, variable: str) -> int:
        """Return how often a variable's name occurs in the sources, without parsing them."""
        return sum(_text(path).count(variable) for path in self._paths())

    def values_of(self, host: str, variable: str) -> list[tuple[str, object]]:
        """Return each place (`file:line`) that gives a host this variable, and its value as far as it is plain."""
        found = []
        for place in self._places().get(host, ()):
            if place.above in ("hosts", "host_vars/") and isinstance(place.node, yaml.MappingNode):
                for key, value in place.node.value:
                    with suppress(yaml.YAMLError, ValueError):
                        if key.value == variable:
                            plain = yaml.SafeLoader("").construct_object(value, deep=True)
                            found.append((f"{self._short(place.file)}:{key.start_mark.line + 1}", plain))
        for file, root in self._files().items():
            if root is None:
                for line, name, variables in _ini_hosts(_text(file)):
                    if name == host and variable in variables:
                        found.append((f"{self._short(file)}:{line}", variables[variable]))
        return found

    def host_entries(self) -> Iterator[HostEntry]:
        """Yield each host of each file, without ranges, as far as the files can be read as text."""
        for name, places in self._places().items():
            for place in places:
                if place.above in ("hosts", "host_vars/"):
                    source = f"{self._short(place.file)}:{place.line}"
                    yield HostEntry(name, place.file, source, _plain_values(place.node), place.above == "hosts")
        for file, root in self._files().items():
            if root is None:
                for line, name, variables in _ini_hosts(_text(file)):
                    yield HostEntry(name, file, f"{self._short(file)}:{line}", variables, is_host=True)

    def impossible_dates(self) -> Iterator[str]:
        """Yield `file:line: key.path: …` for each unquoted invalid date (2026-13-01), which fails in YAML itself."""
        for file, root in self._files().items():
            for path, node in _scalars(root, "", set()):
                if node.tag == _TIMESTAMP:
                    try:
                        yaml.SafeLoader("").construct_yaml_timestamp(node)
                    except (ValueError, AttributeError) as error:  # AttributeError if not even the form is right
                        line, why = node.start_mark.line + 1, f" ({error})" if isinstance(error, ValueError) else ""
                        yield f"{self._short(file)}:{line}: {path}: {node.value} is not a date{why}"

    def _find(self, parent: str | None, name: str, path: str, folder: str) -> str:
        steps = path.split(".")
        found: tuple[int, str] | None = None
        for place in self._places().get(name, ()):
            if place.above == f"{folder}/":
                wanted = steps[1:] if steps[0] == "vars" else steps
            elif parent in (None, place.above):
                wanted = steps
            else:
                continue
            depth, line = _descend(place.node, wanted, place.line)
            if found is None or depth > found[0]:
                found = depth, f"{self._short(place.file)}:{line}"
        return found[1] if found else ", ".join(self._sources)

    def _places(self) -> dict[str, list[_Place]]:
        """Where each host, group or variables file is defined, by name."""
        if self._index is None:
            self._index = {}
            for file, root in self._files().items():
                if root is not None:
                    if file.parent.name in ("host_vars", "group_vars"):
                        self._index.setdefault(file.stem, []).append(_Place(f"{file.parent.name}/", file, root, 1))
                    for name, place in _entries(file, root, set()):
                        self._index.setdefault(name, []).append(place)
        return self._index

    def _short(self, file: Path) -> str:
        return str(file.relative_to(self._cwd)) if file.is_relative_to(self._cwd) else str(file)

    def _files(self) -> dict[Path, yaml.Node | None]:
        if self._roots is None:
            self._roots = {path: _compose(path) for path in self._paths()}
        return self._roots

    def _paths(self) -> list[Path]:
        """Return the files of the sources that can be read as text, once each."""
        files: list[Path] = []
        for source in self._sources:
            place = self._cwd / source
            base = place if place.is_dir() else place.parent
            own = [place] if place.is_file() else sorted(filter(_is_static, place.glob("*"))) if place.is_dir() else []
            if own:
                files += own + sorted(base.glob("host_vars/*.y*ml")) + sorted(base.glob("group_vars/*.y*ml"))
        return list(dict.fromkeys(files))


def _plain_values(node: yaml.Node) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        with suppress(yaml.YAMLError, ValueError):
            values[key.value] = yaml.SafeLoader("").construct_object(value, deep=True)
    return values


_TIMESTAMP = "tag:yaml.org,2002:timestamp"


def _scalars(node: yaml.Node | None, path: str, seen: set[int]) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """Yield all scalars below `node` with their path; keys that only lead to a host are left out of the path."""
    if id(node) in seen:
        return  # an alias: once is enough, and it may be a cycle
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield path, node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item, path, seen)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = str(key.value)
            yield from _scalars(value, "" if name in ("hosts", "children") else f"{path}.{name}".lstrip("."), seen)


def _is_static(path: Path) -> bool:
    return path.is_file() and (path.suffix in ("", ".ini") or path.match("*.y*ml"))


def _text(file: Path) -> str:
    try:
        return read_regular(file, MAX_BYTES).decode()
    except (OSError, ValueError):
        return ""


def _compose(file: Path) -> yaml.Node | None:
    try:
        # A file that is not YAML is INI, a script or broken: Ansible decides.
        return compose(_text(file), with_aliases=True)
    except (ValueError, OverflowError, yaml.YAMLError, NotPlain):
        return None


def _ini_hosts(text: str) -> Iterator[tuple[int, str, dict[str, object]]]:
    """Yield line, name and variables of each host in an INI inventory, as Ansible reads them, without ranges."""
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("["):
            section = line
        elif "=" in line and ":vars]" not in section and ":children]" not in section:
            with suppress(ValueError):
                name, *assignments = shlex.split(line, comments=True)
                pairs = (assignment.partition("=") for assignment in assignments)
                yield number, name, {variable: _ini_value(value) for variable, _, value in pairs}


def _ini_value(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _entries(file: Path, node: yaml.Node, seen: set[int], above: str | None = None) -> Iterator[tuple[str, _Place]]:
    if not isinstance(node, yaml.MappingNode) or id(node) in seen:
        return
    seen.add(id(node))
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        yield key.value, _Place(above, file, value, key.start_mark.line + 1)
        if not key.value.startswith("fleet_"):
            yield from _entries(file, value, seen, key.value)


def _descend(node: yaml.Node, steps: list[str], line: int) -> tuple[int, int]:
    """Return how many steps could be followed from `node`, and the line of the last one."""
    for depth, step in enumerate(steps):
        following = None
        if isinstance(node, yaml.MappingNode):
            following = next(((key, value) for key, value in node.value if key.value == step), None)
        elif isinstance(node, yaml.SequenceNode) and step in map(str, range(len(node.value))):
            item = node.value[int(step)]
            following = item, item
        if following is None:
            return depth, line
        line, node = following[0].start_mark.line + 1, following[1]
    return len(steps), line
