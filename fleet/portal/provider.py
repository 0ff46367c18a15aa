"""The organization's identity provider: where to sign in, its keys, and codes exchanged for ID tokens."""

from __future__ import annotations

import json
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, ValidationError

from fleet.authority.sign_in import SignIn
from fleet.loopback import is_loopback
from fleet.portal.id_token import SignedIn, TokenRefused, check_id_token
from fleet.portal.session import SignInRequest

TIMEOUT = 10.0
KEPT_SECONDS = 60 * 60
"""How long discovery document and keys are used before they are fetched again."""
AGAIN_SECONDS = 30.0
"""An unknown key fetches the keys again, but not more often than this: anybody can send one."""
MAX_BYTES = 1024 * 1024


class ProviderFailed(Exception):
    """The provider cannot be reached or its answer cannot be used. The message is for the administrator's log."""


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


class Provider:
    """Talks to one identity provider after another, if `site.json` changes it. `secret`: None for a public client."""

    def __init__(self, secret: str | None = None) -> None:
        self._secret = secret
        self._metadata: tuple[str, float, Metadata] | None = None
        self._keys: tuple[str, float, KeySet] | None = None

    async def metadata(self, sign_in: SignIn) -> Metadata:
        """Return the discovery document. Raises ProviderFailed, also if it is another issuer's."""
        known = self._metadata
        if known and known[0] == sign_in.issuer and time.monotonic() - known[1] < KEPT_SECONDS:
            return known[2]
        address = f"{sign_in.issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            metadata = Metadata.model_validate(await self._get(address))
        except ValidationError as error:
            raise ProviderFailed(f"{address}: {error.errors()[0]['loc']} is missing or invalid") from None
        if metadata.issuer != sign_in.issuer:
            raise ProviderFailed(f"{address} is of another issuer than {sign_in.issuer}")
        for endpoint in (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri):
            _require_tls(endpoint)
        self._metadata = sign_in.issuer, time.monotonic(), metadata
        return metadata

    async def keys(self, sign_in: SignIn, *, no_older_than: float = KEPT_SECONDS) -> KeySet:
        """Return the provider's public keys. Raises ProviderFailed."""
        address = (await self.metadata(sign_in)).jwks_uri
        known = self._keys
        if known and known[0] == address and time.monotonic() - known[1] < no_older_than:
            return known[2]
        try:
            keys = KeySet.import_key_set(await self._get(address))
        except (JoseError, ValueError, KeyError, TypeError):
            raise ProviderFailed(f"{address} has no keys that can be used") from None
        self._keys = address, time.monotonic(), keys
        return keys

    async def address(self, sign_in: SignIn, back: str, state: str, request: SignInRequest) -> str:
        """Return where the browser goes to sign in. `back`: our own address to return to. Raises ProviderFailed."""
        metadata = await self.metadata(sign_in)
        afresh = {} if request.statement is None else {"prompt": "login", "max_age": "0"}
        async with self._client(sign_in, metadata, back) as client:
            address, _ = client.create_authorization_url(
                metadata.authorization_endpoint,
                state=state,
                nonce=request.nonce,
                code_verifier=request.verifier,
                **afresh,
            )
        return str(address)

    async def redeem(self, sign_in: SignIn, back: str, code: str, request: SignInRequest) -> tuple[str, SignedIn]:
        """Return the ID token for a code, and who signed in. Raises ProviderFailed and TokenRefused."""
        metadata = await self.metadata(sign_in)
        try:
            async with self._client(sign_in, metadata, back) as client:
                answer = await client.fetch_token(
                    metadata.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=request.verifier,
                )
        except OAuthError as error:
            raise TokenRefused(f"the provider did not accept the code ({error.error})") from None
        except (httpx2.HTTPError, ValueError) as error:
            raise ProviderFailed(f"{metadata.token_endpoint}: {type(error).__name__}") from None
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise TokenRefused("the provider sent no ID token")
        return token, await self._check(token, sign_in, request)

    async def _check(self, token: str, sign_in: SignIn, request: SignInRequest) -> SignedIn:
        keys = await self.keys(sign_in)
        try:
            return check_id_token(token, keys, sign_in, request.nonce, time.time())
        except TokenRefused:
            newer = await self.keys(sign_in, no_older_than=AGAIN_SECONDS)  # the provider may have changed its key
            if newer is keys:
                raise
            return check_id_token(token, newer, sign_in, request.nonce, time.time())

    def _client(self, sign_in: SignIn, metadata: Metadata, back: str) -> Any:
        methods = metadata.token_endpoint_auth_methods_supported
        with_secret = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        return AsyncOAuth2Client(
            sign_in.client_id,
            self._secret,
            token_endpoint_auth_method=with_secret if self._secret else "none",
            scope="openid",
            redirect_uri=back,
            code_challenge_method="S256",
            **_connection(metadata.token_endpoint),
        )

    async def _get(self, address: str) -> Any:
        _require_tls(address)
        content = b""
        try:
            async with (
                httpx2.AsyncClient(**_connection(address)) as client,
                client.stream("GET", address, headers={"accept": "application/json"}) as answer,
            ):
                answer.raise_for_status()
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > MAX_BYTES:
                        raise ProviderFailed(f"{address}: its answer is too long")
            return json.loads(content)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise ProviderFailed(f"{address}: {error or type(error).__name__}") from None
        except ValueError:
            raise ProviderFailed(f"{address}: its answer is not JSON") from None


def _connection(address: str) -> dict[str, Any]:
    # The system's roots, and those in SSL_CERT_FILE; the environment's proxies, but not for this machine.
    is_here = is_loopback(urlsplit(address).hostname or "")
    return {"verify": ssl.create_default_context(), "timeout": TIMEOUT, "trust_env": not is_here}


def _require_tls(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise ProviderFailed(f"{address} is not an https:// address")
