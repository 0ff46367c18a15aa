"""Reads one control: load its page as a new document, check who is signed in, wait until its state can be trusted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fleet.browser.control_kinds import BUTTON
from fleet.browser.failures import Unreachable
from fleet.browser.snapshot import Seen, Snapshot
from fleet.browser.tab import Tab
from fleet.model import Outcome, Reading, Reason
from fleet.recipes.recipe import SHOWS_WITHIN, Control, Recipe, fill_profile
from fleet.visit.page_state import (
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
from fleet.visit.timeouts import (
    BEFORE_OUT,
    BEFORE_OUT_UNPRESSED,
    CALM,
    GRACE,
    POLL,
    USUALLY,
    Waits,
    calm_before,
)


@dataclass
class Reader:
    """Reads the controls of one account in one tab."""

    tab: Tab
    recipe: Recipe
    profile: str
    locale: str | None = None
    _is_person_seen: bool = field(default=False, init=False)
    """True after a check of the identity page, until the next reading begins."""

    async def read(self, control: Control, *, is_proof: bool) -> Seen:
        """Load the control's page as a new document and wait for a stable reading of the right person's control.

        Raises Stop with the outcome that the page calls for, or BrowserGone.
        """
        if not is_proof:
            await self.see_person()
        self._is_person_seen = False
        address = control.page_for(self.profile)
        with self._reaching():
            status = await self.tab.load(address)
        if status == 429:
            raise Stop(Outcome.ERROR, Reason.RATE_LIMITED)
        return await self._stable(control, address, status, is_proof)

    async def see_person(self) -> None:
        """Check on the recipe's identity page, if it has one, that the right person is signed in.

        A reading proves the employee's state only between two such checks: someone else may have signed in since. Does
        nothing if no reading has begun since the last check. Raises Stop, or BrowserGone.
        """
        if self.recipe.identity.page is not None and not self._is_person_seen:
            await self.identify()
            self._is_person_seen = True

    async def identify(self) -> None:
        """Check that the right person is signed in: on the identity page, or on the page of the first control.

        Raises Stop, or BrowserGone.
        """
        page = self.recipe.identity.page or next(iter(self.recipe.controls.values())).page
        with self._reaching():
            await self._identify(fill_profile(page, self.profile))

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Turn a page that cannot be loaded into a Stop."""
        try:
            yield
        except Unreachable as problem:
            if sign_in_host(self.recipe, sorted(self.tab.refused_hosts)):
                raise Stop(Outcome.SIGN_IN_NEEDED, Reason.SIGNED_OUT) from None
            # A download in place of the page is not the declared page.
            outcome = Outcome.PAGE_CHANGED if problem.reason is Reason.ADDRESS else Outcome.ERROR
            raise Stop(outcome, problem.reason) from None

    async def _stable(self, control: Control, address: str, status: int, is_proof: bool) -> Seen:
        """Take snapshots until the page has been stable long enough to show the stored state."""
        wanted, to_press = what_to_look_for(self.recipe, control, is_proof=is_proof), not is_proof
        previous: Snapshot | None = None
        longest, since, is_dead = USUALLY.answers, 0.0, False
        while True:
            snapshot, age = await self.tab.look(wanted), self.tab.age
            agrees = previous is not None and snapshot.gist == previous.gist
            since = since if agrees else age
            previous = snapshot
            stop = barrier(self.recipe, snapshot, wanted, self.profile)
            lack = missing(snapshot, control, address, self.locale, to_press=to_press)
            pause = POLL
            if stop is not None:
                # A page that is still being read may yet show which challenge it is.
                if agrees and age >= calm_before(stop.outcome) and (snapshot.loaded or age > control.shows_within):
                    raise stop
            elif status >= 400 and agrees:
                raise _refused_with(status)
            elif lack is None:
                [seen] = snapshot.controls
                may_be_default = reading_of(seen, control) is Reading.OUT and control.ready is None
                waits = USUALLY
                if may_be_default:
                    waits = BEFORE_OUT if is_proof else BEFORE_OUT_UNPRESSED
                longest = max(longest, waits.answers)
                is_calm = agrees and age - since >= waits.calm and self.tab.is_quiet(waits.answers, waits.pushes)
                if is_calm and may_be_default and await self._lacks_data(control, waits):
                    raise Stop(Outcome.ERROR, Reason.DATA_MISSING)
                is_dead = is_calm and to_press and not await self._is_alive(control, seen)
                if is_dead and age > control.shows_within:
                    raise self._dead(waits)
                if is_calm and not is_dead:
                    self.tab.believe()
                    return seen
                pause = max(POLL, waits.calm - (age - since))
            elif lack.reason is Reason.NOT_FOUND and agrees and age >= CALM and is_not_offered(snapshot, control):
                raise Stop(Outcome.NOT_OFFERED)
            elif age > control.shows_within:
                raise lack
            if age > max(longest, control.shows_within) + GRACE:
                raise Stop(Outcome.PAGE_CHANGED, Reason.UNSTABLE)
            await asyncio.sleep(pause)

    async def _is_alive(self, control: Control, seen: Seen) -> bool:
        """Return False while a press would be lost: many pages show a control before their scripts listen to it.

        A control without listeners proves nothing either: it may be a cached page or a picture of a control. An input
        needs no script if its own form submits it or if a Save button is ready.
        """
        has_save, is_out = control.save is not None, reading_of(seen, control) is Reading.OUT
        if seen.acts or (seen.is_sent and (has_save or is_out)):
            return True
        if await self.tab.is_heard(control.find, control.kind, or_sent=has_save):
            return True
        return control.save is not None and seen.is_input and await self.tab.is_heard(control.save, BUTTON)

    def _dead(self, waits: Waits) -> Stop:
        """Return the Stop for a control without listeners: the page is incomplete, or differs from the recipe."""
        if self.tab.lacks_data(waits.answers) or self.tab.lacks_script:
            return Stop(Outcome.ERROR, Reason.DATA_MISSING)
        return Stop(Outcome.PAGE_CHANGED, Reason.DEAD)

    async def _lacks_data(self, control: Control, waits: Waits) -> bool:
        """Return True if the page may lack the stored state: a data request or the script that uses it failed."""
        if self.tab.lacks_data(waits.answers):
            return True
        return (
            self.tab.lacks_script and control.save is None and not await self.tab.is_heard(control.find, control.kind)
        )

    async def _identify(self, page: str) -> None:
        """Check on the recipe's identity page who is signed in. Raises Stop unless it is the right person."""
        wanted = what_to_look_for(self.recipe, None)
        by_landing = self.recipe.identity.landed is not None
        if by_landing:
            landed = await self.tab.land(page, lambda address: leads_to_person(self.recipe, address, self.profile))
            if leads_to_person(self.recipe, landed, self.profile):
                return
        elif await self.tab.load(page) == 429:
            raise Stop(Outcome.ERROR, Reason.RATE_LIMITED)
        began = time.monotonic()
        while True:
            snapshot = await self.tab.look(wanted)
            stop = barrier(self.recipe, snapshot, wanted, self.profile)
            waited = time.monotonic() - began
            if stop is not None and snapshot.loaded and waited >= calm_before(stop.outcome):
                raise stop
            if stop is None and snapshot.loaded:
                if snapshot.identity or (by_landing and leads_to_person(self.recipe, snapshot.address, self.profile)):
                    return
                if by_landing and leads_to_somebody(self.recipe, snapshot.address, page):
                    raise Stop(Outcome.WRONG_ACCOUNT)
            if waited > SHOWS_WITHIN:
                raise Stop(Outcome.PAGE_CHANGED, Reason.IDENTITY)
            await asyncio.sleep(POLL)


def _refused_with(status: int) -> Stop:
    """Return the Stop for an HTTP status of 400 and above, if the page shows no sign of its own."""
    if status == 401:
        return Stop(Outcome.SIGN_IN_NEEDED, Reason.SIGNED_OUT)
    if status == 403:
        return Stop(Outcome.ERROR, Reason.FORBIDDEN)
    if status in (404, 410):
        return Stop(Outcome.PAGE_CHANGED, Reason.ADDRESS)
    return Stop(Outcome.ERROR, Reason.SERVICE_ERROR)
