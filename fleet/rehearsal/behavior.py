"""What a rehearsed service can do to one account; cases.py and an Extension put it together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

from fleet.model import Outcome, Reason


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
    dom: str = "current"
    """How the control is built: its template is templates/linkedin/control_<dom>.html."""
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
    include: str | None = None
    """A template at the end of the settings page."""
    trouble: str | None = None
    """For the scripts of `include`, which find all of this case in the page."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers of the settings page."""
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
    is_endless: bool = False
    """The page's text never ends."""
    is_file: bool = False
    """The settings page is a file to be kept, not shown."""

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


@dataclass(frozen=True)
class Extension:
    """Cases that the package does not have, by service and name, and the folder of their templates/ and static/.

    The tests' gallery of hostile pages is one (tests/gallery). Pages load its static/ from static.licdn.com.
    """

    cases: Mapping[str, Mapping[str, Case]]
    folder: Path
