"""Settings of a run, and where each came from: the command line above the environment above fleet.yml."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from fleet.browser.network import Network, parse_resolve, parse_spki
from fleet.browser.proxy import parse_proxy
from fleet.errors import InputError
from fleet.model import FAILING, Outcome
from fleet.notify.targets import DEFAULT_SMTP, Channels, parse_smtp, parse_target
from fleet.paths import StateDir, default_identity, default_log_key, default_state
from fleet.settings.fail_on import parse_fail_on
from fleet.settings.file import MAX_FORKS, MAX_WORKERS, BreakerLimits, ConfigFile, Pause, expanded, find_config
from fleet.settings.hours import Hours
from fleet.ssh import WorkerAddress, parse_worker
from fleet.yamlfile import read_model

DEFAULT_FORKS = 8


@dataclass(frozen=True)
class Given:
    """What was passed on the command line (or as role variables): None and empty mean not given."""

    inventory: tuple[str, ...] = ()
    state: str | None = None
    identity: str | None = None
    log_key: str | None = None
    recipes: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    forks: int | None = None
    workers: tuple[str, ...] = ()
    resolve: tuple[str, ...] = ()
    trust_spki: tuple[str, ...] = ()
    proxy: str | None = None
    breaker: Literal["off"] | None = None
    notify: tuple[str, ...] = ()
    notify_file: str | None = None
    fail_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """What a run goes by. `inventory` is what `ansible -i` takes, as it was given or as fleet.yml names it."""

    state: Path
    identity: Path
    log_key: Path
    inventory: tuple[str, ...] = ()
    recipes: tuple[Path, ...] = ()
    services: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    forks: int = DEFAULT_FORKS
    workers: tuple[WorkerAddress, ...] = ()
    network: Network = field(default_factory=Network)
    breaker: bool = True
    breaker_limits: BreakerLimits = field(default_factory=BreakerLimits)
    pause: Pause = field(default_factory=Pause)
    hours: dict[str, Hours] = field(default_factory=dict)
    terms_accepted: dict[str, str] = field(default_factory=dict)
    personal_sessions: dict[str, str] = field(default_factory=dict)
    sandbox: bool = True
    sandbox_accepted_by: str | None = None
    fail_on: frozenset[Outcome] = FAILING

    @property
    def state_dir(self) -> StateDir:
        """The folders inside the state directory."""
        return StateDir(self.state)

    def of_kind(self, *, rehearsal: bool) -> Settings:
        """The same for real runs; for rehearsals with a state and keys of their own, wherever the state comes from."""
        if not rehearsal:
            return self
        identity, log_key = (path.with_name(f"rehearsal-{path.name}") for path in (self.identity, self.log_key))
        return replace(self, state=self.state / "rehearsal", identity=identity, log_key=log_key)


class Kind(StrEnum):
    """The places that a setting can come from, the strongest first."""

    OPTION = "option"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True)
class Origin:
    """Where a value came from: `name` is an option, a variable or a file's path; only a file has a line."""

    kind: Kind
    name: str = ""
    line: int | None = None

    def __str__(self) -> str:
        return self.kind if self.kind is Kind.DEFAULT else f"{self.name}:{self.line}" if self.line else self.name


@dataclass(frozen=True)
class Value:
    """One setting as it stands. Paths are whole; nothing else is interpreted yet."""

    value: Any
    origin: Origin


@dataclass(frozen=True)
class Key:
    """One key of fleet.yml: where else it can be given, and what holds where nobody gives it."""

    name: str
    option: str | None = None
    variable: str | None = None
    default: Callable[[], Any] = lambda: None
    is_path: bool = False


_INVENTORY = Key("inventory", "-i", default=tuple)
KEYS = (
    _INVENTORY,
    Key("state", "--state", "FLEET_STATE", default_state, is_path=True),
    Key("identity", "--identity", "FLEET_IDENTITY", default_identity, is_path=True),
    Key("log_key", "--log-key", "FLEET_LOG_KEY", default_log_key, is_path=True),
    Key("recipes", "--recipes", default=tuple, is_path=True),
    Key("services", "--service", default=tuple),
    Key("controls", "--control", default=tuple),
    Key("forks", "--forks", default=lambda: DEFAULT_FORKS),
    Key("workers", "--worker", default=tuple),
    Key("resolve", "--resolve", default=tuple),
    Key("trust_spki", "--trust-spki", default=tuple),
    Key("proxy", "--proxy"),
    Key("proxy_credentials", is_path=True),
    Key("breaker", "--breaker", default=BreakerLimits),
    Key("pause", default=Pause),
    Key("hours", default=dict),
    Key("notify", "--notify", default=tuple),
    Key("notify_file", "--notify-file", is_path=True),
    Key("fail_on", "--fail-on", default=tuple),
    Key("smtp", default=lambda: DEFAULT_SMTP),
    Key("terms_accepted", default=dict),
    Key("personal_sessions", default=dict),
    Key("sandbox", default=lambda: True),
    Key("accepted_by"),
)
"""Every setting, in the order that people read them in."""


Layer = Callable[[Key], Value | None]
"""Says what one place has for a key, None if nothing."""


@dataclass(frozen=True)
class Configuration:
    """Every setting with its origin; `file` is the fleet.yml that was read, None if there is none."""

    values: Mapping[str, Value]
    file: Path | None = None

    def __getitem__(self, key: str) -> Any:
        return self.values[key].value

    def _origin(self, key: str) -> str:
        return str(self.values[key].origin)

    @property
    def settings(self) -> Settings:
        """What a run goes by. Raises InputError for values that cannot be, with where they are written."""
        forks, proxy = self["forks"], self["proxy"]
        if not 1 <= forks <= MAX_FORKS:
            raise InputError(f"{self._origin('forks')} {forks}: give a number from 1 to {MAX_FORKS}.")
        return Settings(
            state=self["state"],
            identity=self["identity"],
            log_key=self["log_key"],
            inventory=self["inventory"],
            recipes=self["recipes"],
            services=self["services"],
            controls=self["controls"],
            forks=forks,
            workers=_workers(self["workers"], self._origin("workers")),
            network=Network(
                dict(parse_resolve(text, self._origin("resolve")) for text in self["resolve"]),
                tuple(parse_spki(text, self._origin("trust_spki")) for text in self["trust_spki"]),
                parse_proxy(proxy, self["proxy_credentials"], self._origin("proxy")) if proxy else None,
            ),
            breaker=self["breaker"] != "off",
            breaker_limits=BreakerLimits() if self["breaker"] == "off" else self["breaker"],
            pause=self["pause"],
            hours={service: Hours.parse(text) for service, text in self["hours"].items()},
            terms_accepted=dict(self["terms_accepted"]),
            personal_sessions=dict(self["personal_sessions"]),
            sandbox=self["sandbox"],
            sandbox_accepted_by=self["accepted_by"],
            fail_on=parse_fail_on(self["fail_on"], self._origin("fail_on")),
        )

    @property
    def channels(self) -> Channels:
        """Whom a run notifies. Never part of the settings: those cross to the agent, and addresses hold secrets.

        Raises InputError for an address that is none, or that carries a password.
        """
        targets = tuple(parse_target(text, self._origin("notify")) for text in self["notify"])
        return Channels(targets, self["notify_file"], parse_smtp(self["smtp"], self._origin("smtp")))


def _workers(texts: Sequence[str], origin: str) -> tuple[WorkerAddress, ...]:
    """Raises InputError for one that is none, and for two that could not be told apart."""
    workers = tuple(parse_worker(text, origin) for text in texts)
    if len(workers) > MAX_WORKERS:
        raise InputError(f"{origin}: {len(workers)} workers; name at most {MAX_WORKERS}.")
    names = [worker.name for worker in workers]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{origin}: {twice} is named twice; name each worker once.")
    return workers


def configure(given: Given, cwd: Path | None = None) -> Configuration:
    """Put the layers together: for each key the strongest that has a value, with where that stands.

    Raises InputError for a broken fleet.yml, and as `find_config` does.
    """
    cwd = cwd or Path.cwd()
    path = find_config(given.inventory, cwd)
    layers = [_of_options(given, cwd), _of_environment(cwd), *([_of_file(path, cwd)] if path else []), _of_defaults]
    return Configuration({key.name: next(filter(None, (layer(key) for layer in layers))) for key in KEYS}, path)


def resolve_settings(given: Given, cwd: Path | None = None) -> Settings:
    """The settings alone. Raises InputError as `configure` and `Configuration.settings` do."""
    return configure(given, cwd).settings


def _of_options(given: Given, cwd: Path) -> Layer:
    def layer(key: Key) -> Value | None:
        value = getattr(given, key.name) if key.option else None
        return _value(key, value, Origin(Kind.OPTION, key.option or ""), cwd)

    return layer


def _of_environment(cwd: Path) -> Layer:
    def layer(key: Key) -> Value | None:
        value = os.environ.get(key.variable) if key.variable else None
        return _value(key, value, Origin(Kind.ENVIRONMENT, key.variable or ""), cwd)

    return layer


def _of_file(path: Path, cwd: Path) -> Layer:
    file, document = read_model(path, ConfigFile)

    def layer(key: Key) -> Value | None:
        value = getattr(file, key.name) if key.name in file.model_fields_set else None
        if key is _INVENTORY and value:
            origin = Origin(Kind.FILE, str(path), document.line_of((key.name,)))
            return Value(tuple(_source(one, path.parent, cwd, origin) for one in value), origin)
        return _value(key, value, Origin(Kind.FILE, str(path), document.line_of((key.name,))), path.parent)

    return layer


def _source(value: str, folder: Path, cwd: Path, origin: Origin) -> str:
    """An inventory as `-i` would have it in `cwd`; a list of hosts (with a comma) is no path."""
    if "," in value:
        return value
    path = folder / expanded(value, origin)
    return str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)


def _of_defaults(key: Key) -> Value | None:
    return Value(key.default(), Origin(Kind.DEFAULT))


def _value(key: Key, value: Any, origin: Origin, folder: Path) -> Value | None:
    """What one place says, its paths from `folder` on; None where it says nothing or gives an empty text or list."""
    if value in (None, "", ()):
        return None
    if key.is_path:
        several = isinstance(value, tuple)
        places = tuple(folder / expanded(one, origin) for one in (value if several else (value,)))
        value = places if several else places[0]
    return Value(value, origin)
