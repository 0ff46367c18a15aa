"""What every request must pass before a page sees it, and the headers that every answer has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 16 * 1024
REQUEST_SECONDS = 60
"""For one request as a whole, so that a slow sender holds no place for ever. The provider gets some of it."""

_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'",
    "cache-control": "no-store",
    # Not no-referrer: with that, browsers send `Origin: null` with our own forms (Fetch, section 3.2).
    # To other sites it says as little.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "strict-transport-security": "max-age=31536000",
    "x-robots-tag": "noindex",
}


class Guard:
    """Wraps the application. `url` returns the portal's own address, None while it is not known."""

    def __init__(self, app: ASGIApp, url: Callable[[], str | None]) -> None:
        self._app, self._url = app, url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        url = self._url()
        if url is not None and not _is_our_host(scope, url):
            await PlainTextResponse("This host is not served here.\n", 421)(scope, receive, _with_headers(send))
            return
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                await self._app(scope, _limited(receive), _with_headers(send))
        except TimeoutError:
            return  # uvicorn ends the connection


def require_own_page(headers: Headers, method: str, url: str) -> None:
    """Refuse a request that another site began, but for following a link to us. Raises HTTPException (403)."""
    site = headers.get("sec-fetch-site")
    if method in ("GET", "HEAD"):
        is_link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        if site in ("cross-site", "same-site") and not is_link:
            raise HTTPException(403)
        return
    # Browsers before 2023 send no Fetch Metadata; all send Origin with a form.
    if site not in (None, "same-origin") or headers.get("origin") != origin_of(url):
        raise HTTPException(403)


def origin_of(url: str) -> str:
    """Return the origin of an address as browsers write it, such as https://optout.example.com."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _is_our_host(scope: Scope, url: str) -> bool:
    parts = urlsplit(url)
    ours = parts.netloc.lower()
    known = {ours} if parts.port else {ours, f"{ours}:{443 if parts.scheme == 'https' else 80}"}
    return Headers(scope=scope).getlist("host") in [[name] for name in known]


def _limited(receive: Receive) -> Receive:
    """Return a `receive` that ends a request whose body is too long."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY:
            raise HTTPException(413)
        return message

    return limited


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
