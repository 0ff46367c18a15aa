"""Calls the functions of snapshot.js beside a page's own scripts, in a world that those cannot see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playwright.async_api import CDPSession
from playwright.async_api import Error as PlaywrightError

SOURCE = Path(__file__).with_name("snapshot.js").read_text("utf-8")
"""An expression whose value is the object of functions."""
_PRESSES = ("click", "change", "input", "mousedown", "mouseup", "pointerdown", "pointerup")
_IS_HEARD = f"""(nodes => !nodes || nodes.some(node => {{
    const heard = getEventListeners(node);
    return {json.dumps(_PRESSES)}.some(type => heard[type]?.length);
}}))"""
"""With what Chromium offers to its console only (`includeCommandLineAPI`)."""


class PageScript:
    """snapshot.js in the main frame's present document.

    Over the protocol itself: what Playwright puts into each document in order to evaluate costs more than a look.
    """

    def __init__(self, devtools: CDPSession) -> None:
        self._devtools = devtools
        self._frame: str | None = None
        self._world: int | None = None
        self._is_there = False

    def forget_document(self) -> None:
        """A new document was loaded: the next call goes there."""
        self._world = None
        self._is_there = False

    async def call(self, function: str, *arguments: object) -> Any:
        """Call a function; its value as JSON has it. Raises PlaywrightError between two documents."""
        try:
            world = await self._own_world()
            # The source goes there once a document: sending it with each call would cost more than most calls do.
            functions = "fleet" if self._is_there else f"(globalThis.fleet = {SOURCE})"
            value = await self._evaluate(f"{functions}.{_invoked(function, arguments)}", contextId=world)
        except PlaywrightError:
            self._frame = None
            self.forget_document()
            raise
        self._is_there = True
        return value

    async def listens(self, function: str, *arguments: object) -> bool:
        """True if any of the nodes that a function gives has a listener for presses, or if it gives none.

        Asked in the page's own world: Chromium tells of listeners in the world of the asker only.
        """
        nodes = f"{SOURCE}.{_invoked(function, arguments)}"
        return bool(await self._evaluate(f"{_IS_HEARD}({nodes})", includeCommandLineAPI=True))

    async def _own_world(self) -> int:
        if self._frame is None:
            self._frame = (await self._devtools.send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
        if self._world is None:
            world = {"frameId": self._frame, "worldName": "fleet"}
            self._world = (await self._devtools.send("Page.createIsolatedWorld", world))["executionContextId"]
        return self._world

    async def _evaluate(self, expression: str, **how: Any) -> Any:
        answer = await self._devtools.send("Runtime.evaluate", {"expression": expression, "returnByValue": True, **how})
        if "exceptionDetails" in answer:
            raise PlaywrightError("the script failed in the page")
        return answer["result"].get("value")


def _invoked(function: str, arguments: tuple[object, ...]) -> str:
    return f"{function}({', '.join(json.dumps(argument) for argument in arguments)})"
