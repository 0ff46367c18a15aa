"""What a page keeps in the browser: remembered before a press and put back for the proof, which must not rest on it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import CDPSession, Page

from fleet.browser.page_script import SOURCE, PageScript
from fleet.browser.traffic import Traffic

_NONE_AT_FIRST = "indexeddb,cache_storage,file_systems,service_workers"
"""Kinds of storage of which a fresh context has none, so that clearing them puts them back (Chrome DevTools Protocol,
Storage.clearDataForOrigin)."""


class Kept:
    """Local and session storage and the cookies of a tab's page, from before a press. Raises what Playwright raises."""

    def __init__(self, page: Page, devtools: CDPSession, script: PageScript, traffic: Traffic) -> None:
        self._page = page
        self._devtools = devtools
        self._script = script
        self._traffic = traffic
        self._stored: dict[str, Any] | None = None
        self._cookies: dict[tuple[str, ...], Any] = {}

    @property
    def is_remembered(self) -> bool:
        """True from a press until the next document is loaded."""
        return self._stored is not None

    async def remember(self) -> None:
        """Note what is there now."""
        self._cookies = await self._cookies_now()
        self._stored = await self._script.call("stored")

    @asynccontextmanager
    async def put_back(self) -> AsyncIterator[None]:
        """Put back what was there for the document that is loaded meanwhile, before its own scripts run."""
        if self._stored is None:
            yield
            return
        await self._put_cookies_back()
        kinds = {"origin": self._stored["origin"], "storageTypes": _NONE_AT_FIRST}
        await self._devtools.send("Storage.clearDataForOrigin", kinds)
        script = f"{SOURCE}.restore({json.dumps(self._stored)})"
        self._stored = None
        async with await self._page.add_init_script(script):
            yield

    async def _put_cookies_back(self) -> None:
        """Those that the page's scripts have written since. What the service has set is the session, and stays."""
        now, context = await self._cookies_now(), self._page.context
        changed = [
            key
            for key in {**self._cookies, **now}
            if self._cookies.get(key, {}).get("value") != now.get(key, {}).get("value")
            and not (now.get(key) or self._cookies[key])["httpOnly"]
        ]
        of_service = await self._traffic.cookies_set() if changed else frozenset()
        for name, domain, path in changed:
            if name in of_service:
                continue
            if (old := self._cookies.get((name, domain, path))) is not None:
                await context.add_cookies([old])
            else:
                await context.clear_cookies(name=name, domain=domain, path=path)

    async def _cookies_now(self) -> dict[tuple[str, ...], Any]:
        cookies = await self._page.context.cookies()
        return {(cookie["name"], cookie["domain"], cookie["path"]): cookie for cookie in cookies}
