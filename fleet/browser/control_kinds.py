"""The kinds of controls: what is one on a page, and where its state is. snapshot.js is handed this table.

A new kind is a member of `ControlKind` (fleet/model.py) and a row here. All of today's are set by one press.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from fleet.model import ControlKind

BUTTON = "button"
"""Not a recipe's control: what a recipe's `save` presses."""


@dataclass(frozen=True)
class Markup:
    """How a page builds one kind of control."""

    css: str
    """Elements and ARIA roles that are one."""
    state: Literal["checked", "chosen"] | None
    """`checked`: its own property, or `aria-checked`; `chosen`: the same, of one in a group; None has no state."""
    may_be: str = ""
    """What the browser may give such a role and a name, where that is more than `css`."""


_ROWS: dict[ControlKind | str, Markup] = {
    ControlKind.SWITCH: Markup("[role=switch],input[type=checkbox]", "checked"),
    ControlKind.CHECKBOX: Markup("[role=checkbox],[role=switch],input[type=checkbox]", "checked"),
    ControlKind.RADIO: Markup("[role=radio],input[type=radio]", "chosen"),
    BUTTON: Markup("button", None, "button,summary,[role=button],input:is([type=submit],[type=button],[type=image])"),
}


def as_script_argument() -> dict[str, dict[str, Any]]:
    """The table by kind, as snapshot.js takes it."""
    return {str(kind): asdict(row) | {"may_be": row.may_be or row.css} for kind, row in _ROWS.items()}
