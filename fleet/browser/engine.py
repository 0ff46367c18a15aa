"""Owns Playwright and the browsers: one Chromium per service, a new context per account, all restarted after a hang."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from playwright.async_api import Browser, BrowserContext, CDPSession, Page, Playwright, async_playwright
from playwright.async_api import Error as PlaywrightError

from fleet.browser.chromium import START_WITHIN, Chromium, launch_options
from fleet.browser.find_browser import BrowserProgram
from fleet.browser.liveness import BrowserGone, end, unless_gone
from fleet.browser.network import Network
from fleet.browser.own_window import BESIDE, OWN, Heard, OwnWindow, open_window
from fleet.browser.profile_state import profile_state
from fleet.browser.proxy import Upstream
from fleet.browser.relay import Relay
from fleet.browser.tab import Tab
from fleet.recipes.recipe import ANY_COOKIES, SessionParts

OPENING_AT_ONCE = 2 * (os.cpu_count() or 1)
"""Contexts opened in parallel. Opening all at once would slow each one, and they would then load pages together."""

MAX_PROCESS_MEMORY = 2 * 1024**3
"""Bytes of private memory per browser process: a page that exhausts memory fails alone, not the machine."""

_WITHOUT_WINDOWS: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
_IN_A_WINDOW: dict[str, Any] = {"no_viewport": True}
_REFUSED_SELECTORS = """selectors => selectors.filter(css => {
    try { document.querySelector(css); return false; } catch { return true; }
})"""


class Engine:
    """Owns Playwright and one browser per service. The caller sets TMPDIR to a private folder before the first use.

    Chromium is confined as a whole, so services with different allowed hosts cannot share one.
    """

    def __init__(
        self,
        program: BrowserProgram,
        network: Network,
        *,
        sandbox: bool,
        credentials: bytes | None = None,
        is_visible: bool = False,
    ) -> None:
        """`credentials` are `user:password` for the proxy; None reads them from the proxy's file.

        A visible browser has windows, for which this machine needs a display.

        Raises InputError if the file cannot be read.
        """
        self._is_visible = is_visible
        self._program = program
        self._network = network
        self._sandbox = sandbox
        self._playwright: Playwright | None = None
        self._driver: psutil.Process | None = None
        self._starting = asyncio.Lock()
        self._opening = asyncio.Semaphore(OPENING_AT_ONCE)
        self._chromiums: dict[frozenset[str], Chromium] = {}
        self._relays: list[Relay] = []
        self.upstream = Upstream(network.proxy, credentials) if network.proxy is not None else None
        """Connections through the proxy; None without a proxy."""

    async def _launched(self, hosts: frozenset[str]) -> tuple[Browser, asyncio.Future[None]]:
        """Return the browser that reaches `hosts`, and a future that completes when the browser is gone."""
        async with self._starting:
            playwright = await self._running()
            if hosts not in self._chromiums:
                arguments = self._network.arguments(hosts, await self._relay(hosts))
                self._chromiums[hosts] = Chromium(
                    self._program, arguments, sandbox=self._sandbox, is_visible=self._is_visible
                )
            chromium = self._chromiums[hosts]
        return await chromium.launched(playwright), chromium.gone

    async def _running(self) -> Playwright:
        """Return Playwright with a living driver."""
        if self._driver is not None and not _is_alive(self._driver):
            self._end_all()
        if self._playwright is None:
            await self._start_driver()
        assert self._playwright is not None
        return self._playwright

    async def _start_driver(self) -> None:
        """Start Playwright's driver, the process that starts the browsers."""
        before = set(psutil.Process().children())
        with _limited_memory():
            try:
                self._playwright = await asyncio.wait_for(async_playwright().start(), START_WITHIN)
            except (TimeoutError, PlaywrightError) as error:
                raise BrowserGone("the driver does not start", is_stuck=True) from error
            finally:
                self._driver = next(iter(set(psutil.Process().children()) - before), None)

    async def end_if_stuck(self, hosts: frozenset[str]) -> None:
        """Call after a timeout: kill the browsers if the browser for `hosts`, or the driver, does not answer either.

        All browsers share the driver, so all are killed with it; the next tab starts them again.
        """
        async with self._starting:
            chromium = self._chromiums.get(hosts)
            if chromium is not None and not await chromium.answers():
                self._end_all()

    def _end_all(self) -> None:
        if self._driver is not None:
            for process in _with_descendants(self._driver):
                with suppress(psutil.Error):
                    process.kill()
        self._playwright = self._driver = None
        for chromium in self._chromiums.values():
            chromium.forget()

    async def _relay(self, hosts: frozenset[str]) -> int | None:
        """Return the port of a relay to `hosts`; None if resolver rules suffice or all hosts are on this machine."""
        is_held_by_rules = self.upstream is None and self._program.is_headless_shell
        if is_held_by_rules or self._network.is_loopback(hosts):
            return None
        relay = Relay(hosts, self._network.mapped(hosts), self.upstream)
        self._relays.append(relay)
        return await relay.start()

    async def refused_selectors(self, hosts: frozenset[str], selectors: Collection[str]) -> set[str]:
        """Return those of `selectors` that the browser for `hosts` rejects as CSS.

        Raises BrowserGone if it does not start.
        """
        browser, gone = await self._launched(hosts)
        try:
            page = await unless_gone(gone, browser.new_page())
            try:
                return set(await unless_gone(gone, page.evaluate(_REFUSED_SELECTORS, list(selectors))))
            finally:
                await _close(page.context)
        except PlaywrightError as error:
            raise BrowserGone("it gave no page") from error

    async def profile_state(self, folder: Path, hosts: Collection[str], session: SessionParts) -> dict[str, Any]:
        """Return the storage state of a browser's profile folder; see profile_state.py.

        Raises BrowserGone if the browser does not start on it.
        """
        async with self._starting:
            playwright = await self._running()
        options = launch_options(self._program, Network().arguments(()), sandbox=self._sandbox)
        return await profile_state(playwright, folder, options, hosts, session)

    @asynccontextmanager
    async def tab(
        self,
        hosts: frozenset[str],
        storage_state: dict[str, Any],
        locale: str | None,
        session: SessionParts = ANY_COOKIES,
    ) -> AsyncIterator[Tab]:
        """Open a new context with one tab that reaches `hosts`; it is closed at the end.

        Raises BrowserGone if no browser can be launched.
        """
        browser, browser_gone = await self._launched(hosts)
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        end_tab = partial(end, gone)
        browser_gone.add_done_callback(end_tab)
        async with AsyncExitStack() as stack:
            stack.callback(browser_gone.remove_done_callback, end_tab)
            try:
                async with self._opening:
                    opening = browser.new_context(
                        storage_state=storage_state,  # type: ignore[arg-type] # our strict model dumps this exact shape
                        locale=locale.replace("_", "-") if locale else None,
                        **(_IN_A_WINDOW if self._is_visible else _WITHOUT_WINDOWS),
                        reduced_motion="reduce",
                        accept_downloads=False,
                        service_workers="block",
                    )
                    context = await unless_gone(browser_gone, opening)
                    stack.push_async_callback(_close, context)
                    page, devtools = await unless_gone(browser_gone, self._open_page(context))
            except PlaywrightError as error:
                raise BrowserGone("the browser gave no tab") from error
            tab = Tab(page, devtools, hosts, storage_state, session, gone, locale, is_shielded=self._is_visible)
            if self._is_visible:
                await tab.shield(is_up=True)
            yield tab

    async def _open_page(self, context: BrowserContext) -> tuple[Page, CDPSession]:
        page = await (open_window(context, BESIDE) if self._is_visible else context.new_page())
        return page, await context.new_cdp_session(page)

    async def own_window(self, heard: Heard) -> OwnWindow:
        """Open a window for our own page, in a browser that reaches nothing; `heard` gets its buttons.

        Raises BrowserGone if no browser can be launched.
        """
        browser, gone = await self._launched(frozenset())
        try:
            context = await unless_gone(gone, browser.new_context(no_viewport=True))
            window = OwnWindow(await unless_gone(gone, open_window(context, OWN)), heard)
            await unless_gone(gone, window.listen())
        except PlaywrightError as error:
            raise BrowserGone("the browser gave no window") from error
        return window

    async def stop(self) -> None:
        """Close the browsers (at most 1 s) and Playwright (at most 0.5 s)."""
        await asyncio.gather(*(_within(1.0, chromium.close()) for chromium in self._chromiums.values()))
        if self._playwright is not None:
            await _within(0.5, self._playwright.stop())
        self._end_all()
        for relay in self._relays:
            await relay.stop()


def _is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _with_descendants(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [*process.children(recursive=True), process]
    return []


@contextmanager
def _limited_memory() -> Iterator[None]:
    """Limit processes started in this block, and their children, to MAX_PROCESS_MEMORY (Linux: RLIMIT_DATA)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [MAX_PROCESS_MEMORY, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


async def _within(seconds: float, closing: Coroutine[Any, Any, None]) -> None:
    # This is shutdown: processes that do not close in time are killed.
    with suppress(TimeoutError, PlaywrightError):
        await asyncio.wait_for(closing, seconds)


async def _close(context: BrowserContext) -> None:
    browser = context.browser
    # A browser that is gone has taken its contexts with it.
    if browser is not None and browser.is_connected():
        with suppress(PlaywrightError, TimeoutError):
            await asyncio.wait_for(context.close(), 5)
