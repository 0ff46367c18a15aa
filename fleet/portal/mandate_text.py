"""The text of a mandate in each language, for an organization to start from."""

from __future__ import annotations

from pathlib import Path

TEXTS = Path(__file__).parent / "texts"


def mandate_text(language: str, organization: str | None, contact: str | None) -> str:
    """Return the text with the organization's name and contact; placeholders stay where one is not given."""
    text = (TEXTS / f"mandate.{language}.txt").read_text("utf-8")
    return text.format(organization=organization or "{organization}", contact=contact or "{contact}")
