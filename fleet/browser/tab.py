"""One tab for one account: load an address, read the page, press an element, take a picture of it."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from playwright.async_api import CDPSession, Dialog, Page, Request
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout

from fleet.browser.chromium import PROBE_WITHIN
from fleet.browser.failures import Unreachable, explain
from fleet.browser.landing import land
from fleet.browser.liveness import BrowserGone, end, guarded
from fleet.browser.page_script import Node, PageScript
from fleet.browser.snapshot import Box, Seen, Snapshot, Wanted
from fleet.browser.storage_restore import StorageRestore
from fleet.browser.traffic import Sent, Traffic, was_refused
from fleet.model import ControlKind, Reason
from fleet.recipes.labels import is_one_of
from fleet.recipes.recipe import Find, SessionParts, host_port

_MARGIN = 8
_PRESSES = frozenset({"click", "change", "input", "mousedown", "mouseup", "pointerdown", "pointerup"})

LOAD_TIMEOUT = 30.0
LOAD_LIMIT = 75.0
"""Seconds for a complete load or save. The browser's own timeouts end it earlier, unless the browser hangs."""
QUIET_FOR = 0.5
LOAD_PATIENCE = 15.0
"""Seconds to wait for embedded content that may never arrive."""
MAX_REFUSED_HOSTS = 5


class Tab:
    """A page, and the hosts it requested but may not reach (`refused_hosts`)."""

    def __init__(
        self,
        page: Page,
        devtools: CDPSession,
        hosts: frozenset[str],
        storage_state: dict[str, Any],
        session: SessionParts,
        gone: asyncio.Future[None],
        locale: str | None = None,
        *,
        is_shielded: bool = False,
    ) -> None:
        """`is_shielded`: the page is in a window, and hears nothing that a person does there (see `shield`)."""
        self._is_shielded = is_shielded
        self._page = page
        self._devtools = devtools
        self._hosts = hosts
        self._given = storage_state
        self._locale = locale
        self.gone = gone
        self._loaded_at = time.monotonic()
        self._has_loaded = self._is_patience_over = self._has_thrown = self._is_led_away = False
        self._script = PageScript(devtools)
        self._traffic = Traffic(page, hosts)
        self._session = session
        self._kept = StorageRestore(page, devtools, self._script, session)
        self.status: int | None = None
        """HTTP status of the last page loaded; None if no page was loaded."""
        self.refused_hosts: set[str] = set()
        self.has_asked = False
        """True if the page has opened a `confirm` or `prompt` dialog since the press; it was dismissed."""
        page.on("dialog", self._refuse)
        page.on("pageerror", self._note_error)
        page.on("crash", partial(end, gone))
        page.on("close", partial(end, gone))
        page.on("requestfailed", self._note_refused)

    def _note_refused(self, request: Request) -> None:
        if was_refused(request, self._hosts):
            if request.is_navigation_request() and request.frame == self._page.main_frame:
                self._is_led_away = True
            if len(self.refused_hosts) < MAX_REFUSED_HOSTS:
                self.refused_hosts.add(host_port(request.url))

    async def _refuse(self, dialog: Dialog) -> None:
        """Dismiss the dialog: it may ask anything. Only leaving the page is always intended."""
        self.has_asked = self.has_asked or dialog.type in ("confirm", "prompt")
        with suppress(PlaywrightError):  # the tab may be gone by now
            await (dialog.accept() if dialog.type == "beforeunload" else dialog.dismiss())

    @property
    def was_closed(self) -> bool:
        """True if a person has closed its window: the browser is still there."""
        browser = self._page.context.browser
        return self._page.is_closed() and browser is not None and browser.is_connected()

    async def shield(self, *, is_up: bool) -> None:
        """Keep a person's keys and clicks away from the page, or let them through. Raises BrowserGone."""
        try:
            await self._devtools.send("Input.setIgnoreInputEvents", {"ignore": is_up})
        except PlaywrightError:
            raise BrowserGone("the window does not answer") from None

    @asynccontextmanager
    async def in_persons_hands(self) -> AsyncIterator[None]:
        """Let a person use the page meanwhile. Raises BrowserGone if the window is gone."""
        await self.shield(is_up=False)
        yield
        await self.shield(is_up=True)
        self._script.forget_document()

    @property
    def age(self) -> float:
        """Seconds since the document of the last `load` was loaded."""
        return time.monotonic() - self._loaded_at

    def is_quiet(self, answers: float, pushes: float) -> bool:
        """Return True if the page has received all it asked for, or the time limits (seconds since loading) are over.

        Pages that poll forever are never quiet; pages with a WebSocket or an event stream may receive data late.
        """
        if self._traffic.is_pushed_to and self.age < pushes:
            return False
        return self._traffic.quiet_for >= QUIET_FOR or self.age >= answers

    def lacks_data(self, answers: float) -> bool:
        """Return True if a script's data request was refused, failed, or was unanswered for the time in `answers`."""
        return self._traffic.lacks_data or self._traffic.has_waited(answers - 1)

    @property
    def lacks_script(self) -> bool:
        """True if a script of the document raised an error, or is on a host that the recipe does not list."""
        return self._has_thrown or self._traffic.lacks_script

    def _note_error(self, _error: object) -> None:
        self._has_thrown = True

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait after a 429 (Retry-After); 0 if the service gave no time, None without a 429."""
        return self._traffic.retry_after

    def believe(self) -> None:
        """Note that the page's state was accepted although some requests may be unanswered."""
        self._traffic.believe()

    @property
    def has_sent(self) -> bool:
        """True if the page has sent anything since the last press began."""
        return self._traffic.has_sent

    @guarded(LOAD_LIMIT)
    async def load(self, address: str) -> int:
        """Load a new document from the server, wait until it is loaded, and return its HTTP status.

        After a press, all data that the page has stored in the browser since is removed: no cached answer, cookie,
        storage or database can make a change look saved when it is not.

        Raises Unreachable or BrowserGone.
        """
        try:
            for other in self._page.context.pages:
                if other is not self._page:  # opened by a press, perhaps to send the change
                    await other.close()
            if self._has_loaded:
                # In a new context nothing is cached before the first load.
                await self._devtools.send("Network.clearBrowserCache")
            self._has_loaded = True
            if "#" in address and self._page.url.partition("#")[0] == address.partition("#")[0]:
                await self._page.goto("about:blank")  # otherwise a new fragment would keep the old document
            self._traffic.forget()
            self._is_patience_over = self._has_thrown = self._is_led_away = False
            self.status = None
            async with self._kept.forgotten():
                timeout = LOAD_TIMEOUT * 1000
                response = await self._page.goto(address, wait_until="domcontentloaded", timeout=timeout)
            await self._wait_for_rest()
            self._loaded_at = time.monotonic()
            self._script.forget_document()
        except (PlaywrightError, TimeoutError) as error:
            raise await self._why_not_loaded(error) from None
        self.status = response.status if response else 200
        return self.status

    async def _wait_for_rest(self) -> None:
        """Wait for embedded content; a picture that never arrives must not hide a page that is there."""
        try:
            await self._page.wait_for_load_state("load", timeout=LOAD_PATIENCE * 1000)
        except PlaywrightTimeout:
            if self._traffic.quiet_for < QUIET_FOR:
                raise
            self._is_patience_over = True

    @guarded(LOAD_LIMIT)
    async def land(self, address: str, is_enough: Callable[[str], bool]) -> str:
        """Return where an address leads; see landing.py. Raises Unreachable or BrowserGone."""
        try:
            self._traffic.forget()
            self._is_led_away = False
            try:
                return await land(self._page, self._devtools, address, is_enough, LOAD_TIMEOUT)
            finally:
                self._script.forget_document()
        except PlaywrightError as error:
            raise await self._why_not_loaded(error) from None

    @guarded()
    async def look(self, wanted: Wanted) -> Snapshot:
        """Return a snapshot. Between two documents it is empty and not loaded. Raises BrowserGone."""
        try:
            raw = await self._script.call("snapshot", wanted.as_script_argument())
            controls, find, name = raw["controls"], wanted.find, ""
            if find is not None and find.names and wanted.kind is not None:
                # A label alone counts only if the selector matches nothing, not even a hidden element.
                if not raw["matches"]:
                    named = await self._named(find, wanted.kind)
                    controls = await self._script.call("controls", wanted.kind, wanted.strictly, on=named)
                elif len(controls) == 1:
                    name = await self._name(find, wanted.kind)
        except PlaywrightError as error:
            self._raise_if_gone(error)
            return Snapshot(self._page.url, False, (False,) * len(wanted.signs), None, False, ())
        return Snapshot(
            address=raw["address"],
            loaded=raw["loaded"] or self._is_patience_over,
            signs=tuple(raw["signs"]),
            identity=None if raw["identity"] is None else tuple(raw["identity"]),
            ready=raw["ready"],
            controls=tuple(Seen(box=Box(**seen.pop("box")), name=name, **seen) for seen in controls),
            asks_password=raw["asks_password"],
        )

    async def _named(self, find: Find, kind: ControlKind | str) -> list[Node]:
        """Return the visible nodes of a kind whose name matches the recipe."""
        shown = await self._script.nodes("roled", kind) or []
        names = await asyncio.gather(*map(self._script.name_of, shown))
        return [node for node, name in zip(shown, names, strict=True) if is_one_of(name, find.all_names)]

    async def _name(self, find: Find, kind: ControlKind | str) -> str:
        """Return the accessible name of the one match of `css`, or of the element inside it."""
        for node in await self._script.nodes("subjects", find.css, kind) or ():
            if name := (await self._script.name_of(node)).strip():
                return name
        return ""

    @guarded()
    async def is_heard(self, find: Find, kind: ControlKind | str, *, or_sent: bool = False) -> bool:
        """Return False if no script of the page would handle a press yet: the press would be lost.

        With `or_sent`, a handler for the form's submit event suffices. A control that needs no handler, or is missing,
        counts as heard. Raises BrowserGone.
        """
        try:
            nodes = await self._script.nodes("hearers", find.css, kind) if find.css else None
            if nodes is None and find.names:
                nodes = await self._script.nodes("hearers", kind, on=await self._named(find, kind))
            return nodes is None or await self._script.listens(nodes, _PRESSES | ({"submit"} if or_sent else set()))
        except PlaywrightError as error:
            self._raise_if_gone(error)
            return False

    @guarded()
    async def press(self, find: Find, kind: ControlKind | str, state: bool | None = None) -> bool | None:
        """Press the one enabled match of `find`, once; with `state`, only if it has that state right now.

        Returns True if it was pressed; None if there was nothing to press (safe to retry); False if the press failed
        midway and may or may not have arrived (must not be retried). Raises BrowserGone.

        Writes that follow are tracked from before the press on (`saved`), so press only what sets or saves.
        """
        try:
            if not self._kept.is_remembered:
                self._traffic.begin()
                self.has_asked = False
                await self._kept.remember()
        except PlaywrightError as error:
            self._raise_if_gone(error)
            return None
        return await self._click(find, kind, state)

    async def _click(self, find: Find, kind: ControlKind | str, state: bool | None) -> bool | None:
        """Click the one enabled match of `find`; returns as `press` does."""
        try:
            point = await self._aim(find, kind, state)
        except PlaywrightError as error:
            self._raise_if_gone(error)
            return None
        if not isinstance(point, dict):
            return None
        try:
            # Chromium's shield stops our own click as well. While it is down, what `aim` has armed lets nothing through
            # but a press on this control.
            if self._is_shielded:
                await self.shield(is_up=False)
            await self._page.mouse.click(point["x"], point["y"])
        except PlaywrightError as error:
            self._raise_if_gone(error)
            return False
        finally:
            if self._is_shielded:
                await self.shield(is_up=True)
        try:
            press = await self._script.call("disarm")
        except PlaywrightError as error:
            self._raise_if_gone(error)
            return True  # the press has already led to another document
        if press["arrived"]:
            return True
        # If the whole press was blocked, the page received nothing; a part may have been enough for it.
        return None if press["stopped"] and not press["begun"] else False

    async def _aim(self, find: Find, kind: ControlKind | str, state: bool | None) -> Any:
        """Return where to press (see `aim` in snapshot.js), by the rules of `look`; None if the label differs."""
        if find.css:
            name = await self._name(find, kind) if find.names else ""
            point = await self._script.call("aim", find.css, kind, state)
            if isinstance(point, dict) and find.contradicts(name or point["caption"], point["language"], self._locale):
                await self._script.call("disarm")
                return None
            if point != "nothing" or not find.names:
                return point
        return await self._script.call("aim", kind, state, on=await self._named(find, kind))

    @guarded(LOAD_LIMIT)
    async def saved(self) -> Sent:
        """Wait until the writes after a press have been sent and answered."""
        return await self._traffic.settled()

    @guarded()
    async def picture(self, box: Box) -> bytes:
        """Return a PNG of the control alone, with a small margin. Raises BrowserGone."""
        clip = {
            "x": max(0.0, box.x - _MARGIN),
            "y": max(0.0, box.y - _MARGIN),
            "width": min(box.width + 2 * _MARGIN, 1000),
            "height": min(box.height + 2 * _MARGIN, 400),
            "scale": 1,
        }
        try:
            answer = await self._devtools.send(
                "Page.captureScreenshot", {"format": "png", "clip": clip, "optimizeForSpeed": True}
            )
        except PlaywrightError:
            raise BrowserGone("no picture") from None
        return base64.b64decode(answer["data"])

    @guarded()
    async def storage_state(self) -> dict[str, Any]:
        """Return the session as the service left it: all cookies, and the current storage of the page's own origin.

        Other origins are returned as given: Playwright would open a page for each to read them. Playwright is asked
        only if databases are part of the session. Raises BrowserGone.
        """
        if self._session.databases:
            with suppress(PlaywrightError):  # it cannot export everything a database may contain
                return dict(await self._page.context.storage_state(indexed_db=True))
        try:
            cookies = await self._page.context.cookies()
            stored = await self._script.call("stored")
        except PlaywrightError:
            raise BrowserGone("no storage state") from None
        origins = {kept["origin"]: kept for kept in self._given.get("origins", ())}
        named = [(name, value) for name, value in stored["local"] if name in self._session.local_storage]
        origin, items = stored["origin"], [{"name": name, "value": value} for name, value in named]
        if items or origin in origins:
            origins[origin] = {**origins.get(origin, {}), "origin": origin, "localStorage": items}
        return {"cookies": [dict(cookie) for cookie in cookies], "origins": list(origins.values())}

    async def _why_not_loaded(self, error: PlaywrightError | TimeoutError) -> Unreachable | BrowserGone:
        """Return what a failed load means: a page that hangs or has just crashed may look like a slow service."""
        why: Unreachable | BrowserGone = Unreachable(Reason.TIMEOUT)
        if isinstance(error, PlaywrightError) and not isinstance(error, PlaywrightTimeout):
            why = self._explain(error)
        if isinstance(why, Unreachable) and why.reason in (Reason.TIMEOUT, Reason.NETWORK):
            try:
                await asyncio.wait_for(self._page.evaluate("1"), PROBE_WITHIN)
            except TimeoutError:
                return BrowserGone("the page does not answer", is_stuck=True)
            except PlaywrightError as probed:
                self._raise_if_gone(probed)
        return why

    def _raise_if_gone(self, error: PlaywrightError) -> None:
        explained = self._explain(error)
        if isinstance(explained, BrowserGone):
            raise explained from None

    def _explain(self, error: PlaywrightError) -> Unreachable | BrowserGone:
        is_gone = self.gone.done() or self._page.is_closed()
        return explain(error.message, is_gone=is_gone, is_led_away=self._is_led_away)
