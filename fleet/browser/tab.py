"""One tab on one account: load an address, look at the page, press one element, take a picture of it."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import CDPSession, Locator, Page, Request, Response
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout

from fleet.model import ControlKind, Reason
from fleet.recipe import Find, Sign, host_port

_SCRIPT = Path(__file__).with_name("snapshot.js").read_text("utf-8")
_MARGIN = 8
_ROLES: dict[str, tuple[str, ...]] = {
    "switch": ("switch", "checkbox"),
    "checkbox": ("checkbox", "switch"),
    "radio": ("radio",),
    "button": ("button",),
}

LOAD_TIMEOUT = 30.0
IDLE_TIMEOUT = 5.0
"""Pages that poll for ever are never idle; after so many seconds a stable reading must do."""


class BrowserGone(Exception):
    """The browser or this tab's page crashed; what was under way must be looked at afresh."""


class Unreachable(Exception):
    """The address could not be loaded. `reason` is what is recorded."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True)
class Box:
    """A rectangle in the document, in CSS pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Seen:
    """One control as the page shows it. `state` is its property (checked), None where it says nothing."""

    state: bool | None
    enabled: bool
    uncovered: bool
    box: Box


@dataclass(frozen=True)
class Snapshot:
    """What a page shows at one moment."""

    address: str
    loaded: bool
    signs: tuple[bool, ...]
    identity: tuple[str, ...] | None
    ready: bool
    controls: tuple[Seen, ...]

    @property
    def gist(self) -> tuple[object, ...]:
        """What must not change while a reading is waited for: all but boxes and what covers them."""
        states = tuple((seen.state, seen.enabled) for seen in self.controls)
        return self.address, self.loaded, self.signs, self.identity, self.ready, states


@dataclass(frozen=True)
class Wanted:
    """What a snapshot is to look for."""

    signs: Sequence[Sign] = ()
    identity_css: str | None = None
    identity_attribute: str | None = None
    ready: str | None = None
    find: Find | None = None
    kind: ControlKind | None = None

    def _as_script_argument(self) -> dict[str, Any]:
        return {
            "signs": [{"css": sign.css, "heading": sign.heading} for sign in self.signs],
            "identity": {"css": self.identity_css, "attribute": self.identity_attribute} if self.identity_css else None,
            "ready": self.ready,
            "css": self.find.css if self.find else None,
            "kind": self.kind,
        }


class Tab:
    """A page, and the hosts that it asked for in vain (`refused_hosts`)."""

    def __init__(self, page: Page, devtools: CDPSession) -> None:
        self._page = page
        self._devtools = devtools
        self._crashed = False
        self._loaded_at = time.monotonic()
        self._has_loaded = self._cache_is_off = False
        self._writes: Writes | None = None
        self.refused_hosts: set[str] = set()
        page.on("crash", lambda _page: setattr(self, "_crashed", True))
        page.on("requestfailed", self._note_refused)

    def _note_refused(self, request: Request) -> None:
        if "ERR_NAME_NOT_RESOLVED" in (request.failure or "") and len(self.refused_hosts) < 5:
            self.refused_hosts.add(host_port(request.url))

    @property
    def age(self) -> float:
        """Seconds since the document of the last `load` was loaded."""
        return time.monotonic() - self._loaded_at

    async def load(self, address: str) -> int:
        """Load a new document from the server, wait until it is loaded and the network is idle; its HTTP status.

        Raises Unreachable or BrowserGone.
        """
        try:
            if self._has_loaded and not self._cache_is_off:
                # A cached page would prove nothing. Before the first load of a fresh context there is no cache yet.
                await self._devtools.send("Network.enable", {"maxTotalBufferSize": 0, "maxResourceBufferSize": 0})
                await self._devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
                self._cache_is_off = True
            self._has_loaded = True
            if "#" in address and self._page.url.partition("#")[0] == address.partition("#")[0]:
                await self._page.goto("about:blank")  # else a new fragment would keep the old document
            response = await self._page.goto(address, wait_until="load", timeout=LOAD_TIMEOUT * 1000)
            self._loaded_at = time.monotonic()
        except PlaywrightTimeout:
            raise Unreachable(Reason.TIMEOUT) from None
        except PlaywrightError as error:
            raise self._explain(error) from None
        await self._network_idle()
        return response.status if response else 200

    async def land(self, address: str) -> str:
        """Go to an address only to see where it leads; returns the address of the answer, without its page.

        Raises Unreachable or BrowserGone.
        """
        try:
            await self._page.goto(address, wait_until="commit", timeout=LOAD_TIMEOUT * 1000)
        except PlaywrightTimeout:
            raise Unreachable(Reason.TIMEOUT) from None
        except PlaywrightError as error:
            raise self._explain(error) from None
        return self._page.url

    async def look(self, wanted: Wanted) -> Snapshot:
        """One snapshot. While the page is between two documents it is empty and not loaded. Raises BrowserGone."""
        try:
            raw = await self._page.evaluate(f"wanted => {_SCRIPT}.snapshot(wanted)", wanted._as_script_argument())
            controls = raw["controls"]
            if not controls and wanted.find is not None and wanted.find.names and wanted.kind is not None:
                named = self._by_name(wanted.find, wanted.kind)
                controls = await named.evaluate_all(f"(all, kind) => {_SCRIPT}.controls(all, kind)", wanted.kind)
        except PlaywrightError as error:
            self._raise_if_gone(error)
            return Snapshot(self._page.url, False, (False,) * len(wanted.signs), None, False, ())
        return Snapshot(
            address=raw["address"],
            loaded=raw["loaded"],
            signs=tuple(raw["signs"]),
            identity=None if raw["identity"] is None else tuple(raw["identity"]),
            ready=raw["ready"],
            controls=tuple(Seen(box=Box(**seen.pop("box")), **seen) for seen in controls),
        )

    async def press(self, find: Find, kind: ControlKind | str) -> bool | None:
        """Press the one enabled match of `find`, once.

        True if it was pressed; None if there was nothing to press (trying again is safe); False if the press failed on
        the way, so that it may or may not have arrived (it must not be tried again). Raises BrowserGone.
        The writes that follow are watched from before the press on (`saved`).
        """
        self._writes = self._writes or Writes(self._page)
        try:
            locator = self._page.locator(f"css={find.css}") if find.css else None
            if locator is None or (find.names and not await locator.count()):
                locator = self._by_name(find, kind)
            chosen = await self._page.evaluate_handle(
                f"([all, kind]) => {_SCRIPT}.pressable(all, kind)", [await locator.element_handles(), kind]
            )
            element = chosen.as_element()
            if element is None:
                return None
        except PlaywrightError as error:
            self._raise_if_gone(error)
            return None
        try:
            # Playwright checks at the moment of the press that nothing lies over the element, else it does not press.
            await element.click(timeout=3000)
        except PlaywrightError as error:
            self._raise_if_gone(error)
            return False
        return True

    async def saved(self) -> bool | None:
        """Wait until what was pressed has been sent and answered.

        True if every write was answered well, False if one was refused, None if none was seen.
        """
        if self._writes is None:
            return None
        writes, self._writes = self._writes, None
        return await writes.settled()

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
            answer = await self._devtools.send("Page.captureScreenshot", {"format": "png", "clip": clip})
        except PlaywrightError:
            raise BrowserGone("no picture") from None
        return base64.b64decode(answer["data"])

    async def storage_state(self) -> dict[str, Any]:
        """The session as the service left it. Raises BrowserGone."""
        try:
            return dict(await self._page.context.storage_state())
        except PlaywrightError:
            raise BrowserGone("no storage state") from None

    async def _network_idle(self) -> None:
        try:
            await self._page.wait_for_load_state("networkidle", timeout=IDLE_TIMEOUT * 1000)
        except PlaywrightTimeout:
            return
        except PlaywrightError as error:
            raise self._explain(error) from None

    def _by_name(self, find: Find, kind: ControlKind | str) -> Locator:
        pattern = exact_names(find.all_names)
        roles = _ROLES[kind]
        locator = self._page.get_by_role(roles[0], name=pattern)  # type: ignore[arg-type] # a role from our own table
        for role in roles[1:]:
            locator = locator.or_(self._page.get_by_role(role, name=pattern))  # type: ignore[arg-type] # the same
        return locator

    def _raise_if_gone(self, error: PlaywrightError) -> None:
        explained = self._explain(error)
        if isinstance(explained, BrowserGone):
            raise explained from None

    def _explain(self, error: PlaywrightError) -> Unreachable | BrowserGone:
        """What an error of Playwright means. Its text may carry addresses with tokens, so it goes no further."""
        text = error.message
        if self._crashed or self._page.is_closed() or "crashed" in text or "has been closed" in text:
            return BrowserGone("the page is gone")
        if "ERR_NAME_NOT_RESOLVED" in text:
            return Unreachable(Reason.REFUSED_HOST if self.refused_hosts else Reason.NETWORK)
        if "ERR_CERT" in text or "ERR_SSL" in text:
            return Unreachable(Reason.TLS)
        return Unreachable(Reason.NETWORK)


class Writes:
    """The requests that could store something, from a press on until all are answered."""

    FIRST_WITHIN = 1.5
    """Seconds to wait for a first write; pages that wait a moment before they save are common."""
    QUIET_FOR = 0.3
    AT_MOST = 20.0

    def __init__(self, page: Page) -> None:
        self._page = page
        self._pending: set[Request] = set()
        self._seen = False
        self._refused = False
        self._last_change = asyncio.get_running_loop().time()
        self._handlers: list[tuple[Any, Any]] = [
            ("request", self._started),
            ("response", self._answered),
            ("requestfinished", self._ended),
            ("requestfailed", self._failed),
        ]
        for event, handler in self._handlers:
            page.on(event, handler)

    def _started(self, request: Request) -> None:
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            self._seen = True
            self._pending.add(request)
            self._last_change = asyncio.get_running_loop().time()

    def _answered(self, response: Response) -> None:
        # The answer settles it: Chromium reports a body that the page never reads as failed, or not at all.
        if response.request in self._pending:
            self._refused = self._refused or response.status >= 400
            self._ended(response.request)

    def _ended(self, request: Request) -> None:
        if request in self._pending:
            self._pending.discard(request)
            self._last_change = asyncio.get_running_loop().time()

    def _failed(self, request: Request) -> None:
        if request in self._pending:
            self._refused = True
            self._ended(request)

    async def settled(self) -> bool | None:
        """Wait as described above; True, False (refused) or None (no write seen)."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        while loop.time() - start < self.AT_MOST:
            calm = loop.time() - self._last_change
            if not self._pending and calm >= (self.QUIET_FOR if self._seen else self.FIRST_WITHIN):
                break
            await asyncio.sleep(0.05)
        for event, handler in self._handlers:
            self._page.remove_listener(event, handler)
        return None if not self._seen else not (self._refused or self._pending)


def exact_names(names: Sequence[str]) -> re.Pattern[str]:
    """A pattern for exactly one of `names`, whatever their case, apostrophes and kinds of space."""

    def escape(name: str) -> str:
        words = [re.sub("['’ʼ]", "['’ʼ]", re.escape(word).replace("/", r"\/")) for word in name.split()]
        return r"\s+".join(words)

    return re.compile(r"^\s*(?:" + "|".join(escape(name) for name in names) + r")\s*$", re.IGNORECASE)


def same_address(landed: str, declared: str) -> bool:
    """True if scheme, host, port, path, query and fragment are all as declared."""
    one, other = urlsplit(landed), urlsplit(declared)
    return (
        one.scheme == other.scheme
        and host_port(landed) == host_port(declared)
        and (one.path or "/") == (other.path or "/")
        and one.query == other.query
        and one.fragment == other.fragment
    )


def matches_sign(address: str, sign: Sign, page_hosts: frozenset[str]) -> bool:
    """True if `address` is the one that an address sign describes."""
    if sign.address is None:
        return False
    parts = urlsplit(address)
    if sign.address.startswith("/"):
        on_host, pattern = host_port(address) in page_hosts, sign.address
    else:
        wanted = urlsplit(sign.address)
        on_host, pattern = host_port(address) == host_port(sign.address), wanted.path
    if pattern.endswith("*"):
        return on_host and parts.path.startswith(pattern[:-1])
    return on_host and parts.path.rstrip("/") == pattern.rstrip("/")
