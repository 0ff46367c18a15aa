"""Types of setting values: counts, names, paths, pauses, hours, limits of the circuit breaker."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from fleet.authority.attestations import FRESH_DAYS
from fleet.authority.countries import Country
from fleet.authority.instruction import Assurance, Language, Sha256, Version
from fleet.authority.sign_in import SignIn, encrypted
from fleet.settings.hours import Hours

MAX_FORKS = 64
MIN_PAUSE = 5.0
"""Minimum seconds for services whose terms do not allow automation."""
MAX_PAUSE = 3600.0

_VISIBLE = r"^[^\x00-\x1f\x7f]+$"
Count = Annotated[int, Field(ge=1, strict=True)]
Forks = Annotated[int, Field(ge=1, le=MAX_FORKS, strict=True)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_VISIBLE)]
Address = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=_VISIBLE)]


def _path(text: str) -> str:
    if not text or "\x00" in text:
        raise ValueError("must not be empty or contain a null character")
    return text


PathText = Annotated[str, AfterValidator(_path)]
"""A path as entered; it may contain non-UTF-8 bytes (as lone surrogates)."""


def _hours(text: str) -> str:
    Hours.parse(text)
    return text


HoursText = Annotated[str, AfterValidator(_hours)]


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


class Strict(BaseModel):
    """Hand-written keys and values: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BreakerLimits(Strict):
    """A service's circuit opens once this many employees among its last visits were challenged, found the page changed,
    or were rate limited (HTTP 429)."""

    challenges: Count = 3
    page_changes: Count = 3
    rate_limits: Count = 3
    visits: Count = 20


class AttestationPolicy(Strict):
    """What employees' attestations count for at one service: for how many days, and as done if someone accepted it."""

    accepted_by: Name | None = None
    for_days: int = Field(default=FRESH_DAYS, ge=1, le=3650, strict=True)


class Closed(StrEnum):
    """Decision to count it as done that an employee leaves a control as it is."""

    OK = "ok"


class MandatePolicy(Strict):
    """Which mandates count: those of this assurance and stronger ones.

    None: all but `oidc_session`, which must be accepted by name.
    """

    assurance: Assurance | None = None


class ApprovedText(Strict):
    """A mandate's text that the organization approved: `mandate.LANGUAGE.txt` in `mandate_texts`, by its digest."""

    version: Version
    sha256: Sha256


class Desk(Strict):
    """In which countries an employee may be invited to the desk for a personal account, and what they may agree to."""

    countries: Annotated[tuple[Country, ...], Field(max_length=1000)] = ()
    texts: dict[Language, ApprovedText] = Field(default_factory=dict)
    """Without any, those of the portal."""
    mandate_days: int = Field(default=365, ge=1, le=3650, strict=True)


class PortalSite(Strict):
    """The employees' portal: its address, whom employees ask, how they sign in, and what they may agree to."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/?#\s]+$"), AfterValidator(encrypted)]
    organization: Name
    contact: Name
    sign_in: SignIn
    texts: dict[Language, ApprovedText] = Field(default_factory=dict)
    mandate_days: int = Field(default=365, ge=1, le=3650, strict=True)


class Retention(Strict):
    """For how many days data is kept that `fleet audit prune` deletes; None: until another command deletes it."""

    pictures: int | None = Field(default=None, ge=1, le=36500, strict=True)
    tokens: int | None = Field(default=None, ge=1, le=36500, strict=True)


class _InOrder(Strict):
    shortest: float
    longest: float

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.longest < self.shortest:
            raise ValueError("longest must not be below shortest")
        return self


class ServicePause(_InOrder):
    """Seconds between two visits to one service; with 0 and 0 there is no pause, and visits may overlap."""

    shortest: float = Field(ge=0, le=MAX_PAUSE)
    longest: float = Field(ge=0, le=MAX_PAUSE)


class Pause(_InOrder):
    """Seconds between two visits to one live service, drawn anew each time; `services` overrides them."""

    shortest: float = Field(default=15, ge=MIN_PAUSE, le=MAX_PAUSE)
    longest: float = Field(default=25, ge=MIN_PAUSE, le=MAX_PAUSE)
    services: dict[Name, ServicePause] = Field(default_factory=dict)
