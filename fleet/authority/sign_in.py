"""The organization's identity provider: who signs in to the portal, and who signed a mandate's ID token."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from fleet.loopback import is_loopback

Line = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]


def is_encrypted(address: str) -> bool:
    """Return True for an https:// address, and for one that does not leave this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def encrypted(address: str) -> str:
    """Return the address. Raises ValueError if it would be read by others on its way."""
    if not is_encrypted(address):
        raise ValueError("must be an https:// address (http:// only for this machine)")
    return address


class SignIn(BaseModel):
    """The organization's identity provider (OpenID Connect)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: Annotated[Line, AfterValidator(encrypted)]
    """Compared exactly with the provider's own `issuer` and with each token's `iss`."""
    client_id: Line
    tenant: Line | None = None
    """Required value of the claim `tid`, for providers that serve many organizations."""
    subject_claim: Literal["sub", "oid"] = "sub"
    """The claim that identifies a person: `oid` for Microsoft Entra, whose `sub` differs for each application."""
