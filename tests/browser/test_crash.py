"""The browser is killed at each step of a visit: the visit ends, honestly, and never presses twice."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext

from fleet import optout
from fleet.browser.engine import Engine
from fleet.browser.find import find_browser
from fleet.browser.network import Network
from fleet.browser.tab import Tab
from fleet.catalogue import load_catalogue
from fleet.model import Outcome, Reading, Reason
from fleet.optout import Finding, Order, Visit
from fleet.rehearsal.process import RehearsalAccount, start_rehearsal

pytestmark = pytest.mark.xdist_group("crash")
ACCOUNT = RehearsalAccount("e1", "linkedin", "person-1", "Person 1", "en", "switched_on_named")
STEPS = ("new_page", "land", "load", "look", "picture", "press", "saved")


class Journal:
    """Counts what a visit records; stands where the agent's recorder is, which other tests drive for real."""

    def __init__(self, refusal: Reason | None = None) -> None:
        self._refusal = refusal
        self.intents = 0
        self.findings: list[Finding] = []

    async def permit(self, _control: str) -> Reason | None:
        return self._refusal

    async def intend(self, _control: str, _before: Reading, _picture: bytes) -> None:
        self.intents += 1

    async def finish(self, finding: Finding) -> None:
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


def plant(monkeypatch: pytest.MonkeyPatch, step: str, kills: int) -> None:
    """Kill the browser as a step begins, so many times. The step itself then runs as ever."""
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
                kill_browser()
        return await original(self, *arguments)

    monkeypatch.setattr(owner, step, dying)


async def visit(address: dict[str, str], spki: str, state: dict[str, Any], journal: Journal) -> None:
    recipe = load_catalogue().recipes["linkedin"]
    engine = Engine(find_browser(), Network(address, (spki,)), sandbox=False)
    try:
        await asyncio.wait_for(
            Visit(engine, Order(recipe, "person-1", "en", ["ai_training"], state, False), journal).run(), timeout=60
        )
    finally:
        await engine.stop()


@pytest.mark.parametrize(
    ("refusal", "outcome"),
    [(Reason.SERVICE_STOPPED, Outcome.NOT_PERMITTED), (Reason.MANDATE_REVOKED, Outcome.NO_MANDATE)],
)
def test_what_is_shut_a_moment_before_the_press_is_not_pressed(refusal: Reason, outcome: Outcome) -> None:
    """It was read, and stays as it was: no intent, nothing written at the service."""
    journal = Journal(refusal)
    with start_rehearsal([ACCOUNT]) as rehearsal:
        state = rehearsal.storage_state("e1", "linkedin")
        assert state is not None
        asyncio.run(visit(dict(rehearsal.resolve), rehearsal.spki, state, journal))
        [truth] = rehearsal.truth()
    [finding] = journal.findings
    assert (finding.outcome, finding.reason, finding.before, finding.after) == (outcome, refusal, "in", "in")
    assert (journal.intents, truth["writes"]["ai_training"]) == (0, 0)


@pytest.mark.parametrize("step", STEPS)
def test_a_browser_that_dies_once_is_started_again(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account is finished by the second browser: out at the service, at most one press, one intent, one end."""
    plant(monkeypatch, step, kills=1)
    journal = Journal()
    with start_rehearsal([ACCOUNT]) as rehearsal:
        state = rehearsal.storage_state("e1", "linkedin")
        assert state is not None
        asyncio.run(visit(dict(rehearsal.resolve), rehearsal.spki, state, journal))
        [truth] = rehearsal.truth()
    [finding] = journal.findings
    assert journal.intents == 1
    assert truth["writes"]["ai_training"] <= 1
    if finding.outcome is Outcome.OPTED_OUT:
        assert truth["controls"] == {"ai_training": "out"}
    else:
        # Killed between intent and save: pressed or not, it is not pressed again, and the reading says in.
        assert step in ("press", "saved")
        assert (finding.outcome, finding.reason) == (Outcome.NOT_SAVED, Reason.BROWSER_CRASHED)
        assert truth["controls"] == {"ai_training": "in"}


def test_a_page_whose_scripts_never_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The visit ends after its limit, as an error that says so, and nothing was pressed."""
    monkeypatch.setattr(optout, "limit", lambda _shows_within: 8.0)
    journal = Journal()
    with start_rehearsal([replace(ACCOUNT, case="endless_script")]) as rehearsal:
        state = rehearsal.storage_state("e1", "linkedin")
        assert state is not None
        asyncio.run(visit(dict(rehearsal.resolve), rehearsal.spki, state, journal))
    [finding] = journal.findings
    assert (finding.outcome, finding.reason, journal.intents) == (Outcome.ERROR, Reason.TIMEOUT, 0)


def test_a_browser_that_keeps_dying_ends_the_visit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two deaths are enough: an error that says so, nothing pressed."""
    plant(monkeypatch, "load", kills=2)
    journal = Journal()
    with start_rehearsal([ACCOUNT]) as rehearsal:
        state = rehearsal.storage_state("e1", "linkedin")
        assert state is not None
        asyncio.run(visit(dict(rehearsal.resolve), rehearsal.spki, state, journal))
        [truth] = rehearsal.truth()
    [finding] = journal.findings
    assert (finding.outcome, finding.reason) == (Outcome.ERROR, Reason.BROWSER_CRASHED)
    assert (journal.intents, truth["writes"]) == (0, {"ai_training": 0})
