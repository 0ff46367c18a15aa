"""Follows an address only to see where it leads, without loading the page there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin

from playwright.async_api import CDPSession, Page
from playwright.async_api import Error as PlaywrightError

_REDIRECTS = (301, 302, 303, 307, 308)
_ANSWERED_DOCUMENTS = {"urlPattern": "*", "resourceType": "Document", "requestStage": "Response"}


async def land(page: Page, devtools: CDPSession, address: str, is_enough: Callable[[str], bool], within: float) -> str:
    """Go to an address and return the address that answered, within `within` seconds.

    A redirect to an address for which `is_enough` is true is not followed: the signed-in person is known by then, so
    the page need not be loaded. Raises what Playwright raises.
    """
    answered: list[str] = []

    async def on_answer(event: dict[str, Any]) -> None:
        headers = {header["name"].lower(): header["value"] for header in event.get("responseHeaders", ())}
        target = urljoin(event["request"]["url"], headers.get("location", ""))
        is_redirect = event.get("responseStatusCode") in _REDIRECTS and "location" in headers
        with suppress(PlaywrightError):  # the tab may be gone by now
            if is_redirect and is_enough(target):
                answered.append(target)
                await devtools.send("Fetch.failRequest", {"requestId": event["requestId"], "errorReason": "Aborted"})
            else:
                await devtools.send("Fetch.continueRequest", {"requestId": event["requestId"]})

    devtools.on("Fetch.requestPaused", on_answer)
    try:
        await devtools.send("Fetch.enable", {"patterns": [_ANSWERED_DOCUMENTS]})
        await page.goto(address, wait_until="commit", timeout=within * 1000)
    except PlaywrightError:
        if not answered:
            raise
    finally:
        devtools.remove_listener("Fetch.requestPaused", on_answer)
        with suppress(PlaywrightError):
            await devtools.send("Fetch.disable")
    return answered[0] if answered else page.url
