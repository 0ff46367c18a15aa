"""Removes data the page stored in the browser, so that a proof cannot rest on it; the session itself is kept."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import CDPSession, Page

from fleet.browser.page_script import FUNCTIONS, PageScript
from fleet.recipes.recipe import SessionParts

_OTHER_STORAGE = "cache_storage,file_systems,service_workers"
"""Storage types that are never part of a session (Chrome DevTools Protocol, Storage.clearDataForOrigin)."""


class StorageRestore:
    """Storage, databases and cookies of a tab's page. Raises what Playwright raises."""

    def __init__(self, page: Page, devtools: CDPSession, script: PageScript, session: SessionParts) -> None:
        self._page = page
        self._devtools = devtools
        self._script = script
        self._session = session
        self._origin: str | None = None
        self._cookies: dict[tuple[str, ...], Any] | None = None

    @property
    def is_remembered(self) -> bool:
        """True from a press until the next document is loaded."""
        return self._cookies is not None

    async def remember(self) -> None:
        """Before a press, remember the cookies and the origin whose storage will be cleared."""
        self._origin = (await self._script.call("stored"))["origin"]
        self._cookies = await self._cookies_now()

    @asynccontextmanager
    async def forgotten(self) -> AsyncIterator[None]:
        """After a press, hide the page's stored data from any document loaded in this block, from its first script on.

        Cookies are as they were before the press.
        """
        if self._origin is None:
            yield
            return
        if self._cookies is not None:
            await self._put_cookies_back(self._cookies)
            self._cookies = None
        databases = []
        if self._session.databases:
            answer = await self._devtools.send("IndexedDB.requestDatabaseNames", {"securityOrigin": self._origin})
            databases = [name for name in answer["databaseNames"] if name not in self._session.databases]
        kinds = _OTHER_STORAGE if self._session.databases else f"indexeddb,{_OTHER_STORAGE}"
        await self._devtools.send("Storage.clearDataForOrigin", {"origin": self._origin, "storageTypes": kinds})
        kept = {"origin": self._origin, "kept": sorted(self._session.local_storage), "databases": databases}
        async with await self._page.add_init_script(f"{FUNCTIONS}.forget({json.dumps(kept)})"):
            yield

    async def _put_cookies_back(self, before: dict[tuple[str, ...], Any]) -> None:
        """Restore all cookies except the session's: a choice may be stored in a cookie alone, not at the service."""
        now, context = await self._cookies_now(), self._page.context
        for key in {**before, **now}:
            old, new = before.get(key), now.get(key)
            if (old and old["value"]) == (new and new["value"]) or self._is_session(key[0], old, new):
                continue
            if old is not None:
                await context.add_cookies([old])
            else:
                name, domain, path = key
                await context.clear_cookies(name=name, domain=domain, path=path)

    def _is_session(self, name: str, old: Any, new: Any) -> bool:
        """Return True for a session cookie. It may have been rotated, and its old value would sign the person out.

        If the recipe names no session cookies, those count that existed before and are hidden from scripts.
        """
        if self._session.cookies:
            return name in self._session.cookies
        return bool(old and new and new["httpOnly"])

    async def _cookies_now(self) -> dict[tuple[str, ...], Any]:
        cookies = await self._page.context.cookies()
        return {(cookie["name"], cookie["domain"], cookie["path"]): cookie for cookie in cookies}
