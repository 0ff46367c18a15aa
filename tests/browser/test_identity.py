"""Where a page of its own says who is signed in, it is checked again for each proof, and no more often."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from fleet.browser.engine import Engine
from fleet.browser.find_browser import find_browser
from fleet.browser.network import Network
from fleet.model import Outcome
from fleet.rehearsal.process import start_rehearsal
from fleet.visit.visit import Order, Visit
from tests.browser.test_crash import ACCOUNT, Journal, with_identity_page

pytestmark = pytest.mark.xdist_group("crash")


def test_three_controls_are_proved_by_four_looks() -> None:
    """One before the first control, and one after each; here the same address tells all."""
    recipe, journal = with_identity_page(), Journal()
    with start_rehearsal([replace(ACCOUNT, service="intranet", case="already_out")]) as rehearsal:
        state = rehearsal.storage_state("e1", "intranet")
        assert state is not None
        order = Order(recipe, "person-1", "en", list(recipe.controls), state, False)

        async def visit() -> None:
            engine = Engine(find_browser(), Network(dict(rehearsal.resolve), (rehearsal.spki,)), sandbox=False)
            try:
                await Visit(engine, order, journal).run()
            finally:
                await engine.stop()

        asyncio.run(visit())
        [truth] = rehearsal.truth()
    assert [finding.outcome for finding in journal.findings] == [Outcome.ALREADY_OPTED_OUT] * 3
    assert truth["requests"].count("GET /settings/privacy") == 3 + 4
