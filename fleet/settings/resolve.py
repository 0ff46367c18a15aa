"""Settings of a run, and the source of each: the command line above the environment above fleet.yml."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from fleet.browser.network import Network
from fleet.browser.proxy import parse_proxy
from fleet.model import FAILING, Outcome
from fleet.notify.targets import Channels
from fleet.paths import StateDir
from fleet.settings.file import expanded, find_config, read_config
from fleet.settings.hours import Hours
from fleet.settings.setting import Setting
from fleet.settings.table import SETTINGS
from fleet.settings.values import BreakerLimits, Pause
from fleet.ssh import WorkerAddress


class SourceKind(StrEnum):
    """The places that a setting can come from."""

    OPTION = "option"
    ROLE_VARIABLE = "role variable"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True)
class Source:
    """Where a value came from: `name` is an option, a variable or a file's path; only a file has a line."""

    kind: SourceKind
    name: str = ""
    line: int | None = None

    def __str__(self) -> str:
        return self.kind if self.kind is SourceKind.DEFAULT else f"{self.name}:{self.line}" if self.line else self.name


class Given:
    """What was passed on the command line, or as role variables: a value for each setting that was.

    None, an empty text and an empty list mean that it was not passed.
    """

    def __init__(self, kind: SourceKind = SourceKind.OPTION, **values: Any) -> None:
        unknown = values.keys() - {setting.name for setting in SETTINGS}
        if unknown:
            raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
        self._kind, self._values = kind, values

    def __getitem__(self, name: str) -> Any:
        return self._values.get(name)

    def source(self, setting: Setting) -> Source:
        """The option or the variable that passes a setting."""
        if self._kind is SourceKind.ROLE_VARIABLE and setting.role_variable:
            return Source(self._kind, setting.role_variable)
        return Source(SourceKind.OPTION, setting.option.name if setting.option else setting.name)


@dataclass(frozen=True)
class Settings:
    """What a run acts on. `inventory` is what `ansible -i` takes, as it was given or as fleet.yml names it.

    Each field but `network` is the setting of its name.
    """

    state: Path
    identity: Path
    log_key: Path
    inventory: tuple[str, ...] = ()
    recipes: tuple[Path, ...] = ()
    services: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    forks: int = 8
    workers: tuple[WorkerAddress, ...] = ()
    network: Network = field(default_factory=Network)
    breaker: BreakerLimits | None = field(default_factory=BreakerLimits)
    """None while the circuit breaker is off."""
    pause: Pause = field(default_factory=Pause)
    hours: dict[str, Hours] = field(default_factory=dict)
    terms_accepted: dict[str, str] = field(default_factory=dict)
    personal_sessions: dict[str, str] = field(default_factory=dict)
    sandbox: bool = True
    accepted_by: str | None = None
    fail_on: frozenset[Outcome] = FAILING

    @property
    def state_dir(self) -> StateDir:
        """The folders inside the state directory."""
        return StateDir(self.state)

    def of_kind(self, *, rehearsal: bool) -> Settings:
        """The same for a live run; for a rehearsal with a state and keys of its own, wherever the state comes from."""
        if not rehearsal:
            return self
        identity, log_key = (path.with_name(f"rehearsal-{path.name}") for path in (self.identity, self.log_key))
        return replace(self, state=self.state / "rehearsal", identity=identity, log_key=log_key)


@dataclass(frozen=True)
class Value:
    """A setting's value and its source. Paths are absolute; nothing else is parsed yet."""

    value: Any
    source: Source


Layer = Callable[[Setting], Value | None]
"""Returns what one place says of a setting, None if it says nothing."""


@dataclass(frozen=True)
class Configuration:
    """Every setting with its source; `file` is the fleet.yml that was read, None if there is none."""

    values: Mapping[str, Value]
    file: Path | None = None

    def parsed(self, name: str) -> Any:
        """A setting as the code works with it. Raises InputError that names the source of a value that cannot be."""
        found = self.values[name]
        setting = next(one for one in SETTINGS if one.name == name)
        return None if found.value is None else setting.parse(found.value, str(found.source))

    @property
    def settings(self) -> Settings:
        """What a run acts on. Raises InputError as `parsed` does."""
        proxy = self.values["proxy"]
        network = Network(
            dict(self.parsed("resolve")),
            self.parsed("trust_spki"),
            parse_proxy(proxy.value, self.parsed("proxy_credentials"), str(proxy.source)) if proxy.value else None,
        )
        others = {one.name: self.parsed(one.name) for one in fields(Settings) if one.name != "network"}
        return Settings(network=network, **others)

    @property
    def channels(self) -> Channels:
        """Whom a run notifies. Never part of the settings: those cross to the agent, and addresses hold secrets.

        Raises InputError as `parsed` does, also for an address that holds a password.
        """
        return Channels(self.parsed("notify"), self.parsed("notify_file"), self.parsed("smtp"))


def configure(given: Given, cwd: Path | None = None) -> Configuration:
    """Each setting from the strongest place that has a value for it.

    Raises InputError for a broken fleet.yml and as `find_config` does.
    """
    cwd = cwd or Path.cwd()
    path = find_config(given["inventory"] or (), cwd)
    layers = [_of_options(given, cwd), _of_environment(cwd), *([_of_file(path, cwd)] if path else []), _of_defaults]
    return Configuration({one.name: next(filter(None, (layer(one) for layer in layers))) for one in SETTINGS}, path)


def resolve_settings(given: Given, cwd: Path | None = None) -> Settings:
    """The settings alone. Raises InputError as `configure` and `Configuration.settings` do."""
    return configure(given, cwd).settings


def _of_options(given: Given, cwd: Path) -> Layer:
    def layer(setting: Setting) -> Value | None:
        value, source = given[setting.name], given.source(setting)
        if value in (None, "", ()):
            return None
        return _value(setting, setting.check(value, str(source)), source, cwd)

    return layer


def _of_environment(cwd: Path) -> Layer:
    def layer(setting: Setting) -> Value | None:
        if not setting.environment:
            return None
        text = os.environ.get(setting.environment)
        source = Source(SourceKind.ENVIRONMENT, setting.environment)
        return _value(setting, setting.from_text(text, str(source)), source, cwd)

    return layer


def _of_file(path: Path, cwd: Path) -> Layer:
    values, document = read_config(path)

    def layer(setting: Setting) -> Value | None:
        value = values.get(setting.name)
        source = Source(SourceKind.FILE, str(path), document.line_of((setting.name,)))
        if setting.name == "inventory" and value:
            return Value(tuple(_inventory(one, path.parent, cwd, source) for one in value), source)
        return _value(setting, value, source, path.parent)

    return layer


def _inventory(value: str, folder: Path, cwd: Path, source: Source) -> str:
    """An inventory as `-i` would have it in `cwd`; a list of hosts (with a comma) is no path."""
    if "," in value:
        return value
    path = folder / expanded(value, source)
    return str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)


def _of_defaults(setting: Setting) -> Value | None:
    return Value(setting.default(), Source(SourceKind.DEFAULT))


def _value(setting: Setting, value: Any, source: Source, folder: Path) -> Value | None:
    """A value with its paths taken from `folder`; None for an empty text or list."""
    if value in (None, "", ()):
        return None
    if setting.is_path:
        places = tuple(folder / expanded(one, source) for one in (value if setting.is_list else (value,)))
        value = places if setting.is_list else places[0]
    return Value(value, source)
