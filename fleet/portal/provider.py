"""The organization's identity provider: where to sign in, its keys, and codes exchanged for ID tokens."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from fleet.authority.given import MAX_TOKEN
from fleet.authority.id_token import SignedBy, TokenRefused, check
from fleet.authority.identity_provider import TIMEOUT, Metadata, PublishedProvider, read_provider
from fleet.authority.sign_in import SignIn
from fleet.errors import FleetError
from fleet.loopback import http_client_options
from fleet.portal.session import SignInRequest

KEPT_SECONDS = 60 * 60
"""How long discovery document and keys are used before they are fetched again."""
AGAIN_SECONDS = 30.0
"""An unknown key fetches the keys again, but not more often than this: anybody can send one."""


class ProviderFailed(Exception):
    """The provider cannot be reached or its answer cannot be used. The message is for the administrator's log."""


class Provider:
    """Talks to one identity provider after another, if `site.json` changes it. `secret`: None for a public client."""

    def __init__(self, secret: str | None = None) -> None:
        self._secret = secret
        self._known: tuple[str, float, PublishedProvider] | None = None

    async def published(self, sign_in: SignIn, *, no_older_than: float | None = None) -> PublishedProvider:
        """Return discovery document and keys. Raises ProviderFailed, also if they are another issuer's."""
        known, most = self._known, KEPT_SECONDS if no_older_than is None else no_older_than
        if known and known[0] == sign_in.issuer and time.monotonic() - known[1] < most:
            return known[2]
        try:
            published = await asyncio.to_thread(read_provider, sign_in.issuer)
        except FleetError as error:
            raise ProviderFailed(str(error)) from None
        self._known = sign_in.issuer, time.monotonic(), published
        return published

    async def address(self, sign_in: SignIn, back: str, state: str, request: SignInRequest) -> str:
        """Return where the browser goes to sign in. `back`: our own address to return to. Raises ProviderFailed."""
        metadata = (await self.published(sign_in)).metadata
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

    async def redeem(self, sign_in: SignIn, back: str, code: str, request: SignInRequest) -> tuple[str, SignedBy]:
        """Return the ID token for a code, and who signed in. Raises ProviderFailed and TokenRefused."""
        metadata = (await self.published(sign_in)).metadata
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

    async def _check(self, token: str, sign_in: SignIn, request: SignInRequest) -> SignedBy:
        known = await self.published(sign_in)
        try:
            return _checked(token, known, sign_in, request)
        except TokenRefused:
            newer = await self.published(sign_in, no_older_than=AGAIN_SECONDS)  # the provider may have changed its key
            if newer is known:
                raise
            return _checked(token, newer, sign_in, request)

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
            **http_client_options(urlsplit(metadata.token_endpoint).hostname or "", TIMEOUT),
        )


def _checked(token: str, published: PublishedProvider, sign_in: SignIn, request: SignInRequest) -> SignedBy:
    now = datetime.now(UTC)
    if len(token) > MAX_TOKEN:
        raise TokenRefused("id_token: longer than is taken in")
    signed = check(token, published.keys, sign_in, request.nonce, now)
    signed.require_current(now)
    return signed
