"""Every case of the rehearsal through the real browser: the outcome a person would give it, and the server's truth."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import pytest

from fleet.browser.engine import Engine
from fleet.browser.find_browser import find_browser
from fleet.browser.network import Network
from fleet.model import Outcome, Reading, Reason
from fleet.paths import REHEARSAL_RECIPES
from fleet.recipes.catalog import load_catalog
from fleet.rehearsal.behavior import Case, Save
from fleet.rehearsal.process import Rehearsal, RehearsalAccount, start_rehearsal
from fleet.sessions.storage_state import StorageState
from fleet.visit.timeouts import LIMIT
from fleet.visit.visit import ControlResult, Order, Visit
from tests.gallery.behavior import Dom, Trouble
from tests.gallery.cases import CASES, CONTROLS, GALLERY
from tests.sizes import FULL

LANGUAGES = ("en", "fr", "de", "it", "nl", "pl")
FROM_RIGHT_TO_LEFT = {"switched_on", "late_hydration", "covered", "sticky_bars"}
"""Cases that are read in Arabic, for which no recipe has a label: the setting's key must do."""
NAMES = (
    "Person \x1b]0;owned\x07\x1b[31mred",
    "</script><script>alert(1)</script>",
    '"; DROP TABLE employees; --\n{"event": "control.finished"}',
    "\u202egnp.exe \u2066\u0000",
    "{{ lookup('pipe', 'id') }} {% raw %} ${HOME} $(id)",
    "=cmd|' /C calc'!A0",
)
"""What people are called on the pages: names that would break a log, a terminal, a report or a spreadsheet."""
NO_BROWSER = {"no_session"}
NAMED = {"switched_on", "switched_on_named", "session_over", "beside_busy", "rate_limited", "renamed", "renamed_out"}
"""Cases that tests ask for by name."""
LASTS = {"endless_script"}
"""Tested apart: it takes a core for as long as it is looked at."""
DECLARED = {
    "linkedin": (
        r"GET /in/me/|GET /in/[^/]+/",
        r"GET /mypreferences/d/settings/data-for-ai-improvement",
        r"(GET|PUT) /mysettings-api/settingsApiSettings/allowDataForGenerativeAI",
        r"GET /mysettings-api/token",
    ),
    "intranet": (
        r"GET /settings/privacy|GET /portal\.(css|js)",
        r"POST /settings/privacy/(newsletter|research)",
        r"PUT /api/settings/assistant",
    ),
}
"""The declared pages, and what they ask and save on their own."""
WHERE_IT_LED = (
    r"GET /downgraded",  # asked for in clear, and made https by Chromium: on a declared host and port all the same
    r"GET (/login|/uas/login|/authwall|/sign-in|/checkpoint/challenge/[^/]+)",
    r"GET /mypreferences/d/(settings/(policy-and-academic-research|ai-privacy-hub)|close-accounts)",
)
"""Where pages sent the browser: sign-in, challenges, and the neighbors of cases that lead or open a window there."""


@dataclass
class MemoryJournal:
    """Keeps what a visit records; stands where the agent's recorder is, which other tests drive for real."""

    intents: list[str] = field(default_factory=list)
    findings: list[ControlResult] = field(default_factory=list)

    async def permit(self, _control: str) -> Reason | None:
        return None

    async def intend(self, control: str, before: Reading, picture: bytes) -> None:
        assert before is Reading.IN and picture.startswith(b"\x89PNG")
        self.intents.append(control)

    async def finish(self, finding: ControlResult) -> None:
        self.findings.append(finding)


def cases() -> list[Case]:
    """All cases that a browser can walk in good time."""
    return [case for of_one in CASES.values() for case in of_one.values() if case.name not in NO_BROWSER | LASTS]


def gallery() -> list[tuple[str, str]]:
    """Service and name of each of them."""
    walked = {case.name for case in cases()}
    return [(service, name) for service, of_one in CASES.items() for name in of_one if name in walked]


def in_every_run() -> list[tuple[str, str]]:
    """Cases that between them have every outcome with each of its reasons, and every way to save."""
    return first_to_show(lambda service, case: {(service, case.outcome, case.reason), case.in_check, case.save}, NAMED)


def checked_in_every_run() -> list[tuple[str, str]]:
    """Cases that between them end in every way in which a check can end; none of them saves in check mode."""
    return first_to_show(lambda service, case: {(service, *case.in_check)})


def first_to_show(shows: Callable[[str, Case], set[object]], named: Collection[str] = ()) -> list[tuple[str, str]]:
    """Those of the gallery that show something which no case before them shows, and those that are `named`."""
    met: set[object] = set()
    chosen = []
    for service, name in gallery():
        shown = shows(service, CASES[service][name])
        if not shown <= met or name in named:
            chosen.append((service, name))
            met |= shown
    return chosen


def accounts() -> list[RehearsalAccount]:
    """One account for each; the profile says nothing about the case, languages and names take turns."""
    return [
        RehearsalAccount(
            f"{service}-{case}",
            service,
            f"person-{number}",
            NAMES[number % len(NAMES)],
            "ar" if case in FROM_RIGHT_TO_LEFT else LANGUAGES[number // len(NAMES) % len(LANGUAGES)],
            case,
        )
        for number, (service, case) in enumerate(gallery())
    ]


def marked(in_every_run: list[tuple[str, str]]) -> list[Any]:
    """The gallery as parameters; `make test-all` walks what `make test` does not."""
    return [case if case in in_every_run else pytest.param(*case, marks=FULL) for case in gallery()]


WALKED, CHECKED = marked(in_every_run()), marked(checked_in_every_run())


@dataclass
class Walked:
    """What a walk over all cases left behind."""

    journals: dict[str, MemoryJournal]
    visits: dict[str, Visit]
    truth: dict[str, dict[str, object]]


async def walk(rehearsal: Rehearsal, wanted: list[RehearsalAccount], *, check: bool) -> Walked:
    catalog = load_catalog([REHEARSAL_RECIPES])
    network = Network(dict(rehearsal.resolve), (rehearsal.spki,))
    engine = Engine(find_browser(), network, sandbox=False)
    limit = asyncio.Semaphore(16)
    journals: dict[str, MemoryJournal] = {}
    visits: dict[str, Visit] = {}

    async def one(account: RehearsalAccount) -> None:
        recipe = catalog.recipes[account.service]
        journal = journals[account.employee] = MemoryJournal()
        state = rehearsal.storage_state(account.employee, account.service)
        assert state is not None
        state = StorageState.model_validate(state).own_part(recipe).as_playwright()
        order = Order(recipe, account.profile, account.locale, list(recipe.controls), state, check)
        visit = visits[account.employee] = Visit(engine, order, journal)
        async with limit:
            await visit.run()

    try:
        await asyncio.gather(*(one(account) for account in wanted))
    finally:
        await engine.stop()
    return Walked(journals, visits, {row["employee"]: row for row in rehearsal.truth()})


def asked_for(request: pytest.FixtureRequest, named: Collection[str] = ()) -> list[RehearsalAccount]:
    """The accounts of the `named` cases of LinkedIn, and of those that the tests of a fixture look at."""
    wanted = {f"linkedin-{name}" for name in named}
    for item in request.session.items:
        if isinstance(item, pytest.Function) and request.fixturename in item.fixturenames and hasattr(item, "callspec"):
            looked_at = item.callspec.params
            wanted.add(f"{looked_at.get('service')}-{looked_at.get('name')}")
    return [account for account in accounts() if account.employee in wanted]


@pytest.fixture(scope="module")
def walked(request: pytest.FixtureRequest) -> Walked:
    wanted = asked_for(request, NAMED)
    with start_rehearsal(wanted, extension=GALLERY) as rehearsal:
        return asyncio.run(walk(rehearsal, wanted, check=False))


@pytest.fixture(scope="module")
def checked(request: pytest.FixtureRequest) -> Walked:
    wanted = asked_for(request)
    with start_rehearsal(wanted, extension=GALLERY) as rehearsal:
        return asyncio.run(walk(rehearsal, wanted, check=True))


def declared(requests: object, service: str, more: tuple[str, ...] = ()) -> set[str]:
    """Those of the requests that neither the declared pages nor `more` account for."""
    assert isinstance(requests, list)
    return {line for line in requests if not any(re.fullmatch(known, line) for known in (*DECLARED[service], *more))}


@pytest.mark.xdist_group("gallery")
class TestGallery:
    def test_it_is_large(self) -> None:
        """At least sixty hostile pages, and every trouble and every way to build the control is met by one."""
        assert len(cases()) >= 60
        met = {case.trouble for case in cases()} | {case.dom for case in cases()} | {case.save for case in cases()}
        assert met >= {*Trouble, *Dom, *Save}

    @pytest.mark.parametrize(("service", "name"), WALKED)
    def test_the_outcome_is_the_one_a_person_would_give(self, walked: Walked, service: str, name: str) -> None:
        """Each control of the account ends exactly once, with the outcome and reason of its row, in bounded time."""
        case, findings = CASES[service][name], walked.journals[f"{service}-{name}"].findings
        assert sorted(finding.control for finding in findings) == sorted(CONTROLS[service])
        assert {(finding.outcome, finding.reason) for finding in findings} == {(case.outcome, case.reason)}
        # The product's own bound, which a busy machine meets as well; how fast it is `make bench` tells.
        assert max(finding.duration_ms for finding in findings) < 1000 * LIMIT

    @pytest.mark.parametrize(("service", "name"), WALKED)
    def test_nothing_is_claimed_that_the_server_does_not_bear_out(
        self, walked: Walked, service: str, name: str
    ) -> None:
        """The service has stored what the row says; what was read is what it stores; nothing unintended was written."""
        case, row = CASES[service][name], walked.truth[f"{service}-{name}"]
        journal = walked.journals[f"{service}-{name}"]
        assert row["controls"] == dict.fromkeys(CONTROLS[service], case.truth)
        for finding in journal.findings:
            if finding.outcome in (Outcome.OPTED_OUT, Outcome.ALREADY_OPTED_OUT):
                assert row["controls"][finding.control] == "out"  # type: ignore[index]
            if finding.after is not None and case.save is not Save.REVERTS:
                assert row["controls"][finding.control] == finding.after  # type: ignore[index]
        writes = {control for control, count in row["writes"].items() if count}  # type: ignore[attr-defined]
        assert writes <= set(journal.intents)

    @pytest.mark.parametrize(("service", "name"), WALKED)
    def test_nothing_but_the_control_is_touched_and_that_once(self, walked: Walked, service: str, name: str) -> None:
        """At most one press of each control and one of its Save button; who was opted out was pressed exactly once."""
        row, journal = walked.truth[f"{service}-{name}"], walked.journals[f"{service}-{name}"]
        touched: dict[str, int] = row["touched"]  # type: ignore[assignment]
        assert {part.removesuffix(".save") for part in touched} <= set(journal.intents)
        assert set(touched.values()) <= {1}
        opted_out = {finding.control for finding in journal.findings if finding.outcome is Outcome.OPTED_OUT}
        assert opted_out <= set(touched)

    @pytest.mark.parametrize(("service", "name"), WALKED)
    def test_no_page_but_the_declared_ones_is_asked_for(self, walked: Walked, service: str, name: str) -> None:
        """Its own pages, its own saves, and where it sent the browser itself: nothing that closes or deletes."""
        row = walked.truth[f"{service}-{name}"]
        assert declared(row["requests"], service, WHERE_IT_LED) == set()

    def test_a_rotated_session_is_handed_back(self, walked: Walked) -> None:
        """After a reading the cookies are the ones that the service gave last."""
        state = walked.visits["linkedin-switched_on"].ending.rotated_state
        assert state is not None
        assert "lidc" in {cookie["name"] for cookie in state["cookies"]}

    def test_a_429_is_heard_with_its_retry_after(self, walked: Walked) -> None:
        """So that the next visits wait; who met none, or only beside the page and its data, asks for nothing."""
        assert walked.visits["linkedin-beside_busy"].ending.retry_after is None
        assert walked.visits["linkedin-rate_limited"].ending.retry_after == 60
        assert walked.visits["linkedin-switched_on"].ending.retry_after is None

    @pytest.mark.parametrize("name", ["renamed", "renamed_out"])
    def test_what_a_renamed_control_is_called_is_told(self, walked: Walked, name: str) -> None:
        """So that its recipe can be fixed; nobody else's label is told."""
        told = {who: [one.label for one in journal.findings] for who, journal in walked.journals.items()}
        assert told[f"linkedin-{name}"] == ["Do not use my data for training content creation AI models"]
        assert told["linkedin-switched_on_named"] == [None]

    def test_nothing_is_handed_back_where_nothing_was_read(self, walked: Walked) -> None:
        """A signed-out visit must not overwrite a session."""
        assert walked.visits["linkedin-session_over"].ending.rotated_state is None


@pytest.mark.xdist_group("gallery-in-check-mode")
class TestGalleryInCheckMode:
    @pytest.mark.parametrize(("service", "name"), CHECKED)
    def test_it_says_what_a_real_run_will_do(self, checked: Walked, service: str, name: str) -> None:
        """What a real run would not press is not said to be settable, and has its very reason."""
        findings = checked.journals[f"{service}-{name}"].findings
        assert {(finding.outcome, finding.reason) for finding in findings} == {CASES[service][name].in_check}

    @pytest.mark.parametrize(("service", "name"), CHECKED)
    def test_check_mode_touches_nothing(self, checked: Walked, service: str, name: str) -> None:
        """No intent, no press, no key, and no request that could write."""
        row = checked.truth[f"{service}-{name}"]
        assert checked.journals[f"{service}-{name}"].intents == []
        assert row["touched"] == {}
        assert [line for line in row["requests"] if not line.startswith("GET ")] == []  # type: ignore[attr-defined]
