"""What a control of each kind is on a page is said once: in control_kinds.py."""

from __future__ import annotations

from fleet.browser.control_kinds import BUTTON, as_script_argument
from fleet.model import ControlKind
from tests.conftest import ROOT


def test_each_kind_of_a_recipe_has_its_row() -> None:
    """And the page's script is handed all of them, with nothing left out."""
    table = as_script_argument()
    assert set(table) == {*ControlKind, BUTTON}
    assert table["radio"] == {
        "css": "[role=radio],input[type=radio]",
        "state": "chosen",
        "may_be": "[role=radio],input[type=radio]",
    }
    assert table["button"]["state"] is None and "summary" in table["button"]["may_be"]


def test_the_page_s_script_names_no_kind_itself() -> None:
    """A kind that is added to the table needs no second change there."""
    script = (ROOT / "fleet/browser/snapshot.js").read_text("utf-8")
    assert "KINDS[kind]" in script
    assert [kind for kind in ControlKind if f"kind === '{kind}'" in script or f"{kind}: '" in script] == []
