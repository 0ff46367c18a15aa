"""The form of fleet.yml, with what its values may be, and where it is looked for."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from fleet.errors import InputError
from fleet.paths import look
from fleet.settings.hours import Hours
from fleet.yamlfile import read_model

FILE = "fleet.yml"
VERSION = 1
"""Of the form of fleet.yml."""
MAX_FORKS = 64
MAX_WORKERS = 32
MIN_PAUSE = 5.0
"""Seconds, where a service's terms do not allow automation."""
MAX_PAUSE = 3600.0

Count = Annotated[int, Field(ge=1, strict=True)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Address = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[^\x00-\x1f\x7f]+$")]


_ONE_OR_MORE = BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BreakerLimits(_Strict):
    """So many employees of a service's last visits were challenged, found the page changed, or were told to come less
    often (429): its circuit opens."""

    challenges: Count = 3
    page_changes: Count = 3
    rate_limits: Count = 3
    visits: Count = 20


class _InOrder(_Strict):
    shortest: float
    longest: float

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.longest < self.shortest:
            raise ValueError("longest must not be below shortest")
        return self


class ServicePause(_InOrder):
    """Seconds between two visits to one service; 0 and 0 for none, and several at a time."""

    shortest: float = Field(ge=0, le=MAX_PAUSE)
    longest: float = Field(ge=0, le=MAX_PAUSE)


class Pause(_InOrder):
    """Seconds between two visits to one live service, drawn anew each time."""

    shortest: float = Field(default=15, ge=MIN_PAUSE, le=MAX_PAUSE)
    longest: float = Field(default=25, ge=MIN_PAUSE, le=MAX_PAUSE)
    services: dict[Name, ServicePause] = Field(default_factory=dict, description="Services with pauses of their own.")


def _hours(text: str) -> str:
    Hours.parse(text)
    return text


class ConfigFile(_Strict):
    """fleet.yml: what is passed on every run. Paths are relative to the file."""

    version: int = Field(default=VERSION, strict=True, description="Of this form; a file for a newer one is refused.")
    inventory: Annotated[tuple[Name, ...], _ONE_OR_MORE] = Field(
        default=(), description="What `ansible -i` takes, where no -i is given."
    )
    state: Name | None = None
    identity: Name | None = None
    log_key: Name | None = None
    recipes: tuple[Name, ...] = ()
    services: tuple[Name, ...] = ()
    controls: tuple[Name, ...] = ()
    forks: int | None = Field(default=None, ge=1, le=MAX_FORKS, strict=True)
    workers: tuple[Address, ...] = Field(default=(), max_length=MAX_WORKERS, description="Machines that visit, by SSH.")
    resolve: tuple[Name, ...] = ()
    trust_spki: tuple[Name, ...] = ()
    proxy: Name | None = None
    proxy_credentials: Name | None = Field(default=None, description="Private file that holds user:password.")
    notify: tuple[Address, ...] = ()
    notify_file: Name | None = Field(default=None, description="Private file with addresses that hold secrets.")
    smtp: Name | None = Field(default=None, description="HOST:PORT that mailto:ADDRESS goes through.")
    fail_on: Annotated[tuple[Name, ...], _ONE_OR_MORE] = Field(
        default=(), description="Outcomes, or exit codes 3 to 5, that fail `fleet run`; all that are not done."
    )
    terms_accepted: dict[Name, Name] = Field(
        default_factory=dict, description="Service: reference of the decision to accept what its terms forbid."
    )
    personal_sessions: dict[Name, Name] = Field(
        default_factory=dict, description="Service: reference of the decision to use sessions of personal accounts."
    )
    breaker: BreakerLimits = BreakerLimits()
    pause: Pause = Pause()
    hours: dict[Name, Annotated[str, AfterValidator(_hours)]] = Field(
        default_factory=dict, description="Service: HH:MM-HH:MM, local time, in which its visits may begin."
    )
    sandbox: bool = True
    accepted_by: Name | None = Field(default=None, description="Who accepted `sandbox: false`.")

    @field_validator("version")
    @classmethod
    def _known(cls, version: int) -> int:
        if version != VERSION:
            what = "made for a newer Fleet Opt-Out; update it" if version > VERSION else f"must be {VERSION}"
            raise ValueError(what)
        return version

    @model_validator(mode="after")
    def _sandbox_needs_a_name(self) -> ConfigFile:
        if not self.sandbox and not self.accepted_by:
            raise ValueError("sandbox: false needs accepted_by: the name of who accepted that risk")
        return self


def expanded(value: str, origin: object) -> Path:
    """A path with ~ written out. Raises InputError, which names `origin`, for the ~ of nobody here."""
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise InputError(f"{origin}: {value}: there is no such user here; write the folder out.") from None


def config_places(sources: Sequence[str], cwd: Path) -> list[Path]:
    """Where a fleet.yml is looked for: beside each inventory that is a file or a folder, without one in `cwd`."""
    places = [cwd / source for source in sources if "," not in source]
    folders = [place if _is_folder(place) else place.parent for place in places] or [cwd]
    return list({folder.resolve(): folder / FILE for folder in folders}.values())


def _is_folder(path: Path) -> bool:
    there = look(path)
    return there is not None and stat.S_ISDIR(there.st_mode)


def find_config(sources: Sequence[str], cwd: Path) -> Path | None:
    """FLEET_CONFIG, the fleet.yml beside an inventory, or without one the fleet.yml in `cwd`.

    Raises InputError where it may not look, for a file that others could have written, and where two could be meant:
    a command must not act on another state than the next one in the same folder.
    """
    named = os.environ.get("FLEET_CONFIG")
    if named:
        path = cwd / named
        there = look(path)
        if there is None or not stat.S_ISREG(there.st_mode):
            raise InputError(f"FLEET_CONFIG names {named}, which is not a file; fix or unset it.")
        return path
    # One that is there and cannot be read is refused, not passed over.
    found = [path for path in config_places(sources, cwd) if look(path) is not None]
    if len(found) > 1:
        raise InputError(f"Both {found[0]} and {found[1]} could be meant; name one with FLEET_CONFIG.")
    here = cwd / FILE
    if not found and look(here) is not None:
        _require_unshared(here)
        if not _names(here, sources, cwd):
            raise InputError(
                f"{', '.join(sources)} is not in the folder of {here}, which does not name it as its inventory; "
                "run this beside the inventory, or set FLEET_CONFIG."
            )
        return here
    for path in found:
        _require_unshared(path)
    return next(iter(found), None)


def _names(path: Path, sources: Sequence[str], cwd: Path) -> bool:
    """True if a fleet.yml names all these inventories as its own."""
    file, _ = read_model(path, ConfigFile)
    own = {(path.parent / expanded(one, path)).resolve() for one in file.inventory}
    return own.issuperset((cwd / source).resolve() for source in sources if "," not in source)


def _require_unshared(path: Path) -> None:
    """Refuse a file that is found without being named, and that somebody else may have written. Raises InputError."""
    for place in (path, path.parent):
        info = look(place)
        if info is None:
            continue
        if {info.st_uid, place.lstat().st_uid} - {0, os.getuid()}:
            why = f"{place} belongs to another user"
        elif info.st_mode & 0o002 and not stat.S_ISLNK(info.st_mode):
            why = f"everybody may write to {place}"
        else:
            continue
        raise InputError(f"{path} is not used, for {why}; fix its owner or mode, or name the file with FLEET_CONFIG.")
