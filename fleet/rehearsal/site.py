"""What the played services have in common: who asks, what a change leads to, and how a session is stored."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from fleet.model import Reading
from fleet.rehearsal.behavior import SaveAnswer
from fleet.rehearsal.pages import LostConnection, page
from fleet.rehearsal.world import Account, World

YEAR = 365 * 24 * 3600

Answer = Callable[[Request, Account], Awaitable[Response]]


class Site:
    """A played service. A subclass says which cookie is the session, and what keeps an account out."""

    service: str
    session_cookie: str

    def __init__(self, world: World) -> None:
        self.world = world

    def owner(self, request: Request) -> Account | None:
        """The account whose session comes with a request, signed in or not; notes the request with it."""
        account = self.world.owner_of(request.cookies.get(self.session_cookie), self.service)
        if account:
            account.requests.append(f"{request.method} {request.url.path}")
        return account

    def barrier(self, request: Request, account: Account | None) -> Response | None:
        """What is answered instead of the page, to those who may not see it."""
        raise NotImplementedError

    def guarded(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint that only those reach who are signed in and not kept out."""

        async def endpoint(request: Request) -> Response:
            account = self.owner(request)
            barrier = self.barrier(request, account)
            if barrier is not None:
                return barrier
            assert account is not None  # every barrier keeps out those whom nobody knows
            if account.case.status_everywhere:
                return refusal(account)
            return await answer(request, account)

        return endpoint

    async def store(self, account: Account, control: str, value: Reading, done: Response) -> Response:
        """Store a value as far as the case does; `done` is the answer of a service that is well."""
        await asyncio.sleep(account.case.save_delay_ms / 1000)
        self.world.write(account, control, value)
        match account.case.save_answer:
            case SaveAnswer.ERROR:
                return page("error.html", status=500, status_text="Something went wrong")
            case SaveAnswer.LOST:
                return LostConnection()
        return done


def refusal(account: Account) -> Response:
    """The answer of a service that is too busy or broken."""
    answer = page("error.html", status=account.case.status, status_text="Try again later")
    answer.headers["Retry-After"] = "120"
    return answer


def has_token(account: Account, token: str | None) -> bool:
    """True if a change brings along the token that only the account's own pages know."""
    return hmac.compare_digest((token or "").encode(), account.csrf.encode())


def cookie(name: str, value: str, domain: str, *, http_only: bool = True) -> dict[str, Any]:
    """A cookie as Playwright's storage state has it; valid for a year."""
    return {
        "name": name,
        "value": value,
        "domain": domain,
        "path": "/",
        "expires": float(int(time.time()) + YEAR),
        "httpOnly": http_only,
        "secure": True,
        "sameSite": "None",
    }
