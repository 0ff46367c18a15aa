"""The portal as a web application: its addresses, and a page for everything that goes wrong."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from fleet.portal import home, mandate, sign_in
from fleet.portal.acts import Acts
from fleet.portal.context import SESSION_COOKIE, Endpoint, Portal, for_employees
from fleet.portal.data import Published
from fleet.portal.guard import Guard
from fleet.portal.pages import Problem, language_of, page, sentence, stylesheet
from fleet.portal.provider import Provider

_UNREADABLE = sentence("This form cannot be read")
_TITLES = {
    403: sentence("This request was refused"),
    404: sentence("There is no such page"),
    **dict.fromkeys((400, 405, 413, 415), _UNREADABLE),
}
_NOT_OURS = sentence("It did not come from a page of this portal, or from one that has expired. Nothing was saved.")
_FAULT = Problem(
    500,
    sentence("Something went wrong"),
    (sentence("This is a fault of the portal. Please tell the contact below."),),
    ("/", sentence("Back to your page")),
)


def portal_app(data: Path, inbox: Path, client_secret: str | None = None) -> ASGIApp:
    """Return the application. `data`: what `fleet portal publish` wrote; `inbox`: where acts go."""
    portal = Portal(Published(data), Acts(inbox), Provider(client_secret))

    def own(path: str, endpoint: Endpoint, method: str = "GET") -> Route:
        return Route(path, for_employees(portal, endpoint), methods=[method])

    app = Starlette(
        routes=[
            own("/", home.home),
            own("/answer", home.answer, "POST"),
            own("/not-seen/{name}", home.not_seen),
            own("/appointment", home.appointment, "POST"),
            own("/spot-check", home.spot_check, "POST"),
            own("/revoke", home.revoke, "POST"),
            own("/receipt", home.receipt),
            own("/receipt.txt", home.receipt_file),
            own("/mandate", mandate.choose),
            own("/mandate", mandate.prepare, "POST"),
            own("/mandate/review", mandate.review),
            own("/mandate/sign", mandate.sign),
            own("/mandate/given", mandate.given),
            Route("/sign-in", sign_in.sign_in(portal)),
            Route(sign_in.CALLBACK, sign_in.signed_in_again(portal)),
            Route("/sign-out", sign_in.sign_out(portal), methods=["POST"]),
            Route("/signed-out", sign_in.signed_out(portal)),
            Route("/portal.css", _style),
        ],
        exception_handlers={
            Problem: lambda request, problem: _problem(portal, request, problem),
            HTTPException: lambda request, error: _problem(portal, request, _problem_of(error)),
            Exception: lambda request, _error: _problem(portal, request, _FAULT),
        },
    )

    def url() -> str | None:
        site = portal.published.last_site
        return site.url if site else None

    return Guard(app, url)


def _problem_of(error: HTTPException) -> Problem:
    title = _TITLES.get(error.status_code, _FAULT.title)
    text = _NOT_OURS if error.status_code == 403 else sentence("Nothing was saved.")
    return Problem(error.status_code, title, (text,), _FAULT.way)


def _problem(portal: Portal, request: Request, problem: Exception) -> Response:
    """Return the page of a problem; the session's own language and way out, if there is a session."""
    assert isinstance(problem, Problem)
    session = portal.sessions.get(request.cookies.get(SESSION_COOKIE))
    return page(
        request,
        "message.html.j2",
        portal.published.last_site,
        language_of(request, session.language if session else None),
        status=problem.status,
        form_token=session.form_token if session else None,
        title=problem.title,
        texts=problem.texts,
        way=problem.way,
    )


async def _style(_request: Request) -> Response:
    return Response(stylesheet()[1], headers={"cache-control": "max-age=86400"}, media_type="text/css")
