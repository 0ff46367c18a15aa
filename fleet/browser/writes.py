"""What a page sends after a press, so that nobody reloads it while a change is still on its way."""

from __future__ import annotations

import asyncio
from typing import Any

from playwright.async_api import Page, Request, Response

_READS = ("GET", "HEAD", "OPTIONS")


class Writes:
    """The requests that could store something, from a press on until all are answered."""

    FIRST_WITHIN = 4.0
    """Seconds to wait for a first write; pages that wait a while before they save are common."""
    QUIET_FOR = 0.8
    """Seconds without news after the last answer; pages that gather changes send them this late."""
    AT_MOST = 20.0
    """Seconds after which what is still unanswered counts as refused."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._pending: set[Request] = set()
        self._seen = False
        self._refused = False
        self._last_change = asyncio.get_running_loop().time()
        self._handlers: list[tuple[Any, Any]] = [
            ("request", self._started),
            ("response", self._answered),
            ("requestfinished", self._ended),
            ("requestfailed", self._failed),
        ]
        for event, handler in self._handlers:
            page.on(event, handler)

    def _started(self, request: Request) -> None:
        # A beacon ("ping") outlives its page, and mostly counts clicks.
        if request.method not in _READS and request.resource_type != "ping":
            self._seen = True
            self._pending.add(request)
            self._last_change = asyncio.get_running_loop().time()

    def _answered(self, response: Response) -> None:
        # The answer settles it: Chromium reports a body that the page never reads as failed, or not at all.
        if response.request in self._pending:
            self._refused = self._refused or response.status >= 400
            self._ended(response.request)

    def _ended(self, request: Request) -> None:
        if request in self._pending:
            self._pending.discard(request)
            self._last_change = asyncio.get_running_loop().time()

    def _failed(self, request: Request) -> None:
        if request in self._pending:
            self._refused = True
            self._ended(request)

    async def settled(self) -> bool | None:
        """Wait until all writes are answered; True, False (one was refused) or None (none was seen)."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        while loop.time() - start < self.AT_MOST:
            calm = loop.time() - self._last_change
            if not self._pending and calm >= (self.QUIET_FOR if self._seen else self.FIRST_WITHIN):
                break
            await asyncio.sleep(0.05)
        for event, handler in self._handlers:
            self._page.remove_listener(event, handler)
        return None if not self._seen else not (self._refused or self._pending)
