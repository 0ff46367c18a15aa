"""Reads the storage state of a profile folder that a person's browser has left, without a connection to anything."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, Playwright, Route
from playwright.async_api import Error as PlaywrightError

from fleet.browser.chromium import PROBE_WITHIN, START_WITHIN
from fleet.browser.liveness import BrowserGone
from fleet.recipes.recipe import SessionParts

READ_WITHIN = 30.0


async def profile_state(
    playwright: Playwright, folder: Path, options: dict[str, Any], hosts: Collection[str], session: SessionParts
) -> dict[str, Any]:
    """Return a profile's cookies and, if the session has such parts, the storage of `hosts` (`host:port`).

    `options` start a browser that reaches nothing: the tabs of the person's window are restored with their cookies.

    Raises BrowserGone if the browser does not start on the profile, or cannot read it.
    """
    starting = playwright.chromium.launch_persistent_context(folder, **options, service_workers="block")
    try:
        context = await asyncio.wait_for(starting, START_WITHIN + PROBE_WITHIN)
    except (TimeoutError, PlaywrightError) as error:
        raise BrowserGone("the browser does not start on it, perhaps by a policy") from error
    try:
        return await asyncio.wait_for(_read(context, hosts, session), READ_WITHIN)
    except (TimeoutError, PlaywrightError) as error:
        raise BrowserGone("the browser does not answer") from error
    finally:
        with suppress(TimeoutError, PlaywrightError):  # the driver's end kills it
            await asyncio.wait_for(context.close(), PROBE_WITHIN)


async def _read(context: BrowserContext, hosts: Collection[str], session: SessionParts) -> dict[str, Any]:
    if not session.local_storage and not session.databases:
        return {"cookies": [dict(cookie) for cookie in await context.cookies()], "origins": []}
    page = await context.new_page()
    devtools = await context.new_cdp_session(page)
    await devtools.send("Network.setBypassServiceWorker", {"bypass": True})
    await page.route("**/*", _blank)
    for host in sorted(hosts):  # Playwright exports the storage of origins that it has seen
        await page.goto(f"https://{host}/")
    return dict(await context.storage_state(indexed_db=bool(session.databases)))


async def _blank(route: Route) -> None:
    """Answer with an empty page: only its origin counts."""
    await route.fulfill(body="<!doctype html>", content_type="text/html")
