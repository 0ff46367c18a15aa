"""How long a visit waits for a page, and why. All times are in seconds, most of them since the page was loaded."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.model import Outcome
from fleet.recipes.recipe import SHOWS_WITHIN

POLL = 0.3
"""Between two snapshots of a page."""
CALM = 3.0
"""A page must be stable this long before it is trusted: it may show off first and the stored state two seconds later,
or offer to sign in until it has recognized the person."""
CALM_WHEN_OTHER = 4.0
"""The same before a different signed-in person is accepted: until then the name may be a placeholder."""
GRACE = 15.0
"""Extra time for a page to settle once it shows everything."""
SECOND_LOAD_AFTER = 5.0
"""Before a page that still shows `in` after a good save is loaded again: some services briefly serve the old state."""
LIMIT = 180.0
"""For one control in total; a page whose scripts never end must not delay the others."""
LOADS = 3
"""Maximum loads of a control's page: to read it, to prove it, and to prove it once more."""


@dataclass(frozen=True)
class Waits:
    """How long a page must be stable before a reading counts (`calm`), and how long to wait for answers to its own
    requests (`answers`) and for data over a WebSocket or an event stream (`pushes`)."""

    calm: float = CALM
    answers: float = 15.0
    pushes: float = 5.0


USUALLY = Waits()
BEFORE_OUT = Waits(answers=60.0)
"""Before an `out` is trusted: it may be what the page shows until its data arrives."""
BEFORE_OUT_UNPRESSED = Waits(calm=6.0, answers=60.0, pushes=15.0)
"""The same for a control that was not pressed: nothing would correct a wrong reading later."""


def limit(shows_within: float) -> float:
    """Total time for one control whose page may take `shows_within` seconds to show it on each load."""
    return LIMIT + LOADS * max(0.0, shows_within - SHOWS_WITHIN)


def calm_before(stop: Outcome) -> float:
    """How long a barrier must persist; one that appears briefly while a page loads does not count."""
    return CALM_WHEN_OTHER if stop is Outcome.WRONG_ACCOUNT else CALM
