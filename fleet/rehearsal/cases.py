"""Named cases: how a service behaves towards one account, and how a setting run ends there.

Each row is one case: its name, meaning, outcome, and the fields of behavior.py that produce it. These are everyday
cases and those of the demo; hostile pages belong to the tests (tests/gallery).
"""

from __future__ import annotations

from fleet.model import Outcome as O
from fleet.model import Reason as R
from fleet.rehearsal.behavior import Barrier, Case, Save

SOMEBODY_ELSE = "robin-somebody-else"

_LINKEDIN = (
    Case("switched_on", "The setting is on; today's page."),
    Case("switched_on_named", "The same, and the switch carries its visible label as its name.", dom="named"),
    Case("switched_on_ember", "The older page, whose toggle changes after the server's answer.", dom="ember"),
    Case("already_out", "The setting is off already.", O.ALREADY_OPTED_OUT, start="out"),
    Case("no_session", "Nobody ever signed in.", O.SIGN_IN_NEEDED, R.NO_SESSION, has_session=False),
    Case("session_over", "The session is over: /login.", O.SIGN_IN_NEEDED, R.SIGNED_OUT, barrier=Barrier.LOGIN),
    Case(
        "session_over_uas",
        "The session is over: /uas/login.",
        O.SIGN_IN_NEEDED,
        R.SIGNED_OUT,
        barrier=Barrier.UAS_LOGIN,
    ),
    Case("challenge_code", "A code is asked for.", O.CHALLENGED, R.CODE, barrier=Barrier.CODE),
    Case("challenge_captcha", "A puzzle is asked for.", O.CHALLENGED, R.CAPTCHA, barrier=Barrier.CAPTCHA),
    Case("other_person", "Somebody else is signed in.", O.WRONG_ACCOUNT, signed_in_as=SOMEBODY_ELSE),
    Case("save_fails", "Saving answers 500.", O.NOT_SAVED, R.SAVE_REFUSED, save=Save.FAILS),
    Case("save_lies", "Saving is confirmed, but nothing is stored.", O.NOT_SAVED, R.STILL_IN, save=Save.LIES),
    Case(
        "save_reverts",
        "Saving works; the next page view switches it on again.",
        O.NOT_SAVED,
        R.STILL_IN,
        save=Save.REVERTS,
    ),
    Case(
        "page_changed",
        "The control is gone and the page is worded otherwise.",
        O.PAGE_CHANGED,
        R.NOT_FOUND,
        dom="absent",
    ),
    Case("rate_limited", "Too many requests.", O.ERROR, R.RATE_LIMITED, status=429),
    Case("server_error", "The service is down.", O.ERROR, R.SERVICE_ERROR, status=503),
    Case("slow_identity", "It takes ten seconds to tell who is signed in.", identity_delay=10_000),
    Case("slow_page_long", "The page takes ten seconds.", page_delay=10_000),
    Case("dead_long", "The control is shown at once; it comes alive eight seconds later.", bind_after=8000),
    Case("save_slow_long", "Saving takes ten seconds.", save_delay=10_000),
    Case("slow_proof", "The page takes ten seconds once something was changed.", proof_delay=10_000),
)

_INTRANET = (
    Case("switched_on", "All three settings are in."),
    Case("already_out", "All three settings are out already.", O.ALREADY_OPTED_OUT, start="out"),
    Case("no_session", "Nobody ever signed in.", O.SIGN_IN_NEEDED, R.NO_SESSION, has_session=False),
    Case("session_over", "The session is over: /sign-in.", O.SIGN_IN_NEEDED, R.SIGNED_OUT, barrier=Barrier.LOGIN),
    Case(
        "session_over_dialog",
        "The session is over: a form over the page, which does not say any more who is signed in.",
        O.SIGN_IN_NEEDED,
        R.SIGNED_OUT,
        barrier=Barrier.SIGN_IN_OVER,
    ),
    Case("other_person", "Somebody else is signed in.", O.WRONG_ACCOUNT, signed_in_as=SOMEBODY_ELSE),
    Case("not_offered", "This kind of account does not have the settings.", O.NOT_OFFERED, offered=False),
    Case("save_fails", "Saving answers 500.", O.NOT_SAVED, R.SAVE_REFUSED, save=Save.FAILS),
    Case("save_lies", "Saving is confirmed, but nothing is stored.", O.NOT_SAVED, R.STILL_IN, save=Save.LIES),
    Case("signed_in_by_database", "The sign-in lives in the browser's database.", needs_database=True),
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
