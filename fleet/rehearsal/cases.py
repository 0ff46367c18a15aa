"""Named cases: how a service behaves towards one account. A row is one case; its fields are independent of each other.

A later case is one more row; only a behavior that no field can say yet needs code in linkedin.py or intranet.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Dom(StrEnum):
    """How the control is built. The value names its template, templates/linkedin/control_<value>.html."""

    CURRENT = "current"
    """A switch with the setting's key and no element that the key names: it has no accessible name."""
    NAMED = "named"
    """The same, and the key leads to the visible label."""
    EMBER = "ember"
    """The older artdeco toggle: no key, hidden input, visible label, changes once the server has answered."""
    NESTED = "nested"
    """A switch inside a switch; the outer one has a name that says nothing, the inner one the key."""
    NESTED_BARE = "nested_bare"
    CHECKBOX = "checkbox"
    """A plain checkbox with the setting's label, beside an unrelated one."""
    CHECKBOX_BARE = "checkbox_bare"
    RADIO = "radio"
    TWICE = "twice"
    """Two switches with the same key, both displayed."""
    ABSENT = "absent"


class Save(StrEnum):
    """What becomes of a change."""

    STORES = "stores"
    FAILS = "fails"
    LIES = "lies"
    """Answered as if stored, but it is not."""
    REVERTS = "reverts"
    """Stored; the next page view shows, and stores, that the employee is in again."""
    LOST = "lost"
    """The connection breaks; nothing is stored."""
    UNANSWERED = "unanswered"
    """Never answered; nothing is stored."""
    LOST_ANSWER = "lost_answer"
    """Stored; the connection breaks before the answer."""


class Barrier(StrEnum):
    """What stands in the way of a page."""

    NONE = "none"
    LOGIN = "login"
    UAS_LOGIN = "uas_login"
    AUTHWALL = "authwall"
    CHOOSER = "chooser"
    """The account chooser, at the page's own address."""
    CODE = "code"
    APP = "app"
    CAPTCHA = "captcha"
    RESTRICTION = "restriction"
    CODE_IN_PLACE = "code_in_place"
    """The settings page's own address asks for a code, under a header that looks signed in."""


@dataclass(frozen=True)
class Case:
    """One behavior. Times in milliseconds; the defaults are a service on a good day, its setting switched on."""

    name: str
    meaning: str
    start: Literal["in", "out"] = "in"
    dom: Dom = Dom.CURRENT
    hydrate_after: int = 0
    """Until then the page shows skeletons, and clicks are lost."""
    bind_after: int = 0
    """The page shows the control at once, but until then nothing listens to it, and clicks are lost."""
    state_after: int = 0
    """The page shows "off" at first; the stored state arrives so much later."""
    state_status: int = 200
    """What the page is answered when it asks for the stored state."""
    reveal_after: int = 0
    """The page shows "off" at first; its own script shows the stored state so much later, asking nobody."""
    save: Save = Save.STORES
    save_delay: int = 0
    save_after: int = 0
    """The page waits so long before it sends a change."""
    token_delay: int = 0
    """Before it sends a change the page asks for a token, which it is given so much later."""
    busy: bool = False
    """The page says of itself, in `aria-busy`, that it is not there yet, and never takes that back."""
    sends: bool = True
    """If not, the page keeps what was pressed in a cookie of its own, and tells nobody."""
    switched_off_elsewhere: bool = False
    """Once the page has been shown, the employee switches the setting off on another device."""
    asks: bool = False
    """The page asks whether the change is meant, in a dialog of the browser's, and sends it only after a yes."""
    spins_after: int = 0
    """After so long the page's scripts never come to an end."""
    remembers: Literal["", "storage", "cache", "history", "cookie"] = ""
    """What was pressed is kept in the browser (local storage, a cache of the page's own, the entry in the history, or a
    cookie that the service sets and scripts cannot read), and shown instead of what is stored."""
    picture_missing: bool = False
    """The page shows a picture that never comes, so it is never loaded to its end."""
    has_session: bool = True
    barrier: Barrier = Barrier.NONE
    barrier_after_save: Barrier = Barrier.NONE
    signed_in_as: str | None = None
    """The profile that is signed in, if it is not the employee's."""
    offered: bool = True
    covered: bool = False
    disabled: bool = False
    status: int = 200
    page_delay: int = 0
    moved_to: str | None = None
    """The settings page redirects to this path."""
    max_age: int | None = None
    """Seconds for which the browser may keep the settings page; None forbids it."""


SOMEBODY_ELSE = "robin-somebody-else"

_LINKEDIN = (
    Case("switched_on", "The setting is on; today's page."),
    Case("switched_on_named", "The same, and the switch carries its visible label as its name.", dom=Dom.NAMED),
    Case("switched_on_ember", "The older page, whose toggle changes after the server's answer.", dom=Dom.EMBER),
    Case("switched_on_nested", "A switch inside a switch; the inner one has the setting's key.", dom=Dom.NESTED),
    Case("nested_without_key", "A switch inside a switch, neither recognizable.", dom=Dom.NESTED_BARE),
    Case("switched_on_checkbox", "A plain checkbox with the setting's label, and another one.", dom=Dom.CHECKBOX),
    Case("checkbox_without_label", "Two plain checkboxes, neither recognizable.", dom=Dom.CHECKBOX_BARE),
    Case("switched_on_radio", "Two radio options, on and off.", dom=Dom.RADIO),
    Case("late_hydration", "Skeletons first; the control comes alive later.", dom=Dom.NAMED, hydrate_after=1200),
    Case("dead_at_first", "The control is shown at once; it comes alive three seconds later.", bind_after=3000),
    Case("late_state", "Shows off first, the stored on a second later.", state_after=1000),
    Case("late_state_slow", "Shows off first, the stored on twenty seconds later.", state_after=20_000),
    Case("late_state_silent", "Shows off first, the stored on four seconds later, asking nobody.", reveal_after=4500),
    Case("state_fails", "Shows off; the stored state is asked for in vain.", state_after=100, state_status=503),
    Case("already_out", "The setting is off already.", start="out"),
    Case("already_out_ember", "The setting is off already; the older page.", start="out", dom=Dom.EMBER),
    Case("no_session", "Nobody ever signed in.", has_session=False),
    Case("session_over", "The session is over: /login.", barrier=Barrier.LOGIN),
    Case("session_over_uas", "The session is over: /uas/login.", barrier=Barrier.UAS_LOGIN),
    Case("session_over_authwall", "The session is over: /authwall.", barrier=Barrier.AUTHWALL),
    Case("account_chooser", "The session is over: the page asks which account.", barrier=Barrier.CHOOSER),
    Case("signed_out_after_click", "Saving ends the session.", barrier_after_save=Barrier.LOGIN),
    Case("challenge_code", "A code is asked for.", barrier=Barrier.CODE),
    Case("challenge_app", "A tap in the app is asked for.", barrier=Barrier.APP),
    Case("challenge_captcha", "A puzzle is asked for.", barrier=Barrier.CAPTCHA),
    Case("challenge_restriction", "The account is restricted for some time.", barrier=Barrier.RESTRICTION),
    Case(
        "challenge_signed_in_header",
        "A code is asked for at the settings page's own address, under a header that looks signed in.",
        barrier=Barrier.CODE_IN_PLACE,
    ),
    Case("challenge_after_click", "Saving is followed by a code.", barrier_after_save=Barrier.CODE),
    Case("other_person", "Somebody else is signed in.", signed_in_as=SOMEBODY_ELSE),
    Case("save_fails", "Saving answers 500.", save=Save.FAILS),
    Case("save_slow", "Saving takes two seconds.", save_delay=2000),
    Case("save_late", "The page waits two seconds before it saves.", save_after=2000),
    Case("save_after_token", "The page waits five seconds for a token before it saves.", token_delay=5000),
    Case("save_lies", "Saving is confirmed, but nothing is stored.", save=Save.LIES),
    Case(
        "save_lies_from_memory",
        "The same, and the page shows what was pressed from its own memory.",
        save=Save.LIES,
        remembers="storage",
    ),
    Case("save_lies_from_cache", "The same, its memory being a cache.", save=Save.LIES, remembers="cache"),
    Case("save_lies_from_history", "The same, its memory being the history.", save=Save.LIES, remembers="history"),
    Case(
        "save_lies_from_cookie", "The same, its memory being the service's cookie.", save=Save.LIES, remembers="cookie"
    ),
    Case("save_unanswered", "Saving is never answered, and nothing is stored.", save=Save.UNANSWERED),
    Case("save_never_sent", "The page keeps the change to itself, and shows it the next time.", sends=False),
    Case(
        "switched_off_elsewhere",
        "The same, and meanwhile the employee switches it off on a phone.",
        sends=False,
        switched_off_elsewhere=True,
    ),
    Case("asks_first", "The page asks in a dialog whether the change is meant.", asks=True),
    Case("save_reverts", "Saving works; the next page view switches it on again.", save=Save.REVERTS),
    Case("save_lost_connection", "The connection breaks while saving; nothing is stored.", save=Save.LOST),
    Case("save_lost_answer", "The connection breaks after saving; it is stored.", save=Save.LOST_ANSWER),
    Case(
        "page_moved",
        "The settings page redirects to a neighbor.",
        moved_to="/mypreferences/d/settings/policy-and-academic-research",
    ),
    Case("page_changed", "The control is gone and the page is worded otherwise.", dom=Dom.ABSENT),
    Case("two_controls", "The control is there twice.", dom=Dom.TWICE),
    Case("covered", "A cookie banner lies over the control.", covered=True),
    Case("busy", "The page never stops to say that it is busy, and shows off.", start="out", busy=True),
    Case("disabled", "The control cannot be pressed.", disabled=True),
    Case("rate_limited", "Too many requests.", status=429),
    Case("server_error", "The service is down.", status=503),
    Case("slow_page", "The page takes three seconds.", page_delay=3000),
    Case("picture_missing", "A picture on the page never comes.", picture_missing=True),
    Case("endless_script", "The page's scripts never come to an end.", spins_after=200),
    Case("cached_page", "The browser may keep the page for an hour.", max_age=3600),
    Case("cached_page_save_lies", "The same, and saving stores nothing.", max_age=3600, save=Save.LIES),
)

_INTRANET = (
    Case("switched_on", "All three settings are in."),
    Case("already_out", "All three settings are out already.", start="out"),
    Case("no_session", "Nobody ever signed in.", has_session=False),
    Case("session_over", "The session is over: /sign-in.", barrier=Barrier.LOGIN),
    Case("other_person", "Somebody else is signed in.", signed_in_as=SOMEBODY_ELSE),
    Case("not_offered", "This kind of account does not have the settings.", offered=False),
    Case("save_fails", "Saving answers 500.", save=Save.FAILS),
    Case("save_lies", "Saving is confirmed, but nothing is stored.", save=Save.LIES),
)

CASES: dict[str, dict[str, Case]] = {
    "linkedin": {case.name: case for case in _LINKEDIN},
    "intranet": {case.name: case for case in _INTRANET},
}
"""All cases by service and name."""

CONTROLS: dict[str, tuple[str, ...]] = {
    "linkedin": ("ai_training",),
    "intranet": ("newsletter", "research", "assistant"),
}
"""The controls of each service, by their names in its recipe."""
