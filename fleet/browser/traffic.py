"""What a page asks and sends: whether it has come to rest, and what became of a press."""

from __future__ import annotations

import asyncio
from enum import Enum, auto

from playwright.async_api import Page, Request, Response, WebSocket

_READS = ("GET", "HEAD", "OPTIONS")
_BESIDE = ("image", "media", "font", "ping", "eventsource", "websocket")
"""Kinds of request for whose answer nobody need wait: pictures, beacons, and streams that never end."""


_POLL = 0.1


class Sent(Enum):
    """What became of what a press made the page send."""

    NOTHING_SEEN = auto()
    ANSWERED = auto()
    REFUSED = auto()
    UNANSWERED = auto()


class Traffic:
    """The requests of one tab, from its first document on. Times are in seconds."""

    FIRST_WITHIN = 4.0
    """How long to wait for a first write; pages that wait a while before they save are common."""
    QUIET_FOR = 2.0
    """How long there must be no news after the last answer; pages that gather changes send them this late."""
    AT_MOST = 20.0
    """After so long, what is still unanswered is not waited for any more."""

    def __init__(self, page: Page) -> None:
        self._loop = asyncio.get_running_loop()
        self._asked: set[Request] = set()
        self._writes: set[Request] = set()
        self._answers: list[Response] = []
        self._last_change = self._last_write = self._loop.time()
        self._has_written = self._is_refused = False
        self.has_sent = False
        """True once anything at all was sent since `begin`; of what the next document asks for, only what writes."""
        self._is_leaving = False
        self.has_socket = False
        """True if the page has opened a WebSocket: it may be told its state over that, later."""
        page.on("request", self._started)
        page.on("response", self._answered)
        page.on("requestfinished", self._ended)
        page.on("requestfailed", self._failed)
        page.on("websocket", self._opened)

    @property
    def quiet_for(self) -> float:
        """How long nothing has been asked and unanswered; 0 while something is."""
        return 0.0 if self._asked else self._loop.time() - self._last_change

    def forget(self) -> None:
        """A new document is about to be loaded: what the old one asked does not count any more."""
        self._asked.clear()
        self._is_leaving = True
        self.has_socket = False

    def begin(self) -> None:
        """A press is about to be made."""
        self._writes.clear()
        self._answers.clear()
        self._is_leaving = False
        self._has_written = self._is_refused = self.has_sent = False
        self._last_write = self._loop.time()

    async def settled(self) -> Sent:
        """Wait until all writes since `begin` are answered, or until it is no use to wait any more."""
        start = self._loop.time()
        while (left := self._until_settled()) > 0 and self._loop.time() - start < self.AT_MOST:
            await asyncio.sleep(left)
        if self._is_refused:
            return Sent.REFUSED
        if self._writes:
            return Sent.UNANSWERED
        return Sent.ANSWERED if self._has_written else Sent.NOTHING_SEEN

    async def cookies_set(self) -> frozenset[str]:
        """Names of the cookies that answers since `begin` have set."""
        names = set()
        for response in self._answers:
            headers = await asyncio.wait_for(response.headers_array(), 5)
            set_cookies = [header["value"] for header in headers if header["name"].lower() == "set-cookie"]
            # Several of them may come as one value with line breaks.
            names |= {line.partition("=")[0].strip() for value in set_cookies for line in value.split("\n")}
        return frozenset(names)

    def _until_settled(self) -> float:
        """Seconds after which it is worth looking whether the writes have settled; 0 if they have."""
        if self._writes:
            return _POLL
        enough = self.QUIET_FOR if self._has_written else self.FIRST_WITHIN
        return max(0.0, self._last_write + enough - self._loop.time())

    def _started(self, request: Request) -> None:
        self.has_sent = self.has_sent or not self._is_leaving or request.method not in _READS
        if request.resource_type in _BESIDE:
            return
        self._asked.add(request)
        self._last_change = self._loop.time()
        if request.method not in _READS:
            self._has_written = True
            self._writes.add(request)
            self._last_write = self._loop.time()

    def _answered(self, response: Response) -> None:
        if not self._is_leaving:
            self._answers.append(response)
        if response.request in self._writes:
            # The answer settles it: Chromium reports a body that the page never reads as failed, or not at all.
            self._is_refused = self._is_refused or response.status >= 400
            self._ended(response.request)

    def _ended(self, request: Request) -> None:
        if request in self._asked:
            self._asked.discard(request)
            self._last_change = self._loop.time()
        if request in self._writes:
            self._writes.discard(request)
            self._last_write = self._loop.time()

    def _failed(self, request: Request) -> None:
        self._is_refused = self._is_refused or request in self._writes
        self._ended(request)

    def _opened(self, socket: WebSocket) -> None:
        self.has_socket = True
        socket.on("framesent", self._framed)

    def _framed(self, _frame: object) -> None:
        self.has_sent = True
