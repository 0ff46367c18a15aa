"""Tracks what a page requests and sends: whether it has settled, and what happened to a press."""

from __future__ import annotations

import asyncio
import json
import re
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from enum import Enum, auto

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page, Request, Response, WebSocket

from fleet.recipes.recipe import host_port

_READS = ("GET", "HEAD", "OPTIONS")
_BESIDE = ("image", "media", "font", "ping", "eventsource", "websocket")
"""Request types that are not waited for: pictures, beacons, and streams that never end."""


_DATA = ("fetch", "xhr")
_TOO_MANY = 429
_NO_DATA = (401, 403, _TOO_MANY)
"""Statuses, besides 500 and above, with which a service withholds data; a 404 may just mean that no data exists."""
_JSON = re.compile(r"application/([\w.-]+\+)?json\b", re.IGNORECASE)
_MAX_ANSWER = 256 * 1024
"""Bytes; an error answer is short."""
_LOOK_WITHIN = 5.0
_POLL = 0.1


class Sent(Enum):
    """What happened to the requests that a press triggered."""

    NOTHING_SEEN = auto()
    ANSWERED = auto()
    REFUSED = auto()
    UNANSWERED = auto()


class Traffic:
    """The requests of one tab, from its first document on. Times are in seconds."""

    FIRST_WITHIN = 8.0
    """Time to wait for a first write; many pages delay saving."""
    QUIET_FOR = 2.0
    """Required silence after the last answer; pages that batch changes send them this late."""
    AT_MOST = 20.0
    """Time after which an unanswered request is no longer waited for."""

    def __init__(self, page: Page, hosts: frozenset[str]) -> None:
        self._hosts = hosts
        self._loop = asyncio.get_running_loop()
        self._asked: dict[Request, float] = {}
        self._asked_at_all: set[str] = set()
        self._missing_data: set[str] = set()
        self._missing_scripts: set[str] = set()
        self._not_needed: set[str] = set()
        self._asked_before_press: set[str] = set()
        self._writes: set[Request] = set()
        self._last_change = self._last_write = self._loop.time()
        self._has_written = self._is_refused = False
        self.has_sent = False
        """True once anything was sent since `begin`; of the next document's requests, only writes count."""
        self._is_leaving = False
        self.retry_after: float | None = None
        """Seconds to wait after a 429 (Retry-After); 0 if the service gave no time, None without a 429."""
        self.is_pushed_to = False
        """True if the page has opened a WebSocket or an event stream: it may receive its state over that, later."""
        # Of the whole context: a form may be submitted to a new window.
        context = page.context
        self._page = page
        self._read: set[asyncio.Task[None]] = set()
        context.on("request", self._started)
        context.on("response", self._answered)
        context.on("requestfinished", self._finished)
        context.on("requestfailed", self._failed)
        page.on("websocket", self._opened)

    @property
    def quiet_for(self) -> float:
        """Seconds without a pending request or an answer still to be read; 0 while there is one."""
        return 0.0 if self._awaited() or self._read else self._loop.time() - self._last_change

    def has_waited(self, seconds: float) -> bool:
        """Return True if any request has been unanswered for that many seconds."""
        return any(self._loop.time() - since >= seconds for since in self._awaited())

    @property
    def lacks_data(self) -> bool:
        """True if a data request of the document failed: the state shown may be only a default."""
        return bool(self._missing_data - self._not_needed)

    @property
    def lacks_script(self) -> bool:
        """True if a script of the document is on a host that the recipe does not list."""
        return bool(self._missing_scripts - self._not_needed)

    def believe(self) -> None:
        """Accept the document's state without the missing answers; later documents do not wait for these either."""
        self._not_needed |= {_path(request) for request in self._asked} | self._missing_data | self._missing_scripts

    def _awaited(self) -> list[float]:
        return [since for request, since in self._asked.items() if _path(request) not in self._not_needed]

    def forget(self) -> None:
        """Reset before a new document is loaded: requests of the old one no longer count."""
        self._asked.clear()
        self._asked_at_all.clear()
        for reading in self._read:
            reading.cancel()
        self._is_leaving = True
        self._missing_data.clear()
        self._missing_scripts.clear()
        self.is_pushed_to = False

    def begin(self) -> None:
        """Start tracking a press that is about to be made."""
        self._writes.clear()
        self._asked_before_press = self._asked_at_all | self._not_needed
        self._is_leaving = False
        self._has_written = self._is_refused = self.has_sent = False
        self._last_write = self._loop.time()

    async def settled(self) -> Sent:
        """Wait until all writes since `begin` are answered, or until waiting is pointless."""
        start = self._loop.time()
        while (left := self._until_settled()) > 0 and self._loop.time() - start < self.AT_MOST:
            await asyncio.sleep(left)
        if self._is_refused:
            return Sent.REFUSED
        if self._writes:
            return Sent.UNANSWERED
        return Sent.ANSWERED if self._has_written else Sent.NOTHING_SEEN

    def _until_settled(self) -> float:
        """Return the seconds after which to check again whether the writes have settled; 0 if they have.

        Requests that the press triggers first (the script that reacts, a token) are waited for like a write; requests
        the page already made before the press may be polling and are not.
        """
        if self._writes or any(_path(request) not in self._asked_before_press for request in self._asked):
            return _POLL
        enough = self.QUIET_FOR if self._has_written else self.FIRST_WITHIN
        return max(0.0, self._last_write + enough - self._loop.time())

    def _started(self, request: Request) -> None:
        self.has_sent = self.has_sent or not self._is_leaving or request.method not in _READS
        self.is_pushed_to = self.is_pushed_to or request.resource_type == "eventsource"
        if request.resource_type in _BESIDE:
            return
        self._asked[request] = self._last_change = self._loop.time()
        self._asked_at_all.add(_path(request))
        if request.method not in _READS:
            self._has_written = True
            self._writes.add(request)
            self._last_write = self._loop.time()

    def _answered(self, response: Response) -> None:
        kind, status = response.request.resource_type, response.status
        if status == _TOO_MANY and self._is_its_own(response.request):
            asked = seconds_of(response.headers.get("retry-after", ""))
            self.retry_after = max(asked, self.retry_after or 0)
        is_page = "text/html" in response.headers.get("content-type", "")
        is_led_away = response.request.redirected_from is not None and is_page  # most likely to a sign-in page
        if kind in _DATA and (status in _NO_DATA or status >= 500 or is_led_away):
            self._missing_data.add(_path(response.request))
        if kind == "script" and status >= 400:
            self._missing_data.add(_path(response.request))
        if response.request in self._writes:
            # The answer is final: Chromium reports a body that the page never reads as failed, or not at all.
            self._is_refused = self._is_refused or response.status >= 400
            self._ended(response.request)

    def _is_its_own(self, request: Request) -> bool:
        """Return True for the page itself and its data on the same host; pictures and statistics have other hosts."""
        if request.resource_type in _DATA:
            return host_port(request.url) == host_port(self._page.url)
        return request.resource_type == "document" and request.is_navigation_request()

    def _finished(self, request: Request) -> None:
        if request.resource_type in _DATA:
            reading = asyncio.ensure_future(self._look_into(request))
            self._read.add(reading)
            reading.add_done_callback(self._read.discard)
        self._ended(request)

    async def _look_into(self, request: Request) -> None:
        """Note an answer with a good status that contains an error: the page did not get what it asked for."""
        with suppress(PlaywrightError, TimeoutError):
            async with asyncio.timeout(_LOOK_WITHIN):
                response = await request.response()
                if response is None or not _JSON.match(response.headers.get("content-type", "")):
                    return
                if (await request.sizes())["responseBodySize"] <= _MAX_ANSWER and says_error(await response.body()):
                    self._missing_data.add(_path(request))

    def _ended(self, request: Request) -> None:
        if request in self._asked:
            del self._asked[request]
            self._last_change = self._loop.time()
            if _path(request) not in self._asked_before_press:
                self._last_write = self._last_change
        if request in self._writes:
            self._writes.discard(request)
            self._last_write = self._loop.time()

    def _failed(self, request: Request) -> None:
        if "ERR_ABORTED" not in (request.failure or ""):  # canceled by the page itself
            if request.resource_type == "script" and was_refused(request, self._hosts):
                # Usually third-party statistics; the control shows whether the page works without them.
                self._missing_scripts.add(_path(request))
            elif request.resource_type in (*_DATA, "script") and request.method in _READS:
                self._missing_data.add(_path(request))
        self._is_refused = self._is_refused or request in self._writes
        self._ended(request)

    def _opened(self, socket: WebSocket) -> None:
        self.is_pushed_to = True
        socket.on("framesent", self._framed)

    def _framed(self, _frame: object) -> None:
        self.has_sent = True


def says_error(body: bytes) -> bool:
    """Return True for JSON with a top-level error (GraphQL, JSON:API, JSON-RPC), partial or complete."""
    if len(body) > _MAX_ANSWER:
        return False
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return False
    answers = answer if isinstance(answer, list) else [answer]  # GraphQL batches answers in a list
    return any(isinstance(one, dict) and bool(one.get("errors") or one.get("error")) for one in answers)


def seconds_of(retry_after: str) -> float:
    """Return the seconds of a Retry-After header (RFC 9110, 10.2.3: a number, or a date); 0 for anything else."""
    if retry_after.strip().isdecimal():
        return float(retry_after.strip()[:9])
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def was_refused(request: Request, hosts: frozenset[str]) -> bool:
    """Return True if a failed request was for none of `hosts` (`host:port`): the browser is confined to those.

    Requests that the page itself canceled or forbids (ERR_ABORTED, `csp`) were not refused by us.
    """
    failure = request.failure or ""
    is_failed = failure.startswith("net::") and "ERR_ABORTED" not in failure
    return is_failed and request.url.startswith("http") and host_port(request.url) not in hosts


def _path(request: Request) -> str:
    return request.url.partition("?")[0]
