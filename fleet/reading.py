"""Reading one control: load its page as a new document, see who is signed in, wait until its state can be believed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from fleet.browser.failures import Unreachable
from fleet.browser.snapshot import Seen, Snapshot
from fleet.browser.tab import Tab
from fleet.model import Outcome, Reading, Reason
from fleet.patience import BEFORE_OUT, BEFORE_OUT_UNPRESSED, CALM, POLL, UNTIL_SHOWN, USUALLY, Waits, calm_before
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


@dataclass
class Reader:
    """Reads the controls of one account in one tab."""

    tab: Tab
    recipe: Recipe
    profile: str
    check: bool
    _identified: bool = field(default=False, init=False)

    async def read(self, control: Control, *, is_proof: bool) -> Seen:
        """Load the control's page as a new document and wait for one stable reading of the right person's control.

        Raises Stop with the outcome that the page calls for, or BrowserGone.
        """
        try:
            if self.recipe.identity.page is not None and not self._identified:
                await self._identify(fill_profile(self.recipe.identity.page, self.profile))
                self._identified = True
            address = control.page_for(self.profile)
            status = await self.tab.load(address)
        except Unreachable as problem:
            if sign_in_host(self.recipe, sorted(self.tab.refused_hosts)):
                raise Stop(Outcome.SIGN_IN_NEEDED, Reason.SIGNED_OUT) from None
            # A file in place of the page is not the declared page.
            outcome = Outcome.PAGE_CHANGED if problem.reason is Reason.ADDRESS else Outcome.ERROR
            raise Stop(outcome, problem.reason) from None
        if status == 429:
            raise Stop(Outcome.ERROR, Reason.RATE_LIMITED)
        return await self._stable(control, address, status, is_proof)

    async def _stable(self, control: Control, address: str, status: int, is_proof: bool) -> Seen:
        """Look until two looks agree, the later one not before the page has had time to show what is stored."""
        wanted, to_press = what_to_look_for(self.recipe, control), not is_proof and not self.check
        previous: Snapshot | None = None
        longest = USUALLY.answers
        while True:
            snapshot, age = await self.tab.look(wanted), self.tab.age
            agrees = previous is not None and snapshot.gist == previous.gist
            previous = snapshot
            stop = barrier(self.recipe, snapshot, wanted, self.profile)
            lack = missing(snapshot, control, address, to_press=to_press)
            pause = POLL
            if stop is not None:
                if agrees and age >= calm_before(stop.outcome):
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
                is_calm = agrees and age >= waits.calm and self.tab.is_quiet(waits.answers, waits.pushes)
                if is_calm and may_be_default and await self._lacks_data(control, waits):
                    raise Stop(Outcome.ERROR, Reason.DATA_MISSING)
                if is_calm and (not to_press or await self._is_alive(control, seen)):
                    self.tab.believe()
                    return seen
                pause = max(POLL, waits.calm - age)
            elif lack.reason is Reason.NOT_FOUND and agrees and age >= CALM and is_not_offered(snapshot, control):
                raise Stop(Outcome.NOT_OFFERED)
            elif age > UNTIL_SHOWN:
                raise lack
            if age > longest + UNTIL_SHOWN / 2:
                raise Stop(Outcome.PAGE_CHANGED, Reason.UNSTABLE)
            await asyncio.sleep(pause)

    async def _is_alive(self, control: Control, seen: Seen) -> bool:
        """False while a press would be lost: many a page shows a control before its scripts listen to it.

        A form with a Save button needs no script. A page that nobody listens to at last is pressed all the same.
        """
        needs_script = control.save is None and reading_of(seen, control) is Reading.IN
        return not needs_script or self.tab.age > UNTIL_SHOWN or await self.tab.is_heard(control.find, control.kind)

    async def _lacks_data(self, control: Control, waits: Waits) -> bool:
        """True if the page may not have got what is stored: its data did not come, or the script that reacts."""
        if self.tab.lacks_data(waits.answers):
            return True
        return (
            self.tab.lacks_script and control.save is None and not await self.tab.is_heard(control.find, control.kind)
        )

    async def _identify(self, page: str) -> None:
        """See on the recipe's identity page who is signed in. Raises Stop unless it is the right person."""
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
            if waited > UNTIL_SHOWN:
                raise Stop(Outcome.PAGE_CHANGED, Reason.IDENTITY)
            await asyncio.sleep(POLL)


def _refused_with(status: int) -> Stop:
    """What an HTTP status of 400 and above means for a visit, where the page shows no sign of its own."""
    if status == 401:
        return Stop(Outcome.SIGN_IN_NEEDED, Reason.SIGNED_OUT)
    if status == 403:
        return Stop(Outcome.ERROR, Reason.FORBIDDEN)
    if status in (404, 410):
        return Stop(Outcome.PAGE_CHANGED, Reason.ADDRESS)
    return Stop(Outcome.ERROR, Reason.SERVICE_ERROR)
