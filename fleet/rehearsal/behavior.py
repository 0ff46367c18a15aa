"""What a rehearsed service can do to one account, as words and fields; cases.py puts them together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from fleet.model import Outcome, Reason


class Dom(StrEnum):
    """How the control is built. The value names its template, templates/linkedin/control_<value>.html."""

    CURRENT = "current"
    """A switch with the setting's key and no element that the key names: it has no accessible name."""
    NAMED = "named"
    """The same, and the key leads to the visible label."""
    EMBER = "ember"
    """The older artdeco toggle: no key, hidden input, visible label, changes once the server has answered."""
    EMBER_BARE = "ember_bare"
    """A still older one, without role and aria-checked."""
    NESTED = "nested"
    """A switch inside a switch; the outer one has a name that says nothing, the inner one the key."""
    NESTED_BARE = "nested_bare"
    CHECKBOX = "checkbox"
    """A plain checkbox with the setting's label, beside an unrelated one."""
    CHECKBOX_BARE = "checkbox_bare"
    RADIO = "radio"
    SELECT = "select"
    BUTTON = "button"
    """A button in the role of a switch, named by the setting's label."""
    FRAME = "frame"
    """The switch is in a frame, as in the oldest settings pages."""
    SHADOW = "shadow"
    """The switch is in an open shadow root."""
    COPIES = "copies"
    """One switch for each width of the window, of which one is displayed."""
    TWICE = "twice"
    """Two switches with the same key, both displayed."""
    LABEL_TWICE = "label_twice"
    """Two checkboxes with the same label."""
    LOOK_ALIKES = "look_alikes"
    """Only other settings, with almost the same keys and labels."""
    RENAMED = "renamed"
    """The named switch; under the setting's key it has come to mean the opposite, and says so."""
    FIXED_ATTRIBUTE = "fixed_attribute"
    """The named switch; its `aria-checked` says on, whatever is stored."""
    FORM = "form"
    """In a form that a script keeps from being sent."""
    DRAWN = "drawn"
    """A transparent input, its drawing a sibling of it over it, and its label beside both."""
    DRAWN_LINK = "drawn_link"
    """The same; what lies over the input is a link to the page that closes accounts."""
    INVERTED = "inverted"
    """A checkbox that means the opposite, and says so."""
    DANGER_IN_LABEL = "danger_in_label"
    """The older toggle; its label holds a button that deletes data."""
    ABSENT = "absent"


class Save(StrEnum):
    """What becomes of a change."""

    STORES = "stores"
    FAILS = "fails"
    FAILS_STORED = "fails_stored"
    """Answered as if it had failed, but it is stored."""
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


class Says(StrEnum):
    """What the page tells about a change."""

    TRUTH = "truth"
    """What it was answered."""
    SAVED = "saved"
    FAILED = "failed"
    NOTHING = "nothing"


class Barrier(StrEnum):
    """What stands in the way of a page."""

    NONE = "none"
    LOGIN = "login"
    UAS_LOGIN = "uas_login"
    AUTHWALL = "authwall"
    CHOOSER = "chooser"
    """The account chooser, at the page's own address."""
    LOGIN_IN_PLACE = "login_in_place"
    """The sign-in form, at the page's own address."""
    CODE = "code"
    PHONE_CODE = "phone_code"
    APP = "app"
    CAPTCHA = "captcha"
    CAPTCHA_IN_PLACE = "captcha_in_place"
    UNKNOWN_CHALLENGE = "unknown_challenge"
    """A challenge that only its address tells."""
    RESTRICTION = "restriction"
    SIGN_IN_OVER = "sign_in_over"
    """A sign-in form over the page, which is still there but does not say who is signed in any more."""
    CODE_IN_PLACE = "code_in_place"
    """The settings page's own address asks for a code, under a header that looks signed in."""


class Trouble(StrEnum):
    """What the page's scripts do to whoever uses it. The value names the function in static/trouble.js."""

    # Over the control, or moving it
    BANNER = "banner"
    TOUR = "tour"
    BARS = "bars"
    MODAL = "modal"
    VEIL = "veil"
    COVER_ON_HOVER = "cover_on_hover"
    SHIFT_ON_HOVER = "shift_on_hover"
    SIGN_IN_DIALOG = "sign_in_dialog"
    SIGN_IN_DIALOG_BARE = "sign_in_dialog_bare"
    DANGER_OVER = "danger_over"
    # The control itself
    REPLACED = "replaced"
    REPLACED_ON_PRESS = "replaced_on_press"
    FIRST_CLICK_LOST = "first_click_lost"
    TOGGLES_BACK = "toggles_back"
    # Around it
    DANGERS = "dangers"
    LOOK_ALIKES = "look_alikes"
    DECOY_OUTSIDE = "decoy_outside"
    DECOY_TRANSPARENT = "decoy_transparent"
    OTHER_MEMBERS = "other_members"
    INSTRUCTIONS = "instructions"
    # The browser's own dialogs, windows and files
    ALERT_ON_LOAD = "alert_on_load"
    ALERT_ON_PRESS = "alert_on_press"
    PROMPT_ON_LOAD = "prompt_on_load"
    LEAVE_GUARD = "leave_guard"
    POPUP_ON_LOAD = "popup_on_load"
    POPUP_ON_PRESS = "popup_on_press"
    DOWNLOAD_ON_LOAD = "download_on_load"
    DOWNLOAD_ON_PRESS = "download_on_press"
    PERMISSIONS = "permissions"
    FULL_SCREEN = "full_screen"
    REWRITES_ADDRESS = "rewrites_address"
    # Scripts out of hand
    POLLS = "polls"
    GROWS = "grows"
    EATS_BUFFERS = "eats_buffers"
    EATS_MEMORY = "eats_memory"


@dataclass(frozen=True)
class Case:
    """One behavior, and how a real run ends there.

    Times are in milliseconds; the defaults are a service on a good day, its setting switched on.
    """

    name: str
    meaning: str
    outcome: Outcome = Outcome.OPTED_OUT
    """What a person who saw all of it would call the end of a real run."""
    reason: Reason | None = None
    stored: Literal["in", "out"] | None = None
    """What the service has stored in the end, where the outcome does not say it (see `truth`)."""
    start: Literal["in", "out"] = "in"
    dom: Dom = Dom.CURRENT
    hydrate_after: int = 0
    """Until then the page shows skeletons, and clicks are lost; -1 is for ever."""
    bind_after: int = 0
    """The page shows the control at once, but until then nothing listens to it, and clicks are lost; -1 is for ever."""
    state_after: int = 0
    """The page shows "off" at first; the stored state arrives so much later."""
    state_status: int = 200
    """What the page is answered when it asks for the stored state."""
    state_error: bool = False
    """If so, that answer is well by its status, and holds an error in place of the state."""
    reveal_after: int = 0
    """The page shows "off" at first; its own script shows the stored state so much later, asking nobody."""
    save: Save = Save.STORES
    says: Says = Says.TRUTH
    stale_views: int = 0
    """So many page views after a change still show what was stored before it."""
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
    remembers: Literal["", "storage", "cache", "history", "cookie", "day"] = ""
    """What was pressed is kept in the browser (local storage, a cache of the page's own, the entry in the history, or a
    cookie that the service sets and scripts cannot read), and shown instead of what is stored. `day`: so is, for a day,
    what the service said when it was asked."""
    exports_memory: bool = False
    """Of `day`: the session was exported by a browser that remembers "off"."""
    needs_database: bool = False
    """The page looks for its sign-in in a database, and leads to the sign-in page where there is none."""
    picture_missing: bool = False
    """The page shows a picture that never comes, so it is never loaded to its end."""
    reaches_out: bool = False
    """The page tries to reach other hosts, addresses and ports in every way that a page has."""
    has_session: bool = True
    barrier: Barrier = Barrier.NONE
    barrier_after_save: Barrier = Barrier.NONE
    signed_in_as: str | None = None
    """The profile that is signed in, if it is not the employee's."""
    replaced_by: str | None = None
    """The profile that takes over, as in a browser that people share, and whose own setting is off."""
    replaced_after: Literal["save", "view"] = "save"
    """When: after a change, or once the settings page has been asked for."""
    beside_busy: bool = False
    """A picture and statistics of other hosts are refused with 429."""
    offered: bool = True
    trouble: Trouble | None = None
    disabled: bool = False
    status: int = 200
    page_delay: int = 0
    identity_delay: int = 0
    """The same of the page that tells who is signed in."""
    proof_delay: int = 0
    """The same of page views after a change."""
    moved_to: str | None = None
    """The settings page leads to this address."""
    moved_by: Literal["answer", "script", "meta"] = "answer"
    """How: by the answer's status, or a second later by its script or a meta tag."""
    page_bytes: int = 0
    """So much text beside the control."""
    header_bytes: int = 0
    """So long a header in the answer."""
    is_endless: bool = False
    """The page's text never ends."""
    is_file: bool = False
    """The settings page is a file to be kept, not shown."""
    max_age: int | None = None
    """Seconds for which the browser may keep the settings page; None forbids it."""

    @property
    def in_check(self) -> tuple[Outcome, Reason | None]:
        """Outcome and reason of a run in check mode, which sees all that a real run sees before it presses."""
        is_pressed = self.outcome in (Outcome.OPTED_OUT, Outcome.NOT_SAVED, Outcome.UNKNOWN)
        return (Outcome.WOULD_OPT_OUT, None) if is_pressed else (self.outcome, self.reason)

    @property
    def truth(self) -> Literal["in", "out"]:
        """What the service has stored after a real run."""
        if self.stored is not None:
            return self.stored
        return "out" if self.outcome in (Outcome.OPTED_OUT, Outcome.ALREADY_OPTED_OUT) else self.start
