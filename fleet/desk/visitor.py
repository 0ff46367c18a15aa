"""Visits at the desk: the employee signs in themselves, sees what was read, allows the change, and answers challenges.

The session stays in this process's memory and ends with the visit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from fleet.browser.engine import Engine
from fleet.browser.find_browser import BrowserProgram
from fleet.browser.network import Network
from fleet.browser.own_window import BESIDE
from fleet.desk.agreement import Agreed, Agreement, label_of
from fleet.desk.plain_window import PlainWindow, plain_window
from fleet.desk.private_profile import PrivateProfile, private_profile
from fleet.desk.screen import SayIn, Screen, open_screen
from fleet.desk.signed_in import read_session
from fleet.desk.signing import EMPTY, Signing
from fleet.desk.steps import Step, Tell, Told
from fleet.errors import AuditError, FleetError, SignInError
from fleet.model import Outcome, Reading, Reason
from fleet.recipes.recipe import Recipe, fill_profile
from fleet.sessions.storage_state import StorageState
from fleet.visit.visit import ControlResult, Ending, Journal, Order, Visit

SIGN_IN_WITHIN = 1200.0
"""Seconds that a person gets to sign in: a password may have to be looked for, and a code to arrive."""


class _SignInAgain(Exception):
    """The employee signs in once more: somebody else was signed in, or nobody."""


@dataclass
class Desk:
    """The Visitor of one machine with a screen: one employee at a time, one service after the other."""

    engine: Engine
    """Its browsers are visible."""
    program: BrowserProgram
    network: Network
    sandbox: bool
    say_in: SayIn
    tell: Tell
    name: None = None
    is_gone: bool = False
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    _screen: Screen | None = None

    async def agree(self, agreement: Agreement) -> Agreed | None:
        """Ask the employee for a mandate; None if they do not agree."""
        async with self._one_at_a_time:
            self.tell(Told(Step.AGREE))
            screen = await self._screen_for(agreement.name, agreement.locale)
            is_empty = False
            while True:
                form = await screen.ask("agree", agreement=agreement, is_empty=is_empty)
                if form is None:
                    return None
                profiles = {one.service: "".join(form.get(f"profile.{one.service}", ())) for one in agreement.choices}
                if controls := tuple(form.get("control", ())):
                    return Agreed(controls, {service: typed for service, typed in profiles.items() if typed})
                is_empty = True

    async def sign(self, signing: Signing) -> bool:
        """Have the employee sign a form or letter in a plain window; True if they say that the service confirmed it."""
        async with self._one_at_a_time:
            screen, is_sent = await self._screen_for(signing.person, signing.locale), False
            if screen.has_ended:
                return False
            self.tell(Told(Step.SIGN, signing.recipe.name))
            try:
                with private_profile() as profile:
                    async with self._window(signing.recipe, signing.request.page or EMPTY, profile):
                        is_sent = await screen.ask("sign", within=SIGN_IN_WITHIN, signing=signing) is not None
            except FleetError as error:
                self.tell(Told(Step.TROUBLE, signing.recipe.name, str(error)))
            return is_sent

    async def thank(self, signing: Signing, *, is_sent: bool) -> None:
        """Show what became of a request, until the employee goes on."""
        async with self._one_at_a_time:
            screen = await self._screen_for(signing.person, signing.locale)
            await screen.ask("signed", within=60, signing=signing, is_sent=is_sent)

    async def visit(self, order: Order, journal: Journal, ending: Ending) -> None:
        """See Visitor."""
        async with self._one_at_a_time:
            screen = await self._screen_for(order.name, order.locale)
            beside = _Beside(order, journal, screen, self.tell)
            try:
                while left := beside.left:
                    state = await self._signed_in(order.recipe, order.profile, screen)
                    if screen.has_ended:
                        await beside.finish_rest(Outcome.NO_MANDATE, Reason.NOT_ALLOWED)
                    elif state is None:
                        await beside.finish_rest(Outcome.SIGN_IN_NEEDED, Reason.NO_SESSION)
                    else:
                        signed_in = replace(order, controls=left, storage_state=state.as_playwright())
                        with suppress(_SignInAgain):
                            await beside.run(Visit(self.engine, signed_in, beside, ending, beside))
            except FleetError as error:
                if isinstance(error, AuditError):
                    raise
                self.tell(Told(Step.TROUBLE, order.recipe.name, str(error)))
                await beside.finish_rest(Outcome.ERROR, Reason.BROWSER_CRASHED)
            self.tell(Told(Step.RESULT, order.recipe.name))
            labels = {control: label_of(order.recipe.controls[control], order.locale) for control in order.controls}
            results = list(beside.finished.values())
            await screen.ask("result", within=60, recipe=order.recipe, results=results, labels=labels)

    async def _screen_for(self, name: str, locale: str | None) -> Screen:
        if self._screen is None:
            self._screen = await open_screen(self.engine, name, self.say_in(locale))
        return self._screen

    async def _signed_in(self, recipe: Recipe, of: str, screen: Screen) -> StorageState | None:
        """Let the employee sign in in a plain window; None if they do not."""
        while not screen.has_ended:
            self.tell(Told(Step.SIGN_IN, recipe.name))
            await screen.show("sign_in", recipe=recipe)
            try:
                with private_profile() as profile:
                    await self._window_closed(recipe, recipe.sign_in_page(of), profile, screen)
                    await screen.show("working", recipe=recipe, is_set=False)
                    if not screen.has_ended:
                        return await read_session(self.engine, profile, recipe)
            except SignInError:
                self.tell(Told(Step.NOT_SIGNED_IN, recipe.name))
                if await screen.ask("again", recipe=recipe, outcome=Outcome.SIGN_IN_NEEDED) is None:
                    break
        return None

    async def _window_closed(self, recipe: Recipe, page: str, profile: PrivateProfile, screen: Screen) -> None:
        """Open the window, and wait until it is closed or the employee ends the visit."""
        async with self._window(recipe, page, profile) as window:
            await _first(SIGN_IN_WITHIN, window.closed(), screen.ended())

    def _window(self, recipe: Recipe, page: str, profile: PrivateProfile) -> AbstractAsyncContextManager[PlainWindow]:
        """Return a plain window beside the screen."""
        reach = [*self.network.window_arguments(recipe.page_hosts), f"--window-position={BESIDE.left},0"]
        return plain_window(self.program, profile, page, reach, sandbox=self.sandbox)


@dataclass
class _Beside:
    """Journal and Person of a visit whose employee sits beside: asks them, then passes on to the real journal."""

    order: Order
    journal: Journal
    screen: Screen
    tell: Tell
    finished: dict[str, ControlResult] = field(default_factory=dict)
    _is_committed: bool = False
    """True from an intent, or a result on its way to the log, until it is recorded: the visit is not ended then."""

    @property
    def left(self) -> list[str]:
        """The controls that are not finished."""
        return [control for control in self.order.controls if control not in self.finished]

    async def run(self, visit: Visit) -> None:
        """Run a visit until it or the employee ends it. Raises what the visit raises."""
        self._step(Step.READ)
        await self.screen.show("working", recipe=self.order.recipe, is_set=False)
        visiting = asyncio.create_task(visit.run())
        ended = asyncio.create_task(self.screen.ended())
        try:
            await asyncio.wait({visiting, ended}, return_when=asyncio.FIRST_COMPLETED)
            while not visiting.done() and self._is_committed:
                await asyncio.wait({visiting}, timeout=0.1)
            if not visiting.done():
                visiting.cancel()
                await asyncio.wait({visiting})
                await self.finish_rest(Outcome.NO_MANDATE, Reason.NOT_ALLOWED)
            elif not visiting.cancelled():
                visiting.result()
        finally:
            ended.cancel()
            visiting.cancel()

    async def permit(self, control: str) -> Reason | None:
        """See Journal: checked, then the employee is asked, then checked again."""
        refused = await self.journal.permit(control)
        if refused is not None:
            return refused
        self._step(Step.ALLOW)
        recipe = self.order.recipe
        found = recipe.controls[control]
        label, account = label_of(found, self.order.locale), self._account()
        if await self.screen.ask("allow", recipe=recipe, control=found, label=label, account=account) is None:
            return Reason.NOT_ALLOWED
        return await self.journal.permit(control)

    async def intend(self, control: str, before: Reading, picture: bytes) -> None:
        """See Journal. From here on, the visit goes on until the control was read back."""
        self._is_committed = True
        await self.journal.intend(control, before, picture)
        self._step(Step.SET)
        await self.screen.show("working", recipe=self.order.recipe, is_set=True)

    async def finish(self, finding: ControlResult) -> None:
        """See Journal. Raises _SignInAgain, and records nothing, if the employee signs in once more."""
        is_new = not self._is_committed and not self.screen.has_ended
        if is_new and finding.outcome in (Outcome.WRONG_ACCOUNT, Outcome.SIGN_IN_NEEDED):
            is_other = finding.outcome is Outcome.WRONG_ACCOUNT
            self._step(Step.OTHER_PERSON if is_other else Step.NOT_SIGNED_IN)
            if await self.screen.ask("again", recipe=self.order.recipe, outcome=finding.outcome) is not None:
                raise _SignInAgain
        await self._record(finding)

    async def _record(self, finding: ControlResult) -> None:
        self._is_committed = True
        await self.journal.finish(finding)
        self.finished[finding.control] = finding
        self._is_committed = False

    async def finish_rest(self, outcome: Outcome, reason: Reason) -> None:
        """Finish all controls that are not finished, unread."""
        for control in self.left:
            await self._record(ControlResult(control, outcome, reason=reason))

    async def answers(self, challenge: Reason | None) -> bool:
        """See Person."""
        self._step(Step.CHALLENGE)
        form = await self.screen.ask("challenge", recipe=self.order.recipe, challenge=challenge)
        if form is None:
            return False
        self._step(Step.READ)
        await self.screen.show("working", recipe=self.order.recipe, is_set=self._is_committed)
        return True

    def _step(self, step: Step) -> None:
        self.tell(Told(step, self.order.recipe.name))

    def _account(self) -> str:
        """Return whose account was recognized, as its address if the recipe has one."""
        landed = self.order.recipe.identity.landed
        address = fill_profile(landed, self.order.profile) if landed else self.order.profile
        return address.removeprefix("https://").removesuffix("/")


async def _first(within: float, *works: Coroutine[Any, Any, None]) -> None:
    """Wait until one of `works` is done, then cancel the others. Raises what it raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
