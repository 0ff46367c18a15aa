"""A visit for tests that need no page: what was ordered, and what it came to."""

from __future__ import annotations

from fleet.catalogue import load_catalogue
from fleet.model import Outcome, Reading
from fleet.optout import Finding, Order

ORDER = Order(
    load_catalogue().recipes["linkedin"], "anna-k", "en", ["ai_training"], {"cookies": [], "origins": []}, False
)
PROVED = Finding("ai_training", Outcome.OPTED_OUT, Reading.IN, Reading.OUT, read_back=True, picture=b"\x89PNG")
