"""An identity provider that sends whatever token a test wants: the others send only good ones."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.portal.site import ANNA, CLIENT, free_port

Claims = dict[str, Any]
Make = Callable[[Claims], str]


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


class OwnProvider:
    """Answers at `issuer`. `make` turns good claims into the token that is sent."""

    def __init__(self) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4)})
        self.nonce = ""
        self.make: Make = self.sign
        self.said_issuer = self.issuer
        self.is_down = False
        self.bodies: list[str] = []

    def sign(self, claims: Claims, **header: Any) -> str:
        """A token as it should be."""
        return jwt.encode({"alg": "RS256", "kid": self.key.kid, **header}, claims, self.key)

    def hmac_with_public_key(self, claims: Claims) -> str:
        """HS256, keyed with the public key that everybody has."""
        parts = [{"alg": "HS256", "kid": self.key.kid}, claims]
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
        digest = hmac.digest(self.key.as_pem(private=False), signed.encode(), "sha256")
        return f"{signed}.{_encoded(digest)}"

    def unsigned(self, claims: Claims) -> str:
        """Algorithm none."""
        return jwt.encode({"alg": "none"}, claims, OctKey.generate_key(256), algorithms=["none"])

    def claims(self) -> Claims:
        """What a good token says."""
        now = int(time.time())
        return {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": ANNA,
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "nonce": self.nonce,
        }

    def app(self) -> Starlette:
        """Discovery, keys and token endpoint; people never come here."""

        async def discovery(_request: Request) -> Response:
            if self.is_down:
                return Response(status_code=503)
            here = self.issuer
            return JSONResponse(
                {
                    "issuer": self.said_issuer,
                    "authorization_endpoint": f"{here}/authorize",
                    "token_endpoint": f"{here}/token",
                    "jwks_uri": f"{here}/keys",
                    "id_token_signing_alg_values_supported": ["RS256"],
                    "claims_supported": ["sub", "auth_time"],
                    "prompt_values_supported": ["none", "login"],
                    "code_challenge_methods_supported": ["S256"],
                }
            )

        async def keys(_request: Request) -> Response:
            return JSONResponse(KeySet([self.key]).as_dict(private=False))

        async def token(request: Request) -> Response:
            if self.is_down:
                return Response(status_code=503)
            self.bodies.append((await request.body()).decode())
            content = {"access_token": "x", "token_type": "Bearer", "id_token": self.make(self.claims())}
            return JSONResponse(content)

        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", discovery),
                Route("/keys", keys),
                Route("/token", token, methods=["POST"]),
            ]
        )


@contextmanager
def own_provider() -> Iterator[OwnProvider]:
    """The provider, running."""
    provider = OwnProvider()
    server = uvicorn.Server(uvicorn.Config(provider.app(), port=provider.port, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.started
    try:
        yield provider
    finally:
        server.should_exit = True
        thread.join(10)
