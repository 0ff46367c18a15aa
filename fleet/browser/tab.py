"""One tab on one account: load an address, look at the page, press one element, take a picture of it."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from contextlib import suppress
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
"""Seconds for all of a load, or of a save: the browser's own time limits end it before, unless it hangs itself."""
QUIET_FOR = 0.5
LOAD_PATIENCE = 15.0
"""Seconds for which what a page embeds is waited for, where something of it never comes."""
MAX_REFUSED_HOSTS = 5


class Tab:
    """A page, and the hosts that it asked for in vain (`refused_hosts`)."""

    def __init__(
        self,
        page: Page,
        devtools: CDPSession,
        hosts: frozenset[str],
        storage_state: dict[str, Any],
        session: SessionParts,
        gone: asyncio.Future[None],
        locale: str | None = None,
    ) -> None:
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
        """HTTP status of the last page that was loaded; None if there was none."""
        self.refused_hosts: set[str] = set()
        self.has_asked = False
        """True if the page has asked a question since the press (`confirm`, `prompt`); it was answered with no."""
        page.on("dialog", self._refuse)
        page.on("pageerror", self._note_error)
        page.on("crash", partial(end, gone))
        page.on("requestfailed", self._note_refused)

    def _note_refused(self, request: Request) -> None:
        if was_refused(request, self._hosts):
            if request.is_navigation_request() and request.frame == self._page.main_frame:
                self._is_led_away = True
            if len(self.refused_hosts) < MAX_REFUSED_HOSTS:
                self.refused_hosts.add(host_port(request.url))

    async def _refuse(self, dialog: Dialog) -> None:
        """Say no: what a page asks may be anything. Leaving a page is the one thing that is always meant."""
        self.has_asked = self.has_asked or dialog.type in ("confirm", "prompt")
        with suppress(PlaywrightError):  # the tab may be gone by now
            await (dialog.accept() if dialog.type == "beforeunload" else dialog.dismiss())

    @property
    def age(self) -> float:
        """Seconds since the document of the last `load` was loaded."""
        return time.monotonic() - self._loaded_at

    def is_quiet(self, answers: float, pushes: float) -> bool:
        """True if the page has got all that it asked for, as far as one can wait for it (seconds since loading).

        Pages that poll for ever are never quiet; those with a WebSocket or an event stream are told things late.
        """
        if self._traffic.is_pushed_to and self.age < pushes:
            return False
        return self._traffic.quiet_for >= QUIET_FOR or self.age >= answers

    def lacks_data(self, answers: float) -> bool:
        """True if its scripts asked for data in vain: refused, failed, or unanswered for all the time of `answers`."""
        return self._traffic.lacks_data or self._traffic.has_waited(answers - 1)

    @property
    def lacks_script(self) -> bool:
        """True if a script of the document ended in an error, or is on a host that the recipe does not list."""
        return self._has_thrown or self._traffic.lacks_script

    def _note_error(self, _error: object) -> None:
        self._has_thrown = True

    @property
    def retry_after(self) -> float | None:
        """Seconds for which the service wants to be left alone: it has answered 429. 0 if it did not say how long."""
        return self._traffic.retry_after

    def believe(self) -> None:
        """What the page shows was believed although something may be unanswered still."""
        self._traffic.believe()

    @property
    def has_sent(self) -> bool:
        """True if the page has sent anything since the last press began."""
        return self._traffic.has_sent

    @guarded(LOAD_LIMIT)
    async def load(self, address: str) -> int:
        """Load a new document from the server and wait until it is loaded; its HTTP status.

        After a press, nothing that the page has kept in the browser since is there any more: no cached answer, cookie,
        storage or database could make a change look stored that is not.

        Raises Unreachable or BrowserGone.
        """
        try:
            for other in self._page.context.pages:
                if other is not self._page:  # what a press has opened, perhaps to send the change
                    await other.close()
            if self._has_loaded:
                # In a fresh context there is nothing cached before the first load.
                await self._devtools.send("Network.clearBrowserCache")
            self._has_loaded = True
            if "#" in address and self._page.url.partition("#")[0] == address.partition("#")[0]:
                await self._page.goto("about:blank")  # else a new fragment would keep the old document
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
        """Wait for what the document embeds; a picture that never comes must not hide a page that is there."""
        try:
            await self._page.wait_for_load_state("load", timeout=LOAD_PATIENCE * 1000)
        except PlaywrightTimeout:
            if self._traffic.quiet_for < QUIET_FOR:
                raise
            self._is_patience_over = True

    @guarded(LOAD_LIMIT)
    async def land(self, address: str, is_enough: Callable[[str], bool]) -> str:
        """Where an address leads; see landing.py. Raises Unreachable or BrowserGone."""
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
        """One snapshot. While the page is between two documents it is empty and not loaded. Raises BrowserGone."""
        try:
            raw = await self._script.call("snapshot", wanted.as_script_argument())
            controls, find, name = raw["controls"], wanted.find, ""
            if find is not None and find.names and wanted.kind is not None:
                # A label alone counts only where the selector finds nothing, not even something hidden.
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
        """What there is to see of a kind, and is called as the recipe says."""
        shown = await self._script.nodes("roled", kind) or []
        names = await asyncio.gather(*map(self._script.name_of, shown))
        return [node for node, name in zip(shown, names, strict=True) if is_one_of(name, find.all_names)]

    async def _name(self, find: Find, kind: ControlKind | str) -> str:
        """What the browser calls the one match of `css`, or else what is inside of it."""
        for node in await self._script.nodes("subjects", find.css, kind) or ():
            if name := (await self._script.name_of(node)).strip():
                return name
        return ""

    @guarded()
    async def is_heard(self, find: Find, kind: ControlKind | str, *, or_sent: bool = False) -> bool:
        """False if no script of the page would hear a press: it is not at work yet, and a press would be lost.

        With `or_sent`, one that hears the form sent will do. What need not be heard, or is not there, counts as heard.
        Raises BrowserGone.
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
        """Press the one enabled match of `find`, once; with `state`, only if it reads so at this moment.

        True if it was pressed; None if there was nothing to press (trying again is safe); False if the press failed on
        the way, so that it may or may not have arrived (it must not be tried again). Raises BrowserGone.
        The writes that follow are watched from before the press on (`saved`).
        """
        try:
            if not self._kept.is_remembered:
                self._traffic.begin()
                self.has_asked = False
                await self._kept.remember()
            point = await self._aim(find, kind, state)
        except PlaywrightError as error:
            self._raise_if_gone(error)
            return None
        if not isinstance(point, dict):
            return None
        try:
            await self._page.mouse.click(point["x"], point["y"])
        except PlaywrightError as error:
            self._raise_if_gone(error)
            return False
        try:
            press = await self._script.call("disarm")
        except PlaywrightError as error:
            self._raise_if_gone(error)
            return True  # the press has led to another document already
        if press["arrived"]:
            return True
        # Where all of it was stopped, nothing has heard anything; a part may have been enough for a page.
        return None if press["stopped"] and not press["begun"] else False

    async def _aim(self, find: Find, kind: ControlKind | str, state: bool | None) -> Any:
        """Where to press (see `aim` in snapshot.js), by the same rules as `look`; no place if its label is another."""
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
        """Wait until what was pressed has been sent and answered."""
        return await self._traffic.settled()

    @guarded()
    async def picture(self, box: Box) -> bytes:
        """A PNG of the control alone, with a small margin. Raises BrowserGone."""
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
        """The session as the service left it: all cookies, and what the page's own origin stores of it now.

        Other origins stay as they were given: Playwright would open a page for each to look. It is asked only where
        databases make up the session. Raises BrowserGone.
        """
        if self._session.databases:
            with suppress(PlaywrightError):  # it cannot write out all that a database may hold
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
        """What the failure of a load means: a page that hangs, or crashed just now, may look like a slow service."""
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
