"""The gallery: hostile and rare pages, and how a real run must end there. The package's own cases are part of it.

A row is one case: its name, what it is, the outcome that a person would give it, and the fields of
fleet/rehearsal/behavior.py that make it so. A later case is one more row; a page that no field describes yet is a
template or script of this folder.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fleet.model import Outcome as O
from fleet.model import Reason as R
from fleet.rehearsal.behavior import Barrier, Case, Extension, Save, Says
from fleet.rehearsal.cases import CASES as PACKAGED
from fleet.rehearsal.cases import CONTROLS, SOMEBODY_ELSE
from tests.gallery.behavior import Dom, Trouble

__all__ = ["CASES", "CONTROLS", "GALLERY"]

_SETTINGS = "/mypreferences/d/settings"
_NEIGHBOR = f"{_SETTINGS}/policy-and-academic-research"
_SAVES: dict[Save, tuple[str, O, R | None]] = {
    Save.STORES: ("works", O.OPTED_OUT, None),
    Save.FAILS: ("answers 500", O.NOT_SAVED, R.SAVE_REFUSED),
    Save.FAILS_STORED: ("answers 500, but it is stored", O.OPTED_OUT, None),
    Save.LIES: ("is confirmed, but nothing is stored", O.NOT_SAVED, R.STILL_IN),
    Save.REVERTS: ("works, and is undone by the next view", O.NOT_SAVED, R.STILL_IN),
    Save.LOST: ("breaks the connection, and nothing is stored", O.NOT_SAVED, R.SAVE_REFUSED),
    Save.LOST_ANSWER: ("breaks the connection, but it is stored", O.OPTED_OUT, None),
}
"""What saving does, and how a run ends whatever the page says of it."""

_REPORTS = '{{"group": "{0}", "max_age": 600, "endpoints": [{{"url": "https://{0}.trap.example/"}}]}}'
_REACHES_OUT = {
    "content-security-policy-report-only": "style-src 'none'; report-uri https://csp.trap.example/, "
    "font-src 'none'; report-to report",
    "reporting-endpoints": 'report="https://reporting.trap.example/", default="https://reports.trap.example/"',
    "report-to": f"{_REPORTS.format('report-to')}, {_REPORTS.format('nel')}",
    "nel": '{"report_to": "nel", "max_age": 600, "success_fraction": 1, "failure_fraction": 1}',
    "alt-svc": 'h3="alt.trap.example:443"; ma=600, h3=":8444"; ma=600, h2="alt2.trap.example:443"; ma=600',
    "link": "<https://link.trap.example/x>; rel=preload; as=style, <https://link2.trap.example>; rel=preconnect",
    "speculation-rules": '"https://rules.trap.example/"',
}
"""Headers by which a page reaches out."""

_LINKEDIN = (
    Case("switched_on_nested", "A switch inside a switch; the inner one has the setting's key.", dom=Dom.NESTED),
    Case(
        "nested_without_key",
        "A switch inside a switch, neither recognizable.",
        O.PAGE_CHANGED,
        R.NOT_FOUND,
        dom=Dom.NESTED_BARE,
    ),
    Case("switched_on_checkbox", "A plain checkbox with the setting's label, and another one.", dom=Dom.CHECKBOX),
    Case(
        "checkbox_without_label",
        "Two plain checkboxes, neither recognizable.",
        O.PAGE_CHANGED,
        R.NOT_FOUND,
        dom=Dom.CHECKBOX_BARE,
    ),
    Case("switched_on_radio", "Two radio options, on and off.", O.PAGE_CHANGED, R.NOT_FOUND, dom=Dom.RADIO),
    Case("late_hydration", "Skeletons first; the control comes alive later.", dom=Dom.NAMED, hydrate_after=1200),
    Case("dead_at_first", "The control is shown at once; it comes alive three seconds later.", bind_after=3000),
    Case("late_state", "Shows off first, the stored on a second later.", state_after=1000),
    Case("late_state_slow", "Shows off first, the stored on twenty seconds later.", state_after=20000),
    Case("late_state_silent", "Shows off first, the stored on four seconds later, asking nobody.", reveal_after=4500),
    Case(
        "state_fails",
        "Shows off; the stored state is asked for in vain.",
        O.ERROR,
        R.DATA_MISSING,
        state_after=100,
        state_status=503,
    ),
    Case(
        "state_says_error",
        "Shows off; what it is answered when it asks for the stored state is an error in a 200.",
        O.ERROR,
        R.DATA_MISSING,
        state_after=100,
        state_error=True,
    ),
    Case(
        "already_out_ember",
        "The setting is off already; the older page.",
        O.ALREADY_OPTED_OUT,
        start="out",
        dom=Dom.EMBER,
    ),
    Case(
        "session_over_authwall",
        "The session is over: /authwall.",
        O.SIGN_IN_NEEDED,
        R.SIGNED_OUT,
        barrier=Barrier.AUTHWALL,
    ),
    Case(
        "account_chooser",
        "The session is over: the page asks which account.",
        O.SIGN_IN_NEEDED,
        R.SIGNED_OUT,
        barrier=Barrier.CHOOSER,
    ),
    Case(
        "signed_out_after_click",
        "Saving ends the session.",
        O.UNKNOWN,
        R.SIGNED_OUT,
        "out",
        barrier_after_save=Barrier.LOGIN,
    ),
    Case("challenge_app", "A tap in the app is asked for.", O.CHALLENGED, R.DEVICE_APPROVAL, barrier=Barrier.APP),
    Case(
        "challenge_restriction",
        "The account is restricted for some time.",
        O.CHALLENGED,
        R.RESTRICTION,
        barrier=Barrier.RESTRICTION,
    ),
    Case(
        "challenge_signed_in_header",
        "A code is asked for at the settings page's own address, under a header that looks signed in.",
        O.CHALLENGED,
        R.CODE,
        barrier=Barrier.CODE_IN_PLACE,
    ),
    Case(
        "challenge_after_click",
        "Saving is followed by a code.",
        O.UNKNOWN,
        R.CODE,
        "out",
        barrier_after_save=Barrier.CODE,
    ),
    Case(
        "other_person_after_save",
        "Once it is saved, without being stored, somebody else is signed in, whose setting is off.",
        O.UNKNOWN,
        R.OTHER_PERSON,
        save=Save.LIES,
        replaced_by=SOMEBODY_ELSE,
    ),
    Case(
        "other_person_between",
        "Somebody else is signed in, whose setting is off, by the time the settings page is asked for.",
        O.WRONG_ACCOUNT,
        replaced_by=SOMEBODY_ELSE,
        replaced_after="view",
    ),
    Case("save_slow", "Saving takes two seconds.", save_delay=2000),
    Case("save_late", "The page waits two seconds before it saves.", save_after=2000),
    Case("save_late_long", "The page waits five seconds before it saves.", save_after=5000),
    Case("save_after_token", "The page waits five seconds for a token before it saves.", token_delay=5000),
    Case(
        "save_lies_from_memory",
        "Saving stores nothing, and the page shows what was pressed from its own memory.",
        O.NOT_SAVED,
        R.STILL_IN,
        save=Save.LIES,
        remembers="storage",
    ),
    Case(
        "save_lies_from_cache",
        "The same, its memory being a cache.",
        O.NOT_SAVED,
        R.STILL_IN,
        save=Save.LIES,
        remembers="cache",
    ),
    Case(
        "save_lies_from_history",
        "The same, its memory being the history.",
        O.NOT_SAVED,
        R.STILL_IN,
        save=Save.LIES,
        remembers="history",
    ),
    Case(
        "save_lies_from_cookie",
        "The same, its memory being the service's cookie.",
        O.NOT_SAVED,
        R.STILL_IN,
        save=Save.LIES,
        remembers="cookie",
    ),
    Case("remembers_for_a_day", "The page keeps what the service said, and shows that for a day.", remembers="day"),
    Case(
        "exported_with_memory",
        "The same, and the session was exported with a memory of off.",
        remembers="day",
        exports_memory=True,
    ),
    Case(
        "remembered_save_lies",
        "The page keeps what the service said, and what was pressed; saving stores nothing.",
        O.NOT_SAVED,
        R.STILL_IN,
        save=Save.LIES,
        remembers="day",
    ),
    Case(
        "save_unanswered",
        "Saving is never answered, and nothing is stored.",
        O.NOT_SAVED,
        R.SAVE_UNANSWERED,
        save=Save.UNANSWERED,
    ),
    Case(
        "save_never_sent",
        "The page keeps the change to itself, and shows it the next time.",
        O.NOT_SAVED,
        R.STILL_IN,
        sends=False,
    ),
    Case(
        "switched_off_elsewhere",
        "The same, and meanwhile the employee switches it off on a phone.",
        O.UNKNOWN,
        R.NOT_SENT,
        "out",
        sends=False,
        switched_off_elsewhere=True,
    ),
    Case("asks_first", "The page asks in a dialog whether the change is meant.", O.NOT_SAVED, R.DIALOG, asks=True),
    Case(
        "save_lost_connection",
        "The connection breaks while saving; nothing is stored.",
        O.NOT_SAVED,
        R.SAVE_REFUSED,
        save=Save.LOST,
    ),
    Case("save_lost_answer", "The connection breaks after saving; it is stored.", save=Save.LOST_ANSWER),
    Case(
        "page_moved",
        "The settings page redirects to a neighbor.",
        O.PAGE_CHANGED,
        R.ADDRESS,
        moved_to="/mypreferences/d/settings/policy-and-academic-research",
    ),
    Case("two_controls", "The control is there twice.", O.PAGE_CHANGED, R.SEVERAL, dom=Dom.TWICE),
    Case("covered", "A cookie banner lies over the control.", O.PAGE_CHANGED, R.COVERED, trouble=Trouble.BANNER),
    Case(
        "busy",
        "The page never stops to say that it is busy, and shows off.",
        O.PAGE_CHANGED,
        R.STATE_UNREADABLE,
        start="out",
        busy=True,
    ),
    Case("disabled", "The control cannot be pressed.", O.PAGE_CHANGED, R.DISABLED, disabled=True),
    Case("disabled_out", "The same, and it shows off.", O.PAGE_CHANGED, R.DISABLED, start="out", disabled=True),
    Case("dead", "Nothing ever listens to the control.", O.PAGE_CHANGED, R.DEAD, bind_after=-1),
    Case("dead_out", "The same, and it shows off.", O.PAGE_CHANGED, R.DEAD, start="out", bind_after=-1),
    Case(
        "dead_default",
        "The same, and it shows off whatever is stored.",
        O.PAGE_CHANGED,
        R.DEAD,
        bind_after=-1,
        reveal_after=9_000_000,
    ),
    Case(
        "dead_in_a_form",
        "The same, in a form that is never sent, whatever is stored.",
        O.PAGE_CHANGED,
        R.DEAD,
        dom=Dom.FORM,
        bind_after=-1,
        reveal_after=9_000_000,
    ),
    Case(
        "dead_out_named",
        "Only its label is known, nothing listens to it, and it shows off.",
        O.PAGE_CHANGED,
        R.DEAD,
        start="out",
        dom=Dom.CHECKBOX,
        bind_after=-1,
    ),
    Case("slow_page", "The page takes three seconds.", page_delay=3000),
    Case("dead_longer", "The control is shown at once; it comes alive fourteen seconds later.", bind_after=14_000),
    Case("picture_missing", "A picture on the page never comes.", picture_missing=True),
    Case(
        "reaches_out",
        "The page tries to reach the whole world, and this machine.",
        include="linkedin/reaches_out.html",
        headers=_REACHES_OUT,
    ),
    Case("endless_script", "The page's scripts never come to an end.", O.ERROR, R.TIMEOUT, spins_after=200),
    Case("cached_page", "The browser may keep the page for an hour.", headers={"cache-control": "max-age=3600"}),
    Case(
        "cached_page_save_lies",
        "The same, and saving stores nothing.",
        O.NOT_SAVED,
        R.STILL_IN,
        headers={"cache-control": "max-age=3600"},
        save=Save.LIES,
    ),
    # How the control is built
    Case("switched_on_ember_bare", "A still older page, whose toggle says no role and no state.", dom=Dom.EMBER_BARE),
    Case("switched_on_select", "A list to choose from.", O.PAGE_CHANGED, R.NOT_FOUND, dom=Dom.SELECT),
    Case("switched_on_button", "A button in the role of a switch, with the setting's label.", dom=Dom.BUTTON),
    Case("in_frame", "The switch is in a frame.", O.PAGE_CHANGED, R.NOT_FOUND, dom=Dom.FRAME),
    Case("in_shadow", "The switch is in an open shadow root.", dom=Dom.SHADOW),
    Case("hidden_copies", "One switch for each width of the window.", dom=Dom.COPIES),
    Case("label_twice", "Two checkboxes with the setting's label.", O.PAGE_CHANGED, R.SEVERAL, dom=Dom.LABEL_TWICE),
    Case("look_alikes_only", "Only settings that look like it.", O.PAGE_CHANGED, R.NOT_FOUND, dom=Dom.LOOK_ALIKES),
    Case("look_alikes", "Settings that look like it all around.", trouble=Trouble.LOOK_ALIKES),
    Case("renamed", "The key has come to mean the opposite.", O.PAGE_CHANGED, R.LABEL, dom=Dom.RENAMED),
    Case(
        "renamed_out",
        "The same, and it shows off.",
        O.PAGE_CHANGED,
        R.LABEL,
        start="out",
        dom=Dom.RENAMED,
    ),
    Case("attribute_agrees", "Its attribute says on for ever.", dom=Dom.FIXED_ATTRIBUTE),
    Case(
        "attribute_disagrees",
        "The same, and the setting is off.",
        O.PAGE_CHANGED,
        R.STATE_UNREADABLE,
        start="out",
        dom=Dom.FIXED_ATTRIBUTE,
    ),
    Case("drawn", "A transparent input under its drawing.", dom=Dom.DRAWN),
    Case("drawn_under_link", "A transparent input under a link.", O.PAGE_CHANGED, R.COVERED, dom=Dom.DRAWN_LINK),
    Case("inverted_wording", "A checkbox that means the opposite.", O.PAGE_CHANGED, R.NOT_FOUND, dom=Dom.INVERTED),
    Case("decoy_outside", "A second switch with its key, outside the page.", trouble=Trouble.DECOY_OUTSIDE),
    Case("decoy_transparent", "The same, transparent.", O.PAGE_CHANGED, R.SEVERAL, trouble=Trouble.DECOY_TRANSPARENT),
    # While the page is built
    Case("skeleton_long", "Skeletons for six seconds.", dom=Dom.NAMED, hydrate_after=6000),
    Case("skeleton_longer", "Skeletons for twelve seconds.", dom=Dom.NAMED, hydrate_after=12_000),
    Case(
        "skeleton_longer_default",
        "The same; what comes then shows off first, the stored on three seconds later, asking nobody.",
        dom=Dom.NAMED,
        hydrate_after=12_000,
        reveal_after=15_000,
    ),
    Case("skeleton_forever", "Skeletons for ever.", O.PAGE_CHANGED, R.NOT_FOUND, dom=Dom.NAMED, hydrate_after=-1),
    Case("replaced", "The control is replaced after the first paint.", trouble=Trouble.REPLACED),
    Case(
        "replaced_on_press",
        "It is replaced under the press.",
        O.NOT_SAVED,
        R.CLICK_FAILED,
        trouble=Trouble.REPLACED_ON_PRESS,
    ),
    Case(
        "first_click_lost",
        "The first click does nothing.",
        O.NOT_SAVED,
        R.CLICK_FAILED,
        trouble=Trouble.FIRST_CLICK_LOST,
    ),
    Case(
        "toggles_back", "The page switches it on again itself.", O.NOT_SAVED, R.STILL_IN, trouble=Trouble.TOGGLES_BACK
    ),
    # Over and around the control
    Case("covered_by_tour", "A tour through the new page.", O.PAGE_CHANGED, R.COVERED, trouble=Trouble.TOUR),
    Case("covered_by_modal", "A dialog over the page.", O.PAGE_CHANGED, R.COVERED, trouble=Trouble.MODAL),
    Case(
        "covered_by_veil",
        "Something that nobody sees lies over the page.",
        O.PAGE_CHANGED,
        R.COVERED,
        trouble=Trouble.VEIL,
    ),
    Case(
        "covered_by_danger",
        "A button that closes the account lies over it.",
        O.PAGE_CHANGED,
        R.COVERED,
        trouble=Trouble.DANGER_OVER,
    ),
    Case(
        "covered_on_hover",
        "It is covered once the mouse is there.",
        O.NOT_SAVED,
        R.CLICK_FAILED,
        trouble=Trouble.COVER_ON_HOVER,
    ),
    Case("sticky_bars", "Bars at the top and bottom of the window.", trouble=Trouble.BARS),
    Case("shifts_on_hover", "The page moves down under the mouse.", trouble=Trouble.SHIFT_ON_HOVER),
    Case("danger_in_label", "A button in its label deletes data.", O.PAGE_CHANGED, R.COVERED, dom=Dom.DANGER_IN_LABEL),
    Case("dangers_beside", "Buttons that close the account and delete its data beside it.", trouble=Trouble.DANGERS),
    Case("other_members", "Links to other members all over the page.", trouble=Trouble.OTHER_MEMBERS),
    Case("instructions", "The page tells automation to close the account.", trouble=Trouble.INSTRUCTIONS),
    # The browser's dialogs, windows and files
    Case("alert_on_load", "A message box when the page is loaded.", trouble=Trouble.ALERT_ON_LOAD),
    Case("alert_on_press", "A message box when the control is pressed.", trouble=Trouble.ALERT_ON_PRESS),
    Case("prompt_on_load", "The page asks for a text.", trouble=Trouble.PROMPT_ON_LOAD),
    Case("leave_guard", "The page does not want to be left.", trouble=Trouble.LEAVE_GUARD),
    Case("popup_on_load", "A window opens.", trouble=Trouble.POPUP_ON_LOAD),
    Case("popup_on_press", "A press opens a window as well.", trouble=Trouble.POPUP_ON_PRESS),
    Case("download_on_load", "The page sends a file.", trouble=Trouble.DOWNLOAD_ON_LOAD),
    Case("download_on_press", "A press makes it send a file as well.", trouble=Trouble.DOWNLOAD_ON_PRESS),
    Case("permissions", "The page asks for camera, place, notifications and the like.", trouble=Trouble.PERMISSIONS),
    Case("full_screen", "A press makes the page fill the screen.", trouble=Trouble.FULL_SCREEN),
    # Where the page leads
    Case("moved_away", "It redirects to another host.", O.ERROR, R.REFUSED_HOST, moved_to="https://elsewhere.example/"),
    Case(
        "moved_to_unknown",
        "It redirects to a page that is not there.",
        O.PAGE_CHANGED,
        R.ADDRESS,
        moved_to=f"{_SETTINGS}/ai-privacy-hub",
    ),
    Case(
        "moved_to_danger",
        "It redirects to the page that closes accounts.",
        O.PAGE_CHANGED,
        R.ADDRESS,
        moved_to="/mypreferences/d/close-accounts",
    ),
    Case(
        "moved_by_script",
        "Its script goes to a neighbor.",
        O.PAGE_CHANGED,
        R.ADDRESS,
        moved_to=_NEIGHBOR,
        moved_by="script",
    ),
    Case(
        "moved_by_meta",
        "A meta tag goes to a neighbor.",
        O.PAGE_CHANGED,
        R.ADDRESS,
        moved_to=_NEIGHBOR,
        moved_by="meta",
    ),
    Case(
        "moved_in_circles",
        "It redirects to itself.",
        O.ERROR,
        R.SERVICE_ERROR,
        moved_to=f"{_SETTINGS}/data-for-ai-improvement",
    ),
    Case(
        "address_rewritten",
        "Its script writes another address.",
        O.PAGE_CHANGED,
        R.ADDRESS,
        trouble=Trouble.REWRITES_ADDRESS,
    ),
    Case("not_there", "There is no such page.", O.PAGE_CHANGED, R.ADDRESS, status=404),
    Case("forbidden", "The page is refused.", O.ERROR, R.FORBIDDEN, status=403),
    # Signed out, challenged
    Case("session_over_401", "The session is over: 401.", O.SIGN_IN_NEEDED, R.SIGNED_OUT, status=401),
    Case(
        "session_over_in_place",
        "The session is over: the form at the page's address.",
        O.SIGN_IN_NEEDED,
        R.SIGNED_OUT,
        barrier=Barrier.LOGIN_IN_PLACE,
    ),
    Case(
        "session_over_dialog",
        "The session is over: the form in a dialog.",
        O.SIGN_IN_NEEDED,
        R.SIGNED_OUT,
        trouble=Trouble.SIGN_IN_DIALOG,
    ),
    Case(
        "session_over_dialog_bare",
        "The session is over: a form that only asks for a password, in a dialog.",
        O.SIGN_IN_NEEDED,
        R.SIGNED_OUT,
        trouble=Trouble.SIGN_IN_DIALOG_BARE,
    ),
    Case(
        "session_over_script",
        "The session is over: its script goes to /login.",
        O.SIGN_IN_NEEDED,
        R.SIGNED_OUT,
        moved_to="/login",
        moved_by="script",
    ),
    *(
        Case(
            f"signed_out_after_click_{barrier}",
            "Saving ends the session.",
            O.UNKNOWN,
            R.SIGNED_OUT,
            "out",
            barrier_after_save=barrier,
        )
        for barrier in (Barrier.UAS_LOGIN, Barrier.AUTHWALL, Barrier.CHOOSER, Barrier.LOGIN_IN_PLACE)
    ),
    Case("challenge_phone", "A code from the phone is asked for.", O.CHALLENGED, R.CODE, barrier=Barrier.PHONE_CODE),
    Case(
        "challenge_captcha_in_place",
        "A puzzle at the page's own address.",
        O.CHALLENGED,
        R.CAPTCHA,
        barrier=Barrier.CAPTCHA_IN_PLACE,
    ),
    Case(
        "challenge_unknown",
        "A challenge that only its address tells.",
        O.CHALLENGED,
        R.CHALLENGE,
        barrier=Barrier.UNKNOWN_CHALLENGE,
    ),
    Case(
        "challenge_script",
        "The page's script goes to a challenge.",
        O.CHALLENGED,
        R.CODE,
        moved_to="/checkpoint/challenge/AgE2fT0lRkQ",
        moved_by="script",
    ),
    *(
        Case(
            f"challenge_after_click_{barrier}",
            "Saving is followed by a challenge.",
            O.UNKNOWN,
            reason,
            "out",
            barrier_after_save=barrier,
        )
        for barrier, reason in (
            (Barrier.APP, R.DEVICE_APPROVAL),
            (Barrier.CAPTCHA, R.CAPTCHA),
            (Barrier.RESTRICTION, R.RESTRICTION),
            (Barrier.CAPTCHA_IN_PLACE, R.CAPTCHA),
            (Barrier.CODE_IN_PLACE, R.CODE),
        )
    ),
    # What saving does, and what the page says of it
    Case("save_fails_stored", "Saving answers 500, but it is stored.", save=Save.FAILS_STORED),
    Case("stale_view", "The first view after a change shows the old.", stale_views=1),
    *(
        Case(f"save_{save}_says_{says}", f"Saving {how}; the page says {what}.", outcome, reason, save=save, says=says)
        for save, (how, outcome, reason) in _SAVES.items()
        for says, what in ((Says.SAVED, "that it worked"), (Says.FAILED, "that it failed"), (Says.NOTHING, "nothing"))
    ),
    # Pages out of hand
    Case("page_large", "A page of five megabytes.", page_bytes=5_000_000),
    Case("page_endless", "The page never ends.", O.ERROR, R.TIMEOUT, is_endless=True),
    Case("header_large", "A header of 300 kilobytes.", O.ERROR, R.NETWORK, headers={"x-filler": "x" * 300_000}),
    Case("page_is_file", "The page is a file to be kept.", O.PAGE_CHANGED, R.ADDRESS, is_file=True),
    Case("beside_busy", "A picture and statistics are refused, too many requests.", beside_busy=True),
    Case("polls", "The page asks the service for news all the time.", trouble=Trouble.POLLS),
    Case("grows", "The page grows all the time.", trouble=Trouble.GROWS),
    Case("eats_buffers", "The page eats all the memory that it is given.", trouble=Trouble.EATS_BUFFERS),
    Case(
        "eats_memory",
        "The page eats memory until none is left.",
        O.ERROR,
        R.BROWSER_CRASHED,
        trouble=Trouble.EATS_MEMORY,
    ),
)


def _with_its_script(case: Case) -> Case:
    needs_it = case.trouble is not None or case.moved_by == "script"
    return replace(case, include="linkedin/trouble.html") if needs_it else case


GALLERY = Extension({"linkedin": {case.name: _with_its_script(case) for case in _LINKEDIN}}, Path(__file__).parent)
"""What the package does not have; `start_rehearsal` and `raise_stage` take it."""

CASES: dict[str, dict[str, Case]] = {
    service: {**cases, **GALLERY.cases.get(service, {})} for service, cases in PACKAGED.items()
}
"""All cases by service and name, the package's own first."""
