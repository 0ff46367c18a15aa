"""Tries the identity provider and tells what it offers, before anybody signs in."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.authority.id_token import ALGORITHMS
from fleet.portal.provider import Provider, ProviderFailed
from fleet.portal.published import Site
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
    said = {True: "announced", False: "not announced; try one sign-in"}
    return [*found, *(Finding(name, said[name in claims]) for name in wanted)]


def _prompt(values: tuple[str, ...] | None) -> str:
    if values is None:
        return "not announced; try one mandate"
    return "offered" if "login" in values else "not offered: people are not asked to sign in again"
