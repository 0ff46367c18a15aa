"""A visit for tests that need no page: what was ordered, and what it came to."""

from __future__ import annotations

from fleet.model import Outcome, Reading
from fleet.recipes.catalog import load_catalog
from fleet.visit.visit import ControlResult, Order

ORDER = Order(
    load_catalog().recipes["linkedin"], "anna-k", "en", ["ai_training"], {"cookies": [], "origins": []}, False
)
PROVED = ControlResult("ai_training", Outcome.OPTED_OUT, Reading.IN, Reading.OUT, read_back=True, picture=b"\x89PNG")
