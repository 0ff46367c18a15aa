"""The browser is killed at each step of a visit: the visit ends, honestly, and never presses twice."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext

from fleet.browser.engine import Engine
from fleet.browser.find_browser import find_browser
from fleet.browser.network import Network
from fleet.browser.tab import Tab
from fleet.model import Outcome, Reading, Reason
from fleet.paths import REHEARSAL_RECIPES
from fleet.recipes.catalog import load_catalog
from fleet.recipes.recipe import Recipe
from fleet.rehearsal.process import Rehearsal, RehearsalAccount, start_rehearsal
from fleet.visit.visit import ControlResult, Order, Visit
from tests.gallery.cases import GALLERY
from tests.sizes import cases

pytestmark = pytest.mark.xdist_group("crash")
BEFORE_THE_PRESS = ("new_page", "land", "load", "look", "picture")


class Journal:
    """Counts what a visit records; stands where the agent's recorder is, which other tests drive for real."""

    def __init__(self, refusal: Reason | None = None) -> None:
        self._refusal = refusal
        self.intents = 0
        self.findings: list[ControlResult] = []

    async def permit(self, _control: str) -> Reason | None:
        return self._refusal

    async def intend(self, _control: str, _before: Reading, _picture: bytes) -> None:
        self.intents += 1

    async def finish(self, finding: ControlResult) -> None:
        self.findings.append(finding)


def kill_browser() -> None:
    """SIGKILL to the browser's main process among our own descendants."""
    parents, browsers = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"--remote-debugging-pipe" in command and b"--type=" not in command:
            browsers.append(int(folder.name))
    for browser in browsers:
        ancestor = browser
        while ancestor in parents and ancestor != os.getpid():
            ancestor = parents[ancestor]
        if ancestor == os.getpid():
            os.kill(browser, signal.SIGKILL)


def plant(monkeypatch: pytest.MonkeyPatch, step: str, kills: int, is_stored: Callable[[], bool] = bool) -> None:
    """Kill the browser as a step begins, so many times, and after `press` once the change is stored.

    The step itself then runs as ever.
    """
    owner: Any = BrowserContext if step == "new_page" else Tab
    original: Any = getattr(owner, step)
    left = kills

    async def dying(self: Any, *arguments: Any) -> Any:
        nonlocal left
        if left:
            left -= 1
            if step == "new_page":
                # In the middle of it, while Playwright waits for the page.
                asyncio.get_running_loop().call_later(0.005, kill_browser)
            else:
                while step == "saved" and not await asyncio.to_thread(is_stored):
                    await asyncio.sleep(0.05)
                kill_browser()
        return await original(self, *arguments)

    monkeypatch.setattr(owner, step, dying)


def visit(rehearsal: Rehearsal, who: str, recipe: Recipe, controls: list[str], journal: Journal) -> dict[str, Any]:
    """Visit somebody's account in a browser of its own, and return what the service then says of it."""
    state = rehearsal.storage_state(who, recipe.service)
    assert state is not None

    async def whole() -> None:
        engine = Engine(find_browser(), Network(dict(rehearsal.resolve), (rehearsal.spki,)), sandbox=False)
        try:
            order = Order(recipe, profile_of(who), "en", controls, state, False)
            await asyncio.wait_for(Visit(engine, order, journal).run(), timeout=90)
        finally:
            await engine.stop()

    asyncio.run(whole())
    return truth_of(rehearsal, who)


def profile_of(who: str) -> str:
    """Somebody's profile at a service."""
    return f"person-{who.replace('_', '-')}"


def truth_of(rehearsal: Rehearsal, who: str) -> dict[str, Any]:
    """What the service has stored for somebody, and what arrived."""
    [row] = [row for row in rehearsal.truth() if row["employee"] == who]
    return row


def with_identity_page() -> Recipe:
    """The portal's recipe, with the sign of who is signed in on a page of its own."""
    intranet = load_catalog([REHEARSAL_RECIPES]).recipes["intranet"]
    page = intranet.controls["assistant"].page
    return intranet.model_copy(update={"identity": intranet.identity.model_copy(update={"page": page})})


RECIPES: dict[str, Callable[[], Recipe]] = {
    "landed": lambda: load_catalog().recipes["linkedin"],
    "css": lambda: load_catalog([REHEARSAL_RECIPES]).recipes["intranet"],
    "page": with_identity_page,
}
"""One recipe for each way in which a service can say who is signed in. The last control of each saves itself."""


ACCOUNTS = {
    **dict.fromkeys((Reason.SERVICE_STOPPED, Reason.MANDATE_REVOKED, "keeps_dying"), ("linkedin", "switched_on_named")),
    **{f"{step}_landed": ("linkedin", "switched_on") for step in (*BEFORE_THE_PRESS, "press", "saved")},
    **{
        f"{step}_{identity}": ("intranet", "switched_on") for step in ("press", "saved") for identity in ("css", "page")
    },
    "endless_script": ("linkedin", "endless_script"),
}
"""One account for each visit: its service and case."""


@pytest.fixture(scope="module")
def rehearsal() -> Iterator[Rehearsal]:
    """One for all tests."""
    accounts = [
        RehearsalAccount(who, service, profile_of(who), "Person 1", "en", case)
        for who, (service, case) in ACCOUNTS.items()
    ]
    with start_rehearsal(accounts, extension=GALLERY) as rehearsal:
        yield rehearsal


def killed(
    rehearsal: Rehearsal, step: str, identity: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[ControlResult, dict[str, Any]]:
    """How a visit ends whose browser is killed once at a step, and the truth of its control."""
    who, recipe, journal = f"{step}_{identity}", RECIPES[identity](), Journal()
    control = list(recipe.controls)[-1]
    plant(monkeypatch, step, 1, lambda: truth_of(rehearsal, who)["controls"][control] == "out")
    truth = visit(rehearsal, who, recipe, [control], journal)
    [finding] = journal.findings
    assert journal.intents == 1
    return finding, {"stored": truth["controls"][control], "writes": truth["writes"][control]}


@pytest.mark.parametrize(
    ("refusal", "outcome"),
    [(Reason.SERVICE_STOPPED, Outcome.NOT_PERMITTED), (Reason.MANDATE_REVOKED, Outcome.NO_MANDATE)],
)
def test_what_is_shut_a_moment_before_the_press_is_not_pressed(
    rehearsal: Rehearsal, refusal: Reason, outcome: Outcome
) -> None:
    """It was read, and stays as it was: no intent, nothing written at the service."""
    journal = Journal(refusal)
    truth = visit(rehearsal, refusal, RECIPES["landed"](), ["ai_training"], journal)
    [finding] = journal.findings
    assert (finding.outcome, finding.reason, finding.before, finding.after) == (outcome, refusal, "in", "in")
    assert (journal.intents, truth["writes"]["ai_training"]) == (0, 0)


@pytest.mark.parametrize("step", cases(BEFORE_THE_PRESS, {"new_page", "picture"}))
def test_a_browser_that_dies_before_the_press_is_started_again(
    rehearsal: Rehearsal, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account is finished by the second browser: out at the service, one press, one intent, one end."""
    finding, truth = killed(rehearsal, step, "landed", monkeypatch)
    assert (finding.outcome, finding.reason, truth) == (Outcome.OPTED_OUT, None, {"stored": "out", "writes": 1})


@pytest.mark.parametrize("identity", cases(RECIPES, {"css"}))
def test_a_browser_that_dies_at_the_press_has_pressed_nothing(
    rehearsal: Rehearsal, identity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An intent is in the log, so it is not pressed again; what is read says in."""
    finding, truth = killed(rehearsal, "press", identity, monkeypatch)
    assert (finding.outcome, finding.reason) == (Outcome.NOT_SAVED, Reason.BROWSER_CRASHED)
    assert (finding.before, finding.after, truth) == (Reading.IN, Reading.IN, {"stored": "in", "writes": 0})


@pytest.mark.parametrize("identity", cases(RECIPES, {"landed", "page"}))
def test_a_browser_that_dies_once_the_change_is_stored_is_read_back(
    rehearsal: Rehearsal, identity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the service says who is signed in: opted out, and read from a document of the second browser."""
    finding, truth = killed(rehearsal, "saved", identity, monkeypatch)
    assert (finding.outcome, finding.reason, finding.read_back) == (Outcome.OPTED_OUT, None, True)
    assert truth == {"stored": "out", "writes": 1}


def test_a_page_whose_scripts_never_end_is_given_up(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The visit ends after its limit, as an error that says so, and nothing was pressed."""
    monkeypatch.setattr("fleet.visit.visit.limit", lambda _shows_within: 8.0)
    journal = Journal()
    visit(rehearsal, "endless_script", RECIPES["landed"](), ["ai_training"], journal)
    [finding] = journal.findings
    assert (finding.outcome, finding.reason, journal.intents) == (Outcome.ERROR, Reason.TIMEOUT, 0)


def test_a_browser_that_keeps_dying_ends_the_visit(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two deaths are enough: an error that says so, nothing pressed."""
    plant(monkeypatch, "load", kills=2)
    journal = Journal()
    truth = visit(rehearsal, "keeps_dying", RECIPES["landed"](), ["ai_training"], journal)
    [finding] = journal.findings
    assert (finding.outcome, finding.reason) == (Outcome.ERROR, Reason.BROWSER_CRASHED)
    assert (journal.intents, truth["writes"]) == (0, {"ai_training": 0})
