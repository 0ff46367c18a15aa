"""The ways in which a played service can behave. A case is one choice of each; see fleet/rehearsal/cases.py."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fleet.model import Reading


class Markup(StrEnum):
    """How the AI setting is built on LinkedIn's page. Each value is a template in templates/linkedin/control/."""

    CURRENT = "current"
    NAMED = "named"
    EMBER = "ember"
    NESTED = "nested"
    NESTED_BARE = "nested_bare"
    CHECKBOX = "checkbox"
    CHECKBOX_BARE = "checkbox_bare"
    RADIO = "radio"
    ABSENT = "absent"


class SignInPage(StrEnum):
    """Where somebody without a session is led."""

    LOGIN = "login"
    UAS_LOGIN = "uas_login"
    AUTHWALL = "authwall"
    CHOOSER = "chooser"
    CHOOSER_IN_PLACE = "chooser_in_place"


class Challenge(StrEnum):
    """What the service asks of a person. Each value is a template in templates/linkedin/challenge/."""

    CODE = "code"
    APP = "app"
    CAPTCHA = "captcha"
    RESTRICTION = "restriction"


class Keeps(StrEnum):
    """What becomes of a value that is sent to be stored."""

    IT = "it"
    NOTHING = "nothing"
    UNTIL_NEXT_VIEW = "until_next_view"


class SaveAnswer(StrEnum):
    """What the service answers when a value is sent to be stored."""

    OK = "ok"
    ERROR = "error"
    LOST = "lost"


@dataclass(frozen=True)
class Case:
    """One way to behave. Fields are independent of each other, so that a new hostile page is one more row."""

    meaning: str

    # The account.
    start: Reading = Reading.IN
    has_session: bool = True
    """False: nobody ever stored a session for this account."""
    signed_in: bool = True
    """False: there is a session, and the service takes it no more."""
    sign_in_page: SignInPage = SignInPage.LOGIN
    is_somebody_else: bool = False
    challenge: Challenge | None = None
    challenge_in_place: bool = False
    """True: only at the setting's own address, under a header that looks signed in; else every page leads there."""
    trouble_after_write: bool = False
    """True: being signed out or challenged begins with the first attempt to change something."""
    is_offered: bool = True

    # The page of the setting.
    status: int = 200
    status_everywhere: bool = False
    """True: `status` is the answer of every page, not only of the setting's."""
    moved_to: str | None = None
    page_delay_ms: int = 0
    cache_seconds: int = 0

    # The control on it.
    markup: Markup = Markup.CURRENT
    copies: int = 1
    is_disabled: bool = False
    is_covered: bool = False
    hydrated_after_ms: int | None = None
    """Until then, two skeletons stand for the control and clicks are lost; None: it is there from the start."""
    state_after_ms: int | None = None
    """The page says off until then, and asks the server for the state; None: the state is in the document."""

    # Saving.
    keeps: Keeps = Keeps.IT
    save_answer: SaveAnswer = SaveAnswer.OK
    save_delay_ms: int = 0
    reads_again: bool = False
    """True: the page asks for the state right after saving, and is told what it sent, whatever was kept."""
