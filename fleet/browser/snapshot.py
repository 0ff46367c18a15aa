"""What a page shows at one moment: the data passed from the tab to the code that judges it."""

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
    """One control as the page shows it. `state` is its property (checked), None if it gives no state.

    `name` is the accessible name from the browser, `caption` the text of a label that replaces a hidden input,
    `language` the one that the page declares for it. Each is empty if missing.
    """

    state: bool | None
    enabled: bool
    uncovered: bool
    box: Box
    acts: bool = False
    """True for links and similar elements: the browser itself carries out a press."""
    is_input: bool = True
    is_sent: bool = False
    """True for an input whose form has a submit button."""
    caption: str = ""
    language: str = ""
    name: str = ""

    @property
    def label(self) -> str:
        """The control's name as people hear or read it."""
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
    """True if a form with a password field covers the page."""

    @property
    def gist(self) -> tuple[object, ...]:
        """The parts that must stay stable during a reading: everything except boxes and what covers them."""
        states = tuple((seen.state, seen.enabled, seen.label) for seen in self.controls)
        return self.address, self.loaded, self.signs, self.identity, self.ready, states, self.asks_password


@dataclass(frozen=True)
class Wanted:
    """What a snapshot must collect."""

    signs: Sequence[Sign] = ()
    identity_css: str | None = None
    identity_attribute: str | None = None
    ready: str | None = None
    find: Find | None = None
    kind: ControlKind | None = None
    strictly: bool = False
    """True if a control whose property and attribute disagree counts as unreadable."""

    def as_script_argument(self) -> dict[str, Any]:
        """Return the argument of `snapshot` in snapshot.js."""
        return {
            "signs": [{"css": sign.css, "heading": sign.heading} for sign in self.signs],
            "identity": {"css": self.identity_css, "attribute": self.identity_attribute} if self.identity_css else None,
            "ready": self.ready,
            "css": self.find.css if self.find else None,
            "kind": self.kind,
            "strictly": self.strictly,
        }
