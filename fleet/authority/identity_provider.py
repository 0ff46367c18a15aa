"""The identity provider's published keys, read over TLS, and those that it had before."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from fleet.authority.sign_in import is_encrypted
from fleet.errors import FleetError
from fleet.loopback import is_loopback

TIMEOUT = 10.0
"""Seconds for each answer."""
MAX_BYTES = 512 * 1024


@dataclass(frozen=True)
class Provider:
    """What an identity provider says about itself. `metadata` is its discovery document."""

    metadata: Mapping[str, Any]
    keys: tuple[Mapping[str, Any], ...]
    """Its public keys (JWKs)."""


def read_provider(issuer: str) -> Provider:
    """Return what the provider publishes (OpenID Connect Discovery 1.0). Raises FleetError if that cannot be read."""
    metadata = _json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if metadata.get("issuer") != issuer:
        raise FleetError(f"{issuer} calls itself {metadata.get('issuer')!r}; write that as issuer in fleet.yml.")
    keys = _json(str(metadata.get("jwks_uri"))).get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise FleetError(f"{issuer} publishes no list of keys; check issuer in fleet.yml.")
    return Provider(metadata, tuple(keys))


def _json(address: str) -> dict[str, Any]:
    try:
        url = httpx.URL(address)
        if not is_encrypted(address):
            raise FleetError(f"{address} is not an https:// address; check issuer in fleet.yml.")
        client = httpx.Client(
            # The system's roots, and those in SSL_CERT_FILE and SSL_CERT_DIR; httpx uses only certifi's.
            verify=ssl.create_default_context(),
            timeout=TIMEOUT,
            trust_env=not is_loopback(url.host),
        )
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
