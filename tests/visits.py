"""A visit for tests that need no page: what was ordered, and what it came to."""

from __future__ import annotations

from pathlib import Path

from fleet.authority.attestations import Attestations
from fleet.authority.blocklist import Blocklist
from fleet.authority.given import GivenMandates
from fleet.authority.in_force import Mandates
from fleet.authority.mandates import Revocations
from fleet.model import Outcome, Reading
from fleet.plan.gates import Gates
from fleet.recipes.catalog import load_catalog
from fleet.visit.visit import ControlResult, Order

ORDER = Order(
    load_catalog().recipes["linkedin"], "anna-k", "en", ["ai_training"], {"cookies": [], "origins": []}, False
)
PROVED = ControlResult("ai_training", Outcome.OPTED_OUT, Reading.IN, Reading.OUT, read_back=True, picture=b"\x89PNG")


def gates_in(folder: Path, *accepted: str) -> Gates:
    """Gates of a state folder; terms and personal sessions are accepted for the services `accepted`."""
    return Gates(
        mandates=Mandates(Revocations(folder / "revocations"), GivenMandates(folder / "mandates")),
        stopped=Blocklist(folder / "stopped"),
        attestations=Attestations(folder / "attestations"),
        terms_accepted=frozenset(accepted),
        personal_sessions=frozenset(accepted),
    )
