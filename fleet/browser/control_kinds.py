"""The kinds of controls: how a page marks one up, and where its state is. snapshot.js receives this table.

A new kind is a member of `ControlKind` (fleet/model.py) and a row here. All existing kinds are set by one press.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from fleet.model import ControlKind

BUTTON = "button"
"""Not a kind in recipes: the button that a recipe's `save` presses."""


@dataclass(frozen=True)
class Markup:
    """Markup of one kind of control."""

    css: str
    """Selects elements and ARIA roles of this kind."""
    state: Literal["checked", "chosen"] | None
    """`checked`: its own property, or `aria-checked`; `chosen`: the same, for one of a group; None has no state."""
    may_be: str = ""
    """Elements to which the browser may give such a role and a name, if more than `css`."""


_ROWS: dict[ControlKind | str, Markup] = {
    ControlKind.SWITCH: Markup("[role=switch],input[type=checkbox]", "checked"),
    ControlKind.CHECKBOX: Markup("[role=checkbox],[role=switch],input[type=checkbox]", "checked"),
    ControlKind.RADIO: Markup("[role=radio],input[type=radio]", "chosen"),
    BUTTON: Markup("button", None, "button,summary,[role=button],input:is([type=submit],[type=button],[type=image])"),
}


def as_script_argument() -> dict[str, dict[str, Any]]:
    """Return the table by kind, in the form snapshot.js expects."""
    return {str(kind): asdict(row) | {"may_be": row.may_be or row.css} for kind, row in _ROWS.items()}
