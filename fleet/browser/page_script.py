"""Calls the functions of snapshot.js in an isolated world, invisible to the page's own scripts."""

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
"""A JavaScript expression that evaluates to the object of functions."""

Node = str
"""The protocol's handle to a node of the current document."""


class PageScript:
    """snapshot.js in the main frame's current document, and the browser's own data about its nodes.

    It uses the protocol directly: the script that Playwright injects into each document for `evaluate` costs more than
    a snapshot, and a page can break it (`eval`, `toJSON`).
    """

    def __init__(self, devtools: CDPSession) -> None:
        self._devtools = devtools
        self._frame: str | None = None
        self._world: int | None = None
        self._is_there = False

    def forget_document(self) -> None:
        """Note that a new document was loaded: the next call goes there."""
        self._world = None
        self._is_there = False

    async def call(self, function: str, *arguments: object, on: Sequence[Node] | None = None) -> Any:
        """Call a function and return its JSON value. Its first argument is the nodes in `on`, if given.

        Raises PlaywrightError between two documents.
        """
        return (await self._call(function, arguments, on, by_value=True)).get("value")

    async def nodes(self, function: str, *arguments: object, on: Sequence[Node] | None = None) -> list[Node] | None:
        """Return the nodes that a function returns, or None if it returns no nodes at all. Raises as `call` does."""
        given = await self._call(function, arguments, on, by_value=False)
        if "objectId" not in given:
            return None
        members = await self._devtools.send(
            "Runtime.getProperties", {"objectId": given["objectId"], "ownProperties": True}
        )
        return [one["value"]["objectId"] for one in members["result"] if one["name"].isdigit()]

    async def name_of(self, node: Node) -> str:
        """Return the accessible name that the browser computes for a node; empty if it has no name or is hidden."""
        tree = await self._devtools.send("Accessibility.getPartialAXTree", {"objectId": node, "fetchRelatives": False})
        return str(tree["nodes"][0].get("name", {}).get("value") or "") if tree["nodes"] else ""

    async def listens(self, nodes: Sequence[Node], events: Collection[str]) -> bool:
        """Return True if a script listens for one of the events on one of the nodes, inside the first, or on window."""
        window = (await self._devtools.send("Runtime.evaluate", {"expression": "window"}))["result"]["objectId"]
        asked = [(node, 1) for node in (*nodes, window)]
        asked[0] = (nodes[0], -1)
        answers = await asyncio.gather(*(self._listeners(node, depth) for node, depth in asked))
        return any(event in events for heard in answers for event in heard)

    async def _listeners(self, node: Node, depth: int) -> list[str]:
        # Includes listeners of all worlds and, below the node, in closed shadow roots.
        asked = {"objectId": node, "depth": depth, "pierce": True}
        found = await self._devtools.send("DOMDebugger.getEventListeners", asked)
        return [listener["type"] for listener in found["listeners"]]

    async def _call(
        self, function: str, arguments: Sequence[object], on: Sequence[Node] | None, *, by_value: bool
    ) -> dict[str, Any]:
        try:
            world = await self._own_world()
            if not self._is_there:
                # Send the source once per document: sending it with each call would cost more than most calls.
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
