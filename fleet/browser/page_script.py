"""Calls the functions of snapshot.js beside a page's own scripts, in a world that those cannot see."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from playwright.async_api import CDPSession
from playwright.async_api import Error as PlaywrightError

SOURCE = Path(__file__).with_name("snapshot.js").read_text("utf-8")
"""An expression whose value is the object of functions."""
_GROUP = "fleet"
_OWN = {"ownProperties": True}
_PRESSES = frozenset({"click", "change", "input", "mousedown", "mouseup", "pointerdown", "pointerup"})


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
        how = {"contextId": await self._own_world(), "returnByValue": True}
        answer = await self._evaluate(function, arguments, how)
        return answer.get("value")

    async def listens(self, function: str, *arguments: object) -> bool:
        """True if any of the nodes that a function gives has a listener for presses, or if it gives none.

        Asked in the page's own world: Chromium tells of listeners in the world of the asker only.
        """
        nodes = await self._evaluate(function, arguments, {"objectGroup": _GROUP})
        if "objectId" not in nodes:
            return True
        try:
            listing = await self._devtools.send("Runtime.getProperties", {"objectId": nodes["objectId"], **_OWN})
            for item in listing["result"]:
                if "objectId" in item.get("value", {}) and item["name"].isdigit():
                    node = {"objectId": item["value"]["objectId"]}
                    heard = (await self._devtools.send("DOMDebugger.getEventListeners", node))["listeners"]
                    if any(listener["type"] in _PRESSES for listener in heard):
                        return True
            return False
        finally:
            with suppress(PlaywrightError):
                await self._devtools.send("Runtime.releaseObjectGroup", {"objectGroup": _GROUP})

    async def _own_world(self) -> int:
        if self._world is None:
            tree = await self._devtools.send("Page.getFrameTree")
            world = {"frameId": tree["frameTree"]["frame"]["id"], "worldName": "fleet"}
            self._world = (await self._devtools.send("Page.createIsolatedWorld", world))["executionContextId"]
        return self._world

    async def _evaluate(self, function: str, arguments: tuple[object, ...], how: dict[str, Any]) -> dict[str, Any]:
        call = {
            "expression": f"{SOURCE}.{function}({', '.join(json.dumps(argument) for argument in arguments)})",
            **how,
        }
        try:
            answer = await self._devtools.send("Runtime.evaluate", call)
        except PlaywrightError:
            self._world = None  # it ended with its document
            raise
        if "exceptionDetails" in answer:
            raise PlaywrightError(f"{function} failed in the page")
        result: dict[str, Any] = answer["result"]
        return result
