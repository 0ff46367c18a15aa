"""Everything a rehearsed service can do to one account; cases.py and an Extension combine it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import EnumType, StrEnum
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_type_hints

from fleet.model import Outcome, Reason


class Save(StrEnum):
    """What happens to a change."""

    STORES = "stores"
    FAILS = "fails"
    FAILS_STORED = "fails_stored"
    """Answered with an error, but stored."""
    LIES = "lies"
    """Answered as saved, but not stored."""
    REVERTS = "reverts"
    """Stored; the next page view shows the employee opted in again, and stores that."""
    LOST = "lost"
    """The connection breaks; nothing is stored."""
    UNANSWERED = "unanswered"
    """Never answered; nothing is stored."""
    LOST_ANSWER = "lost_answer"
    """Stored; the connection breaks before the answer."""


class Says(StrEnum):
    """What the page shows about a change."""

    TRUTH = "truth"
    """The answer it received."""
    SAVED = "saved"
    FAILED = "failed"
    NOTHING = "nothing"


class Barrier(StrEnum):
    """What blocks a page."""

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
    """A challenge recognizable only by its address."""
    RESTRICTION = "restriction"
    SIGN_IN_OVER = "sign_in_over"
    """A sign-in form covering the page, which is still there but no longer shows who is signed in."""
    CODE_IN_PLACE = "code_in_place"
    """The settings page's own address asks for a code, under a header that looks signed in."""


@dataclass(frozen=True)
class Case:
    """One behavior, and how a setting run ends there.

    Times are in milliseconds. The defaults are a normal service with its setting switched on.
    """

    name: str
    meaning: str
    outcome: Outcome = Outcome.OPTED_OUT
    """The outcome of a setting run according to a person who saw all of it."""
    reason: Reason | None = None
    stored: Literal["in", "out"] | None = None
    """The state stored in the end, if the outcome does not determine it (see `truth`)."""
    start: Literal["in", "out"] = "in"
    dom: str = "current"
    """Markup of the control: its template is templates/linkedin/control_<dom>.html."""
    hydrate_after: int = 0
    """Until then the page shows skeletons, and clicks are lost; -1 means forever."""
    bind_after: int = 0
    """The page shows the control at once, but until then nothing handles a click; -1 means forever."""
    state_after: int = 0
    """The page shows "off" at first; the stored state arrives after this time."""
    state_status: int = 200
    """Status of the answer to the page's request for the stored state."""
    state_error: bool = False
    """If True, that answer has a good status and contains an error in place of the state."""
    reveal_after: int = 0
    """The page shows "off" at first; its own script shows the stored state after this time, without a request."""
    save: Save = Save.STORES
    says: Says = Says.TRUTH
    stale_views: int = 0
    """Number of page views after a change that still show the old state."""
    save_delay: int = 0
    save_after: int = 0
    """Delay before the page sends a change."""
    token_delay: int = 0
    """Before sending a change the page requests a token; this is the delay of the answer."""
    busy: bool = False
    """The page is marked as loading in `aria-busy`, forever."""
    sends: bool = True
    """If False, the page keeps the choice in its own cookie and sends nothing."""
    switched_off_elsewhere: bool = False
    """Once the page has been shown, the employee switches the setting off on another device."""
    asks: bool = False
    """The page asks for confirmation in a browser dialog and sends the change only after a yes."""
    spins_after: int = 0
    """Time after which the page's scripts loop forever."""
    remembers: Literal["", "storage", "cache", "history", "cookie", "day"] = ""
    """The choice is kept in the browser (local storage, the page's own cache, the history entry, or a cookie that the
    service sets and scripts cannot read) and shown instead of the stored state. `day`: so is, for one day, the
    service's answer to a query."""
    exports_memory: bool = False
    """With `day`: the session was exported by a browser that remembers "off"."""
    needs_database: bool = False
    """The page looks for its sign-in in a database, and redirects to the sign-in page without one."""
    picture_missing: bool = False
    """The page shows a picture that never arrives, so it never finishes loading."""
    include: str | None = None
    """A template at the end of the settings page."""
    trouble: str | None = None
    """For the scripts of `include`, which find all of this case in the page."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Additional headers of the settings page."""
    has_session: bool = True
    barrier: Barrier = Barrier.NONE
    barrier_after_save: Barrier = Barrier.NONE
    signed_in_as: str | None = None
    """The signed-in profile, if it is not the employee's."""
    replaced_by: str | None = None
    """The profile that takes over, as in a shared browser; its own setting is off."""
    replaced_after: Literal["save", "view"] = "save"
    """When: after a change, or after a request for the settings page."""
    beside_busy: bool = False
    """A picture and statistics of other hosts are refused with 429."""
    offered: bool = True
    disabled: bool = False
    status: int = 200
    page_delay: int = 0
    identity_delay: int = 0
    """The same for the page that shows who is signed in."""
    proof_delay: int = 0
    """The same for page views after a change."""
    moved_to: str | None = None
    """The settings page redirects to this address."""
    moved_by: Literal["answer", "script", "meta"] = "answer"
    """How: with the answer's status, or a second later with its script or a meta tag."""
    page_bytes: int = 0
    """Bytes of extra text next to the control."""
    is_endless: bool = False
    """The page's text never ends."""
    is_file: bool = False
    """The settings page is a download."""

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Return the case whose fields were written as JSON, in which a member of an enum is text."""
        case = dict(fields)
        for name, hint in get_type_hints(cls).items():
            kinds = [kind for kind in (hint, *get_args(hint)) if isinstance(kind, EnumType)]
            if kinds and case.get(name) is not None:
                case[name] = kinds[0](case[name])
        return cls(**case)

    @property
    def in_check(self) -> tuple[Outcome, Reason | None]:
        """Outcome and reason of a run in check mode, which sees all that a setting run sees before a press."""
        is_pressed = self.outcome in (Outcome.OPTED_OUT, Outcome.NOT_SAVED, Outcome.UNKNOWN)
        return (Outcome.WOULD_OPT_OUT, None) if is_pressed else (self.outcome, self.reason)

    @property
    def truth(self) -> Literal["in", "out"]:
        """The state the service has stored after a setting run."""
        if self.stored is not None:
            return self.stored
        return "out" if self.outcome in (Outcome.OPTED_OUT, Outcome.ALREADY_OPTED_OUT) else self.start


@dataclass(frozen=True)
class Extension:
    """Additional cases by service and name, and the folder with their templates/ and static/.

    The tests' gallery of hostile pages is one (tests/gallery). Pages load its static/ from static.licdn.com.
    """

    cases: Mapping[str, Mapping[str, Case]]
    folder: Path
