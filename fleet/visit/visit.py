"""One account at one service: recognize, read, intend, set, load again, read, result.

Knows nothing of Ansible, files or the log's format: permissions and records go through `Journal`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from fleet.browser.control_kinds import BUTTON
from fleet.browser.engine import Engine
from fleet.browser.liveness import BrowserGone
from fleet.browser.tab import Tab
from fleet.browser.traffic import Sent
from fleet.model import Outcome, Reading, Reason, outcome_of_refusal
from fleet.recipes.recipe import Control, Recipe
from fleet.visit.page_state import Stop, barrier, reading_of, what_to_look_for
from fleet.visit.reader import Reader
from fleet.visit.timeouts import SECOND_LOAD_AFTER, limit

T = TypeVar("T")

MAX_CHALLENGES = 5
"""Challenges during one reading that are left to the person at the desk; some come in a row."""
_SAVE_TROUBLE = {Sent.REFUSED: Reason.SAVE_REFUSED, Sent.UNANSWERED: Reason.SAVE_UNANSWERED}


@dataclass(frozen=True)
class ControlResult:
    """The outcome of one control. `read_back` is True if `after` was read from a document loaded after the press."""

    control: str
    outcome: Outcome
    before: Reading | None = None
    after: Reading | None = None
    reason: Reason | None = None
    read_back: bool = False
    picture: bytes | None = None
    label: str | None = None
    """The page's label for the control, if it is none of the recipe's names."""
    http_status: int | None = None
    refused_hosts: tuple[str, ...] = ()
    duration_ms: int = 0


class Journal(Protocol):
    """What a visit needs from the record keeper."""

    async def permit(self, control: str) -> Reason | None:
        """Check mandate and service now. Returns why the control must not be touched, or None."""

    async def intend(self, control: str, before: Reading, picture: bytes) -> None:
        """Record that the control is about to be pressed; returns once the record is durable."""

    async def finish(self, finding: ControlResult) -> None:
        """Record the control's outcome; returns once the record is durable."""


@dataclass(frozen=True)
class Order:
    """The work of one visit: data only, so that another machine can carry it out."""

    recipe: Recipe
    profile: str
    locale: str | None
    controls: Sequence[str]
    storage_state: dict[str, Any]
    check: bool
    name: str = ""
    """The employee as the desk's screen names them."""
    attended: bool = False
    """Whether the employee is at the desk: they sign in there, so that `storage_state` is empty."""


@dataclass
class Ending:
    """What a visit leaves besides its results."""

    rotated_state: dict[str, Any] | None = None
    """The session after the last good reading, to be sealed again; None without a good reading."""
    retry_after: float | None = None
    """Seconds the service asks to be left alone (429); 0 if it gave no time, None if it did not ask."""


class VisitorLost(Exception):
    """The machine that ran a visit is gone or not trusted."""


class NotBegun(VisitorLost):
    """The machine was gone before the visit began: another one may run it."""


class Visitor(Protocol):
    """Where visits run: browsers on this machine or on another."""

    @property
    def is_gone(self) -> bool:
        """True once it accepts no more visits."""

    @property
    def name(self) -> str | None:
        """Name of the other machine in the log; None for this one."""

    async def visit(self, order: Order, journal: Journal, ending: Ending) -> None:
        """Finish every control of an order; `ending` is filled in as far as the visit got.

        Raises what the journal raises, and VisitorLost.
        """


class Person(Protocol):
    """The employee in front of the browser, at the desk."""

    async def answers(self, challenge: Reason | None) -> bool:
        """Let the person answer a challenge in the window; return False if they end the visit instead."""


@dataclass(frozen=True)
class Here:
    """Runs visits with this machine's browsers."""

    engine: Engine
    name: None = None
    is_gone: bool = False

    async def visit(self, order: Order, journal: Journal, ending: Ending) -> None:
        """See Visitor."""
        await Visit(self.engine, order, journal, ending).run()


@dataclass
class Visit:
    """All of one employee's controls at one service, in one context, one after the other."""

    engine: Engine
    order: Order
    journal: Journal
    ending: Ending = field(default_factory=Ending)
    person: Person | None = None
    """Who is in front of the browser; None where nobody is."""
    _intended: dict[str, Reading] = field(default_factory=dict)
    _time: asyncio.Timeout = field(init=False)
    _tab: Tab | None = None

    @property
    def recipe(self) -> Recipe:
        """The recipe of the order."""
        return self.order.recipe

    async def run(self) -> None:
        """Finish every control with exactly one `journal.finish` each. After a crash the browser is restarted once.

        Raises what the journal raises (a log that cannot be written stops everything).
        """
        waiting, why = list(self.order.controls), Reason.BROWSER_CRASHED
        for _attempt in range(2):
            try:
                async for control in self._work_through(list(waiting)):
                    waiting.remove(control)
            except BrowserGone as gone:
                if self._tab is not None and self._tab.was_closed and not self._intended and self.person is not None:
                    for control in waiting:  # the employee has closed the window
                        await self.journal.finish(ControlResult(control, Outcome.NO_MANDATE, reason=Reason.NOT_ALLOWED))
                    return
                why = Reason.TIMEOUT if gone.is_stuck else Reason.BROWSER_CRASHED
                if gone.is_stuck:
                    await self.engine.end_if_stuck(self.recipe.hosts)
        for control in waiting:
            before = self._intended.get(control)
            outcome = Outcome.ERROR if before is None else Outcome.UNKNOWN
            await self.journal.finish(ControlResult(control, outcome, before, reason=why))

    async def _work_through(self, controls: list[str]) -> AsyncIterator[str]:
        order, ending = self.order, self.ending
        async with AsyncExitStack() as stack:
            if not controls:
                return
            tab = self._tab = await stack.enter_async_context(
                self.engine.tab(self.recipe.hosts, order.storage_state, order.locale, self.recipe.session)
            )
            reader = Reader(tab, self.recipe, order.profile, order.locale)
            for control in controls:
                started = time.monotonic()
                try:
                    allowed = limit(self.recipe.controls[control].shows_within)
                    async with asyncio.timeout(allowed) as self._time:
                        finding = await self._finding(reader, control)
                    is_stuck = False
                except TimeoutError:
                    before, is_stuck = self._intended.get(control), True
                    outcome = Outcome.ERROR if before is None else Outcome.UNKNOWN
                    finding = ControlResult(control, outcome, before, reason=Reason.TIMEOUT)
                if tab.retry_after is not None:
                    ending.retry_after = max(tab.retry_after, ending.retry_after or 0)
                if finding.after is not None and not order.attended:
                    ending.rotated_state = await tab.storage_state()
                spent = int((time.monotonic() - started) * 1000)
                refused = tuple(sorted(tab.refused_hosts))
                finding = replace(finding, duration_ms=spent, http_status=tab.status, refused_hosts=refused)
                await self.journal.finish(finding)
                yield control
                if is_stuck:
                    raise BrowserGone("this page does not answer any more", is_stuck=True)

    async def _finding(self, reader: Reader, name: str) -> ControlResult:
        tab, control = reader.tab, self.recipe.controls[name]
        before = self._intended.get(name)
        if before is not None:
            # Pressed before a crash: only read it, never press again. This tab has not seen the press.
            return await self._prove(reader, name, before, _not_saved(Reason.BROWSER_CRASHED), is_sent=True)
        try:
            first = await self._past_challenges(lambda: reader.read(control, is_proof=False))
            before, picture = reading_of(first, control), await tab.picture(first.box)
            if before is Reading.OUT:
                await self._past_challenges(reader.see_person)
                return ControlResult(name, Outcome.ALREADY_OPTED_OUT, before, before, picture=picture)
        except Stop as stop:
            return ControlResult(name, stop.outcome, reason=stop.reason, label=stop.label)
        if self.order.check:
            return ControlResult(name, Outcome.WOULD_OPT_OUT, before, before, picture=picture)
        with self._untimed():
            refusal = await self.journal.permit(name)
        if refusal is not None:
            return ControlResult(name, outcome_of_refusal(refusal), before, before, refusal)
        await self.journal.intend(name, before, picture)
        self._intended[name] = before
        pressed, trouble = await self._set(tab, control)
        if trouble is not None and trouble.outcome is Outcome.CHALLENGED:
            await self._is_answered(trouble)
        return await self._prove(reader, name, before, trouble, pressed=pressed, is_sent=tab.has_sent)

    async def _past_challenges(self, reading: Callable[[], Awaitable[T]]) -> T:
        """Return a reading, begun anew after each challenge that the person answers. Raises Stop as `reading` does."""
        for _challenge in range(MAX_CHALLENGES):
            try:
                return await reading()
            except Stop as stop:
                if stop.outcome is not Outcome.CHALLENGED or not await self._is_answered(stop):
                    raise
        return await reading()

    async def _is_answered(self, challenge: Stop) -> bool:
        """Leave a challenge to the person, if there is one; return True once they have answered it."""
        if self.person is None:
            return False
        assert self._tab is not None
        with self._untimed():
            async with self._tab.in_persons_hands():
                return await self.person.answers(challenge.reason)

    @contextmanager
    def _untimed(self) -> Iterator[None]:
        """Stop the control's time meanwhile: a person is asked."""
        deadline, asked_at = self._time.when(), asyncio.get_running_loop().time()
        self._time.reschedule(None)
        try:
            yield
        finally:
            if deadline is not None and not self._time.expired():
                self._time.reschedule(deadline + asyncio.get_running_loop().time() - asked_at)

    async def _set(self, tab: Tab, control: Control) -> tuple[bool, Stop | None]:
        """Press the control, then Save if there is one. Returns whether anything was pressed, and what went wrong."""
        reads_in = control.opted_out == "off"
        pressed = await _eventually(lambda: tab.press(control.find, control.kind, reads_in))
        if pressed is None:
            return False, _not_saved(Reason.CLICK_FAILED)
        save, trouble = control.save, None if pressed else Reason.CLICK_FAILED
        if pressed and save is not None and not await _eventually(lambda: tab.press(save, BUTTON)):
            trouble = Reason.SAVE_BUTTON
        sent = await tab.saved()
        trouble = trouble or (Reason.DIALOG if tab.has_asked else _SAVE_TROUBLE.get(sent))
        wanted = what_to_look_for(self.recipe, control)
        # A page may answer a press with a challenge in place; the next load would no longer show it.
        asked = barrier(self.recipe, await tab.look(wanted), wanted, self.order.profile)
        return True, asked or (_not_saved(trouble) if trouble else None)

    async def _prove(
        self, reader: Reader, name: str, before: Reading, trouble: Stop | None, *, pressed: bool = True, is_sent: bool
    ) -> ControlResult:
        """Load the page again, read the control back, and check that the same person is signed in.

        The reading decides, whatever went wrong before. `is_sent` is False if the press sent nothing.
        """
        tab, control = reader.tab, self.recipe.controls[name]
        try:
            second = await self._past_challenges(lambda: reader.read(control, is_proof=True))
            if pressed and trouble is None and reading_of(second, control) is Reading.IN:
                await asyncio.sleep(SECOND_LOAD_AFTER)
                second = await self._past_challenges(lambda: reader.read(control, is_proof=True))
            after, picture = reading_of(second, control), await tab.picture(second.box)
            # Requests sent while leaving the page count as well.
            is_sent = is_sent or tab.has_sent
            await self._past_challenges(reader.see_person)
        except Stop as stop:
            reason = Reason.OTHER_PERSON if stop.outcome is Outcome.WRONG_ACCOUNT else stop.reason
            reason = reason or (trouble.reason if trouble else None)
            return ControlResult(name, Outcome.UNKNOWN, before, reason=reason, label=stop.label)
        if after is Reading.OUT and pressed and not is_sent:
            # Nothing left the browser, so the new state can only come from the browser's own storage.
            return ControlResult(name, Outcome.UNKNOWN, before, after, Reason.NOT_SENT, read_back=True, picture=picture)
        if after is Reading.OUT and not pressed:
            # Changed by someone else; the next run reads the actual state.
            return ControlResult(
                name, Outcome.UNKNOWN, before, after, Reason.CLICK_FAILED, read_back=True, picture=picture
            )
        if after is Reading.OUT:
            return ControlResult(name, Outcome.OPTED_OUT, before, after, read_back=True, picture=picture)
        end = trouble or _not_saved(Reason.STILL_IN)
        return ControlResult(name, end.outcome, before, after, end.reason, read_back=True, picture=picture)


def _not_saved(reason: Reason) -> Stop:
    return Stop(Outcome.NOT_SAVED, reason)


async def _eventually(press: Callable[[], Awaitable[bool | None]], within: float = 3.0) -> bool | None:
    """Retry a press that found nothing to press, until it returns a result or time is over (None)."""
    deadline = time.monotonic() + within
    while (pressed := await press()) is None and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    return pressed
