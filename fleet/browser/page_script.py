"""Calls the functions of snapshot.js beside a page's own scripts, in a world that those cannot see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from playwright.async_api import CDPSession
from playwright.async_api import Error as PlaywrightError

from fleet.browser.control_kinds import as_script_argument

_SOURCE = Path(__file__).with_name("snapshot.js").read_text("utf-8").rstrip()
FUNCTIONS = f"{_SOURCE}({json.dumps(as_script_argument())})"
"""An expression whose value is the object of functions."""

Node = str
"""The protocol's own handle to a node of the present document."""


class PageScript:
    """snapshot.js in the main frame's present document, and what the browser itself says of nodes there.

    Over the protocol itself: what Playwright puts into each document in order to evaluate costs more than a look, and
    a page can break it (`eval`, `toJSON`).
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

    async def call(self, function: str, *arguments: object, on: Sequence[Node] | None = None) -> Any:
        """Call a function, with nodes as its first argument where `on` gives any; its value as JSON has it.

        Raises PlaywrightError between two documents.
        """
        return (await self._call(function, arguments, on, by_value=True)).get("value")

    async def nodes(self, function: str, *arguments: object, on: Sequence[Node] | None = None) -> list[Node] | None:
        """The nodes that a function gives, or None if it gives none at all. Raises as `call` does."""
        given = await self._call(function, arguments, on, by_value=False)
        if "objectId" not in given:
            return None
        members = await self._devtools.send(
            "Runtime.getProperties", {"objectId": given["objectId"], "ownProperties": True}
        )
        return [one["value"]["objectId"] for one in members["result"] if one["name"].isdigit()]

    async def name_of(self, node: Node) -> str:
        """The accessible name that the browser computes for a node; empty if it has none, or is hidden."""
        tree = await self._devtools.send("Accessibility.getPartialAXTree", {"objectId": node, "fetchRelatives": False})
        return str(tree["nodes"][0].get("name", {}).get("value") or "") if tree["nodes"] else ""

    async def listens(self, nodes: Sequence[Node], events: Collection[str]) -> bool:
        """True if a script listens to one of the events at one of the nodes, inside of the first, or at the window."""
        window = (await self._devtools.send("Runtime.evaluate", {"expression": "window"}))["result"]["objectId"]
        asked = [(node, 1) for node in (*nodes, window)]
        asked[0] = (nodes[0], -1)
        answers = await asyncio.gather(*(self._listeners(node, depth) for node, depth in asked))
        return any(event in events for heard in answers for event in heard)

    async def _listeners(self, node: Node, depth: int) -> list[str]:
        # Those of all worlds and, below the node, of closed shadow roots too.
        asked = {"objectId": node, "depth": depth, "pierce": True}
        found = await self._devtools.send("DOMDebugger.getEventListeners", asked)
        return [listener["type"] for listener in found["listeners"]]

    async def _call(
        self, function: str, arguments: Sequence[object], on: Sequence[Node] | None, *, by_value: bool
    ) -> dict[str, Any]:
        try:
            world = await self._own_world()
            if not self._is_there:
                # The source goes there once a document: sending it with each call would cost more than most calls do.
                await self._send(
                    "Runtime.evaluate", {"expression": f"globalThis.fleet = {FUNCTIONS}", "contextId": world}
                )
            given = [*(["nodes"] if on is not None else []), *map(json.dumps, arguments)]
            how = {
                "functionDeclaration": f"(...nodes) => fleet.{function}({', '.join(given)})",
                "executionContextId": world,
                "arguments": [{"objectId": node} for node in on or ()],
                "returnByValue": by_value,
            }
            result = await self._send("Runtime.callFunctionOn", how)
        except PlaywrightError:
            self._frame = None
            self.forget_document()
            raise
        self._is_there = True
        return result

    async def _own_world(self) -> int:
        if self._frame is None:
            self._frame = (await self._devtools.send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
        if self._world is None:
            world = {"frameId": self._frame, "worldName": "fleet"}
            self._world = (await self._devtools.send("Page.createIsolatedWorld", world))["executionContextId"]
        return self._world

    async def _send(self, method: str, how: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = await self._devtools.send(method, how)
        if "exceptionDetails" in answer:
            raise PlaywrightError("the script failed in the page")
        result: dict[str, Any] = answer["result"]
        return result
