"""The form of fleet.yml, with what its values may be."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from fleet.hours import Hours

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
