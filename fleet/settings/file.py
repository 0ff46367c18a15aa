"""fleet.yml: its format, and where it is looked up."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, create_model, field_validator, model_validator

from fleet.errors import InputError
from fleet.paths import look
from fleet.settings.table import SETTINGS
from fleet.settings.values import Strict
from fleet.yamlfile import YamlFile, read_model

FILE = "fleet.yml"
VERSION = 1
"""Of the format of fleet.yml."""


class _Form(Strict):
    """Rules for the file as a whole."""

    version: int = Field(default=VERSION, strict=True)

    @field_validator("version")
    @classmethod
    def _known(cls, version: int) -> int:
        if version != VERSION:
            what = "made for a newer Fleet Opt-Out; update it" if version > VERSION else f"must be {VERSION}"
            raise ValueError(what)
        return version

    @model_validator(mode="after")
    def _sandbox_needs_a_name(self) -> _Form:
        given = {name: getattr(self, name) for name in self.model_fields_set}
        if given.get("sandbox") is False and not given.get("accepted_by"):
            raise ValueError("sandbox: false needs accepted_by: the name of who accepted that risk")
        return self


_KEYS: dict[str, Any] = {setting.name: (setting.whole_type | None, None) for setting in SETTINGS}
_FORM = create_model("fleet.yml", __base__=_Form, **_KEYS)


def read_config(path: Path) -> tuple[Mapping[str, Any], YamlFile]:
    """Return the settings in a fleet.yml, and the document, for line numbers.

    Raises InputError that lists every error with its line.
    """
    form, document = read_model(path, _FORM)
    return {name: getattr(form, name) for name in form.model_fields_set}, document


def expanded(value: str, source: object) -> Path:
    """Return a path with ~ expanded. Raises InputError that names `source` for the ~ of an unknown user."""
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise InputError(f"{source}: {value}: no such user on this machine; write the folder out.") from None


def config_places(sources: Sequence[str], cwd: Path) -> list[Path]:
    """Return where to search fleet.yml: next to each inventory or in its folder; without an inventory, in `cwd`."""
    places = [cwd / source for source in sources if "," not in source]
    folders = [place if _is_folder(place) and look(place / FILE) else place.parent for place in places] or [cwd]
    return list({folder.resolve(): folder / FILE for folder in folders}.values())


def _is_folder(path: Path) -> bool:
    there = look(path)
    return there is not None and stat.S_ISDIR(there.st_mode)


def find_config(sources: Sequence[str], cwd: Path) -> Path | None:
    """Return FLEET_CONFIG, the fleet.yml next to an inventory, or, without an inventory, the fleet.yml in `cwd`.

    Raises InputError if access is denied, if others can write the file, and if two files could be meant: all commands
    in a folder must use the same state.
    """
    named = os.environ.get("FLEET_CONFIG")
    if named:
        path = cwd / named
        there = look(path)
        if there is None or not stat.S_ISREG(there.st_mode):
            raise InputError(f"FLEET_CONFIG names {named}, which is not a file; fix or unset it.")
        return path
    # An existing file that cannot be read is an error, never skipped.
    found = [path for path in config_places(sources, cwd) if look(path) is not None]
    if len(found) > 1:
        raise InputError(f"Both {found[0]} and {found[1]} could be meant; choose one with FLEET_CONFIG.")
    here = cwd / FILE
    if not found and look(here) is not None:
        _require_unshared(here)
        if not _names(here, sources, cwd):
            raise InputError(
                f"{', '.join(sources)} is not in the folder of {here}, which does not name it as its inventory; "
                "run this next to the inventory, or set FLEET_CONFIG."
            )
        return here
    for path in found:
        _require_unshared(path)
    return next(iter(found), None)


def _names(path: Path, sources: Sequence[str], cwd: Path) -> bool:
    """Return True if a fleet.yml names all these inventories as its own."""
    values, _ = read_config(path)
    own = {(path.parent / expanded(one, path)).resolve() for one in values.get("inventory") or ()}
    return own.issuperset((cwd / source).resolve() for source in sources if "," not in source)


def _require_unshared(path: Path) -> None:
    """Refuse a file that was found, not named, and that another user may have written. Raises InputError."""
    for place in (path, path.parent):
        info = look(place)
        if info is None:
            continue
        if {info.st_uid, place.lstat().st_uid} - {0, os.getuid()}:
            why = f"{place} belongs to another user"
        elif info.st_mode & 0o002 and not stat.S_ISLNK(info.st_mode):
            why = f"{place} is writable by others"
        else:
            continue
        raise InputError(f"{path} is not used: {why}; fix its owner or mode, or name the file with FLEET_CONFIG.")
