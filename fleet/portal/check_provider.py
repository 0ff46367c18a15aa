"""Tries the identity provider: what it announces, and what a sign-in really brings."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from fleet.authority.id_token import ALGORITHMS, SignedBy, TokenRefused
from fleet.authority.instruction import Assurance
from fleet.errors import InputError
from fleet.portal.provider import Provider, ProviderFailed
from fleet.portal.published import Site
from fleet.portal.session import SignInRequest
from fleet.portal.sign_in import callback_of


@dataclass(frozen=True)
class Finding:
    """One thing that was found out. `is_fault`: nobody can sign in like this."""

    name: str
    text: str
    is_fault: bool = False


async def check_provider(site: Site, provider: Provider) -> list[Finding]:
    """Return what was found, in the order in which it was tried; a fault ends it."""
    sign_in = site.sign_in
    found = [
        Finding("issuer", sign_in.issuer),
        Finding("redirect URI", f"{callback_of(site)} (register it at the provider)"),
    ]
    try:
        published = await provider.published(sign_in)
    except ProviderFailed as error:
        return [*found, Finding("discovery", str(error), is_fault=True)]
    metadata, keys = published.metadata, published.keys
    found.append(Finding("discovery", "found, and of this issuer"))
    kinds = sorted({str(key.get("kty")) for key in keys})
    found.append(Finding("keys", f"{len(keys)} ({', '.join(kinds)})"))
    offered = metadata.id_token_signing_alg_values_supported
    usable = [one for one in offered if one in ALGORITHMS]
    found.append(Finding("signatures", ", ".join(usable) or f"none of {', '.join(ALGORITHMS)}", is_fault=not usable))
    is_said = "S256" in metadata.code_challenge_methods_supported
    found.append(Finding("PKCE (S256)", "offered" if is_said else "not announced; it is sent anyway"))
    found.append(Finding("prompt=login", _prompt(metadata.prompt_values_supported)))
    claims = metadata.claims_supported
    is_fresh = "auth_time" in claims
    found.append(
        Finding(
            "auth_time",
            "announced: mandates can count as oidc"
            if is_fresh
            else "not announced: unless it is sent anyway, mandates count as oidc_session",
        )
    )
    wanted = filter(None, (sign_in.subject_claim, "tid" if sign_in.tenant else None))
    said = {True: "announced", False: "not announced; --sign-in tries it"}
    return [*found, *(Finding(name, said[name in claims]) for name in wanted)]


async def check_sign_in(site: Site, provider: Provider, ask: Callable[[str], str]) -> list[Finding]:
    """Return what a sign-in brings that asks for the same as a mandate does, but signs no instruction.

    `ask` is given the address to open and returns the one to which the provider sent the browser back: the portal knows
    nothing of this sign-in, so it need not be running. Raises InputError if that is another address.
    """
    going = SignInRequest("", secrets.token_urlsafe(48), statement=secrets.token_hex(32))
    state, back = secrets.token_urlsafe(32), callback_of(site)
    try:
        came_back = ask(await provider.address(site.sign_in, back, state, going))
        answer = {name: values[0] for name, values in parse_qs(urlsplit(came_back.strip()).query).items()}
        if not came_back.strip().startswith(f"{back}?") or answer.get("state") != state:
            raise InputError(f"That is not where this sign-in ends: an address that begins with {back}?")
        if "code" not in answer:
            return [Finding("sign-in", f"the provider answered {answer.get('error', 'without a code')}", is_fault=True)]
        _, who = await provider.redeem(site.sign_in, back, answer["code"], going)
    except (ProviderFailed, TokenRefused) as error:
        fix = "; check client_id and --client-secret" if "invalid_client" in str(error) else ""
        return [Finding("sign-in", f"{error}{fix}", is_fault=True)]
    return [
        Finding("sign-in", "works: the signature, the issuer and the nonce are right"),
        Finding("claims", ", ".join(who.claims)),
        Finding("fleet_subject", f"{who.subject} (the value of {site.sign_in.subject_claim})"),
        Finding("assurance", _assurance(who)),
    ]


def _assurance(who: SignedBy) -> str:
    if who.assurance is Assurance.OIDC:
        return "oidc: mandates are proved by a fresh sign-in"
    if who.signed_in_at is None:
        return "oidc_session: the token has no auth_time"
    seconds = round((who.signed_at - who.signed_in_at).total_seconds())
    return f"oidc_session: the sign-in was {seconds} s before the token, so the provider did not ask for it again"


def _prompt(values: tuple[str, ...] | None) -> str:
    if values is None:
        return "not announced; --sign-in tries it"
    return "offered" if "login" in values else "not offered: people are not asked to sign in again"
