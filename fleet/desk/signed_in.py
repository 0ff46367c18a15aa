"""What a person's sign-in left in a closed profile: the session, in memory, and whose account it is."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from fleet.browser.engine import Engine
from fleet.browser.liveness import BrowserGone
from fleet.desk.private_profile import PrivateProfile
from fleet.errors import FleetError, SignInError
from fleet.model import Outcome
from fleet.recipes.recipe import Recipe
from fleet.sessions.storage_state import StorageState
from fleet.visit.page_state import Stop
from fleet.visit.reader import Reader

_SECONDS = 60


async def read_session(engine: Engine, profile: PrivateProfile, recipe: Recipe) -> StorageState:
    """Return the session that the recipe declares, from the profile of a closed window. No page is loaded for it.

    Raises SignInError if there is none, FleetError if the browser cannot be driven.
    """
    try:
        found = await engine.profile_state(profile.folder, recipe.page_hosts, recipe.session)
    except BrowserGone as gone:
        raise FleetError(f"The profile cannot be read: {gone}. Nothing was stored; run 'fleet doctor'.") from None
    try:
        state = StorageState.model_validate(found).own_part(recipe)
    except ValidationError:
        raise FleetError(f"The session at {recipe.name} is too large to store; nothing was stored.") from None
    present = {cookie.name for cookie in state.cookies}
    is_there = (
        set(recipe.session.cookies) <= present if recipe.session.cookies else bool(state.cookies or state.origins)
    )
    if not is_there:
        raise SignInError(
            f"Nobody signed in to {recipe.name} before the window was closed; nothing was stored. Run again, and close "
            "the window once signed in."
        )
    return state


@dataclass(frozen=True)
class Expected:
    """Who is expected to have signed in."""

    employee: str
    profile: str
    locale: str | None


async def require_person(engine: Engine, recipe: Recipe, state: StorageState, expected: Expected) -> None:
    """Open the recipe's identity page with a session and check whose it is.

    Raises SignInError if it is another person's, or the service shows a challenge or no sign of who is signed in.
    """
    try:
        async with engine.tab(recipe.hosts, state.as_playwright(), expected.locale, recipe.session) as tab:
            await Reader(tab, recipe, expected.profile, expected.locale).identify()
    except BrowserGone as gone:
        raise FleetError(f"The browser cannot be driven: {gone}. Nothing was stored; run 'fleet doctor'.") from None
    except Stop as stop:
        raise SignInError(f"{_why(stop, recipe, expected)} Nothing was stored.") from None


def _why(stop: Stop, recipe: Recipe, expected: Expected) -> str:
    if stop.outcome is Outcome.WRONG_ACCOUNT:
        return f"Someone other than {expected.employee} ({expected.profile}) signed in to {recipe.name}."
    reason = f", reason {stop.reason}" if stop.reason else ""
    return f"{recipe.name} did not show who signed in ({stop.outcome}{reason}); run again."
