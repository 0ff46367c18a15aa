"""Answers that all played services share: pages from templates, assets, and a connection that breaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

_HERE = Path(__file__).parent
_TEMPLATES = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript"}


def page(template: str, *, status: int = 200, cache_seconds: int = 0, **values: Any) -> Response:
    """An HTML page from templates/."""
    text = _TEMPLATES.get_template(template).render(values)
    return HTMLResponse(text, status, {"Cache-Control": cache_control(cache_seconds)})


def picture(template: str, **values: Any) -> Response:
    """An SVG picture from templates/."""
    text = _TEMPLATES.get_template(template).render(values)
    return Response(text, media_type="image/svg+xml", headers={"Cache-Control": "max-age=3600"})


def asset(path: str, file_name: str) -> Route:
    """The route of a file in static/."""
    file = _HERE / "static" / file_name
    content, media_type = file.read_bytes(), _MEDIA_TYPES[file.suffix]

    async def answer(_request: Request) -> Response:
        return Response(content, media_type=media_type, headers={"Cache-Control": "max-age=3600"})

    return Route(path, answer)


def cache_control(seconds: int) -> str:
    """The header's value that lets an answer be kept for so long; 0: not at all."""
    return f"max-age={seconds}" if seconds else "no-cache, no-store"


class LostConnection(Response):
    """Begins to answer, then closes the connection: who asked cannot know what became of the request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a part of the answer only; the server then closes the connection."""
        headers = [(b"content-length", b"1000"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
