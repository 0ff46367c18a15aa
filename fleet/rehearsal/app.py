"""One ASGI application for all hosts of the rehearsal, with endpoints where tests query the truth."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fleet.rehearsal import intranet, linkedin
from fleet.rehearsal.process import TRUTH_HOST
from fleet.rehearsal.site import HANG_UP, Endpoint
from fleet.rehearsal.world import Account, World

_SERVICES = {linkedin.SERVICE: linkedin, intranet.SERVICE: intranet}


def rehearsal_app(world: World, truth_token: str) -> ASGIApp:
    """Dispatch by the Host header; other hosts are refused (421)."""
    sites: dict[str, ASGIApp] = {TRUTH_HOST: _truth(world, truth_token)}
    for service in _SERVICES.values():
        sites.update(service.sites(world))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        host = Headers(scope=scope).get("host", "").partition(":")[0].lower()
        site = sites.get(host)
        if site is None:
            await PlainTextResponse("This host is not rehearsed.\n", 421)(scope, receive, send)
            return
        scope[HANG_UP] = _hang_up(send)
        await site(scope, receive, send)

    return app


def _hang_up(send: Any) -> Callable[[], None]:
    # ASGI cannot break a connection; uvicorn's `send` is a method of the object that holds the transport.
    def break_connection() -> None:
        send.__self__.transport.abort()

    return break_connection


def _truth(world: World, token: str) -> Router:
    async def accounts(_request: Request) -> Response:
        return JSONResponse([account.as_truth() for account in world])

    async def sessions(_request: Request) -> Response:
        return JSONResponse([[one.who.employee, one.who.service, state_of(one)] for one in world])

    def state_of(account: Account) -> dict[str, Any] | None:
        if not account.case.has_session:
            return None
        service = _SERVICES[account.who.service]
        return {"cookies": service.session_cookies(account), "origins": service.origins(account)}

    async def session(request: Request) -> Response:
        wanted = request.query_params
        account = world.get(wanted.get("employee", ""), wanted.get("service", ""))
        if account is None:
            return Response(status_code=404)
        return JSONResponse(state_of(account))

    async def value(request: Request) -> Response:
        wanted = await request.json()
        account = world.get(wanted["employee"], wanted["service"])
        if account is None or wanted["control"] not in account.controls or wanted["value"] not in ("in", "out"):
            return Response(status_code=404)
        world.set_value(account, wanted["control"], wanted["value"])
        return Response(status_code=204)

    def guarded(endpoint: Endpoint) -> Endpoint:
        async def guard(request: Request) -> Response:
            shown = request.headers.get("authorization", "").encode()
            if not secrets.compare_digest(shown, f"Bearer {token}".encode()):
                return Response(status_code=403)
            return await endpoint(request)

        return guard

    return Router(
        [
            Route("/accounts", guarded(accounts)),
            Route("/session", guarded(session)),
            Route("/sessions", guarded(sessions)),
            Route("/value", guarded(value), methods=["PUT"]),
        ]
    )
