"""How long a page is waited for, and why; all times are in seconds, most of them since the page was loaded."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.model import Outcome
from fleet.recipes.recipe import SHOWS_WITHIN

POLL = 0.3
"""Between two looks at a page."""
CALM = 3.0
"""For so long a page must have stood still before anything that it shows is believed: it may show off first and the
stored on two seconds later, or offer to sign in until it has seen who is there."""
CALM_WHEN_OTHER = 4.0
"""The same before somebody else is believed to be signed in: until then the name may be a placeholder."""
GRACE = 15.0
"""For so much longer a page may take to come to rest, once it shows all."""
SECOND_LOAD_AFTER = 5.0
"""Until a page that still shows `in` after a good save is loaded once more: some serve the old for a while."""
LIMIT = 180.0
"""For one control in all; a page whose scripts never end must not hold up everybody."""
LOADS = 3
"""So often the page of a control is loaded at most: to read it, to prove it, and to prove it once more."""


@dataclass(frozen=True)
class Waits:
    """From when a reading is believed; until when it waits for answers that the page itself waits for, and for what
    the page may be told over a WebSocket or an event stream."""

    calm: float = CALM
    answers: float = 15.0
    pushes: float = 5.0


USUALLY = Waits()
BEFORE_OUT = Waits(answers=60.0)
"""Before an `out` is believed, which may be no more than what the page shows until it has its data."""
BEFORE_OUT_UNPRESSED = Waits(calm=6.0, answers=60.0, pushes=15.0)
"""The same of a control that was not pressed: nothing would correct it any more."""


def limit(shows_within: float) -> float:
    """For one control in all, whose page may take so long to show it each time that it is loaded."""
    return LIMIT + LOADS * max(0.0, shows_within - SHOWS_WITHIN)


def calm_before(stop: Outcome) -> float:
    """For so long a barrier must stand; one that flickers by while a page is built is none."""
    return CALM_WHEN_OTHER if stop is Outcome.WRONG_ACCOUNT else CALM
