"""Checks ID tokens of the organization's identity provider (OpenID Connect Core 1.0, section 3.1.3.7)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from fleet.authority.given import MAX_TOKEN
from fleet.authority.sign_in import SignIn

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Signatures with a private key. Neither `none` nor HMAC, whose key would be a public one."""
LEEWAY = 60
"""Seconds by which two clocks may differ."""
MAX_AGE = 10 * 60
"""Seconds since the provider issued a token that was just fetched from it."""
MAX_SUBJECT = 255


class TokenRefused(Exception):
    """An ID token that proves nothing here. The message is for the administrator's log and quotes nothing of it."""


@dataclass(frozen=True)
class SignedIn:
    """What a token proves. `auth_time`: when the person signed in, if the provider says so (Unix time)."""

    subject: str
    auth_time: float | None


def check_id_token(token: str, keys: KeySet, sign_in: SignIn, nonce: str, now: float) -> SignedIn:
    """Return who signed in. Raises TokenRefused."""
    if len(token) > MAX_TOKEN:
        raise TokenRefused("it is too long")
    try:
        claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
    except (JoseError, ValueError) as error:
        raise TokenRefused(f"its signature is not one of the provider's keys ({type(error).__name__})") from None
    _check_sender(claims, sign_in)
    _check_times(claims, now)
    if not hmac.compare_digest(str(claims.get("nonce")).encode(), nonce.encode()):
        raise TokenRefused("nonce: it was issued for another sign-in")
    subject = claims.get(sign_in.subject_claim)
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
        raise TokenRefused(f"{sign_in.subject_claim}: it names no person")
    return SignedIn(subject, _time(claims, "auth_time") if "auth_time" in claims else None)


def _check_sender(claims: dict[str, Any], sign_in: SignIn) -> None:
    if claims.get("iss") != sign_in.issuer:
        raise TokenRefused("iss: it is from another provider")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    authorized = claims.get("azp", sign_in.client_id if len(audiences) == 1 else None)
    if sign_in.client_id not in audiences or authorized != sign_in.client_id:
        raise TokenRefused("aud, azp: it is for another application")
    if sign_in.tenant is not None and claims.get("tid") != sign_in.tenant:
        raise TokenRefused("tid: it is from another tenant")


def _check_times(claims: dict[str, Any], now: float) -> None:
    if _time(claims, "exp") < now - LEEWAY:
        raise TokenRefused("exp: it has expired")
    if not now - MAX_AGE <= _time(claims, "iat") <= now + LEEWAY:
        raise TokenRefused("iat: it was not issued now; check both clocks")
    if "nbf" in claims and _time(claims, "nbf") > now + LEEWAY:
        raise TokenRefused("nbf: it is not valid yet; check both clocks")


def _time(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TokenRefused(f"{name}: it is missing or no number")
    return float(value)
