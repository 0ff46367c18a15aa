"""While the tool acts at the desk, a person's keys and clicks in the service's window reach nothing."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.browser.engine import Engine
from fleet.browser.find_browser import find_window_browser
from fleet.browser.network import Network
from fleet.browser.tab import Tab
from fleet.paths import REHEARSAL_RECIPES
from fleet.recipes.catalog import load_catalog
from fleet.rehearsal.process import RehearsalAccount, start_rehearsal
from tests.browser.test_crash import truth_of
from tests.desk.screen import Screen, screen

pytestmark = pytest.mark.xdist_group("desk")
CONTROL = "assistant"
IN_REACH = """() => {
    const field = document.body.appendChild(document.createElement('input'));
    field.style = 'position: fixed; right: 0; bottom: 80px; width: 120px; height: 60px';
    const button = document.body.appendChild(document.createElement('button'));
    button.style = 'position: fixed; right: 0; bottom: 0; width: 120px; height: 60px; overflow: hidden';
    button.onclick = () => { button.textContent += 'pressed '; };
    globalThis.reached = () => [field.value, button.textContent];
    field.focus();
}"""
"""A field that has the focus, and a button, at the lower end of the page."""
FIELD, BUTTON = (1220, 790), (1220, 870)


async def test_a_key_and_a_click_during_the_press_reach_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither while the page is shielded nor in the moment of the press, which is done once; then they do again."""
    recipe = load_catalog([REHEARSAL_RECIPES]).recipes["intranet"]
    control = recipe.controls[CONTROL]
    who = RehearsalAccount("e1", "intranet", "person-e1", "E", "en", "switched_on")
    with screen() as display, start_rehearsal([who]) as rehearsal:
        monkeypatch.setenv("DISPLAY", display.display)
        state = rehearsal.storage_state("e1", "intranet")
        assert state is not None
        network = Network(dict(rehearsal.resolve), (rehearsal.spki,))
        engine = Engine(find_window_browser(), network, sandbox=False, is_visible=True)
        try:
            async with engine.tab(recipe.hosts, state, "en", recipe.session) as tab:
                await tab.load(control.page)
                await tab._page.evaluate(IN_REACH)
                async with tab.in_persons_hands():
                    display.click(*FIELD)
                    await until(tab, display, "a", ["a", ""])
                    display.click(*BUTTON)
                    await tab._page.wait_for_function("() => reached()[1] === 'pressed '")
                await tab._page.evaluate(IN_REACH)
                display.press("b")
                display.click(*BUTTON)
                click = tab._page.mouse.click

                async def together(x: float, y: float) -> None:
                    """The person acts in the moment in which the tool presses."""
                    display.press("c")
                    display.click(*BUTTON)
                    display.press("space")
                    await click(x, y)

                monkeypatch.setattr(tab._page.mouse, "click", together)
                assert await tab.press(control.find, control.kind, control.opted_out == "off") is True
                await tab.saved()
                async with tab.in_persons_hands():
                    display.click(*FIELD)
                    await until(tab, display, "z", ["z", ""])
        finally:
            await engine.stop()
        truth = truth_of(rehearsal, "e1")
    assert (truth["controls"][CONTROL], truth["writes"][CONTROL]) == ("out", 1)


async def until(tab: Tab, display: Screen, key: str, expected: list[Any]) -> None:
    """Press a key once; what was pressed before it has arrived by then, if it arrives at all."""
    display.press(key)
    await tab._page.wait_for_function("key => reached()[0].endsWith(key)", arg=key)
    assert await tab._page.evaluate("reached()") == expected
