"""A form or letter that an employee signs and sends at the desk. Nothing of this tool touches its page."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.recipes.labels import in_language
from fleet.recipes.recipe import Recipe
from fleet.recipes.request import Request

EMPTY = "about:blank"
"""What the plain window shows for a letter: the employee opens their own mail there."""


@dataclass(frozen=True)
class Signing:
    """One request of a recipe, and who signs it."""

    recipe: Recipe
    name: str
    """Of the request, such as `objection`."""
    person: str
    locale: str | None

    @property
    def request(self) -> Request:
        """The form or letter."""
        return self.recipe.requests[self.name]

    @property
    def choices(self) -> tuple[str, tuple[str, ...]] | None:
        """Of a form: the exact labels to choose, after their language."""
        labels = {language: tuple(names) for language, names in self.request.choices.items()}
        return in_language(labels, self.locale or "en")

    @property
    def text(self) -> tuple[str, str] | None:
        """The text to copy, after its language."""
        return in_language(self.request.text, self.locale or "en")
