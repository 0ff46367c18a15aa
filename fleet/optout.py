"""One account at one service: recognize, read, intend, set, load afresh, read, result.

Knows nothing of Ansible, of files or of the log's format: what must be asked and recorded goes through `Journal`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from fleet.browser.engine import Engine
from fleet.browser.gone import BrowserGone
from fleet.browser.snapshot import Seen, Snapshot
from fleet.browser.tab import Tab, Unreachable
from fleet.browser.traffic import Sent
from fleet.model import Outcome, Reading, Reason
from fleet.recipe import Control, Recipe, fill_profile
from fleet.recognition import (
    Stop,
    barrier,
    is_not_offered,
    leads_to_person,
    leads_to_somebody,
    missing,
    reading_of,
    sign_in_host,
    what_to_look_for,
)

POLL = 0.3
"""Seconds between two looks at a page."""
CALM = 3.0
"""Seconds since loading for which a page must have stood still before anything that it shows is believed: it may show
off first and the stored on two seconds later, or offer to sign in until it has seen who is there."""
CALM_WHEN_OTHER = 4.0
"""The same before somebody else is believed to be signed in: until then the name may be a placeholder."""
PATIENCE = 10.0
"""Seconds after loading that a page has to show the control; longer is `page_changed`."""
SECOND_LOOK_AFTER = 5.0
"""Seconds until a page that still shows `in` after a good save is loaded once more: some serve the old for a while."""
LIMIT = 180.0
"""Seconds that one control may take in all; a page whose scripts never end must not hold up everybody."""
_SAVE_TROUBLE = {Sent.REFUSED: Reason.SAVE_REFUSED, Sent.UNANSWERED: Reason.SAVE_UNANSWERED}


@dataclass(frozen=True)
class Finding:
    """How one control ended. `read_back` is True if `after` was read from a document loaded after the press."""

    control: str
    outcome: Outcome
    before: Reading | None = None
    after: Reading | None = None
    reason: Reason | None = None
    read_back: bool = False
    picture: bytes | None = None
    http_status: int | None = None
    refused_hosts: tuple[str, ...] = ()
    duration_ms: int = 0


class Journal(Protocol):
    """What a visit asks of the one who keeps the records."""

    async def permit(self, control: str) -> Reason | None:
        """Look at the mandate now; why the control must not be touched, or None."""

    async def intend(self, control: str, before: Reading, picture: bytes) -> None:
        """Record that the control is about to be pressed; returns once that is durable."""

    async def finish(self, finding: Finding) -> None:
        """Record how the control ended; returns once that is durable."""


@dataclass
class Visit:
    """All of one employee's controls at one service, in one context, one after the other."""

    engine: Engine
    recipe: Recipe
    profile: str
    locale: str | None
    controls: Sequence[str]
    storage_state: dict[str, Any]
    check: bool
    journal: Journal
    rotated_state: dict[str, Any] | None = None
    """The session after the last good reading, to be sealed back; None if there was none."""
    _intended: dict[str, Reading] = field(default_factory=dict)
    _identified: bool = False

    async def run(self) -> None:
        """Finish every control: exactly one `journal.finish` each. After a crash the browser is started once more.

        Raises what the journal raises (a log that cannot be written stops everything).
        """
        waiting = list(self.controls)
        for _attempt in range(2):
            try:
                async for control in self._work_through(list(waiting)):
                    waiting.remove(control)
            except BrowserGone:
                self._identified = False
        for control in waiting:
            before = self._intended.get(control)
            outcome = Outcome.ERROR if before is None else Outcome.UNKNOWN
            await self.journal.finish(Finding(control, outcome, before, reason=Reason.BROWSER_CRASHED))

    async def _work_through(self, controls: list[str]) -> AsyncIterator[str]:
        async with AsyncExitStack() as stack:
            if not controls:
                return
            tab = await stack.enter_async_context(self.engine.tab(self.storage_state, self.locale))
            for control in controls:
                started = time.monotonic()
                try:
                    finding = await asyncio.wait_for(self._finding(tab, control), LIMIT)
                    is_stuck = False
                except TimeoutError:
                    before, is_stuck = self._intended.get(control), True
                    outcome = Outcome.ERROR if before is None else Outcome.UNKNOWN
                    finding = Finding(control, outcome, before, reason=Reason.TIMEOUT)
                if finding.after is not None:
                    self.rotated_state = await tab.storage_state()
                spent = int((time.monotonic() - started) * 1000)
                refused = tuple(sorted(tab.refused_hosts))
                finding = replace(finding, duration_ms=spent, http_status=tab.status, refused_hosts=refused)
                await self.journal.finish(finding)
                yield control
                if is_stuck:
                    raise BrowserGone("this page does not answer any more")

    async def _finding(self, tab: Tab, name: str) -> Finding:
        control = self.recipe.controls[name]
        before = self._intended.get(name)
        if before is not None:
            # Pressed before a crash: never pressed again, only read.
            return await self._prove(tab, name, before, True, _not_saved(Reason.BROWSER_CRASHED))
        try:
            first = await self._read(tab, control, to_press=not self.check)
        except Stop as stop:
            return Finding(name, stop.outcome, reason=stop.reason)
        before, picture = reading_of(first, control), await tab.picture(first.box)
        if before is Reading.OUT:
            return Finding(name, Outcome.ALREADY_OPTED_OUT, before, before, picture=picture)
        if self.check:
            return Finding(name, Outcome.WOULD_OPT_OUT, before, before, picture=picture)
        refusal = await self.journal.permit(name)
        if refusal is not None:
            return Finding(name, Outcome.NO_MANDATE, before, before, refusal)
        await self.journal.intend(name, before, picture)
        self._intended[name] = before
        return await self._prove(tab, name, before, *await self._set(tab, control))

    async def _set(self, tab: Tab, control: Control) -> tuple[bool, Stop | None]:
        """Press the control, then Save where there is one; whether anything was pressed, and what went wrong."""
        reads_in = control.opted_out == "off"
        pressed = await _eventually(lambda: tab.press(control.find, control.kind, reads_in))
        if pressed is None:
            return False, _not_saved(Reason.CLICK_FAILED)
        save, trouble = control.save, None if pressed else Reason.CLICK_FAILED
        if pressed and save is not None and not await _eventually(lambda: tab.press(save, "button")):
            trouble = Reason.SAVE_BUTTON
        sent = await tab.saved()
        trouble = trouble or (Reason.DIALOG if tab.has_asked else _SAVE_TROUBLE.get(sent))
        wanted = what_to_look_for(self.recipe, control)
        # A page may answer a press with a challenge in its own place; the next load would not show it any more.
        asked = barrier(self.recipe, await tab.look(wanted), wanted, self.profile)
        return True, asked or (_not_saved(trouble) if trouble else None)

    async def _prove(self, tab: Tab, name: str, before: Reading, pressed: bool, trouble: Stop | None) -> Finding:
        """Load afresh and read back. Whatever was seen to go wrong on the way, the reading decides."""
        control = self.recipe.controls[name]
        try:
            second = await self._read(tab, control, to_press=False)
            if pressed and trouble is None and reading_of(second, control) is Reading.IN:
                await asyncio.sleep(SECOND_LOOK_AFTER)
                second = await self._read(tab, control, to_press=False)
        except Stop as stop:
            return Finding(name, Outcome.UNKNOWN, before, reason=stop.reason or (trouble.reason if trouble else None))
        after, picture = reading_of(second, control), await tab.picture(second.box)
        if after is Reading.OUT and pressed and not tab.has_sent:
            # Nothing left the browser, so what the page shows can only come from what the browser keeps.
            return Finding(name, Outcome.UNKNOWN, before, after, Reason.NOT_SENT, read_back=True, picture=picture)
        if after is Reading.OUT:
            outcome = Outcome.OPTED_OUT if pressed else Outcome.ALREADY_OPTED_OUT
            return Finding(name, outcome, before, after, read_back=True, picture=picture)
        end = trouble or _not_saved(Reason.STILL_IN)
        return Finding(name, end.outcome, before, after, end.reason, read_back=True, picture=picture)

    async def _read(self, tab: Tab, control: Control, *, to_press: bool) -> Seen:
        """Load the control's page as a new document and wait for one stable reading of the right person's control.

        Raises Stop with the outcome that the page calls for, or BrowserGone.
        """
        try:
            if self.recipe.identity.page is not None and not self._identified:
                await self._identify(tab, fill_profile(self.recipe.identity.page, self.profile))
                self._identified = True
            address = control.page_for(self.profile)
            status = await tab.load(address)
        except Unreachable as problem:
            if sign_in_host(self.recipe, sorted(tab.refused_hosts)):
                raise Stop(Outcome.SIGN_IN_NEEDED, Reason.SIGNED_OUT) from None
            raise Stop(Outcome.ERROR, problem.reason) from None
        if status == 429:
            raise Stop(Outcome.ERROR, Reason.RATE_LIMITED)
        return await self._stable(tab, control, address, status, to_press)

    async def _stable(self, tab: Tab, control: Control, address: str, status: int, to_press: bool) -> Seen:
        """Look until two looks agree, the later one not before the page has had time to show what is stored."""
        wanted = what_to_look_for(self.recipe, control)
        previous: Snapshot | None = None
        while True:
            snapshot, age = await tab.look(wanted), tab.age
            agrees = previous is not None and snapshot.gist == previous.gist
            previous = snapshot
            stop = barrier(self.recipe, snapshot, wanted, self.profile)
            lack = missing(snapshot, control, address, to_press=to_press)
            pause = POLL
            if stop is not None:
                if agrees and age >= _calm_before(stop):
                    raise stop
            elif status >= 400 and agrees:
                raise _refused_with(status)
            elif lack is None:
                [seen] = snapshot.controls
                is_calm = agrees and age >= CALM and tab.is_quiet
                if is_calm and (not to_press or await self._is_alive(tab, control, seen)):
                    return seen
                pause = max(POLL, CALM - age)
            elif lack.reason is Reason.NOT_FOUND and agrees and age >= CALM and is_not_offered(snapshot, control):
                raise Stop(Outcome.NOT_OFFERED)
            elif age > PATIENCE:
                raise lack
            if age > 2 * PATIENCE:
                raise Stop(Outcome.PAGE_CHANGED, Reason.UNSTABLE)
            await asyncio.sleep(pause)

    async def _is_alive(self, tab: Tab, control: Control, seen: Seen) -> bool:
        """False while a press would be lost: many a page shows a control before its scripts listen to it.

        A form with a Save button needs no script. A page that nobody listens to at last is pressed all the same.
        """
        needs_script = control.save is None and reading_of(seen, control) is Reading.IN
        return not needs_script or tab.age > PATIENCE or await tab.is_heard(control.find, control.kind)

    async def _identify(self, tab: Tab, page: str) -> None:
        """See on the recipe's identity page who is signed in. Raises Stop unless it is the right person."""
        wanted = what_to_look_for(self.recipe, None)
        by_landing = self.recipe.identity.landed is not None
        if by_landing:
            landed = await tab.land(page, lambda address: leads_to_person(self.recipe, address, self.profile))
            if leads_to_person(self.recipe, landed, self.profile):
                return
        elif await tab.load(page) == 429:
            raise Stop(Outcome.ERROR, Reason.RATE_LIMITED)
        began = time.monotonic()
        while True:
            snapshot = await tab.look(wanted)
            stop = barrier(self.recipe, snapshot, wanted, self.profile)
            waited = time.monotonic() - began
            if stop is not None and snapshot.loaded and waited >= _calm_before(stop):
                raise stop
            if stop is None and snapshot.loaded:
                if snapshot.identity or (by_landing and leads_to_person(self.recipe, snapshot.address, self.profile)):
                    return
                if by_landing and leads_to_somebody(self.recipe, snapshot.address, page):
                    raise Stop(Outcome.WRONG_ACCOUNT)
            if waited > PATIENCE:
                raise Stop(Outcome.PAGE_CHANGED, Reason.IDENTITY)
            await asyncio.sleep(POLL)


def _not_saved(reason: Reason) -> Stop:
    return Stop(Outcome.NOT_SAVED, reason)


def _refused_with(status: int) -> Stop:
    """What an HTTP status of 400 and above means for a visit, where the page shows no sign of its own."""
    if status == 401:
        return Stop(Outcome.SIGN_IN_NEEDED, Reason.SIGNED_OUT)
    if status in (404, 410):
        return Stop(Outcome.PAGE_CHANGED, Reason.ADDRESS)
    return Stop(Outcome.ERROR, Reason.SERVICE_ERROR)


def _calm_before(stop: Stop) -> float:
    """Seconds for which a barrier must stand: one that flickers by while a page is built is none."""
    return CALM_WHEN_OTHER if stop.outcome is Outcome.WRONG_ACCOUNT else CALM


async def _eventually(press: Callable[[], Awaitable[bool | None]], within: float = 3.0) -> bool | None:
    """Repeat a press that found nothing to press, until it did something (its answer) or time is over (None)."""
    deadline = time.monotonic() + within
    while (pressed := await press()) is None and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    return pressed
