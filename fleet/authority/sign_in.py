"""The organization's identity provider: who signs in to the portal, and who signed a mandate's ID token."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

Line = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]


class SignIn(BaseModel):
    """The organization's identity provider (OpenID Connect)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: Annotated[Line, StringConstraints(pattern=r"^https://")]
    """Compared exactly with the provider's own `issuer` and with each token's `iss`."""
    client_id: Line
    tenant: Line | None = None
    """Required value of the claim `tid`, for providers that serve many organizations."""
    subject_claim: Literal["sub", "oid"] = "sub"
    """The claim that identifies a person: `oid` for Microsoft Entra, whose `sub` differs for each application."""
