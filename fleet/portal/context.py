"""What one request has at hand: the portal, the page's language, and who is signed in."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fleet.authority.inbox import Act
from fleet.portal.acts import Acts, NotSaved
from fleet.portal.data import Published, Unavailable
from fleet.portal.guard import require_own_page
from fleet.portal.pages import Problem, language_of, page, sentence
from fleet.portal.provider import Provider
from fleet.portal.published import Person, Site
from fleet.portal.session import LONGEST_SECONDS, MOST_SESSIONS, Session, SignInRequest, Store

SESSION_COOKIE = "__Host-session"
MOST_FIELDS = 300
LOG = logging.getLogger("fleet.portal")


class Portal:
    """Everything that lasts longer than a request."""

    def __init__(self, published: Published, acts: Acts, provider: Provider) -> None:
        self.published, self.acts, self.provider = published, acts, provider
        self.sessions: Store[Session] = Store(MOST_SESSIONS)
        self.sign_ins: Store[SignInRequest] = Store(MOST_SESSIONS)


@dataclass(frozen=True)
class Context:
    """One request of somebody who is signed in as an employee."""

    portal: Portal
    request: Request
    site: Site
    session_id: str
    session: Session
    person: Person

    @property
    def language(self) -> str:
        """The page's language."""
        return language_of(self.request, self.person.language)

    def page(self, name: str, status: int = 200, **content: Any) -> Response:
        """Return a page for this person."""
        token = self.session.form_token
        return page(self.request, name, self.site, self.language, status=status, form_token=token, **content)

    async def pending(self) -> Sequence[Act]:
        """Return what this person did and nobody has recorded yet. Raises Problem."""
        try:
            return await run_in_threadpool(self.portal.acts.pending, self.person.employee)
        except NotSaved as error:
            raise not_saved(error) from None

    async def write(self, act: Act) -> None:
        """Write an act into the inbox. Raises Problem."""
        try:
            await run_in_threadpool(self.portal.acts.write, act)
        except NotSaved as error:
            raise not_saved(error) from None

    async def form(self) -> dict[str, list[str]]:
        """Return the fields of a form of ours. Raises HTTPException for any other."""
        return await read_form(self.request, self.session)


Endpoint = Callable[[Context], Awaitable[Response]]


def for_employees(portal: Portal, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint for who is signed in; anybody else is sent to sign in, or told that they are no employee."""

    async def answer(request: Request) -> Response:
        site = site_of(portal)
        require_own_page(request.headers, request.method, site.url)
        name = request.cookies.get(SESSION_COOKIE)
        session = signed_in(portal, name)
        if session is None:
            if request.method not in ("GET", "HEAD"):
                raise Problem(
                    401,
                    sentence("You were signed out"),
                    (sentence("You were away for a while. Nothing was saved."),),
                    ("/", sentence("Sign in again")),
                )
            return RedirectResponse("/sign-in", 303)
        person = person_of(portal, session.subject)
        if person is None:
            # Their own value, to give to the contact: it is no secret of the provider.
            return page(
                request,
                "unlinked.html.j2",
                site,
                language_of(request),
                status=403,
                form_token=session.form_token,
                subject=session.subject,
            )
        session.language = person.language
        return await endpoint(Context(portal, request, site, name or "", session, person))

    return answer


async def read_form(request: Request, session: Session) -> dict[str, list[str]]:
    """Return the fields of a form that this session's pages had. Raises HTTPException for any other."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise HTTPException(415)
    try:
        pairs = parse_qsl(
            (await request.body()).decode(),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise HTTPException(400) from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    if not hmac.compare_digest("".join(fields.get("form_token", ())).encode(), session.form_token.encode()):
        raise HTTPException(403)
    return fields


def signed_in(portal: Portal, name: str | None) -> Session | None:
    """Return a session that has not ended."""
    session = portal.sessions.get(name)
    if session is not None and session.is_over(LONGEST_SECONDS):
        portal.sessions.take(name)
        return None
    return session


def site_of(portal: Portal) -> Site:
    """Return the site. Raises Problem."""
    try:
        return portal.published.site()
    except Unavailable as error:
        raise _unavailable(error) from None


def person_of(portal: Portal, subject: str) -> Person | None:
    """Return an employee; None if there is none with this subject. Raises Problem."""
    try:
        return portal.published.person(subject)
    except Unavailable as error:
        raise _unavailable(error) from None


def _unavailable(error: Unavailable) -> Problem:
    LOG.error("%s; run: fleet portal publish", error)
    return Problem(
        503,
        sentence("This page is not available right now"),
        (sentence("Its data is missing or damaged. Please try again later."),),
        ("/", sentence("Try again")),
    )


def not_saved(error: NotSaved) -> Problem:
    """Return the page that says that nothing was saved."""
    LOG.error("%s", error)
    return Problem(
        503,
        sentence("Nothing was saved"),
        (
            sentence("What you did could not be stored, so it does not count."),
            sentence("Please try again later, or ask the contact below."),
        ),
        ("/", sentence("Back to your page")),
    )
