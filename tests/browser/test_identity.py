"""Where a page of its own says who is signed in, it is checked again for each proof, and no more often."""

from __future__ import annotations

import pytest

from fleet.model import Outcome
from fleet.rehearsal.process import RehearsalAccount, start_rehearsal
from tests.browser.test_crash import Journal, visit, with_identity_page

pytestmark = pytest.mark.xdist_group("crash")


def test_three_controls_are_proved_by_four_looks() -> None:
    """One before the first control, and one after each; here the same address tells all."""
    recipe, journal = with_identity_page(), Journal()
    with start_rehearsal([RehearsalAccount("e1", "intranet", "person-e1", "E", "en", "already_out")]) as rehearsal:
        truth = visit(rehearsal, "e1", recipe, list(recipe.controls), journal)
    assert [finding.outcome for finding in journal.findings] == [Outcome.ALREADY_OPTED_OUT] * 3
    assert truth["requests"].count("GET /settings/privacy") == 3 + 4
