"""What a page keeps in the browser: remembered before a press and put back for the proof, which must not rest on it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import CDPSession, Page

from fleet.browser.page_script import SOURCE, PageScript

_NONE_AT_FIRST = "indexeddb,cache_storage,file_systems,service_workers"
"""Kinds of storage of which a fresh context has none, so that clearing them puts them back (Chrome DevTools Protocol,
Storage.clearDataForOrigin)."""


class Kept:
    """Local and session storage and the cookies of a tab's page, from before a press. Raises what Playwright raises."""

    def __init__(self, page: Page, devtools: CDPSession, script: PageScript, session_cookies: frozenset[str]) -> None:
        self._page = page
        self._devtools = devtools
        self._script = script
        self._session_cookies = session_cookies
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
        """All but the session's: a page or a service may keep the choice in a cookie, and store nothing."""
        now, context = await self._cookies_now(), self._page.context
        for key in {**self._cookies, **now}:
            old, new = self._cookies.get(key), now.get(key)
            if (old and old["value"]) == (new and new["value"]) or self._is_session(key[0], old, new):
                continue
            if old is not None:
                await context.add_cookies([old])
            else:
                name, domain, path = key
                await context.clear_cookies(name=name, domain=domain, path=path)

    def _is_session(self, name: str, old: Any, new: Any) -> bool:
        """True for a cookie of the session, which may have been rotated: its old value would sign the person out.

        Where the recipe does not name them: those that were there before and are hidden from scripts.
        """
        if self._session_cookies:
            return name in self._session_cookies
        return bool(old and new and new["httpOnly"])

    async def _cookies_now(self) -> dict[tuple[str, ...], Any]:
        cookies = await self._page.context.cookies()
        return {(cookie["name"], cookie["domain"], cookie["path"]): cookie for cookie in cookies}
