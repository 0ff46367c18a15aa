"""LinkedIn, as far as the AI setting needs it: settings pages, the member's own address, sign-in and challenges.

Markup and addresses follow what public code found on the real site; the recipe (fleet/recipes/services/linkedin.yml)
names the sources.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from fleet.rehearsal.behavior import Barrier, Save
from fleet.rehearsal.page_texts import texts_for
from fleet.rehearsal.site import (
    Answer,
    cookie,
    extension_files,
    file_routes,
    hang_up,
    never,
    render,
    sign_in,
    touched,
    visited,
)
from fleet.rehearsal.world import Account, World

SERVICE = "linkedin"
WWW, STATIC, MEDIA = "www.linkedin.com", "static.licdn.com", "media.licdn.com"
HOSTS = (WWW, STATIC, MEDIA)
CONTROL = "ai_training"
KEY = "allowDataForGenerativeAI"
"""The service's own name for the setting, in its pages and its API."""

_SETTINGS = "/mypreferences/d/settings"
_API = "/mysettings-api"
_DEVICE_COOKIE = "kept_on_device"
_OTHER_KEYS = frozenset({"allowAnonymizedDataResearch", "tipsForUsingLinkedinViaEmail"})
_DANGERS = {
    "close-accounts": "Close account",
    "hibernate-account": "Hibernate account",
    "delete-data": "Delete all data",
}
_CHALLENGES = (
    Barrier.CODE,
    Barrier.PHONE_CODE,
    Barrier.APP,
    Barrier.CAPTCHA,
    Barrier.RESTRICTION,
    Barrier.UNKNOWN_CHALLENGE,
)
_NOT_FOR_SCRIPTS = {"name", "meaning", "outcome", "reason", "stored", "headers"}


def sites(world: World) -> dict[str, ASGIApp]:
    """Return the service's sites by host."""
    return {
        WWW: _Www(world).router(),
        STATIC: Router(file_routes(["settings.css", "settings.js", *extension_files()])),
        MEDIA: Router([*file_routes(["portrait.svg"]), Route("/missing.svg", _missing), Route("/busy", _busy)]),
    }


def session_cookies(account: Account) -> list[dict[str, Any]]:
    """Return the cookies of a signed-in browser. The page's script reads JSESSIONID, so only li_at is HttpOnly."""
    return [
        cookie("li_at", account.token, ".linkedin.com", http_only=True, same_site="None"),
        cookie("JSESSIONID", account.csrf_token, ".www.linkedin.com", http_only=False, same_site="None"),
    ]


def origins(account: Account) -> list[dict[str, Any]]:
    """Return the origins in an export of that browser."""
    if not account.case.exports_memory:
        return []
    memory = json.dumps({"on": False, "at": time.time() * 1000})
    return [{"origin": f"https://{WWW}", "localStorage": [{"name": "settings", "value": memory}]}]


async def _missing(_request: Request) -> Response:
    await never()
    return Response(status_code=404)


async def _busy(_request: Request) -> Response:
    return Response(status_code=429, headers={"retry-after": "600", "access-control-allow-origin": "*"})


class _Www:
    def __init__(self, world: World) -> None:
        self._world = world
        self._rotation = itertools.count(1)

    def router(self) -> Router:
        def route(path: str, answer: Answer, method: str = "GET") -> Route:
            return Route(path, visited(self._world, SERVICE, "li_at", answer), methods=[method])

        submitted = sign_in(self._world, SERVICE, session_cookies, f"{_SETTINGS}/data-for-ai-improvement")
        pages = [route(path, self.sign_in) for path in ("/login", "/uas/login", "/authwall")]
        return Router(
            [
                route(f"{_SETTINGS}/data-for-ai-improvement", self.ai_setting),
                route(f"{_SETTINGS}/policy-and-academic-research", self.neighbor),
                *(route(f"/mypreferences/d/{slug}", self.danger) for slug in _DANGERS),
                *(route(f"{_API}/{slug}", self.danger_done, "POST") for slug in _DANGERS),
                route(f"{_API}/token", self.token),
                route(f"{_API}/settingsApiSettings/{{key}}", self.read_setting),
                route(f"{_API}/settingsApiSettings/{{key}}", self.save_setting, "PUT"),
                Route("/touched", touched(self._world, SERVICE, "li_at")),
                route("/in/me/", self.own_address),
                route("/in/{profile}/", self.profile),
                *pages,
                Route("/checkpoint/lg/login-submit", submitted, methods=["POST"]),
                route("/checkpoint/challenge/verify", self.answer_challenge, "POST"),
                route("/checkpoint/challenge/{name}", self.challenge),
                # All other requests are recorded, too.
                *(route("/{path:path}", self.not_found, method) for method in ("GET", "POST", "PUT", "DELETE")),
            ]
        )

    async def ai_setting(self, request: Request, account: Account | None) -> Response:
        if account is None:
            return RedirectResponse("/login", 302)
        case = account.case
        account.has_viewed = True
        await asyncio.sleep((case.page_delay + case.proof_delay * account.has_saved) / 1000)
        if (barrier := _barrier(account)) is not Barrier.NONE:
            return _stopped(request, account, barrier)
        if case.status != 200:
            return _page(account, "plain.html", case.status, {"retry-after": "60"}, heading="Please try again later")
        if case.moved_to is not None and case.moved_by == "answer":
            return RedirectResponse(case.moved_to, 302)
        if case.is_file:
            return Response(b"kept", headers={"content-disposition": "attachment; filename=settings.exe"})
        if case.is_endless:
            return StreamingResponse(_without_end(), media_type="text/html")
        if case.save is Save.REVERTS and account.controls[CONTROL] == "out":
            self._world.set_value(account, CONTROL, "in")
        if case.switched_off_elsewhere and account.requests.count(f"GET {request.url.path}") > 1:
            self._world.set_value(account, CONTROL, "out")
        is_told_later = case.state_after or case.reveal_after or case.remembers == "day"
        is_on = account.controls[CONTROL] == "in" and not is_told_later
        if case.remembers == "cookie" and _DEVICE_COOKIE in request.cookies:
            is_on = False
        is_on = is_on and not account.is_replaced
        if account.stale_views:
            account.stale_views -= 1
            is_on = True
        page = self._settings_page(account, is_on)
        page.headers.update(case.headers)
        if case.save in (Save.LOST, Save.LOST_ANSWER):
            # A browser silently repeats a request that fails on a reused connection.
            page.headers["connection"] = "close"
        # The real site rotates this one at each view; nothing depends on it.
        routing = f"b=OB01:s=O:r=O:a=O:p=O:g={next(self._rotation)}"
        page.set_cookie("lidc", routing, 86400, domain=".linkedin.com", secure=True, samesite="none")
        return page

    def _settings_page(self, account: Account, is_on: bool) -> Response:
        case, words = account.case, texts_for(account.who.locale)
        scripted = {name: value for name, value in dataclasses.asdict(case).items() if name not in _NOT_FOR_SCRIPTS}
        said = {name: words[name] for name in ("saved", "failed", "cookies", "accept")}
        stored_on = account.controls[CONTROL] == "in"
        page = scripted | said | {"key": KEY, "stored_on": stored_on}
        return _page(account, "settings.html", case=case, key=KEY, is_on=is_on, page=page)

    async def neighbor(self, request: Request, account: Account | None) -> Response:
        return _page(account, "neighbor.html") if account else RedirectResponse("/login", 302)

    async def danger(self, request: Request, account: Account | None) -> Response:
        slug = request.url.path.rpartition("/")[2]
        if account is None:
            return RedirectResponse("/login", 302)
        return _page(account, "danger.html", heading=_DANGERS[slug], posts=f"{_API}/{slug}")

    async def danger_done(self, request: Request, account: Account | None) -> Response:
        return Response(status_code=204 if _may_write(request, account) else 403)

    async def read_setting(self, request: Request, account: Account | None) -> Response:
        if account is None or _barrier(account) is not Barrier.NONE:
            return Response(status_code=401)
        if request.path_params["key"] != KEY:
            return Response(status_code=404)
        await asyncio.sleep(account.case.state_after / 1000)
        if account.case.state_error:
            return JSONResponse({"data": None, "errors": [{"message": "upstream timed out"}]})
        is_on, status = account.controls[CONTROL] == "in", account.case.state_status
        return JSONResponse({"key": KEY, "value": is_on}, status, headers={"cache-control": "no-store"})

    async def token(self, _request: Request, account: Account | None) -> Response:
        if account is None:
            return Response(status_code=401)
        await asyncio.sleep(account.case.token_delay / 1000)
        return Response(account.csrf_token, media_type="text/plain")

    async def save_setting(self, request: Request, account: Account | None) -> Response:
        if account is None or _barrier(account) is not Barrier.NONE:
            return Response(status_code=401)
        if not _may_write(request, account):
            return Response(status_code=403)
        key = request.path_params["key"]
        if key != KEY:
            return Response(status_code=200 if key in _OTHER_KEYS else 404)
        try:
            value = {True: "in", False: "out"}[json.loads(await request.body())["value"]]
        except (ValueError, KeyError, TypeError):
            return Response(status_code=400)
        await asyncio.sleep(account.case.save_delay / 1000)
        if account.case.save is Save.UNANSWERED:
            await never()
        self._world.receive(account, CONTROL, "in" if value == "in" else "out")
        if account.case.save in (Save.LOST, Save.LOST_ANSWER):
            return await hang_up(request)
        has_failed = account.case.save in (Save.FAILS, Save.FAILS_STORED)
        answer = Response(status_code=500 if has_failed else 200)
        if account.case.remembers == "cookie":
            answer.set_cookie(_DEVICE_COOKIE, "off", secure=True, httponly=True)
        return answer

    async def own_address(self, request: Request, account: Account | None) -> Response:
        if account is None:
            return RedirectResponse("/login", 302)
        await asyncio.sleep(account.case.identity_delay / 1000)
        barrier = _barrier(account)
        if barrier not in (Barrier.NONE, Barrier.CODE_IN_PLACE, Barrier.CAPTCHA_IN_PLACE):
            return _stopped(request, account, barrier)
        return RedirectResponse(f"/in/{quote(account.signed_in_profile, safe='')}/", 302)

    async def profile(self, request: Request, account: Account | None) -> Response:
        if account is None:
            return RedirectResponse("/login", 302)
        return _page(account, "profile.html", profile=request.path_params["profile"])

    async def sign_in(self, _request: Request, account: Account | None) -> Response:
        return _page(account, "sign_in.html", barrier=Barrier.LOGIN)

    async def challenge(self, _request: Request, account: Account | None) -> Response:
        barrier = _barrier(account) if account else Barrier.NONE
        return _page(account, "challenge.html", barrier=Barrier.CODE if barrier is Barrier.NONE else barrier)

    async def answer_challenge(self, _request: Request, account: Account | None) -> Response:
        if account is not None:
            account.has_answered = True
        return RedirectResponse(f"{_SETTINGS}/data-for-ai-improvement", 303)

    async def not_found(self, _request: Request, account: Account | None) -> Response:
        return _page(account, "plain.html", 404, heading="Page not found")


async def _without_end() -> AsyncIterator[bytes]:
    while True:
        yield b"<p>Settings and privacy.</p>\n" * 40
        await asyncio.sleep(0.05)


def _barrier(account: Account) -> Barrier:
    """Return the barrier that currently blocks this account."""
    if account.has_answered:
        return Barrier.NONE
    after = account.case.barrier_after_save
    return after if account.has_saved and after is not Barrier.NONE else account.case.barrier


def _stopped(request: Request, account: Account, barrier: Barrier) -> Response:
    """Return the redirect or the page for a barrier."""
    if barrier in _CHALLENGES:
        return RedirectResponse("/checkpoint/challenge/AgE2fT0lRkQ", 302)
    path = quote(request.url.path, safe="")
    match barrier:
        case Barrier.UAS_LOGIN:
            return RedirectResponse(f"/uas/login?session_redirect={path}", 302)
        case Barrier.AUTHWALL:
            return RedirectResponse(f"/authwall?trk=gf&sessionRedirect={path}", 302)
        case Barrier.CHOOSER | Barrier.LOGIN_IN_PLACE:
            return _page(account, "sign_in.html", barrier=barrier)
        case Barrier.CODE_IN_PLACE | Barrier.CAPTCHA_IN_PLACE:
            return _page(account, "challenge.html", barrier=barrier)
        case _:
            return RedirectResponse("/login", 302)


def _may_write(request: Request, account: Account | None) -> bool:
    """Return True if the header repeats the cookie, which no other site can read."""
    shown = request.cookies.get("JSESSIONID", "").strip('"')
    return account is not None and request.headers.get("csrf-token") == shown == account.csrf_token


def _page(
    account: Account | None, template: str, status: int = 200, headers: dict[str, str] | None = None, **context: Any
) -> Response:
    words = texts_for(account.who.locale if account else "en")
    name = account.who.name if account else ""
    return render(f"linkedin/{template}", status, headers, words=words, name=name, **context)
