"""ID tokens: check that the organization's identity provider signed a mandate, for whom, when and how."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jwk, jws
from joserfc.errors import JoseError

from fleet.authority.instruction import Assurance
from fleet.authority.sign_in import SignIn

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
"""Signatures with a key pair. With the others (HS256, none) a token proves nothing about who made it."""
FRESH = timedelta(minutes=2)
"""Time from sign-in to token within which a sign-in counts as fresh."""
TOLERANCE = timedelta(minutes=5)
"""How far the provider's clock may be ahead of ours."""
LEEWAY = timedelta(minutes=1)
"""The same for a token that was just fetched."""
AT_MOST = timedelta(minutes=10)
"""Age of such a token."""
MAX_SUBJECT = 255
"""Characters (OpenID Connect Core 1.0, section 2)."""
_LEAST_RSA_BITS = 2048
_PUBLIC = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
"""Members of a public key, in the order of RFC 7638."""


class TokenRefused(ValueError):
    """The token does not prove what it has to; the text says why."""


@dataclass(frozen=True)
class SignedBy:
    """What a token proves."""

    subject: str
    """The value of the claim that identifies the person."""
    signed_at: datetime
    signed_in_at: datetime | None
    """When the person signed in, if the provider says so (`auth_time`)."""
    expires_at: datetime
    key: dict[str, str]
    """The public key that signed it (a JWK, its required members only)."""
    claims: tuple[str, ...] = ()
    """Names of its claims, in order."""

    @property
    def assurance(self) -> Assurance:
        """`oidc` only where the provider says that the person signed in just before it signed."""
        if self.signed_in_at is None:
            return Assurance.OIDC_SESSION
        is_fresh = -TOLERANCE <= self.signed_at - self.signed_in_at <= FRESH
        return Assurance.OIDC if is_fresh else Assurance.OIDC_SESSION

    def require_current(self, now: datetime) -> None:
        """Refuse a token that was not issued just now. Raises TokenRefused."""
        if not now - AT_MOST <= self.signed_at <= now + LEEWAY or self.expires_at < now - LEEWAY:
            raise TokenRefused("id_token: iat and exp are not of now; check both clocks")


def check(
    token: str, keys: Iterable[Mapping[str, Any]], sign_in: SignIn, nonce: str, now: datetime | None = None
) -> SignedBy:
    """Return what a token proves; `keys` are the provider's (JWKs). Raises TokenRefused.

    `exp` is not compared with today: what counts is when the provider signed, and the mandate has dates of its own.
    """
    key, payload = _signed_part(token, keys)
    try:
        claims = json.loads(payload)
    except ValueError:
        claims = None
    if not isinstance(claims, dict):
        raise TokenRefused("id_token: its content is not a JSON object")
    _require(claims, "iss", sign_in.issuer)
    _require(claims, "nonce", nonce)
    if sign_in.tenant is not None:
        _require(claims, "tid", sign_in.tenant)
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if sign_in.client_id not in audiences:
        raise TokenRefused("id_token: aud is not this portal's client")
    if claims.get("azp", sign_in.client_id if len(audiences) == 1 else None) != sign_in.client_id:
        raise TokenRefused("id_token: azp is another client")
    subject = claims.get(sign_in.subject_claim)
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
        raise TokenRefused(f"id_token: {sign_in.subject_claim} is missing")
    signed_at, expires = _time(claims, "iat"), _time(claims, "exp")
    if signed_at is None or expires is None or expires < signed_at:
        raise TokenRefused("id_token: iat and exp must be times, in this order")
    if signed_at > (now or datetime.now(UTC)) + TOLERANCE:
        raise TokenRefused(f"id_token: iat {signed_at.isoformat()} is in the future")
    begins = _time(claims, "nbf")
    if begins is not None and begins > (now or datetime.now(UTC)) + TOLERANCE:
        raise TokenRefused("id_token: nbf is in the future")
    return SignedBy(subject, signed_at, _time(claims, "auth_time"), expires, key, tuple(sorted(claims)))


def _signed_part(token: str, keys: Iterable[Mapping[str, Any]]) -> tuple[dict[str, str], bytes]:
    """Return the key that signed a token, and its payload."""
    try:
        header = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError):
        raise TokenRefused("id_token: not a signed token") from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise TokenRefused(f"id_token: alg must be one of {', '.join(ALGORITHMS)}")
    is_known = False
    for one in keys:
        is_meant = kid is None or one.get("kid") == kid
        if not is_meant or one.get("kty") not in _PUBLIC or one.get("use", "sig") != "sig":
            continue
        is_known = True
        try:
            public = {name: str(one[name]) for name in _PUBLIC[one["kty"]]}
            key = jwk.import_key(dict(public))
            if isinstance(key, jwk.RSAKey) and key.public_key.key_size < _LEAST_RSA_BITS:
                raise TokenRefused(f"id_token: its RSA key has fewer than {_LEAST_RSA_BITS} bits")
            signed = jws.deserialize_compact(token.encode(), key, algorithms=list(ALGORITHMS))
        except TokenRefused:
            raise
        except (JoseError, KeyError, ValueError):
            continue
        return public, signed.payload or b""
    if not is_known:
        raise TokenRefused("id_token: the identity provider has no such key")
    raise TokenRefused("id_token: the signature is not the identity provider's")


def _require(claims: Mapping[str, Any], name: str, wanted: str) -> None:
    if claims.get(name) != wanted:
        raise TokenRefused(f"id_token: {name} is not {'that of the statement' if name == 'nonce' else wanted}")


def _time(claims: Mapping[str, Any], name: str) -> datetime | None:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10**11:
        return None
    return datetime.fromtimestamp(value, UTC)
