"""Instructions: what an employee agrees to when they give a mandate, and how it is known to be their own."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from fleet.authority.attestations import Name, Service
from fleet.authority.mandates import IsoDate

MAX_STATEMENT = 8 * 1024
"""Bytes of an instruction as JSON."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ControlName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}\.[a-z][a-z0-9_]{0,39}$")]
"""Service and control, such as `linkedin.ai_training`."""
ProfileText = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
Version = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Assurance(StrEnum):
    """How a mandate is known to be the employee's own, strongest first."""

    OIDC = "oidc"
    """Signed by the organization's identity provider after a fresh sign-in."""
    OIDC_SESSION = "oidc_session"
    """The same without proof that the sign-in was fresh."""
    DESK = "desk"
    """Given beside an operator."""
    CLAIMED = "claimed"
    """An administrator wrote it down."""

    def is_at_least(self, weakest: Assurance) -> bool:
        """Return True if this one is as strong as `weakest` or stronger."""
        order = list(Assurance)
        return order.index(self) <= order.index(weakest)


class TextId(BaseModel):
    """Which text the employee agreed to. `sha256` is the digest of the whole text in UTF-8."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: Language
    version: Version
    sha256: Sha256


class Instruction(BaseModel):
    """What an employee instructs the organization to do.

    It travels as JSON, byte for byte as it was made: its SHA-256 is the `nonce` that the identity provider signs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1]
    employee: Name
    controls: Annotated[tuple[ControlName, ...], Field(min_length=1, max_length=100)]
    profiles: Annotated[dict[Service, ProfileText], Field(max_length=100)]
    """The employee's own profile, by service."""
    text: TextId
    granted_on: IsoDate
    expires_on: IsoDate
    """The last day on which it counts (UTC)."""
    random: Sha256
    """64 random hex digits: no two instructions share a nonce."""

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if self.expires_on < self.granted_on:
            raise ValueError("expires_on is before granted_on")
        return self

    @property
    def services(self) -> tuple[str, ...]:
        """The services that it names, in order."""
        return tuple(sorted({control.partition(".")[0] for control in self.controls}))


def nonce_of(statement: str) -> str:
    """Return the nonce that binds a sign-in to an instruction as it was written: its SHA-256 in hex."""
    return hashlib.sha256(statement.encode()).hexdigest()
