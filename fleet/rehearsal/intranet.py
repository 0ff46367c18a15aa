"""An invented service, the People Portal: server-rendered forms with a Save button, and one switch that saves itself.

It exists only here; services/intranet.yml is its recipe and a model for recipe authors.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from fleet.rehearsal.behavior import Barrier, Save
from fleet.rehearsal.page_texts import texts_for
from fleet.rehearsal.site import Answer, cookie, file_routes, render, sign_in, touched, visited
from fleet.rehearsal.world import Account, Value, World

SERVICE = "intranet"
HOST = "people.intranet.example"
SETTINGS = "/settings/privacy"
DATABASE = "portal"
"""Database in which the browser keeps a sign-in; pages may keep other data in other databases."""


def sites(world: World) -> dict[str, ASGIApp]:
    """Return the service's sites by host."""
    return {HOST: _Portal(world).router()}


def session_cookies(account: Account) -> list[dict[str, Any]]:
    """Return the cookies of a signed-in browser."""
    return [cookie("portal_session", account.token, HOST, http_only=True, same_site="Lax")]


def origins(account: Account) -> list[dict[str, Any]]:
    """Return the origins in an export of that browser."""
    if not account.case.needs_database:
        return []
    token = {"name": "session", "autoIncrement": False, "records": [{"key": "token", "value": "x"}], "indexes": []}
    database = {"name": DATABASE, "version": 1, "stores": [token]}
    return [{"origin": f"https://{HOST}", "localStorage": [], "indexedDB": [database]}]


class _Portal:
    def __init__(self, world: World) -> None:
        self._world = world

    def router(self) -> Router:
        def route(path: str, answer: Answer, method: str = "GET") -> Route:
            return Route(path, visited(self._world, SERVICE, "portal_session", answer), methods=[method])

        return Router(
            [
                *file_routes(["portal.css", "portal.js"]),
                route(SETTINGS, self.settings),
                route(f"{SETTINGS}/newsletter", self.save_newsletter, "POST"),
                route(f"{SETTINGS}/research", self.save_research, "POST"),
                route("/api/settings/assistant", self.save_assistant, "PUT"),
                Route("/touched", touched(self._world, SERVICE, "portal_session")),
                route("/sign-in", self.sign_in),
                Route("/sign-in", sign_in(self._world, SERVICE, session_cookies, SETTINGS), methods=["POST"]),
                *(route("/{path:path}", self.not_found, method) for method in ("GET", "POST", "PUT", "DELETE")),
            ]
        )

    async def settings(self, _request: Request, account: Account | None) -> Response:
        is_over = account is not None and account.case.barrier is Barrier.SIGN_IN_OVER
        if account is None or (account.case.barrier is not Barrier.NONE and not is_over):
            return RedirectResponse(f"/sign-in?next={quote(SETTINGS, safe='')}", 302)
        return _page(
            account,
            "settings.html",
            profile=None if is_over else account.signed_in_profile,
            csrf_token=account.csrf_token,
            controls=account.controls,
            offered=account.case.offered,
            database=DATABASE if account.case.needs_database else None,
        )

    async def save_newsletter(self, request: Request, account: Account | None) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        return self._saved(account, "newsletter", form.get("csrf_token"), "in" if "newsletter" in form else "out")

    async def save_research(self, request: Request, account: Account | None) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        if form.get("research") not in ("yes", "no"):
            return Response(status_code=400)
        return self._saved(account, "research", form.get("csrf_token"), "in" if form["research"] == "yes" else "out")

    async def save_assistant(self, request: Request, account: Account | None) -> Response:
        try:
            keep_out = json.loads(await request.body())["keep_out"]
        except (ValueError, KeyError, TypeError):
            return Response(status_code=400)
        token = request.headers.get("x-csrf-token")
        answer = self._saved(account, "assistant", token, "out" if keep_out is True else "in")
        return Response(status_code=204) if answer.status_code == 303 else answer

    def _saved(self, account: Account | None, control: str, csrf_token: object, value: Value) -> Response:
        """Store a change if allowed; then redirect to the page with 303, as forms should."""
        if account is None or account.case.barrier is not Barrier.NONE or not account.case.offered:
            return Response(status_code=403)
        if csrf_token != account.csrf_token:
            return Response(status_code=403)
        self._world.receive(account, control, value)
        if account.case.save is Save.FAILS:
            return _page(account, "plain.html", 500, heading="Something went wrong")
        return RedirectResponse(SETTINGS, 303)

    async def sign_in(self, _request: Request, account: Account | None) -> Response:
        return _page(account, "sign_in.html")

    async def not_found(self, _request: Request, account: Account | None) -> Response:
        return _page(account, "plain.html", 404, heading="Page not found")


def _page(account: Account | None, template: str, status: int = 200, **context: Any) -> Response:
    words = texts_for(account.who.locale if account else "en")
    name = account.who.name if account else ""
    return render(f"intranet/{template}", status, words=words, name=name, **context)
