"""Detects a browser that is gone: no call may wait for an answer that will never come."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


ANSWER_WITHIN = 20.0
"""Seconds. Calls that involve no server take a fraction of one; a browser that exceeds this hangs."""


class BrowserGone(Exception):
    """The browser or this tab's page crashed, or hangs (`is_stuck`); work in progress must be read again."""

    def __init__(self, what: str, *, is_stuck: bool = False) -> None:
        super().__init__(what)
        self.is_stuck = is_stuck


def end(gone: asyncio.Future[None], _what: object = None) -> None:
    """Mark the browser as gone; a callback for Playwright's events."""
    if not gone.done():
        gone.set_result(None)


async def unless_gone(
    gone: asyncio.Future[None], work: Coroutine[Any, Any, Answer], within: float = ANSWER_WITHIN
) -> Answer:
    """Await a call to the browser. Raises BrowserGone as soon as the browser is gone, or after `within` seconds.

    Playwright answers most calls with an error in that case, but not all: a page requested at the moment the browser
    was killed never arrived (seen with Playwright 1.65).
    """
    task = asyncio.ensure_future(work)
    either: set[asyncio.Future[Any]] = {task, gone}
    try:
        await asyncio.wait(either, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not task.done():
            task.cancel()
    if task.done() and not task.cancelled():
        return task.result()
    if gone.done():
        raise BrowserGone("the browser is gone")
    raise BrowserGone("the browser does not answer", is_stuck=True)


def guarded(
    within: float = ANSWER_WITHIN,
) -> Callable[
    [Callable[Concatenate[Any, Given], Coroutine[Any, Any, Answer]]],
    Callable[Concatenate[Any, Given], Coroutine[Any, Any, Answer]],
]:
    """Wrap a method in `unless_gone` with a timeout; its object has a future `gone`."""

    def decorate(
        method: Callable[Concatenate[Any, Given], Coroutine[Any, Any, Answer]],
    ) -> Callable[Concatenate[Any, Given], Coroutine[Any, Any, Answer]]:
        @functools.wraps(method)
        async def guard(self: Any, /, *args: Given.args, **kwargs: Given.kwargs) -> Answer:
            return await unless_gone(self.gone, method(self, *args, **kwargs), within)

        return guard

    return decorate
