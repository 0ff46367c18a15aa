"""The identity provider's published keys, read over TLS, and those that it had before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from fleet.authority.sign_in import is_encrypted
from fleet.errors import FleetError
from fleet.loopback import http_client_options
from fleet.validation import mistakes

TIMEOUT = 10.0
"""Seconds for each answer."""
MAX_BYTES = 512 * 1024


class Metadata(BaseModel):
    """The part of the discovery document that is used (OpenID Connect Discovery 1.0, section 3)."""

    model_config = ConfigDict(frozen=True)

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    id_token_signing_alg_values_supported: tuple[str, ...] = ()
    code_challenge_methods_supported: tuple[str, ...] = ()
    prompt_values_supported: tuple[str, ...] | None = None
    claims_supported: tuple[str, ...] = ()


@dataclass(frozen=True)
class PublishedProvider:
    """What an identity provider says about itself."""

    metadata: Metadata
    keys: tuple[Mapping[str, Any], ...]
    """Its public keys (JWKs)."""


def read_provider(issuer: str) -> PublishedProvider:
    """Return what the provider publishes now. Raises FleetError if that cannot be read or is another issuer's."""
    address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        metadata = Metadata.model_validate(_json(address))
    except ValidationError as error:
        where, what = next(mistakes(error))
        raise FleetError(f"{address}: {'.'.join(map(str, where))}: {what}; check issuer in fleet.yml.") from None
    if metadata.issuer != issuer:
        raise FleetError(f"{address} is of another issuer than {issuer}; correct issuer in fleet.yml.")
    for endpoint in (metadata.authorization_endpoint, metadata.token_endpoint):
        _require_encrypted(endpoint)
    keys = _json(metadata.jwks_uri).get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise FleetError(f"{metadata.jwks_uri} has no list of keys; check issuer in fleet.yml.")
    return PublishedProvider(metadata, tuple(keys))


def _require_encrypted(address: str) -> None:
    if not is_encrypted(address):
        raise FleetError(f"{address} is not an https:// address; check issuer in fleet.yml.")


def _json(address: str) -> dict[str, Any]:
    _require_encrypted(address)
    try:
        url = httpx.URL(address)
        client = httpx.Client(**http_client_options(url.host, TIMEOUT))
        with client, client.stream("GET", url) as answer:
            if answer.status_code != 200:
                raise FleetError(f"{address} answered {answer.status_code}; check issuer in fleet.yml.")
            content = b""
            for part in answer.iter_bytes():
                content += part
                if len(content) > MAX_BYTES:
                    raise FleetError(f"{address} sent more than {MAX_BYTES // 1024} KiB; check issuer in fleet.yml.")
        data = json.loads(content)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise FleetError(f"{address} is unreachable ({error or type(error).__name__}).") from None
    except ValueError:
        raise FleetError(f"{address} did not send JSON; check issuer in fleet.yml.") from None
    if not isinstance(data, dict):
        raise FleetError(f"{address} did not send a JSON object; check issuer in fleet.yml.")
    return data
