"""Settings of a run and their sources: the command line overrides the environment, which overrides fleet.yml."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from fleet.browser.network import Network
from fleet.browser.proxy import parse_proxy
from fleet.model import FAILING, Accepted, Outcome
from fleet.notify.targets import Channels
from fleet.paths import StateDir
from fleet.settings.file import expanded, find_config, read_config
from fleet.settings.hours import Hours
from fleet.settings.setting import Setting
from fleet.settings.table import SETTINGS, setting_named
from fleet.settings.values import (
    ApprovedText,
    AttestationPolicy,
    BreakerLimits,
    Closed,
    Desk,
    MandatePolicy,
    Pause,
    PortalSite,
    Retention,
)
from fleet.ssh import WorkerAddress


class SourceKind(StrEnum):
    """Kinds of places that a setting can come from."""

    OPTION = "option"
    ROLE_VARIABLE = "role variable"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True)
class Source:
    """Where a value came from: `name` is an option, a variable or a file path; only a file has a line."""

    kind: SourceKind
    name: str = ""
    line: int | None = None

    def __str__(self) -> str:
        return self.kind if self.kind is SourceKind.DEFAULT else f"{self.name}:{self.line}" if self.line else self.name


class Given:
    """What was passed on the command line or as role variables: one value per setting.

    None, an empty string or an empty list means that it was not passed.
    """

    def __init__(self, kind: SourceKind = SourceKind.OPTION, **values: Any) -> None:
        unknown = values.keys() - {setting.name for setting in SETTINGS}
        if unknown:
            raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
        self._kind, self._values = kind, values

    def __getitem__(self, name: str) -> Any:
        return self._values.get(name)

    def source(self, setting: Setting) -> Source:
        """Return the option or variable that passes a setting."""
        if self._kind is SourceKind.ROLE_VARIABLE and setting.role_variable:
            return Source(self._kind, setting.role_variable)
        return Source(SourceKind.OPTION, setting.option.name if setting.option else setting.name)


@dataclass(frozen=True)
class Settings:
    """Settings that a run acts on. `inventory` is what `ansible -i` takes, as passed or as named in fleet.yml.

    Each field except `network` is the setting of that name.
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
    """None if the circuit breaker is off."""
    pause: Pause = field(default_factory=Pause)
    hours: dict[str, Hours] = field(default_factory=dict)
    terms_accepted: dict[str, str] = field(default_factory=dict)
    personal_sessions: dict[str, str] = field(default_factory=dict)
    inbox: Path | None = None
    attestation: dict[str, AttestationPolicy] = field(default_factory=dict)
    closed: Closed | None = None
    mandates: MandatePolicy = field(default_factory=MandatePolicy)
    retention: Retention = field(default_factory=Retention)
    everybody: tuple[str, ...] = ()
    portal: PortalSite | None = None
    portal_data: Path | None = None
    mandate_texts: Path | None = None
    desk: Desk = field(default_factory=Desk)
    sandbox: bool = True
    accepted_by: str | None = None
    fail_on: frozenset[Outcome] = FAILING

    @property
    def accepted(self) -> Accepted:
        """The decisions to count as done what no page was read for."""
        by_service = {service: one.accepted_by for service, one in self.attestation.items() if one.accepted_by}
        return Accepted(by_service, self.closed is not None)

    @property
    def desk_texts(self) -> tuple[dict[str, ApprovedText], int]:
        """The texts to which employees may agree at the desk, by language, and for how many days a mandate counts."""
        if self.desk.texts or self.portal is None:
            return self.desk.texts, self.desk.mandate_days
        return self.portal.texts, self.portal.mandate_days

    @property
    def state_dir(self) -> StateDir:
        """The folders inside the state directory."""
        return StateDir(self.state)

    def of_kind(self, *, rehearsal: bool) -> Settings:
        """Return the same for a live run; for a rehearsal, with a separate state and keys next to these."""
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
"""Returns the value that one place has for a setting, or None."""


@dataclass(frozen=True)
class Configuration:
    """Every setting with its source; `file` is the fleet.yml that was read, or None."""

    values: Mapping[str, Value]
    file: Path | None = None

    def parsed(self, name: str) -> Any:
        """Return a parsed setting. Raises InputError that names the source of an invalid value."""
        found = self.values[name]
        return None if found.value is None else setting_named(name).parse(found.value, str(found.source))

    @property
    def settings(self) -> Settings:
        """Return what a run acts on. Raises InputError as `parsed` does."""
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
        """Return whom a run notifies. Not part of the settings: those cross to the agent, and addresses hold secrets.

        Raises InputError as `parsed` does, also for an address that holds a password.
        """
        return Channels(self.parsed("notify"), self.parsed("notify_file"), self.parsed("smtp"))


def configure(given: Given, cwd: Path | None = None) -> Configuration:
    """Return each setting from the place with the highest precedence that has a value.

    Raises InputError for a broken fleet.yml and as `find_config` does.
    """
    cwd = cwd or Path.cwd()
    path = find_config(given["inventory"] or (), cwd)
    layers = [_of_options(given, cwd), _of_environment(cwd), *([_of_file(path, cwd)] if path else []), _of_defaults]
    return Configuration({one.name: next(filter(None, (layer(one) for layer in layers))) for one in SETTINGS}, path)


def resolve_settings(given: Given, cwd: Path | None = None) -> Settings:
    """Return only the settings. Raises InputError as `configure` and `Configuration.settings` do."""
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
    """Return an inventory as `-i` takes it in `cwd`; a host list (with a comma) is not a path."""
    if "," in value:
        return value
    path = folder / expanded(value, source)
    return str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)


def _of_defaults(setting: Setting) -> Value | None:
    return Value(setting.default(), Source(SourceKind.DEFAULT))


def _value(setting: Setting, value: Any, source: Source, folder: Path) -> Value | None:
    """Return a value with its paths relative to `folder` made absolute; None for an empty string or list."""
    if value in (None, "", ()):
        return None
    if setting.is_path:
        places = tuple(folder / expanded(one, source) for one in (value if setting.is_list else (value,)))
        value = places if setting.is_list else places[0]
    return Value(value, source)
