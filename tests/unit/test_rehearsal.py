"""The rehearsal behaves as its cases say, remembers what was really stored, and never outlives its parent."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import urlencode

import pytest

from fleet.errors import InputError
from fleet.model import Outcome, Reason
from fleet.paths import PACKAGE
from fleet.recipes.recipe import Recipe
from fleet.rehearsal.behavior import Barrier, Case, Save, Says
from fleet.rehearsal.page_texts import texts_for
from fleet.rehearsal.process import Rehearsal, RehearsalAccount, start_rehearsal
from fleet.yamlfile import load_model
from tests.gallery.cases import CASES, CONTROLS, GALLERY

WWW = "www.linkedin.com"
PORTAL = "people.intranet.example"
AI_SETTING = "/mypreferences/d/settings/data-for-ai-improvement"
AI_API = "/mysettings-api/settingsApiSettings/allowDataForGenerativeAI"
PRIVACY = "/settings/privacy"
PORTAL_RECIPE = PACKAGE / "rehearsal" / "services" / "intranet.yml"

# What a visitor of the AI setting's page meets, where it is not simply the page (200).
AI_SETTING_ANSWERS = {
    "session_over": (302, "/login"),
    "session_over_uas": (302, "/uas/login?session_redirect=%2Fmypreferences%2Fd%2Fsettings%2Fdata-for-ai-improvement"),
    "session_over_authwall": (
        302,
        "/authwall?trk=gf&sessionRedirect=%2Fmypreferences%2Fd%2Fsettings%2Fdata-for-ai-improvement",
    ),
    "challenge_code": (302, "/checkpoint/challenge/AgE2fT0lRkQ"),
    "challenge_app": (302, "/checkpoint/challenge/AgE2fT0lRkQ"),
    "challenge_captcha": (302, "/checkpoint/challenge/AgE2fT0lRkQ"),
    "challenge_restriction": (302, "/checkpoint/challenge/AgE2fT0lRkQ"),
    "no_session": (302, "/login"),
    "page_moved": (302, "/mypreferences/d/settings/policy-and-academic-research"),
    "moved_away": (302, "https://elsewhere.example/"),
    "moved_to_unknown": (302, "/mypreferences/d/settings/ai-privacy-hub"),
    "moved_to_danger": (302, "/mypreferences/d/close-accounts"),
    "moved_in_circles": (302, "/mypreferences/d/settings/data-for-ai-improvement"),
    "challenge_phone": (302, "/checkpoint/challenge/AgE2fT0lRkQ"),
    "challenge_unknown": (302, "/checkpoint/challenge/AgE2fT0lRkQ"),
    "session_over_401": (401, None),
    "forbidden": (403, None),
    "not_there": (404, None),
    "rate_limited": (429, None),
    "server_error": (503, None),
}
# How a change is answered (None: not at all), and what is stored then.
AI_SAVES = {
    "switched_on": (200, "out"),
    "save_slow": (200, "out"),
    "save_fails": (500, "in"),
    "save_fails_stored": (500, "out"),
    "save_lies": (200, "in"),
    "cached_page_save_lies": (200, "in"),
    "save_lost_connection": (None, "in"),
    "save_lost_answer": (None, "out"),
}
SAVERS = list(AI_SAVES)
LATE_STATES = ("late_state", "late_state_slow", "late_state_silent", "state_fails")
SHOWN_OFF = (
    *("already_out", "already_out_ember", "busy", "dead_out", "renamed_out", *LATE_STATES),
    *("state_says_error", "dead_default", "skeleton_longer_default", "other_person_between"),
    *("remembers_for_a_day", "exported_with_memory", "remembered_save_lies", "disabled_out", "dead_in_a_form"),
)
ENDING = [name for name, case in CASES["linkedin"].items() if not case.is_endless and "x-filler" not in case.headers]
"""Cases whose page a plain client can read to its end."""
FRESH = [f"anna-{number}" for number in range(20)]
_fresh = iter(FRESH)


@dataclass(frozen=True)
class Answer:
    """What a service answered."""

    status: int
    headers: http.client.HTTPMessage
    text: str


def account(
    employee: str, case: str = "switched_on", *, service: str = "linkedin", locale: str = "en"
) -> RehearsalAccount:
    """An employee's account whose profile is their name."""
    return RehearsalAccount(employee, service, f"{employee}-profile", employee.title(), locale, case)


def cookies_of(rehearsal: Rehearsal, employee: str, service: str) -> dict[str, str]:
    """The session's cookies, or none."""
    state = rehearsal.storage_state(employee, service)
    return {cookie["name"]: cookie["value"] for cookie in state["cookies"]} if state else {}


def ask(
    rehearsal: Rehearsal,
    host: str,
    path: str,
    cookies: dict[str, str] | None = None,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: str | None = None,
) -> Answer:
    """One request to one of the rehearsal's hosts; redirects are not followed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(rehearsal.address, context=context, timeout=120)
    jar = "; ".join(f"{name}={value}" for name, value in (cookies or {}).items())
    try:
        connection.request(method, path, body, {"Host": host, "Cookie": jar, **(headers or {})})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read().decode())
    finally:
        connection.close()


def switch_off(rehearsal: Rehearsal, cookies: dict[str, str], token: str | None = None) -> Answer:
    """What the page's script sends when the AI setting is switched off."""
    headers = {"csrf-token": cookies["JSESSIONID"] if token is None else token}
    return ask(rehearsal, WWW, AI_API, cookies, method="PUT", headers=headers, body=json.dumps({"value": False}))


def truth_of(rehearsal: Rehearsal, employee: str, service: str = "linkedin") -> dict[str, object]:
    """One account's truth."""
    return next(row for row in rehearsal.truth() if (row["employee"], row["service"]) == (employee, service))


@pytest.fixture(scope="module")
def rehearsal() -> Iterator[Rehearsal]:
    """One employee per case, named after it; one more who saves; and people for whom all goes well."""
    cases = [(service, case) for service in CASES for case in CASES[service]]
    people = [account(name, case, service=service) for service, case in cases for name in (case, f"{case}-saves")]
    people += [account(name, service=service) for service in CASES for name in FRESH]
    people.append(account("amal", locale="ar"))
    with start_rehearsal(people, extension=GALLERY) as running:
        yield running


@pytest.fixture(scope="module")
def answers(rehearsal: Rehearsal) -> dict[str, Answer | None]:
    """Each case's answer to a view of the AI setting, and to a change of it (`CASE-saves`; None if there was none).

    All at once, because some cases are slow on purpose.
    """

    def view(case: str) -> Answer:
        return ask(rehearsal, WWW, AI_SETTING, cookies_of(rehearsal, case, "linkedin"))

    def save(name: str) -> Answer | None:
        try:
            return switch_off(rehearsal, cookies_of(rehearsal, name, "linkedin"))
        except (http.client.RemoteDisconnected, ConnectionError):
            return None

    with ThreadPoolExecutor(8) as pool:
        views = {case: pool.submit(view, case) for case in ENDING}
        saves = {f"{case}-saves": pool.submit(save, f"{case}-saves") for case in SAVERS}
        return {name: asked.result() for name, asked in (views | saves).items()}


@pytest.fixture
def anna(rehearsal: Rehearsal) -> str:
    """Somebody whom no other test has touched."""
    return next(_fresh)


class TestTruth:
    def test_a_change_is_true_as_soon_as_it_is_answered(self, rehearsal: Rehearsal, anna: str) -> None:
        """The truth is what the service stored, counted once and noted."""
        assert truth_of(rehearsal, anna)["controls"] == {"ai_training": "in"}
        assert switch_off(rehearsal, cookies_of(rehearsal, anna, "linkedin")).status == 200
        assert truth_of(rehearsal, anna) == {
            "employee": anna,
            "service": "linkedin",
            "controls": {"ai_training": "out"},
            "writes": {"ai_training": 1},
            "requests": [f"PUT {AI_API}"],
            "touched": {},
        }

    @pytest.mark.parametrize("token", ["", "ajax:0000000000000000000"])
    def test_a_change_without_the_right_token_is_refused(self, rehearsal: Rehearsal, anna: str, token: str) -> None:
        """The session's cookies alone change nothing at LinkedIn."""
        assert switch_off(rehearsal, cookies_of(rehearsal, anna, "linkedin"), token).status == 403
        truth = truth_of(rehearsal, anna)
        assert (truth["controls"], truth["writes"]) == ({"ai_training": "in"}, {"ai_training": 0})

    def test_the_portal_refuses_a_form_without_the_right_token(self, rehearsal: Rehearsal, anna: str) -> None:
        """The session's cookie alone changes nothing at the portal, neither by form nor by script."""
        cookies = cookies_of(rehearsal, anna, "intranet")
        form = ask(rehearsal, PORTAL, f"{PRIVACY}/newsletter", cookies, method="POST", body="csrf_token=wrong")
        script = ask(rehearsal, PORTAL, "/api/settings/assistant", cookies, method="PUT", body='{"keep_out": true}')
        assert (form.status, script.status) == (403, 403)
        assert truth_of(rehearsal, anna, "intranet")["writes"] == {"newsletter": 0, "research": 0, "assistant": 0}

    def test_each_control_of_the_portal_is_stored_by_itself(self, rehearsal: Rehearsal, anna: str) -> None:
        """A form answers with a redirect to its page, the switch without a page; each changes its own control."""
        cookies = cookies_of(rehearsal, anna, "intranet")
        page = ask(rehearsal, PORTAL, PRIVACY, cookies).text
        token = page.partition('name="csrf-token" content="')[2].partition('"')[0]
        form = urlencode({"csrf_token": token, "research": "no"})
        saved = ask(rehearsal, PORTAL, f"{PRIVACY}/research", cookies, method="POST", body=form)
        assert (saved.status, saved.headers["location"]) == (303, PRIVACY)
        controls = truth_of(rehearsal, anna, "intranet")["controls"]
        assert controls == {"newsletter": "in", "research": "out", "assistant": "in"}
        headers, body = {"x-csrf-token": token}, '{"keep_out": true}'
        switched = ask(rehearsal, PORTAL, "/api/settings/assistant", cookies, method="PUT", headers=headers, body=body)
        form = urlencode({"csrf_token": token})
        unchecked = ask(rehearsal, PORTAL, f"{PRIVACY}/newsletter", cookies, method="POST", body=form)
        assert (switched.status, unchecked.status) == (204, 303)
        assert truth_of(rehearsal, anna, "intranet") | {"requests": []} == {
            "employee": anna,
            "service": "intranet",
            "controls": {"newsletter": "out", "research": "out", "assistant": "out"},
            "writes": {"newsletter": 1, "research": 1, "assistant": 1},
            "requests": [],
            "touched": {},
        }

    def test_a_value_set_by_a_test_is_not_a_write(self, rehearsal: Rehearsal, anna: str) -> None:
        """Tests can plant a state without looking like a visitor."""
        rehearsal.set_value(anna, "linkedin", "ai_training", "out")
        truth = truth_of(rehearsal, anna)
        assert (truth["controls"], truth["writes"], truth["requests"]) == (
            {"ai_training": "out"},
            {"ai_training": 0},
            [],
        )

    def test_pressing_a_dangerous_button_is_noted(self, rehearsal: Rehearsal, anna: str) -> None:
        """The neighbors of the setting are there, and closing an account would be seen."""
        cookies = cookies_of(rehearsal, anna, "linkedin")
        assert ask(rehearsal, WWW, "/mypreferences/d/close-accounts", cookies).status == 200
        headers = {"csrf-token": cookies["JSESSIONID"]}
        ask(rehearsal, WWW, "/mysettings-api/close-accounts", cookies, method="POST", headers=headers)
        assert truth_of(rehearsal, anna)["requests"] == [
            "GET /mypreferences/d/close-accounts",
            "POST /mysettings-api/close-accounts",
        ]

    def test_nobody_is_told_the_truth_without_the_token(self, rehearsal: Rehearsal, anna: str) -> None:
        """A page cannot ask for what only tests may know."""
        assert ask(rehearsal, "truth.rehearsal.invalid", "/accounts").status == 403

    def test_a_host_that_is_not_rehearsed_is_refused(self, rehearsal: Rehearsal, anna: str) -> None:
        """Only the listed hosts are played; the truth's host is not among those given to a browser."""
        assert ask(rehearsal, "example.com", "/").status == 421
        assert sorted(rehearsal.resolve) == [
            "media.licdn.com:443",
            "people.intranet.example:443",
            "static.licdn.com:443",
            "www.linkedin.com:443",
        ]


class TestSessions:
    def test_a_linkedin_session_is_two_secure_cookies_for_a_year(self, rehearsal: Rehearsal, anna: str) -> None:
        """The script reads JSESSIONID to make a change, so only li_at is hidden from it."""
        state = rehearsal.storage_state(anna, "linkedin")
        assert state is not None
        shown = [(c["name"], c["domain"], c["secure"], c["httpOnly"]) for c in state["cookies"]]
        assert shown == [("li_at", ".linkedin.com", True, True), ("JSESSIONID", ".www.linkedin.com", True, False)]
        assert all(364 < (c["expires"] - time.time()) / 86400 < 366 for c in state["cookies"])

    def test_an_account_that_does_not_exist_is_an_error(self, rehearsal: Rehearsal, anna: str) -> None:
        """A misspelled name is not taken for an account without a session."""
        with pytest.raises(KeyError):
            rehearsal.storage_state("berta", "linkedin")

    def test_the_member_is_led_to_their_own_profile(self, rehearsal: Rehearsal) -> None:
        """/in/me/ names whoever is signed in, the employee or somebody else."""
        answers = {
            case: ask(rehearsal, WWW, "/in/me/", cookies_of(rehearsal, case, "linkedin")).headers["location"]
            for case in ("switched_on", "other_person", "challenge_signed_in_header", "challenge_app", "session_over")
        }
        assert answers == {
            "switched_on": "/in/switched_on-profile/",
            "other_person": "/in/robin-somebody-else/",
            "challenge_signed_in_header": "/in/challenge_signed_in_header-profile/",
            "challenge_app": "/checkpoint/challenge/AgE2fT0lRkQ",
            "session_over": "/login",
        }

    def test_a_good_page_view_rotates_a_harmless_cookie(self, rehearsal: Rehearsal, anna: str) -> None:
        """Two views, two values of lidc: a session that is sealed back is a newer one."""
        cookies = cookies_of(rehearsal, anna, "linkedin")
        one, other = (ask(rehearsal, WWW, AI_SETTING, cookies).headers["set-cookie"] for _ in range(2))
        assert one.startswith("lidc=")
        assert one != other

    def test_pages_tell_what_was_touched_on_them(self, rehearsal: Rehearsal, anna: str) -> None:
        """Each page adds what it heard, by the part that it happened on."""
        cookies = cookies_of(rehearsal, anna, "linkedin")
        for told in ("ai_training=1&elsewhere=2", "elsewhere=1"):
            assert ask(rehearsal, WWW, f"/touched?{told}", cookies).status == 204
        assert truth_of(rehearsal, anna)["touched"] == {"ai_training": 1, "elsewhere": 3}


class TestCases:
    @pytest.mark.parametrize("case", ENDING)
    def test_linkedin_answers_as_the_case_says(
        self, rehearsal: Rehearsal, answers: dict[str, Answer | None], case: str
    ) -> None:
        """Every case answers the setting's page as its row says, and shows the stored state where it shows one."""
        assert (rehearsal.storage_state(case, "linkedin") is None) is (case == "no_session")
        answer = answers[case]
        assert answer is not None
        assert (answer.status, answer.headers["location"]) == AI_SETTING_ANSWERS.get(case, (200, None))
        if answer.status == 200:
            kept = "max-age=3600" if case in ("cached_page", "cached_page_save_lies") else "no-cache, no-store"
            assert answer.headers["cache-control"] == (None if case == "page_is_file" else kept)
        if answer.status == 200 and 'role="switch"' in answer.text:
            assert (" checked" in answer.text or 'aria-checked="true"' in answer.text) is (case not in SHOWN_OFF)

    @pytest.mark.parametrize("case", SAVERS)
    def test_saving_ends_as_the_case_says(
        self, rehearsal: Rehearsal, answers: dict[str, Answer | None], case: str
    ) -> None:
        """Whatever the answer is, the change arrived once, and the truth is what was stored."""
        status, stored = AI_SAVES[case]
        answer = answers[f"{case}-saves"]
        assert (answer.status if answer else None) == status
        truth = truth_of(rehearsal, f"{case}-saves")
        assert (truth["controls"], truth["writes"]) == ({"ai_training": stored}, {"ai_training": 1})

    @pytest.mark.parametrize(
        ("case", "location"),
        [("signed_out_after_click", "/login"), ("challenge_after_click", "/checkpoint/challenge/AgE2fT0lRkQ")],
    )
    def test_a_change_can_end_the_visit(self, rehearsal: Rehearsal, case: str, location: str) -> None:
        """The page is there before the change, and out of reach after it; the change is stored."""
        cookies = cookies_of(rehearsal, f"{case}-saves", "linkedin")
        assert ask(rehearsal, WWW, AI_SETTING, cookies).status == 200
        assert switch_off(rehearsal, cookies).status == 200
        assert ask(rehearsal, WWW, AI_SETTING, cookies).headers["location"] == location
        assert truth_of(rehearsal, f"{case}-saves")["controls"] == {"ai_training": "out"}

    def test_a_change_can_be_undone_by_the_next_view(self, rehearsal: Rehearsal) -> None:
        """With save_reverts the service stores `out`, and `in` again once the page is looked at."""
        cookies = cookies_of(rehearsal, "save_reverts-saves", "linkedin")
        assert switch_off(rehearsal, cookies).status == 200
        assert truth_of(rehearsal, "save_reverts-saves")["controls"] == {"ai_training": "out"}
        assert " checked" in ask(rehearsal, WWW, AI_SETTING, cookies).text
        assert truth_of(rehearsal, "save_reverts-saves")["controls"] == {"ai_training": "in"}

    @pytest.mark.parametrize("case", CASES["intranet"])
    def test_the_portal_answers_as_the_case_says(self, rehearsal: Rehearsal, case: str) -> None:
        """Every case answers the settings page as its row says."""
        answer = ask(rehearsal, PORTAL, PRIVACY, cookies_of(rehearsal, case, "intranet"))
        if case in ("no_session", "session_over"):
            assert (answer.status, answer.headers["location"]) == (302, "/sign-in?next=%2Fsettings%2Fprivacy")
            return
        person = "robin-somebody-else" if case == "other_person" else f"{case}-profile"
        assert answer.status == 200
        is_told = f'<meta name="signed-in-user" content="{person}">' in answer.text
        assert is_told is (case != "session_over_dialog")
        assert answer.text.count("not offered for this kind of account") == (3 if case == "not_offered" else 0)
        assert ('value="no" checked' in answer.text) is (case == "already_out")

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/mypreferences/d/settings/data-for-generative-ai", 404),
            ("/mypreferences/d/settings/policy-and-academic-research", 200),
            ("/mypreferences/d/hibernate-account", 200),
        ],
    )
    def test_neighbors_exist_and_unknown_pages_do_not(self, rehearsal: Rehearsal, path: str, status: int) -> None:
        """A wrong address in circulation is not found; the neighbors of the right one are."""
        assert ask(rehearsal, WWW, path, cookies_of(rehearsal, "switched_on", "linkedin")).status == status

    def test_pages_get_script_style_and_picture_from_their_own_hosts(self, rehearsal: Rehearsal) -> None:
        """A recipe that forgets an asset host breaks the page here as it would there."""
        types = [
            ask(rehearsal, host, path).headers["content-type"].partition(";")[0]
            for host, path in (
                ("static.licdn.com", "/settings.js"),
                ("static.licdn.com", "/settings.css"),
                ("media.licdn.com", "/portrait.svg"),
            )
        ]
        assert types == ["text/javascript", "text/css", "image/svg+xml"]


class TestWords:
    @pytest.mark.parametrize(
        ("locale", "language", "direction"),
        [
            ("de", "de", "ltr"),
            ("fr_CH", "fr", "ltr"),
            ("pt-BR", "pt-BR", "ltr"),
            ("ar", "ar", "rtl"),
            ("sv", "en", "ltr"),
        ],
    )
    def test_a_locale_gets_its_language_or_english(self, locale: str, language: str, direction: str) -> None:
        """Regions fall back to their language, unknown languages to English."""
        words = texts_for(locale)
        assert (words["language"], words["direction"]) == (language, direction)

    def test_some_labels_are_typeset(self) -> None:
        """Labels hold the apostrophes and no-break spaces that real pages have and recipes do not."""
        assert "d’IA" in texts_for("fr")["label"]
        assert "\N{NO-BREAK SPACE}" in texts_for("fr")["label"]

    def test_the_page_is_in_the_language_of_the_account(self, rehearsal: Rehearsal) -> None:
        """An Arabic page runs from right to left, and still has the setting's key."""
        page = ask(rehearsal, WWW, AI_SETTING, cookies_of(rehearsal, "amal", "linkedin")).text
        assert '<html lang="ar" dir="rtl">' in page
        assert 'aria-labelledby="allowDataForGenerativeAI"' in page


class TestRecipe:
    def test_the_portal_recipe_knows_the_portal_s_controls(self) -> None:
        """The recipe that authors copy loads, and names what the portal has."""
        recipe = load_model(PORTAL_RECIPE, Recipe)
        assert (recipe.service, tuple(recipe.controls)) == ("intranet", CONTROLS["intranet"])


def test_a_case_is_the_same_in_the_process() -> None:
    """It is sent as JSON, and each member of an enum in it is that member again."""
    for case in (case for cases in CASES.values() for case in cases.values()):
        read = Case.from_json(json.loads(json.dumps(asdict(case))))
        assert read == case
        ours = {name for name, value in vars(case).items() if type(value) in (Outcome, Reason, Save, Says, Barrier)}
        assert ours == {name for name, value in vars(read).items() if isinstance(value, Enum)}


class TestProcess:
    def test_a_world_file_outlives_the_process(self, tmp_path: Path) -> None:
        """Values, counts and sessions last."""
        world = tmp_path / "world.json"
        with start_rehearsal([account("anna"), account("ben", "already_out")], world) as rehearsal:
            before = rehearsal.storage_state("anna", "linkedin")
            assert before is not None
            switch_off(rehearsal, cookies_of(rehearsal, "anna", "linkedin"))
        assert world.stat().st_mode & 0o777 == 0o600
        with start_rehearsal([account("anna")], world) as rehearsal:
            after = rehearsal.storage_state("anna", "linkedin")
            assert after is not None
            assert [c["value"] for c in after["cookies"]] == [c["value"] for c in before["cookies"]]
            truth = truth_of(rehearsal, "anna")
            assert (truth["controls"], truth["writes"]) == ({"ai_training": "out"}, {"ai_training": 1})
        with start_rehearsal([account("ben", "already_out")], world) as rehearsal:
            assert truth_of(rehearsal, "ben")["controls"] == {"ai_training": "out"}

    def test_a_change_lasts_although_the_process_was_killed(self, tmp_path: Path) -> None:
        """It is one line beside the file, which is not written anew; a torn one is passed over."""
        world = tmp_path / "world.json"
        with start_rehearsal([account("anna"), account("ben")], world) as rehearsal:
            written = world.read_bytes()
            rehearsal.set_value("anna", "linkedin", "ai_training", "out")
            assert (world.read_bytes(), world.with_suffix(".changes").read_bytes().count(b"\n")) == (written, 1)
            rehearsal._process.kill()
        with world.with_suffix(".changes").open("ab") as changes:
            changes.write(b'{"employee": "ben", "contr')
        with start_rehearsal([account("anna"), account("ben")], world) as rehearsal:
            assert truth_of(rehearsal, "anna")["controls"] == {"ai_training": "out"}
            assert truth_of(rehearsal, "ben")["controls"] == {"ai_training": "in"}
            assert not world.with_suffix(".changes").exists()

    def test_all_sessions_can_be_had_at_once(self) -> None:
        """Ten thousand would take as many connections; who has none is told as one by one."""
        with start_rehearsal([account("anna"), account("ben", "no_session")]) as rehearsal:
            assert rehearsal.storage_states() == {
                ("anna", "linkedin"): rehearsal.storage_state("anna", "linkedin"),
                ("ben", "linkedin"): None,
            }

    def test_another_case_begins_at_its_own_beginning(self, tmp_path: Path) -> None:
        """Who is given one is not taken for who they were; worlds that name no case are read as before."""
        world = tmp_path / "world.json"
        with start_rehearsal([account("anna", "already_out"), account("ben")], world) as rehearsal:
            switch_off(rehearsal, cookies_of(rehearsal, "ben", "linkedin"))
        with start_rehearsal([account("anna", "switched_on"), account("ben", "save_fails")], world) as rehearsal:
            for name in ("anna", "ben"):
                truth = truth_of(rehearsal, name)
                assert (truth["controls"], truth["writes"]) == ({"ai_training": "in"}, {"ai_training": 0})
        older = json.loads(world.read_text())
        for kept in older["accounts"]:
            del kept["case"]
            kept["controls"]["ai_training"] = "out"
        world.write_text(json.dumps(older))
        with start_rehearsal([account("anna", "switched_on")], world) as rehearsal:
            assert truth_of(rehearsal, "anna")["controls"] == {"ai_training": "out"}

    def test_a_damaged_world_file_is_named(self, tmp_path: Path) -> None:
        """A file that is not ours is refused, not overwritten."""
        world = tmp_path / "world.json"
        world.write_text("[]")
        with pytest.raises(InputError, match=r"world\.json is not a world file"):
            start_rehearsal([account("anna")], world)
        assert world.read_text() == "[]"

    def test_a_port_in_use_is_named(self) -> None:
        """The caller learns which port somebody else holds."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(InputError, match=f"Port {port} is in use"):
                start_rehearsal([account("anna")], port=port)

    def test_an_unknown_case_is_named_with_the_known_ones(self) -> None:
        """A misspelled case says whose it is, where, and what there is."""
        with pytest.raises(InputError) as refusal:
            start_rehearsal([account("anna", "swiched_on", service="intranet")])
        assert str(refusal.value) == (
            "anna: 'swiched_on' is not a rehearsal case of intranet; cases: already_out, no_session, not_offered, "
            "other_person, save_fails, save_lies, session_over, session_over_dialog, signed_in_by_database, "
            "switched_on."
        )

    def test_an_unknown_service_is_named(self) -> None:
        """A service that is not rehearsed cannot be rehearsed by accident."""
        with pytest.raises(InputError, match="anna: 'nowhere' is not rehearsed; services: intranet, linkedin"):
            start_rehearsal([account("anna", service="nowhere")])

    def test_it_dies_with_its_parent(self) -> None:
        """A parent that is killed outright leaves no server behind."""
        program = (
            "import os, signal\n"
            "from fleet.rehearsal.process import start_rehearsal\n"
            "print(start_rehearsal([]).address, flush=True)\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
        )
        host, _, port = done.stdout.strip().partition(":")
        deadline = time.monotonic() + 5
        while _listens(host, int(port)):
            assert time.monotonic() < deadline, "the server outlived its parent"
            time.sleep(0.02)

    def test_stopping_twice_is_harmless(self) -> None:
        """Whoever cleans up need not know whether somebody did already."""
        rehearsal = start_rehearsal([account("anna")])
        rehearsal.stop()
        rehearsal.stop()
        host, _, port = rehearsal.address.partition(":")
        assert not _listens(host, int(port))


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
