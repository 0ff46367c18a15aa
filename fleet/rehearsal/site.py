"""Shared by all sites: who is visiting, pages from templates, files, a broken connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from fleet.rehearsal.world import Account, World

HANG_UP = "rehearsal.hang_up"
"""Key in the ASGI scope: a function that breaks the connection (see app.py)."""

_FOLDERS = [Path(__file__).parent]
"""Folders with templates/ and static/; `extend` appends the folder of an extension."""
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_YEAR = 365 * 24 * 3600

Endpoint = Callable[[Request], Awaitable[Response]]
Answer = Callable[[Request, Account | None], Awaitable[Response]]
"""An endpoint that receives the account whose session visits; None without one."""


def visited(world: World, service: str, session_cookie: str, answer: Answer) -> Endpoint:
    """Return an endpoint that finds the visitor's account by its session cookie and records the request there."""

    async def endpoint(request: Request) -> Response:
        account = world.signed_in(service, request.cookies.get(session_cookie))
        if account is not None:
            account.requests.append(f"{request.method} {request.url.path}")
        return await answer(request, account)

    return endpoint


def touched(world: World, service: str, session_cookie: str) -> Endpoint:
    """Return the endpoint to which pages report what was touched on them (templates/witness.html)."""

    async def endpoint(request: Request) -> Response:
        account = world.signed_in(service, request.cookies.get(session_cookie))
        if account is not None:
            account.touched.update({part: int(times) for part, times in request.query_params.items()})
        return Response(status_code=204)

    return endpoint


def sign_in(
    world: World, service: str, session_cookies: Callable[[Account], list[dict[str, Any]]], lands: str
) -> Endpoint:
    """Return the endpoint of a sign-in form: whoever enters a profile is signed in to its account and led to `lands`.

    Like Google's, it refuses a browser whose form was sent while `navigator.webdriver` was true (sign_in_form.html).
    """

    async def endpoint(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        account = world.of_profile(service, form.get("user", ""))
        if form.get("automated") != "false" or account is None:
            return Response("This browser or app may not be secure.", 403)
        answer = RedirectResponse(lands, 303)
        for one in session_cookies(account):
            answer.set_cookie(
                one["name"],
                one["value"],
                max_age=_YEAR if "keep" in form else None,
                domain=one["domain"] if one["domain"].startswith(".") else None,
                secure=one["secure"],
                httponly=one["httpOnly"],
                samesite=one["sameSite"].lower(),
            )
        return answer

    return endpoint


def extend(folder: Path) -> None:
    """Add the templates and files of an extension. Call once, before the first page."""
    _FOLDERS.append(folder)


def extension_files() -> list[str]:
    """Return the names in static/ of the extensions."""
    return [file.name for folder in _FOLDERS[1:] for file in sorted((folder / "static").iterdir())]


def render(template: str, status: int = 200, headers: dict[str, str] | None = None, **context: Any) -> HTMLResponse:
    """Return a page from templates/. The browser must not cache it unless `headers` allow it."""
    page = _environment().get_template(template).render(context)
    return HTMLResponse(page, status, {"cache-control": "no-cache, no-store", **(headers or {})})


def file_routes(names: Iterable[str]) -> list[Route]:
    """Return routes to files in static/, which the browser may cache for a day."""

    def route(name: str) -> Route:
        [file] = [file for folder in _FOLDERS if (file := folder / "static" / name).is_file()]
        body, media_type = file.read_bytes(), _MEDIA_TYPES[file.suffix]

        async def endpoint(_request: Request) -> Response:
            return Response(body, headers={"cache-control": "max-age=86400"}, media_type=media_type)

        return Route(f"/{name}", endpoint)

    return [route(name) for name in names]


async def never() -> None:
    """Wait practically forever; the server's shutdown ends it."""
    await asyncio.sleep(3600)


async def hang_up(request: Request) -> Response:
    """Break the connection without an answer. The return value is unused."""
    request.scope[HANG_UP]()
    await asyncio.sleep(0.05)  # the server notices only after a few iterations of its loop
    return Response()


def cookie(name: str, value: str, domain: str, *, http_only: bool, same_site: str) -> dict[str, Any]:
    """Return a secure cookie for a year, in Playwright's spelling."""
    return {
        "name": name,
        "value": value,
        "domain": domain,
        "path": "/",
        "expires": int(time.time()) + _YEAR,
        "httpOnly": http_only,
        "secure": True,
        "sameSite": same_site,
    }


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder / "templates" for folder in _FOLDERS]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
