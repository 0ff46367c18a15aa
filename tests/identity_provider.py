"""An identity provider on loopback that signs what a test asks it to: real keys, real TLS, its own mistakes.

What strangers' providers do is seen in tests/portal; here the subject is what is refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme
from joserfc import jws
from joserfc.jwk import ECKey, Key, OctKey, RSAKey

TEXT = "I instruct Example AG to switch this setting off for me.\n"
CLIENT = "fleet-portal"
SUBJECT = "7d0c9a4e-anna"


class SigningProvider:
    """Signs ID tokens. `keys` are what it publishes now."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.key: Key = ECKey.generate_key("P-256", {"kid": "first"})
        self.keys: list[dict[str, Any]] = [dict(self.key.as_dict(private=False))]

    def claims(self, statement: str, **changed: Any) -> dict[str, Any]:
        """The claims of a fresh sign-in for a statement."""
        now = int(datetime.now(UTC).timestamp())
        told = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": SUBJECT,
            "nonce": hashlib.sha256(statement.encode()).hexdigest(),
            "iat": now,
            "exp": now + 300,
            "auth_time": now - 5,
        }
        return {name: value for name, value in (told | changed).items() if value is not None}

    def sign(self, claims: dict[str, Any], key: Key | None = None, **header: Any) -> str:
        """A token with these claims."""
        protected = {"alg": "ES256", "kid": "first"} | header
        return jws.serialize_compact(protected, json.dumps(claims).encode(), key or self.key, [protected["alg"]])

    def rotate(self) -> None:
        """From now on another key, and only that one."""
        self.key = RSAKey.generate_key(2048, {"kid": "second"})
        self.keys = [dict(self.key.as_dict(private=False))]

    def with_public_key_as_secret(self, claims: dict[str, Any]) -> str:
        """HS256, keyed with the public key that everybody knows: a classic forgery."""
        secret = OctKey.import_key(json.dumps(self.keys[0]).encode())
        return self.sign(claims, secret, alg="HS256")

    def unsigned(self, claims: dict[str, Any]) -> str:
        """No signature at all (alg none)."""
        parts = [json.dumps({"alg": "none"}).encode(), json.dumps(claims).encode()]
        encoded = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts]
        return ".".join([*encoded, ""])


@contextmanager
def signing_provider(folder: Path) -> Iterator[SigningProvider]:
    """Run one, with a certificate of an authority that `folder`/ca.pem trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {
                "/.well-known/openid-configuration": {
                    "issuer": provider.issuer,
                    "jwks_uri": f"{provider.issuer}/keys",
                    "authorization_endpoint": f"{provider.issuer}/authorize",
                    "token_endpoint": f"{provider.issuer}/token",
                    "id_token_signing_alg_values_supported": ["ES256"],
                    "code_challenge_methods_supported": ["S256"],
                },
                "/keys": {"keys": provider.keys},
            }
            content = known.get(self.path)
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    provider = SigningProvider(f"https://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()


def statement(employee: str = "anna", **changed: Any) -> str:
    """What an employee agrees to, as the portal writes it."""
    today = datetime.now(UTC).date()
    told = {
        "v": 1,
        "employee": employee,
        "controls": ["linkedin.ai_training"],
        "profiles": {"linkedin": "anna-keller"},
        "text": {"language": "en", "version": "1", "sha256": hashlib.sha256(TEXT.encode()).hexdigest()},
        "granted_on": today.isoformat(),
        "expires_on": (today + timedelta(days=365)).isoformat(),
        "random": secrets.token_hex(32),
    }
    return json.dumps(told | changed)


def settings_of(provider: SigningProvider) -> str:
    """What fleet.yml says about it."""
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    return (
        "mandate_texts: texts\n"
        "portal:\n  url: https://optout.example.com\n  organization: Example AG\n  contact: privacy@example.com\n"
        f"  sign_in: {{issuer: '{provider.issuer}', client_id: {CLIENT}}}\n"
        f"  texts: {{en: {{version: '1', sha256: {digest}}}}}\n"
    )
