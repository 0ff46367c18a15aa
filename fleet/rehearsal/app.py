"""The rehearsal's web application: each played host has its routes, and one more host tells the truth."""

from __future__ import annotations

import hmac
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Route, Router
from starlette.types import Receive, Scope, Send

from fleet.model import Reading
from fleet.rehearsal import hosts
from fleet.rehearsal.intranet import Intranet
from fleet.rehearsal.linkedin import LinkedIn, media_routes, static_routes
from fleet.rehearsal.world import Account, World


def make_app(world: World, truth_token: str) -> Starlette:
    """The application; only who has `truth_token` may ask for the truth or plant it."""
    linkedin, intranet = LinkedIn(world), Intranet(world)
    session_of = {"linkedin": linkedin.storage_state, "intranet": intranet.storage_state}

    async def tell(_request: Request) -> Response:
        return JSONResponse([asdict(account.truth) for account in world.accounts()])

    async def sessions(_request: Request) -> Response:
        return JSONResponse([_session_row(account, session_of) for account in world.accounts()])

    async def plant(request: Request) -> Response:
        wanted = await request.json()
        account = world.find(wanted["employee"], wanted["service"])
        if account is None or wanted["control"] not in account.controls or wanted["value"] not in list(Reading):
            return PlainTextResponse("no such account, control or value", 404)
        world.plant(account, wanted["control"], Reading(wanted["value"]))
        return JSONResponse({})

    truth_routes = [Route("/truth", tell), Route("/sessions", sessions), Route("/controls", plant, methods=["POST"])]
    routes: list[BaseRoute] = [
        Host(hosts.LINKEDIN, Router(linkedin.routes())),
        Host(hosts.LINKEDIN_STATIC, Router(static_routes())),
        Host(hosts.LINKEDIN_MEDIA, Router(media_routes())),
        Host(hosts.INTRANET, Router(intranet.routes())),
        Host(hosts.TRUTH, _Guarded(Router(truth_routes), truth_token)),
        Route("/{path:path}", _misdirected),
    ]
    return Starlette(routes=routes)


class _Guarded:
    """Lets only those through who bear the token."""

    def __init__(self, router: Router, token: str) -> None:
        self._router = router
        self._expected = f"Bearer {token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Request(scope).headers.get("authorization", "")
        allowed = hmac.compare_digest(given.encode(), self._expected.encode())
        await (self._router if allowed else PlainTextResponse("not for you", 403))(scope, receive, send)


def _session_row(account: Account, session_of: dict[str, Any]) -> dict[str, Any]:
    given = account.given
    state = session_of[given.service](account) if account.case.has_session else None
    return {"employee": given.employee, "service": given.service, "storage_state": state}


async def _misdirected(_request: Request) -> Response:
    return PlainTextResponse("this host is not played here", 421)
