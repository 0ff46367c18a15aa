"""Settings of a run: the command line above the environment above fleet.yml above the defaults."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from fleet.browser.network import Network, parse_resolve, parse_spki
from fleet.browser.proxy import parse_proxy
from fleet.errors import InputError
from fleet.paths import StateDir, default_identity, default_log_key, default_state
from fleet.yamlfile import load_model

DEFAULT_FORKS = 8
MAX_FORKS = 64

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class BreakerLimits(BaseModel):
    """So many employees of a service's last visits were challenged, found the page changed, or were told to come less
    often (429): its circuit opens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    challenges: int = Field(default=3, ge=1)
    page_changes: int = Field(default=3, ge=1)
    rate_limits: int = Field(default=3, ge=1)
    visits: int = Field(default=20, ge=1)


class Pause(BaseModel):
    """Seconds between two visits to one live service, drawn anew each time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shortest: float = Field(default=15, ge=5, le=3600)
    longest: float = Field(default=25, ge=5, le=3600)

    @model_validator(mode="after")
    def _in_order(self) -> Pause:
        if self.longest < self.shortest:
            raise ValueError("longest must not be below shortest")
        return self


class ConfigFile(BaseModel):
    """fleet.yml: what is passed on every run. Paths are relative to the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: Name | None = None
    identity: Name | None = None
    log_key: Name | None = None
    recipes: tuple[Name, ...] = ()
    services: tuple[Name, ...] = ()
    controls: tuple[Name, ...] = ()
    forks: int | None = Field(default=None, ge=1, le=MAX_FORKS)
    resolve: tuple[Name, ...] = ()
    trust_spki: tuple[Name, ...] = ()
    proxy: Name | None = None
    proxy_credentials: Name | None = Field(default=None, description="Private file that holds user:password.")
    terms_accepted: dict[Name, Name] = Field(
        default_factory=dict, description="Service: reference of the decision to accept what its terms forbid."
    )
    breaker: BreakerLimits = BreakerLimits()
    pause: Pause = Pause()
    sandbox: bool = True
    accepted_by: Name | None = Field(default=None, description="Who accepted `sandbox: false`.")

    @model_validator(mode="after")
    def _sandbox_needs_a_name(self) -> ConfigFile:
        if not self.sandbox and not self.accepted_by:
            raise ValueError("sandbox: false needs accepted_by: the name of who accepted that risk")
        return self


@dataclass(frozen=True)
class Given:
    """What was passed on the command line (or as role variables): None and empty mean not given."""

    state: str | None = None
    identity: str | None = None
    log_key: str | None = None
    recipes: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    forks: int | None = None
    resolve: tuple[str, ...] = ()
    trust_spki: tuple[str, ...] = ()
    proxy: str | None = None
    breaker: bool = True


@dataclass(frozen=True)
class Settings:
    """What a run goes by. `is_state_given` is False where the state directory is the default."""

    state: Path
    identity: Path
    log_key: Path
    is_state_given: bool = False
    recipes: tuple[Path, ...] = ()
    services: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    forks: int = DEFAULT_FORKS
    network: Network = field(default_factory=Network)
    breaker: bool = True
    breaker_limits: BreakerLimits = field(default_factory=BreakerLimits)
    pause: Pause = field(default_factory=Pause)
    terms_accepted: dict[str, str] = field(default_factory=dict)
    sandbox: bool = True

    @property
    def state_dir(self) -> StateDir:
        """The folders inside the state directory."""
        return StateDir(self.state)

    def for_rehearsal(self) -> Settings:
        """The same with a state and keys of the rehearsal's own, unless a state was given."""
        if self.is_state_given:
            return self
        identity, log_key = (path.with_name(f"rehearsal-{path.name}") for path in (self.identity, self.log_key))
        return replace(self, state=self.state / "rehearsal", identity=identity, log_key=log_key)


def find_config(sources: Sequence[str], cwd: Path) -> Path | None:
    """FLEET_CONFIG, or the fleet.yml beside the first inventory that has one."""
    named = os.environ.get("FLEET_CONFIG")
    if named:
        path = cwd / named
        if not path.is_file():
            raise InputError(f"FLEET_CONFIG names {named}, which is not a file; mend or unset it.")
        return path
    for source in sources:
        place = cwd / source
        path = (place if place.is_dir() else place.parent) / "fleet.yml"
        if "," not in source and path.is_file():
            return path
    return None


def resolve_settings(given: Given, sources: Sequence[str] = (), cwd: Path | None = None) -> Settings:
    """Put the layers together.

    Raises InputError for a broken fleet.yml and for values that cannot be, with the option's name.
    """
    cwd = cwd or Path.cwd()
    path = find_config(sources, cwd)
    file = load_model(path, ConfigFile) if path else ConfigFile()
    base = path.parent if path else cwd

    def first(option: str | None, variable: str, setting: str | None, default: Path) -> tuple[Path, bool]:
        for value, folder in ((option, cwd), (os.environ.get(variable), cwd), (setting, base)):
            if value:
                return folder / _expanded(value), True
        return default, False

    state, is_state_given = first(given.state, "FLEET_STATE", file.state, default_state())
    identity, _ = first(given.identity, "FLEET_IDENTITY", file.identity, default_identity())
    log_key, _ = first(given.log_key, "FLEET_LOG_KEY", file.log_key, default_log_key())
    forks = given.forks if given.forks is not None else file.forks or DEFAULT_FORKS
    if not 1 <= forks <= MAX_FORKS:
        raise InputError(f"--forks {forks}: give a number from 1 to {MAX_FORKS}.")
    recipes = [cwd / _expanded(folder) for folder in given.recipes]
    recipes = recipes or [base / _expanded(folder) for folder in file.recipes]
    proxy = given.proxy or file.proxy
    credentials = base / _expanded(file.proxy_credentials) if file.proxy_credentials else None
    network = Network(
        dict(parse_resolve(value) for value in given.resolve or file.resolve),
        tuple(parse_spki(value) for value in given.trust_spki or file.trust_spki),
        parse_proxy(proxy, credentials) if proxy else None,
    )
    return Settings(
        state=state,
        identity=identity,
        log_key=log_key,
        is_state_given=is_state_given,
        recipes=tuple(recipes),
        services=given.services or file.services,
        controls=given.controls or file.controls,
        forks=forks,
        network=network,
        breaker=given.breaker,
        breaker_limits=file.breaker,
        pause=file.pause,
        terms_accepted=dict(file.terms_accepted),
        sandbox=file.sandbox,
    )


def _expanded(value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise InputError(f"{value}: there is no such user here; write the folder out.") from None


def given_from_variables(variables: dict[str, Any]) -> Given:
    """The role's variables (`optout_*`, docs: roles/optout/meta/argument_specs.yml) in place of the command line.

    As Ansible does, text with commas is taken for a list: `-e optout_services=linkedin,wiki`.
    Raises InputError for a value that is neither text nor a list, and for a number that is none.
    """

    def words(name: str) -> tuple[str, ...]:
        value = variables.get(name) or ()
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",")]
        if not isinstance(value, list | tuple):
            raise InputError(f"{name}: give text or a list of texts.")
        return tuple(str(item) for item in value)

    def number(name: str) -> int | None:
        value = variables.get(name)
        try:
            return None if value in (None, "") else int(str(value))
        except ValueError:
            raise InputError(f"{name}: {value} is not a number.") from None

    return Given(
        state=str(variables.get("optout_state") or "") or None,
        identity=str(variables.get("optout_identity") or "") or None,
        log_key=str(variables.get("optout_log_key") or "") or None,
        recipes=words("optout_recipes"),
        services=words("optout_services"),
        controls=words("optout_controls"),
        forks=number("optout_forks"),
        resolve=words("optout_resolve"),
        trust_spki=words("optout_trust_spki"),
        proxy=str(variables.get("optout_proxy") or "") or None,
    )
