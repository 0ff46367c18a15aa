"""What a person's browser has left is read from its profile, and from nowhere else."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from fleet.browser.engine import Engine
from fleet.browser.find_browser import BrowserProgram
from fleet.browser.network import Network
from fleet.recipes.recipe import SessionParts
from fleet.rehearsal.process import RehearsalAccount, start_rehearsal
from fleet.sessions.storage_state import StorageState
from tests.confinement.namespace import full_browser

PORTAL = "https://people.intranet.example"
KEEP = """async () => {
    localStorage.setItem("portal_token", "marker-1")
    const opened = indexedDB.open("portal", 1)
    opened.onupgradeneeded = () => opened.result.createObjectStore("session").put("marker-2", "token")
    await new Promise(done => { opened.onsuccess = done })
    opened.result.close()
}"""


def test_storage_and_databases_of_a_session_are_read_without_a_connection(tmp_path: Path) -> None:
    """Not only cookies: what the recipe names of the service's hosts, although the service is not there any more."""
    program = BrowserProgram(Path(shutil.which(full_browser()) or ""), "Chromium")
    who = RehearsalAccount("press.office", "intranet", "press.office", "Press Office", "en", "switched_on")
    with start_rehearsal([who]) as rehearsal, sync_playwright() as playwright:
        arguments = Network(dict(rehearsal.resolve), (rehearsal.spki,)).arguments(rehearsal.resolve)
        left = playwright.chromium.launch_persistent_context(tmp_path, executable_path=program.path, args=arguments)
        page = left.new_page()
        page.goto(f"{PORTAL}/sign-in")
        page.evaluate(KEEP)
        page.context.add_cookies([{"name": "kept", "value": "marker-3", "url": PORTAL, "expires": 4102444800}])
        left.close()

    async def read() -> dict[str, Any]:
        engine = Engine(program, Network(), sandbox=False)
        session = SessionParts(frozenset(), frozenset({"portal_token"}), frozenset({"portal"}))
        try:
            return await engine.profile_state(tmp_path, ["people.intranet.example:443"], session)
        finally:
            await engine.stop()

    state = StorageState.model_validate(asyncio.run(read()))
    assert {cookie.name: cookie.value for cookie in state.cookies} == {"kept": "marker-3"}
    [origin] = state.origins
    assert origin.origin == PORTAL
    assert [(item.name, item.value) for item in origin.local_storage] == [("portal_token", "marker-1")]
    [database] = origin.indexed_db or []
    assert (database.name, database.stores[0].records) == ("portal", [{"key": "token", "value": "marker-2"}])
