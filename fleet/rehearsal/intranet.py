"""The People Portal of our example company: one classic page with two forms, and a switch that saves itself."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, quote

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from fleet.model import Reading
from fleet.rehearsal.hosts import INTRANET
from fleet.rehearsal.pages import asset, page
from fleet.rehearsal.site import Site, cookie, has_token, refusal
from fleet.rehearsal.world import Account

PAGE = "/settings/privacy"
_STRANGER = ("jordan.reyes", "Jordan Reyes")


class Intranet(Site):
    """The routes of people.intranet.example."""

    service = "intranet"
    session_cookie = "portal_session"

    def routes(self) -> list[BaseRoute]:
        """Everything under people.intranet.example."""
        return [
            Route(PAGE, self.guarded(self._settings)),
            Route(PAGE + "/{control}", self._save_form, methods=["POST"]),
            Route("/api/settings/assistant", self._save_switch, methods=["PUT"]),
            Route("/sign-in", self._sign_in),
            asset("/assets/portal.css", "intranet.css"),
            asset("/assets/portal.js", "intranet.js"),
        ]

    def storage_state(self, account: Account) -> dict[str, Any]:
        """The session that the account's employee stored."""
        return {"cookies": [cookie("portal_session", account.token, INTRANET)], "origins": []}

    def barrier(self, request: Request, account: Account | None) -> Response | None:
        """The sign-in page."""
        if account is not None and account.is_signed_in:
            return None
        return RedirectResponse(f"/sign-in?next={quote(request.url.path, safe='')}", 302)

    async def _settings(self, request: Request, account: Account) -> Response:
        if account.case.status != 200:
            return refusal(account)
        self.world.view(account)
        own = (account.given.profile, account.given.name)
        profile, name = _STRANGER if account.case.is_somebody_else else own
        return page(
            "intranet/settings.html",
            name=name,
            profile=profile,
            is_offered=account.case.is_offered,
            is_out={control: value == Reading.OUT for control, value in account.controls.items()},
            csrf=account.csrf,
            saved=request.query_params.get("saved"),
        )

    async def _save_form(self, request: Request) -> Response:
        account = self.owner(request)
        barrier = self.barrier(request, account)
        if account is None or barrier is not None:
            return barrier or PlainTextResponse("not signed in", 401)
        form = parse_qs((await request.body()).decode(), keep_blank_values=True)
        if not has_token(account, form.get("csrf_token", [""])[0]):
            return PlainTextResponse("The form has expired; load the page again.", 403)
        control = request.path_params["control"]
        match control:
            case "newsletter":
                # A browser sends nothing for a box that is not ticked.
                value = Reading.IN if "newsletter" in form else Reading.OUT
            case "research" if form.get("research", [""])[0] in ("yes", "no"):
                value = Reading.IN if form["research"] == ["yes"] else Reading.OUT
            case _:
                return PlainTextResponse("no such form", 400)
        return await self.store(account, control, value, RedirectResponse(f"{PAGE}?saved={control}", 303))

    async def _save_switch(self, request: Request) -> Response:
        account = self.owner(request)
        if account is None or self.barrier(request, account) is not None:
            return PlainTextResponse("not signed in", 401)
        if not has_token(account, request.headers.get("x-csrf-token")):
            return PlainTextResponse("CSRF check failed", 403)
        try:
            keep_out = (await request.json())["keep_out"]
        except (ValueError, KeyError, TypeError):
            return PlainTextResponse("a JSON object with keep_out", 400)
        value = Reading.OUT if keep_out is True else Reading.IN
        return await self.store(account, "assistant", value, JSONResponse({"keep_out": keep_out}))

    async def _sign_in(self, request: Request) -> Response:
        self.owner(request)
        return page("intranet/sign_in.html")
