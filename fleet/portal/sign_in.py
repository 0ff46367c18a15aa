"""Signing in and out, and the way back from the identity provider, where a mandate is given too."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fleet.authority.id_token import LEEWAY, SignedBy, TokenRefused
from fleet.authority.inbox import MandateAct
from fleet.portal.context import LOG, SESSION_COOKIE, Context, Portal, person_of, read_form, signed_in, site_of
from fleet.portal.guard import origin_of, require_own_page
from fleet.portal.pages import Problem, language_of, page, sentence
from fleet.portal.provider import ProviderFailed
from fleet.portal.published import Site
from fleet.portal.session import Session, SignInRequest

BROWSER_COOKIE = "__Host-sign-in"
CALLBACK = "/signed-in"
"""Path to which the provider sends people back; register it there."""
Answering = Callable[[Request], Awaitable[Response]]
_AGAIN = ("/sign-in", sentence("Sign in again"))


def callback_of(site: Site) -> str:
    """Return the redirect URI to register at the provider."""
    return origin_of(site.url) + CALLBACK


async def send_to_provider(
    portal: Portal, request: Request, site: Site, statement: str | None = None, session: str | None = None
) -> Response:
    """Send the browser to sign in; with a `statement`, afresh and to sign it. Raises Problem."""
    browser = request.cookies.get(BROWSER_COOKIE, "")
    if not re.fullmatch(r"[\w-]{43}", browser):
        browser = secrets.token_urlsafe(32)
    going = SignInRequest(browser, secrets.token_urlsafe(48), statement, session)
    state = portal.sign_ins.add(going)
    try:
        address = await portal.provider.address(site.sign_in, callback_of(site), state, going)
    except ProviderFailed as error:
        raise _provider_failed(error) from None
    response = RedirectResponse(address, 303)
    response.set_cookie(BROWSER_COOKIE, browser, secure=True, httponly=True, samesite="lax")
    return response


def sign_in(portal: Portal) -> Answering:
    """Return the endpoint that starts a plain sign-in."""

    async def answer(request: Request) -> Response:
        site = site_of(portal)
        require_own_page(request.headers, request.method, site.url)
        return await send_to_provider(portal, request, site)

    return answer


def signed_in_again(portal: Portal) -> Answering:
    """Return the endpoint to which the provider sends people back."""

    async def answer(request: Request) -> Response:
        site = site_of(portal)
        require_own_page(request.headers, request.method, site.url)
        going = portal.sign_ins.take(request.query_params.get("state"))  # once
        if going is None or going.browser != request.cookies.get(BROWSER_COOKIE):
            raise Problem(
                400,
                sentence("This sign-in cannot be completed"),
                (sentence("It was begun in another browser, too long ago, or it was used before. Nothing was saved."),),
                _AGAIN,
            )
        if request.query_params.get("iss", site.sign_in.issuer) != site.sign_in.issuer:
            raise _refused(TokenRefused("iss: the answer is from another provider"))
        code = request.query_params.get("code")
        if not code:
            LOG.warning("the provider answered: %.60s", _plain(request.query_params.get("error", "no code")))
            raise Problem(
                403, sentence("You were not signed in"), (sentence("The sign-in was cancelled or refused."),), _AGAIN
            )
        try:
            token, who = await portal.provider.redeem(site.sign_in, callback_of(site), code, going)
        except ProviderFailed as error:
            raise _provider_failed(error) from None
        except TokenRefused as error:
            raise _refused(error) from None
        if going.statement is None:
            return _begin(portal, request, who, "/")
        return await _give(portal, request, site, going, token, who)

    return answer


async def _give(
    portal: Portal, request: Request, site: Site, going: SignInRequest, token: str, who: SignedBy
) -> Response:
    """Write the mandate that a fresh sign-in has signed. Raises Problem."""
    assert going.statement is not None
    name = request.cookies.get(SESSION_COOKIE)
    session = signed_in(portal, name)
    if session is None or name != going.session or session.statement != going.statement:
        raise _not_given(sentence("Your session has ended, or you began another mandate meanwhile."))
    if who.subject != session.subject:
        raise _not_given(sentence("Somebody else signed in than the person whose page this is."))
    if who.signed_in_at is not None and who.signed_in_at < going.sent_at - LEEWAY:
        raise _not_given(sentence("Your organization's sign-in did not ask you to sign in again."))
    person = person_of(portal, session.subject)
    if person is None:
        return RedirectResponse("/", 303)
    session.statement = None
    context = Context(portal, request, site, name or "", session, person)
    await context.write(
        MandateAct(
            v=1,
            act="mandate",
            employee=person.employee,
            at=datetime.now(UTC),
            statement=going.statement,
            id_token=token,
        )
    )
    return _begin(portal, request, who, "/mandate/given")


def _begin(portal: Portal, request: Request, who: SignedBy, then: str) -> Response:
    """Begin a session under a new id; the browser's earlier one ends."""
    portal.sessions.take(request.cookies.get(SESSION_COOKIE))
    name = portal.sessions.add(Session(who.subject))
    response = RedirectResponse(then, 303)
    response.set_cookie(SESSION_COOKIE, name, secure=True, httponly=True, samesite="lax")
    return response


def sign_out(portal: Portal) -> Answering:
    """Return the endpoint that ends the session."""

    async def answer(request: Request) -> Response:
        require_own_page(request.headers, request.method, site_of(portal).url)
        name = request.cookies.get(SESSION_COOKIE)
        session = signed_in(portal, name)
        if session is not None:
            await read_form(request, session)
            portal.sessions.take(name)
        response = RedirectResponse("/signed-out", 303)
        response.delete_cookie(SESSION_COOKIE, secure=True, httponly=True, samesite="lax")
        return response

    return answer


def signed_out(portal: Portal) -> Answering:
    """Return the endpoint of the page after signing out."""

    async def answer(request: Request) -> Response:
        return page(
            request,
            "message.html.j2",
            site_of(portal),
            language_of(request),
            title=sentence("You are signed out"),
            texts=(sentence("You may still be signed in at your organization and at the services."),),
            way=_AGAIN,
        )

    return answer


def _provider_failed(error: ProviderFailed) -> Problem:
    LOG.error("%s; run: fleet portal check", error)
    return Problem(
        503,
        sentence("Signing in is not possible right now"),
        (sentence("Your organization's sign-in does not answer. Nothing was saved. Please try again later."),),
        _AGAIN,
    )


def _refused(error: TokenRefused) -> Problem:
    LOG.error("an ID token was refused: %s", error)
    return Problem(
        403,
        sentence("You were not signed in"),
        (sentence("Your organization's sign-in sent an answer that cannot be accepted. Nothing was saved."),),
        _AGAIN,
    )


def _not_given(why: str) -> Problem:
    return Problem(
        403,
        sentence("You have not given a mandate"),
        (why, sentence("Nothing was saved.")),
        ("/mandate", sentence("Begin again")),
    )


def _plain(text: str) -> str:
    return "".join(one for one in text if one.isprintable())
