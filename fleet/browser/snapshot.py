"""What a page shows at one moment: the words between the tab that looks and the code that judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fleet.model import ControlKind
from fleet.recipes.recipe import Find, Sign


@dataclass(frozen=True)
class Box:
    """A rectangle in the document, in CSS pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Seen:
    """One control as the page shows it. `state` is its property (checked), None where it says nothing.

    `name` is what the browser calls it, `caption` the text of a label that stands in for a hidden input; `language` is
    the one that the page declares for it. Each is empty where there is none.
    """

    state: bool | None
    enabled: bool
    uncovered: bool
    box: Box
    acts: bool = False
    """True for a link and the like: the browser itself does what a press asks for."""
    is_input: bool = True
    is_sent: bool = False
    """True for an input whose form has a button that sends it."""
    caption: str = ""
    language: str = ""
    name: str = ""

    @property
    def label(self) -> str:
        """What people hear or read it called."""
        return self.name or self.caption


@dataclass(frozen=True)
class Snapshot:
    """What a page shows at one moment."""

    address: str
    loaded: bool
    signs: tuple[bool, ...]
    identity: tuple[str, ...] | None
    ready: bool
    controls: tuple[Seen, ...]
    asks_password: bool = False
    """True if a form that asks for a password lies over the page."""

    @property
    def gist(self) -> tuple[object, ...]:
        """What must not change while a reading is waited for: all but boxes and what covers them."""
        states = tuple((seen.state, seen.enabled, seen.label) for seen in self.controls)
        return self.address, self.loaded, self.signs, self.identity, self.ready, states, self.asks_password


@dataclass(frozen=True)
class Wanted:
    """What a snapshot is to look for."""

    signs: Sequence[Sign] = ()
    identity_css: str | None = None
    identity_attribute: str | None = None
    ready: str | None = None
    find: Find | None = None
    kind: ControlKind | None = None
    strictly: bool = False
    """Whether a property and an attribute that say different things of a control make its state unreadable."""

    def as_script_argument(self) -> dict[str, Any]:
        """The argument of `snapshot` in snapshot.js."""
        return {
            "signs": [{"css": sign.css, "heading": sign.heading} for sign in self.signs],
            "identity": {"css": self.identity_css, "attribute": self.identity_attribute} if self.identity_css else None,
            "ready": self.ready,
            "css": self.find.css if self.find else None,
            "kind": self.kind,
            "strictly": self.strictly,
        }
