"""Calls the functions of snapshot.js beside a page's own scripts, in a world that those cannot see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playwright.async_api import CDPSession
from playwright.async_api import Error as PlaywrightError

SOURCE = Path(__file__).with_name("snapshot.js").read_text("utf-8")
"""An expression whose value is the object of functions."""


class PageScript:
    """snapshot.js in the main frame's present document.

    Over the protocol itself: what Playwright puts into each document in order to evaluate costs more than a look.
    """

    def __init__(self, devtools: CDPSession) -> None:
        self._devtools = devtools
        self._world: int | None = None

    def forget_document(self) -> None:
        """A new document was loaded: the next call goes there."""
        self._world = None

    async def call(self, function: str, *arguments: object) -> Any:
        """Call a function; its value as JSON has it. Raises PlaywrightError between two documents."""
        if self._world is None:
            tree = await self._devtools.send("Page.getFrameTree")
            world = {"frameId": tree["frameTree"]["frame"]["id"], "worldName": "fleet"}
            self._world = (await self._devtools.send("Page.createIsolatedWorld", world))["executionContextId"]
        call = {
            "expression": f"{SOURCE}.{function}({', '.join(json.dumps(argument) for argument in arguments)})",
            "contextId": self._world,
            "returnByValue": True,
        }
        try:
            answer = await self._devtools.send("Runtime.evaluate", call)
        except PlaywrightError:
            self._world = None  # it ended with its document
            raise
        if "exceptionDetails" in answer:
            raise PlaywrightError(f"{function} failed in the page")
        return answer["result"].get("value")
