"""LinkedIn as the recipe meets it: the AI setting and its neighbors, sign-in, challenges, members, assets."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from fleet.model import Reading
from fleet.rehearsal.behavior import SignInPage
from fleet.rehearsal.pages import asset, cache_control, page, picture
from fleet.rehearsal.site import Site, cookie, has_token, refusal
from fleet.rehearsal.words import words_for
from fleet.rehearsal.world import Account

SETTING_PAGE = "/mypreferences/d/settings/data-for-ai-improvement"
SETTING_KEY = "allowDataForGenerativeAI"
CONTROL = "ai_training"
STRANGER = "jordan-reyes"
"""The member who is signed in where it is somebody else."""

_DANGEROUS = {"close-accounts": "Close account", "hibernate-account": "Hibernate account"}
_CHALLENGE_PAGE = "/checkpoint/challenge/AgFvbr9HhXyV"


class LinkedIn(Site):
    """The routes of www.linkedin.com."""

    service = "linkedin"
    session_cookie = "li_at"

    def routes(self) -> list[BaseRoute]:
        """Everything under www.linkedin.com."""
        return [
            Route("/mypreferences/d/settings/{slug}", self.guarded(self._setting)),
            Route("/mypreferences/d/{slug}", self.guarded(self._dangerous), methods=["GET", "POST"]),
            Route("/mysettings-api/settingsApiSettings/{key}", self._setting_api, methods=["GET", "PUT"]),
            Route("/cookie-consent", self._cookie_consent, methods=["POST"]),
            Route("/in/me/", self.guarded(self._own_profile)),
            Route("/in/{profile}/", self.guarded(self._profile)),
            Route("/login", self._sign_in),
            Route("/uas/login", self._sign_in),
            Route("/authwall", self._sign_in),
            Route("/checkpoint/challenge/{ticket}", self._challenge),
        ]

    def storage_state(self, account: Account) -> dict[str, Any]:
        """The session that the account's employee stored."""
        cookies = [
            cookie("li_at", account.token, ".www.linkedin.com"),
            # The pages' own script reads this one: LinkedIn's protection against forged requests.
            cookie("JSESSIONID", account.csrf, ".www.linkedin.com", http_only=False),
            cookie("lidc", "b=VB01:r=0", ".linkedin.com"),
        ]
        return {"cookies": cookies, "origins": []}

    def barrier(self, request: Request, account: Account | None) -> Response | None:
        """Challenges, and the sign-in page."""
        if account is None or not account.case.has_session:
            return RedirectResponse("/login", 302)
        case = account.case
        if case.challenge and account.is_in_trouble and not case.challenge_in_place:
            return RedirectResponse(_CHALLENGE_PAGE, 302)
        if account.is_signed_in:
            return None
        target = quote(request.url.path, safe="")
        match case.sign_in_page:
            case SignInPage.UAS_LOGIN:
                return RedirectResponse(f"/uas/login?session_redirect={target}", 302)
            case SignInPage.AUTHWALL:
                return RedirectResponse(f"/authwall?trk=gf&sessionRedirect={target}", 302)
            case SignInPage.CHOOSER_IN_PLACE:
                return _chooser(account)
        return RedirectResponse("/login", 302)

    async def _setting(self, request: Request, account: Account) -> Response:
        case, path = account.case, request.url.path
        if path not in (SETTING_PAGE, case.moved_to):
            return page("error.html", status=404, status_text="This page doesn’t exist")
        if path == SETTING_PAGE and case.moved_to:
            return RedirectResponse(case.moved_to, 302)
        await asyncio.sleep(case.page_delay_ms / 1000)
        if case.status != 200:
            return refusal(account)
        if case.challenge and case.challenge_in_place:
            return page("linkedin/challenge.html", header=_header(account), challenge=case.challenge)
        self.world.view(account)
        answer = page(
            "linkedin/setting.html",
            cache_seconds=case.cache_seconds,
            header=_header(account),
            words=words_for(account.given.locale),
            case=case,
            key=SETTING_KEY,
            is_on=account.controls[CONTROL] == Reading.IN,
        )
        # Services renew a session while it is used; what was sealed before may then be worth nothing.
        answer.set_cookie(
            "lidc",
            f"b=VB01:r={account.rotations}",
            domain=".linkedin.com",
            max_age=86400,
            secure=True,
            httponly=True,
            samesite="none",
        )
        return answer

    async def _setting_api(self, request: Request) -> Response:
        account = self.owner(request)
        if account is None or self.barrier(request, account) is not None:
            return PlainTextResponse("not signed in", 401)
        if not has_token(account, request.headers.get("csrf-token")):
            return PlainTextResponse("CSRF check failed.", 403)
        key = request.path_params["key"]
        if request.method == "GET":
            return self._state(request, account, key)
        try:
            value = (await request.json())["value"]
        except (ValueError, KeyError, TypeError):
            return PlainTextResponse("a JSON object with a value", 400)
        if key != SETTING_KEY:
            self.world.note_wrong_act(account, key)
            return JSONResponse({"key": key, "value": value})
        reading = Reading.OUT if value in (False, "no") else Reading.IN
        return await self.store(account, CONTROL, reading, JSONResponse({"key": key, "value": value}))

    def _state(self, request: Request, account: Account, key: str) -> Response:
        if key != SETTING_KEY:
            return PlainTextResponse("no such setting", 404)
        state = account.controls[CONTROL]
        # Only the page's own question right after saving is answered with what it sent.
        if account.case.reads_again and "x-after-save" in request.headers:
            state = account.claimed.get(CONTROL, state)
        headers = {"Cache-Control": cache_control(account.case.cache_seconds)}
        return JSONResponse({"key": key, "value": state == Reading.IN}, headers=headers)

    async def _dangerous(self, request: Request, account: Account) -> Response:
        slug = request.path_params["slug"]
        if slug not in _DANGEROUS:
            return page("error.html", status=404, status_text="This page doesn’t exist")
        if request.method == "POST":
            self.world.note_wrong_act(account, slug)
        return page("linkedin/dangerous.html", header=_header(account), action=_DANGEROUS[slug])

    async def _cookie_consent(self, request: Request) -> Response:
        account = self.owner(request)
        if account:
            self.world.note_wrong_act(account, "cookie-consent")
        return Response(status_code=204)

    async def _own_profile(self, _request: Request, account: Account) -> Response:
        return RedirectResponse(f"/in/{quote(_signed_in_profile(account), safe='')}/", 302)

    async def _profile(self, request: Request, account: Account) -> Response:
        return page("linkedin/profile.html", header=_header(account), profile=request.path_params["profile"])

    async def _sign_in(self, request: Request) -> Response:
        account = self.owner(request)
        if account and account.case.sign_in_page is SignInPage.CHOOSER:
            return _chooser(account)
        return page("linkedin/sign_in.html", header=None)

    async def _challenge(self, request: Request) -> Response:
        account = self.owner(request)
        if account is None or account.case.challenge is None:
            return RedirectResponse("/login", 302)
        return page("linkedin/challenge.html", header=None, challenge=account.case.challenge)


def static_routes() -> list[BaseRoute]:
    """Everything under static.licdn.com."""
    return [asset("/aero-v1/settings.css", "linkedin.css"), asset("/aero-v1/settings.js", "linkedin.js")]


def media_routes() -> list[BaseRoute]:
    """Everything under media.licdn.com: members' pictures."""

    async def portrait(request: Request) -> Response:
        initials = "".join(part[0] for part in request.path_params["profile"].split("-") if part)[:2]
        return picture("linkedin/portrait.svg", initials=initials.upper())

    return [Route("/dms/image/{profile}", portrait)]


def _signed_in_profile(account: Account) -> str:
    return STRANGER if account.case.is_somebody_else else account.given.profile


def _header(account: Account) -> dict[str, str]:
    """What a page's header says of the signed-in member."""
    name = "Jordan Reyes" if account.case.is_somebody_else else account.given.name
    return {"name": name, "profile": _signed_in_profile(account)}


def _chooser(account: Account) -> Response:
    return page("linkedin/chooser.html", header=None, name=account.given.name)
