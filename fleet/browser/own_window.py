"""A window of ours, beside the pages that are visited: it shows our own page and hears the buttons on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from playwright.async_api import BrowserContext, Page
from playwright.async_api import Error as PlaywrightError

from fleet.browser.liveness import end

Form = dict[str, list[str]]
"""The fields of a form as sent, by name."""
Heard = Callable[[str, Form], None]
"""Gets the name of the button that was pressed, and the form around it."""

_LISTEN = """() => addEventListener('click', (event) => {
    const button = event.target.closest?.('button[name=answer]');
    if (!button || !event.isTrusted) return;
    event.preventDefault();
    const fields = {};
    for (const [name, value] of new FormData(button.form ?? undefined)) (fields[name] ??= []).push(value);
    globalThis.fleetAnswer(button.value, fields);
})"""

_SHOW = """([body, style, language]) => {
    document.documentElement.lang = language;
    document.adoptedStyleSheets = [new CSSStyleSheet()];
    document.adoptedStyleSheets[0].replaceSync(style);
    document.body.innerHTML = body;
    scrollTo(0, 0);
    document.title = document.querySelector('h1').textContent;
    document.querySelector('h1').focus();
}"""


@dataclass(frozen=True)
class Bounds:
    """Place and size of a window on the screen, in pixels; `width` 0 reaches to the right edge."""

    left: int
    width: int = 0


OWN = Bounds(0, 460)
"""Our own window is at the left edge of the screen."""
BESIDE = Bounds(OWN.width)
"""The service's window takes the rest."""


async def open_window(context: BrowserContext, bounds: Bounds) -> Page:
    """Open a window over the screen's whole height, without tabs and without a field for addresses.

    Raises PlaywrightError.
    """
    first = await context.new_page()
    width, height = await first.evaluate("[screen.availWidth, screen.availHeight]")
    size = {"left": bounds.left, "top": 0, "width": bounds.width or max(width - bounds.left, 400), "height": height}
    async with context.expect_page() as opening:
        await first.evaluate(
            "size => { window.open('about:blank', '_blank', `noopener,popup,left=${size.left},top=0,"
            "width=${size.width},height=${size.height}`); }",
            size,
        )
    page = await opening.value
    devtools = await context.new_cdp_session(page)
    window = await devtools.send("Browser.getWindowForTarget")
    await devtools.send("Browser.setWindowBounds", {"windowId": window["windowId"], "bounds": size})
    await devtools.detach()
    await first.close()
    return page


class OwnWindow:
    """An open window of ours. `closed` completes when it is gone, whoever closed it."""

    def __init__(self, page: Page, heard: Heard) -> None:
        self._page = page
        self._heard = heard
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def listen(self) -> None:
        """Begin to hear the buttons."""
        self._page.on("close", lambda *_: end(self.closed))
        self._page.on("crash", lambda *_: end(self.closed))
        await self._page.expose_binding("fleetAnswer", self._answer)
        await self._page.evaluate(_LISTEN)

    def _answer(self, _source: Any, button: str, form: Form) -> None:
        self._heard(button, form)

    async def show(self, body: str, style: str, language: str) -> None:
        """Show a page of ours in place of the last, titled as its heading; a window that is gone shows nothing."""
        try:
            await self._page.evaluate(_SHOW, [body, style, language])
            await self._page.bring_to_front()
        except PlaywrightError:
            end(self.closed)
