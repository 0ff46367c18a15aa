"""What a page keeps in the browser: gone for the proof, which must not rest on it; what makes up the session stays."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import CDPSession, Page

from fleet.browser.page_script import FUNCTIONS, PageScript
from fleet.recipes.recipe import SessionParts

_OTHER_STORAGE = "cache_storage,file_systems,service_workers"
"""What never makes up a session (Chrome DevTools Protocol, Storage.clearDataForOrigin)."""


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
        """Note, before a press, the cookies and whose storage is to be forgotten afterwards."""
        self._origin = (await self._script.call("stored"))["origin"]
        self._cookies = await self._cookies_now()

    @asynccontextmanager
    async def forgotten(self) -> AsyncIterator[None]:
        """After a press: a document that is loaded meanwhile finds nothing of what the page has kept, from its first
        script on. Cookies are as they were before the press.
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
        """All but the session's: a page or a service may keep the choice in a cookie, and store nothing."""
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
        """True for a cookie of the session, which may have been rotated: its old value would sign the person out.

        Where the recipe does not name them: those that were there before and are hidden from scripts.
        """
        if self._session.cookies:
            return name in self._session.cookies
        return bool(old and new and new["httpOnly"])

    async def _cookies_now(self) -> dict[tuple[str, ...], Any]:
        cookies = await self._page.context.cookies()
        return {(cookie["name"], cookie["domain"], cookie["path"]): cookie for cookie in cookies}
