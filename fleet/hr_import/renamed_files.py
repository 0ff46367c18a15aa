"""Writes an employee's new name in the files of an inventory: `hr.yml`, and those that people write by hand.

Only the name itself is replaced, as a host and in the employee's mandate: comments and order stay.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from fleet.authority.former_names import Rename
from fleet.errors import InputError
from fleet.hr_import.hand_written import ENDINGS_BY_HAND
from fleet.hr_import.hr_yml import MAX_BYTES, Entry, is_generated, read_hr_file, render_hr_file
from fleet.hr_import.options import read_remembered, remembered_path, render_remembered
from fleet.hr_import.replace_file import replace_unchanged
from fleet.paths import is_there, read_regular, sync_folder
from fleet.yamlfile import NotPlain, compose

_VARIABLES = (".yml", ".yaml", ".json")
"""Endings of a file of variables in host_vars/, which may have none."""


@dataclass(frozen=True)
class RenamedFile:
    """A file whose content changes, and whose name does if it is the employee's (in host_vars/)."""

    path: Path
    before: bytes
    after: bytes
    target: Path
    has_host: bool
    """True if it defines the employee as a host."""

    def write(self) -> None:
        """Write it. Raises InputError if it was changed meanwhile, OSError."""
        if self.after != self.before:
            replace_unchanged(self.path, self.before, self.after)
        if self.target != self.path:
            self.path.rename(self.target)
            sync_folder(self.target.parent)


def renamed_files(sources: Sequence[str], rename: Rename) -> list[RenamedFile]:
    """Return the files of an inventory that contain the old name. Changes nothing.

    Raises InputError for one that cannot be read or written, and for a place where the name cannot be replaced.
    """
    places = [Path(source) for source in sources if "," not in source]
    files = dict.fromkeys(path.resolve() for place in places for path in _files(place))
    found = [one for path in files if (one := _renamed(path, rename)) is not None]
    for one in found:
        if not os.access(one.path.parent, os.W_OK | os.X_OK):
            raise InputError(f"{one.path} has {rename.old} and cannot be written; let this user write to its folder.")
        if one.target != one.path and is_there(one.target):
            raise InputError(f"{one.target} exists already; move it away, then give the command again.")
    return found


def _files(place: Path) -> Iterator[Path]:
    """Yield the files of a source, and of the host_vars/ beside it; a folder after what is in it."""
    base = place if place.is_dir() else place.parent
    for path in sorted(base.iterdir()) if place.is_dir() else [place]:
        is_script = os.access(path, os.X_OK)  # Ansible runs it; nothing in it is ours to change
        if path.is_file() and not is_script and path.suffix in ENDINGS_BY_HAND and path.name[0] != ".":
            yield path
            if is_generated(path):
                yield remembered_path(path)
    yield from sorted((base / "host_vars").rglob("*"), reverse=True)


def _renamed(path: Path, rename: Rename) -> RenamedFile | None:
    if not is_there(path):
        return None
    target, has_host, before = path, False, b""
    if path.parent.name == "host_vars" and path.name in {rename.old, *(rename.old + end for end in _VARIABLES)}:
        target = path.with_name(rename.new + path.name.removeprefix(rename.old))
    if path.is_file():
        try:
            before = read_regular(path, MAX_BYTES)
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); fix its mode or owner.") from None
    after = before
    if rename.old.encode() in before:
        after, has_host = _with_new_name(path, before, rename)
    return None if (after, target) == (before, path) else RenamedFile(path, before, after, target, has_host)


def _with_new_name(path: Path, content: bytes, rename: Rename) -> tuple[bytes, bool]:
    """Return a file's content with the new name, and whether it has the employee as a host."""
    if is_generated(path):
        entries = read_hr_file(path).entries
        after = render_hr_file(_entry(one, rename) if one.name == rename.old else one for one in entries)
        has_host = any(one.name == rename.old for one in entries)
        return (after.encode(), True) if has_host else (content, False)
    if path.name.startswith("."):
        remembered = read_remembered(path)
        keep = tuple(sorted(rename.new if name == rename.old else name for name in remembered.keep))
        has_name = keep != remembered.keep
        return (
            (render_remembered(remembered.model_copy(update={"keep": keep})).encode(), False)
            if has_name
            else (content, False)
        )
    try:
        text = content.decode()
        root = compose(text, with_aliases=True)
    except UnicodeDecodeError:
        return content, False  # no inventory that Ansible reads
    except (ValueError, OverflowError, yaml.YAMLError, NotPlain):
        root = None
    if isinstance(root, yaml.MappingNode):
        return _in_yaml(path, text, list(_places(root, None, rename.old, set())), rename)
    return _in_ini(text, rename)


def _entry(entry: Entry, rename: Rename) -> Entry:
    variables: dict[str, Any] = dict(entry.variables)
    if variables.get("fleet_mandate", {}).get("employee") == rename.old:
        variables["fleet_mandate"] = {**variables["fleet_mandate"], "employee": rename.new}
    return replace(entry, name=rename.new, variables=variables)


def _places(node: yaml.Node, above: str | None, old: str, seen: set[int]) -> Iterator[tuple[yaml.ScalarNode, bool]]:
    """Yield each name to replace, and whether it is a host's."""
    if not isinstance(node, yaml.MappingNode) or id(node) in seen:
        return
    seen.add(id(node))
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if above == "hosts" and key.value == old:
            yield key, True
        if (above, key.value) == ("fleet_mandate", "employee") and value.value == old:
            yield value, False
        yield from _places(value, key.value, old, seen)


def _in_yaml(path: Path, text: str, places: list[tuple[yaml.ScalarNode, bool]], rename: Rename) -> tuple[bytes, bool]:
    for node, _ in sorted(places, key=lambda place: place[0].start_mark.index, reverse=True):
        start, end = node.start_mark.index, node.end_mark.index
        quote = text[start] if text[start] in "'\"" else ""
        if text[start:end] != f"{quote}{rename.old}{quote}":
            raise InputError(
                f"{path}:{node.start_mark.line + 1}: {rename.old} has an anchor or a tag here; nothing was renamed. "
                "Write the plain name, then give the command again."
            )
        text = text[:start] + (f"{quote}{rename.new}{quote}" if quote else _scalar(rename.new)) + text[end:]
    return text.encode(), any(is_host for _, is_host in places)


def _scalar(name: str) -> str:
    """Return a name as YAML, in quotes where it would be read as a number or the like."""
    is_plain = name[0].isalpha() and yaml.safe_load(name) == name
    return name if is_plain else json.dumps(name)


def _in_ini(text: str, rename: Rename) -> tuple[bytes, bool]:
    """Return an INI inventory with the new name: first on its line, or as `"employee": "NAME"`."""
    old, new = re.escape(rename.old), rename.new
    text, hosts = re.subn(rf"(?m)^{old}(?=\s|$)", lambda _: new, text)
    text = re.sub(rf"""(['"]employee['"]\s*:\s*['"]){old}(?=['"])""", lambda found: found[1] + new, text)
    return text.encode(), hosts > 0
