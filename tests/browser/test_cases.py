"""Every case of the rehearsal through the real browser: the outcome a person would give it, and the server's truth."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from fleet.browser.engine import Engine
from fleet.browser.find import find_browser
from fleet.browser.network import Network
from fleet.catalogue import load_catalogue
from fleet.model import Outcome, Reading, Reason
from fleet.optout import Finding, Visit
from fleet.paths import REHEARSAL_RECIPES
from fleet.rehearsal.cases import CASES
from fleet.rehearsal.process import Rehearsal, RehearsalAccount, start_rehearsal

O, R = Outcome, Reason  # noqa: E741 - the table below is to be read as one
LINKEDIN: dict[str, tuple[Outcome, Reason | None]] = {
    "switched_on": (O.OPTED_OUT, None),
    "switched_on_named": (O.OPTED_OUT, None),
    "switched_on_ember": (O.OPTED_OUT, None),
    "switched_on_nested": (O.OPTED_OUT, None),
    "nested_without_key": (O.PAGE_CHANGED, R.NOT_FOUND),
    "switched_on_checkbox": (O.OPTED_OUT, None),
    "checkbox_without_label": (O.PAGE_CHANGED, R.NOT_FOUND),
    "switched_on_radio": (O.PAGE_CHANGED, R.NOT_FOUND),
    "late_hydration": (O.OPTED_OUT, None),
    "dead_at_first": (O.OPTED_OUT, None),
    "late_state": (O.OPTED_OUT, None),
    "late_state_slow": (O.OPTED_OUT, None),
    "late_state_silent": (O.OPTED_OUT, None),
    "state_fails": (O.ERROR, R.DATA_MISSING),
    "already_out": (O.ALREADY_OPTED_OUT, None),
    "already_out_ember": (O.ALREADY_OPTED_OUT, None),
    "session_over": (O.SIGN_IN_NEEDED, R.SIGNED_OUT),
    "session_over_uas": (O.SIGN_IN_NEEDED, R.SIGNED_OUT),
    "session_over_authwall": (O.SIGN_IN_NEEDED, R.SIGNED_OUT),
    "account_chooser": (O.SIGN_IN_NEEDED, R.SIGNED_OUT),
    "signed_out_after_click": (O.UNKNOWN, R.SIGNED_OUT),
    "challenge_code": (O.CHALLENGED, R.CODE),
    "challenge_app": (O.CHALLENGED, R.DEVICE_APPROVAL),
    "challenge_captcha": (O.CHALLENGED, R.CAPTCHA),
    "challenge_restriction": (O.CHALLENGED, R.RESTRICTION),
    "challenge_signed_in_header": (O.CHALLENGED, R.CODE),
    "challenge_after_click": (O.UNKNOWN, R.CODE),
    "other_person": (O.WRONG_ACCOUNT, None),
    "save_fails": (O.NOT_SAVED, R.SAVE_REFUSED),
    "save_slow": (O.OPTED_OUT, None),
    "save_late": (O.OPTED_OUT, None),
    "save_after_token": (O.OPTED_OUT, None),
    "save_lies": (O.NOT_SAVED, R.STILL_IN),
    "save_lies_from_memory": (O.NOT_SAVED, R.STILL_IN),
    "save_lies_from_cache": (O.NOT_SAVED, R.STILL_IN),
    "save_lies_from_history": (O.NOT_SAVED, R.STILL_IN),
    "save_lies_from_cookie": (O.NOT_SAVED, R.STILL_IN),
    "save_unanswered": (O.NOT_SAVED, R.SAVE_UNANSWERED),
    "save_never_sent": (O.NOT_SAVED, R.STILL_IN),
    "switched_off_elsewhere": (O.UNKNOWN, R.NOT_SENT),
    "asks_first": (O.NOT_SAVED, R.DIALOG),
    "save_reverts": (O.NOT_SAVED, R.STILL_IN),
    "save_lost_connection": (O.NOT_SAVED, R.SAVE_REFUSED),
    "save_lost_answer": (O.OPTED_OUT, None),
    "page_moved": (O.PAGE_CHANGED, R.ADDRESS),
    "page_changed": (O.PAGE_CHANGED, R.NOT_FOUND),
    "two_controls": (O.PAGE_CHANGED, R.SEVERAL),
    "covered": (O.PAGE_CHANGED, R.COVERED),
    "busy": (O.PAGE_CHANGED, R.STATE_UNREADABLE),
    "disabled": (O.PAGE_CHANGED, R.DISABLED),
    "rate_limited": (O.ERROR, R.RATE_LIMITED),
    "server_error": (O.ERROR, R.SERVICE_ERROR),
    "slow_page": (O.OPTED_OUT, None),
    "picture_missing": (O.OPTED_OUT, None),
    "cached_page": (O.OPTED_OUT, None),
    "cached_page_save_lies": (O.NOT_SAVED, R.STILL_IN),
}
INTRANET: dict[str, tuple[Outcome, Reason | None]] = {
    "switched_on": (O.OPTED_OUT, None),
    "already_out": (O.ALREADY_OPTED_OUT, None),
    "session_over": (O.SIGN_IN_NEEDED, R.SIGNED_OUT),
    "other_person": (O.WRONG_ACCOUNT, None),
    "not_offered": (O.NOT_OFFERED, None),
    "save_fails": (O.NOT_SAVED, R.SAVE_REFUSED),
    "save_lies": (O.NOT_SAVED, R.STILL_IN),
}
EXPECTED = {"linkedin": LINKEDIN, "intranet": INTRANET}
LANGUAGES = ("en", "fr", "de", "it", "nl", "pl", "ar")


@dataclass
class MemoryJournal:
    """Keeps what a visit records; stands where the agent's recorder is, which other tests drive for real."""

    intents: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    async def permit(self, _control: str) -> Reason | None:
        return None

    async def intend(self, control: str, before: Reading, picture: bytes) -> None:
        assert before is Reading.IN and picture.startswith(b"\x89PNG")
        self.intents.append(control)

    async def finish(self, finding: Finding) -> None:
        self.findings.append(finding)


def accounts() -> list[RehearsalAccount]:
    """One account per case, the languages taking turns; the profile says nothing about the case."""
    return [
        RehearsalAccount(
            f"{service}-{case}", service, f"person-{number}", f"Person {number}", LANGUAGES[number % 7], case
        )
        for service, cases in EXPECTED.items()
        for number, case in enumerate(cases)
    ]


@dataclass
class Walked:
    """What a walk over all cases left behind."""

    journals: dict[str, MemoryJournal]
    visits: dict[str, Visit]
    truth: dict[str, dict[str, object]]


async def walk(rehearsal: Rehearsal, *, check: bool) -> Walked:
    catalogue = load_catalogue([REHEARSAL_RECIPES])
    network = Network(dict(rehearsal.resolve), (rehearsal.spki,))
    engine = Engine(find_browser(), network, sandbox=False)
    limit = asyncio.Semaphore(16)
    journals: dict[str, MemoryJournal] = {}
    visits: dict[str, Visit] = {}

    async def one(account: RehearsalAccount) -> None:
        recipe = catalogue.recipes[account.service]
        journal = journals[account.employee] = MemoryJournal()
        state = rehearsal.storage_state(account.employee, account.service)
        assert state is not None
        visit = visits[account.employee] = Visit(
            engine, recipe, account.profile, account.locale, list(recipe.controls), state, check, journal
        )
        async with limit:
            await visit.run()

    try:
        await asyncio.gather(*(one(account) for account in accounts()))
    finally:
        await engine.stop()
    return Walked(journals, visits, {row["employee"]: row for row in rehearsal.truth()})


@pytest.fixture(scope="module")
def walked() -> Walked:
    with start_rehearsal(accounts()) as rehearsal:
        return asyncio.run(walk(rehearsal, check=False))


@pytest.fixture(scope="module")
def checked() -> Walked:
    with start_rehearsal(accounts()) as rehearsal:
        return asyncio.run(walk(rehearsal, check=True))


def cases() -> list[tuple[str, str]]:
    return [(service, case) for service, cases in EXPECTED.items() for case in cases]


@pytest.mark.xdist_group("cases")
class TestEveryCase:
    def test_no_case_is_left_out(self) -> None:
        """A new case must be given its outcome here; `no_session` needs no browser, endless_script is tested apart."""
        for service, expected in EXPECTED.items():
            assert set(expected) | {"no_session"} == set(CASES[service]) - {"endless_script"}

    @pytest.mark.parametrize(("service", "case"), cases())
    def test_the_outcome_is_the_one_a_person_would_give(self, walked: Walked, service: str, case: str) -> None:
        """Each control of the account ends exactly once, with that outcome and reason."""
        findings = walked.journals[f"{service}-{case}"].findings
        controls = walked.truth[f"{service}-{case}"]["controls"]
        assert sorted(finding.control for finding in findings) == sorted(controls)  # type: ignore[arg-type]
        assert {(finding.outcome, finding.reason) for finding in findings} == {EXPECTED[service][case]}

    @pytest.mark.parametrize(("service", "case"), cases())
    def test_nothing_is_claimed_that_the_server_does_not_bear_out(
        self, walked: Walked, service: str, case: str
    ) -> None:
        """Out is said only where the server stores out; where nothing was intended, nothing was written."""
        row = walked.truth[f"{service}-{case}"]
        for finding in walked.journals[f"{service}-{case}"].findings:
            if finding.outcome in (O.OPTED_OUT, O.ALREADY_OPTED_OUT):
                assert row["controls"][finding.control] == "out"  # type: ignore[index]
            if finding.after is not None and case != "save_reverts":
                assert row["controls"][finding.control] == finding.after  # type: ignore[index]
        intents = walked.journals[f"{service}-{case}"].intents
        writes = {control: count for control, count in row["writes"].items() if count}  # type: ignore[attr-defined]
        assert set(writes) <= set(intents)

    @pytest.mark.parametrize(("service", "case"), cases())
    def test_check_mode_writes_nothing(self, checked: Walked, service: str, case: str) -> None:
        """In check mode no intent is recorded, and the server sees no request that could write."""
        row = checked.truth[f"{service}-{case}"]
        assert checked.journals[f"{service}-{case}"].intents == []
        assert [line for line in row["requests"] if not line.startswith("GET ")] == []  # type: ignore[attr-defined]

    def test_a_press_is_one_write(self, walked: Walked) -> None:
        """One activation at most: no control is written twice, whatever its save does."""
        for name, row in walked.truth.items():
            # A connection that breaks is tried again by Chromium itself: one press, several writes.
            limit = 4 if "lost" in name else 1
            assert all(count <= limit for count in row["writes"].values()), name  # type: ignore[attr-defined]

    def test_no_page_but_the_declared_ones_was_asked_for(self, walked: Walked) -> None:
        """Neighbors that close or hibernate an account are never loaded."""
        for name, row in walked.truth.items():
            asked = [line for line in row["requests"] if "close-account" in line or "hibernate" in line]  # type: ignore[attr-defined]
            assert asked == [], name

    def test_a_rotated_session_is_handed_back(self, walked: Walked) -> None:
        """After a reading the cookies are the ones that the service gave last."""
        state = walked.visits["linkedin-switched_on"].rotated_state
        assert state is not None
        assert "lidc" in {cookie["name"] for cookie in state["cookies"]}

    def test_nothing_is_handed_back_where_nothing_was_read(self, walked: Walked) -> None:
        """A signed-out visit must not overwrite a session."""
        assert walked.visits["linkedin-session_over"].rotated_state is None
