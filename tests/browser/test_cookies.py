"""The rules by which an import judges cookies, asked of a real browser."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import async_playwright

from fleet.browser.find_browser import find_browser
from fleet.sessions.cookies import fault
from fleet.sessions.storage_state import Cookie

COOKIE: dict[str, Any] = {
    "name": "a",
    "value": "b",
    "domain": ".service.example",
    "path": "/",
    "expires": -1,
    "httpOnly": True,
    "secure": True,
    "sameSite": "Lax",
}
HOST = {"domain": "www.service.example"}
PARTITION = {"partitionKey": "https://service.example", "_crHasCrossSiteAncestor": False}
TAKEN: list[dict[str, Any]] = [
    {},
    HOST,
    {"value": ""},
    {"name": "a b"},
    {"value": '"a, b"'},
    {"value": "é"},
    {"name": "é"},
    {"value": "x" * 4095},
    {"value": "é" * 2047},
    {"path": "/" + "x" * 1023},
    {"expires": time.time() + 3600},
    {"sameSite": "Strict", "secure": False},
    {"name": "__Secure-a"},
    {"name": "__Host-a", **HOST},
    {"name": "__Http-a"},
    {"name": "__Host-Http-a", **HOST},
    PARTITION,
]
DROPPED: list[dict[str, Any]] = [
    {"sameSite": "None", "secure": False},
    {"expires": 1000000000},
    {"value": "a;b"},
    {"value": "a\nb"},
    {"value": "a\tb"},
    {"value": "a\x7f"},
    {"value": "b "},
    {"name": " a"},
    {"name": "a=b"},
    {"name": "a\x01"},
    {"value": "x" * 4096},
    {"value": "é" * 2048},
    {"path": "/" + "x" * 1024},
    {"path": "x"},
    {"path": "/a;b"},
    {"name": "__Secure-a", "secure": False},
    {"name": "__secure-a", "secure": False},
    {"name": "__Host-a"},
    {"name": "__host-a"},
    {"name": "__Host-a", **HOST, "path": "/x"},
    {"name": "__Http-a", "httpOnly": False},
    {"name": "__Host-Http-a"},
    {**PARTITION, "secure": False},
]


async def taken_by_browser() -> list[bool]:
    """Whether a browser that is given each of the cookies has it then."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_browser().path, args=["--no-sandbox"])
        taken = []
        for changes in [*TAKEN, *DROPPED]:
            context = await browser.new_context()
            try:
                await context.add_cookies([{**COOKIE, **changes}])  # type: ignore[typeddict-item] # of our own table
                taken.append(bool(await context.cookies()))
            except PlaywrightError:
                taken.append(False)
            await context.close()
        await browser.close()
        return taken


@pytest.mark.parametrize("changes", TAKEN)
def test_what_a_browser_takes_is_no_fault(changes: dict[str, Any]) -> None:
    """An import of it goes through."""
    assert fault(Cookie.model_validate(COOKIE | changes), "Service") is None


@pytest.mark.parametrize("changes", DROPPED)
def test_what_a_browser_drops_is_a_fault(changes: dict[str, Any]) -> None:
    """It is refused in a sentence that says what to do."""
    said = fault(Cookie.model_validate(COOKIE | changes), "Service")
    assert said is not None and ";" in said


def test_the_browser_agrees() -> None:
    """Chromium has each cookie of the first table afterwards, and none of the second."""
    assert asyncio.run(taken_by_browser()) == [True] * len(TAKEN) + [False] * len(DROPPED)
