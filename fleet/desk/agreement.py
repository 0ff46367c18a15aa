"""What the desk's screen asks an employee who has given no mandate yet, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from fleet.recipes.labels import covers
from fleet.recipes.recipe import Control


@dataclass(frozen=True)
class Label:
    """What a service calls a control, in a language."""

    language: str
    text: str


def label_of(control: Control, locale: str | None) -> Label:
    """Return a control's label in the employee's language; its title if the recipe has none."""
    labels = (Label(language, names[0]) for language, names in control.find.names.items())
    return next((label for label in labels if covers(label.language, locale or "en")), Label("en", control.title))


@dataclass(frozen=True)
class Choice:
    """One service for which a mandate is asked, and its controls, such as `linkedin.ai_training`."""

    service: str
    name: str
    controls: Mapping[str, Label]
    terms: str
    profile: str | None
    """The employee's profile; None if they must enter it."""
    example: str | None = None
    """A profile's address, to copy the form from."""
    is_wrong: bool = False
    """Whether what they entered is not a profile."""


@dataclass(frozen=True)
class Agreement:
    """A mandate that an employee may agree to. `text` is the whole approved text."""

    name: str
    locale: str | None
    choices: tuple[Choice, ...]
    text: str
    text_language: str
    expires_on: date


@dataclass(frozen=True)
class Agreed:
    """What the employee agreed to: controls such as `linkedin.ai_training`, and what they entered as their profiles."""

    controls: tuple[str, ...]
    profiles: Mapping[str, str] = field(default_factory=dict)
