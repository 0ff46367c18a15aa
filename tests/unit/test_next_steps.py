"""Whoever must do something is told what, for each way in which a control can end."""

from __future__ import annotations

import re

import pytest

from fleet import next_steps
from fleet.model import Outcome, Reason, Result
from fleet.next_steps import next_step
from tests.conftest import ROOT

DONE = {Outcome.OPTED_OUT, Outcome.ALREADY_OPTED_OUT, Outcome.WAIVED}


def documented() -> set[tuple[Outcome, Reason]]:
    """The pairs of outcome and reason that docs/records.md says there are."""
    rows = re.findall(r"^\| `(\w+)` \| (`[^|]+`) \|", (ROOT / "docs" / "records.md").read_text("utf-8"), re.MULTILINE)
    return {
        (Outcome(outcome), Reason(reason))
        for reason, outcomes in rows
        if reason in set(Reason)
        for outcome in re.findall(r"`(\w+)`", outcomes)
        if outcome in set(Outcome)
    }


def result(outcome: Outcome, reason: Reason | None = None) -> Result:
    return Result("anna.keller", "linkedin", "ai_training", outcome, reason=reason, service_name="LinkedIn")


def unknown_pairs(given: set[tuple[Outcome, Reason]]) -> set[tuple[Outcome, Reason]]:
    """Those of `given` that no record can hold."""
    return given - documented()


def test_no_advice_is_for_something_that_never_happens() -> None:
    """A sentence under a wrong pair would never be read by anybody."""
    assert unknown_pairs(set(next_steps._BY_REASON)) == set()


def test_a_planted_pair_is_seen() -> None:
    """The guard above fails on a reason that stands with another outcome."""
    planted = (Outcome.PAGE_CHANGED, Reason.SAVE_BUTTON)
    assert unknown_pairs({planted, (Outcome.NOT_SAVED, Reason.SAVE_BUTTON)}) == {planted}


@pytest.mark.parametrize("outcome", Outcome)
def test_an_outcome_has_advice_unless_it_is_done(outcome: Outcome) -> None:
    """Promise 5: every row that is not done says who must do what."""
    assert (next_step(result(outcome)) is None) == (outcome in DONE)


@pytest.mark.parametrize("pair", sorted(documented()), ids=lambda pair: "-".join(pair))
def test_every_sentence_names_people_and_services_by_their_names(pair: tuple[Outcome, Reason]) -> None:
    """No placeholder is left, the sentence ends, and the service has the name that people know."""
    sentence = next_step(result(*pair))
    assert sentence and sentence.endswith(".") and "{" not in sentence and "linkedin" not in sentence
