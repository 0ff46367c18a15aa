"""Splits an inventory edited by both imports and people into a folder: `hr.yml`, and a hand-written file."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fleet.errors import InputError
from fleet.hr_import.hr_yml import ENDINGS, HR_FILE, MAX_BYTES, Entry, is_generated, render_hr_file
from fleet.hr_import.options import Remembered, read_remembered, remembered_path, render_remembered
from fleet.inventory.read import list_source
from fleet.model import SAFE_NAME
from fleet.paths import is_there, read_regular, sync_folder, write_private
from fleet.yamlfile import NotPlain, compose

_BY_HAND = "# Hand-written entries, next to {}; split from {} by 'fleet inventory adopt' without its comments.\n"


@dataclass(frozen=True)
class Adopted:
    """A folder with the same content as the original file."""

    folder: Path
    entries: tuple[Entry, ...]
    by_hand: Path | None
    """The file with hand-written entries; None without any."""
    whole_accounts: tuple[str, ...]
    """Employees with an account at a service without a column in the export: all their accounts stay hand-written."""


def adopt(source: Path, folder: Path) -> Adopted:
    """Create the folder; the original file is left unchanged.

    Raises InputError if Ansible would read the two differently, and for a file that no import has written to.
    """
    if source.suffix not in ENDINGS or not source.is_file() or is_generated(source):
        raise InputError(f"{source}: not a YAML inventory to split; give the file that earlier imports wrote to.")
    old = source.with_name(f"{source.stem}.import.yml")
    if not is_there(old):
        raise InputError(
            f"{source}: no import has written to it ({old.name} not found), so there is nothing to split. Move it "
            "unchanged into a folder, and import into that folder."
        )
    if is_there(folder):
        raise InputError(f"{folder} already exists; choose a new folder with --folder.")
    if source.name == HR_FILE:
        raise InputError(f"{source}: {HR_FILE} is reserved for imports; rename the file and {old.name} first.")
    remembered = read_remembered(old)
    split = _Split(remembered)
    root = _composed(source)
    split.take_from(root)
    entries = split.entries()
    with suppress(OSError):
        folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name[:40]}."))
    except OSError as error:
        raise InputError(f"{folder} cannot be created ({error.strerror}); check the folder above it.") from None
    try:
        write_private(new / HR_FILE, render_hr_file(entries).encode(), durable=True)
        write_private(remembered_path(new / HR_FILE), render_remembered(remembered).encode(), durable=True)
        if root.value:
            text = yaml.serialize(root, Dumper=yaml.SafeDumper, allow_unicode=True, width=1000)
            write_private(new / source.name, (_BY_HAND.format(HR_FILE, source.name) + text).encode(), durable=True)
        for beside in ("host_vars", "group_vars"):
            if (source.parent / beside).is_dir():
                shutil.copytree(source.parent / beside, new / beside, symlinks=True)
        _require_same(source, new)
        new.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}); {source} is unchanged.") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)
    by_hand = folder / source.name if root.value else None
    return Adopted(folder, entries, by_hand, tuple(sorted(split.whole_accounts)))


def _composed(source: Path) -> yaml.MappingNode:
    try:
        root = compose(read_regular(source, MAX_BYTES).decode(), with_aliases=True)
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror}); fix its mode or owner.") from None
    except (yaml.YAMLError, ValueError, OverflowError, NotPlain):
        raise InputError(f"{source}: not valid YAML; fix it first ('fleet inventory check' names the line).") from None
    if not isinstance(root, yaml.MappingNode):
        raise InputError(f"{source}: not a YAML inventory (groups with hosts); only such a file can be split.")
    return root


@dataclass
class _Split:
    """Removes from an inventory's nodes what HR exports; the remainder is the hand-written part."""

    remembered: Remembered
    whole_accounts: set[str] = field(default_factory=set)
    _variables: dict[str, dict[str, Any]] = field(default_factory=dict)
    _groups: dict[str, set[str]] = field(default_factory=dict)
    _rest: dict[str, yaml.MappingNode] = field(default_factory=dict)
    """By employee, hand-written variables in a group that HR exports: they must not keep anyone in that group."""

    def entries(self) -> tuple[Entry, ...]:
        """Return the employees as `hr.yml` lists them."""
        return tuple(
            Entry(name, variables, tuple(sorted(self._groups[name]))) for name, variables in self._variables.items()
        )

    def take_from(self, root: yaml.MappingNode) -> None:
        """Remove the exported part from all groups, and move remaining host variables below `all`."""
        self._walk(root, is_top=True)
        if self._rest:
            everybody = _mapping_below(_mapping_below(root, "all"), "hosts")
            written = {key.value for key, _ in everybody.value}
            for name, variables in self._rest.items():
                if name in written:
                    raise InputError(f"{name} has variables in two places; merge them into one, then run this again.")
                everybody.value.append((_text(name), variables))

    def _walk(self, groups: yaml.MappingNode, *, is_top: bool) -> None:
        exported = {group for names in self.remembered.groups.values() for group in names}
        for key, group in list(groups.value):
            for part, value in list(group.value) if isinstance(group, yaml.MappingNode) else ():
                if part.value == "hosts" and isinstance(value, yaml.MappingNode):
                    self._take_hosts(key.value, value, is_exported=key.value in exported)
                elif part.value == "children" and isinstance(value, yaml.MappingNode):
                    self._walk(value, is_top=key.value == "all")
                if part.value in ("hosts", "children") and isinstance(value, yaml.MappingNode) and not value.value:
                    group.value.remove((part, value))
            # Below a group other than `all`, an empty group still defines the hierarchy.
            if is_top and (key.value in exported or key.value == "all") and not group.value:
                groups.value.remove((key, group))

    def _take_hosts(self, group: str, hosts: yaml.MappingNode, *, is_exported: bool) -> None:
        for key, value in list(hosts.value):
            name = key.value
            if name in self.remembered.keep or not SAFE_NAME.fullmatch(name):
                continue
            taken = self._variables.setdefault(name, {})
            member_of = self._groups.setdefault(name, set())
            if isinstance(value, yaml.MappingNode):
                for variable, plain in self._exported(name, value).items():
                    taken[variable] = plain
                    value.value = [pair for pair in value.value if pair[0].value != variable]
            if is_exported:
                member_of.add(group)
            if is_exported or group == "all":
                hosts.value.remove((key, value))
                if isinstance(value, yaml.MappingNode) and value.value:
                    if name in self._rest:
                        raise InputError(
                            f"{name} has variables in two places; merge them into one, then run this again."
                        )
                    self._rest[name] = value

    def _exported(self, name: str, variables: yaml.MappingNode) -> Mapping[str, Any]:
        """Return the variables that imports write, as far as they are plain values."""
        columns = self.remembered.columns
        services = {column.partition(".")[0] for column in columns if column.endswith(".profile")}
        written = {
            "fleet_email": "email",
            "fleet_locale": "locale",
            "fleet_subject": "subject",
            "fleet_country": "country",
            "fleet_mandate": "mandate.reference",
        }
        found = {}
        for key, value in variables.value:
            plain = None
            if key.value == "fleet_accounts" or written.get(key.value) in columns:
                with suppress(yaml.YAMLError, ValueError):
                    # In Ansible's listing a date is text.
                    plain = json.loads(json.dumps(yaml.SafeLoader("").construct_object(value, deep=True), default=str))
            if key.value == "fleet_accounts" and isinstance(plain, dict) and not plain.keys() <= services:
                self.whole_accounts.add(name)
            elif plain:
                found[key.value] = plain
        return found


def _text(value: str) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", value)


def _mapping_below(parent: yaml.MappingNode, name: str) -> yaml.MappingNode:
    """Return the mapping of a key, created if missing."""
    for key, value in parent.value:
        if key.value == name and isinstance(value, yaml.MappingNode):
            return value
    parent.value = [pair for pair in parent.value if pair[0].value != name]
    made = yaml.MappingNode("tag:yaml.org,2002:map", [])
    parent.value.insert(0, (_text(name), made))
    return made


def _require_same(source: Path, folder: Path) -> None:
    """Raise InputError unless Ansible reads the same in both, except for the order."""
    for is_exported in (False, True):
        before, after = (_in_order(list_source(place, is_exported=is_exported)) for place in (source, folder))
        if before != after:
            parts = [{**listing, **listing.get("_meta", {}).get("hostvars", {})} for listing in (before, after)]
            names = [name for name in {**parts[0], **parts[1]} if parts[0].get(name) != parts[1].get(name)]
            name = next(one for one in (*reversed(names), "_meta"))
            raise InputError(
                f"{source}: Ansible would read '{name}' differently after the split (an anchor, a range, or a "
                "variable set twice), so nothing was written. Write that entry out in one place."
            )


def _in_order(listing: dict[str, Any]) -> dict[str, Any]:
    """Return the listing with the members of each group sorted."""
    return {
        name: {key: sorted(value) if isinstance(value, list) else value for key, value in group.items()}
        for name, group in listing.items()
    }
