"""What happens when the browser goes away: no call may wait for an answer that nobody will give any more."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


ANSWER_WITHIN = 20.0
"""Seconds. What asks no server is answered in a fraction of one; who does not answer by then hangs."""


class BrowserGone(Exception):
    """The browser or this tab's page crashed, or hangs (`is_stuck`); what was under way must be looked at afresh."""

    def __init__(self, what: str, *, is_stuck: bool = False) -> None:
        super().__init__(what)
        self.is_stuck = is_stuck


def end(gone: asyncio.Future[None], _what: object = None) -> None:
    """Say that it is gone; a callback of Playwright's events."""
    if not gone.done():
        gone.set_result(None)


async def unless_gone(
    gone: asyncio.Future[None], work: Coroutine[Any, Any, Answer], within: float = ANSWER_WITHIN
) -> Answer:
    """Do some work with the browser; raises BrowserGone as soon as that is gone, and after `within` seconds.

    Playwright answers most calls with an error then, but not all: a page that was asked for in the very moment in which
    the browser was killed never came (seen with Playwright 1.65).
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
    """A method of something that has a future `gone`, done `unless_gone` and in time."""

    def decorate(
        method: Callable[Concatenate[Any, Given], Coroutine[Any, Any, Answer]],
    ) -> Callable[Concatenate[Any, Given], Coroutine[Any, Any, Answer]]:
        @functools.wraps(method)
        async def guard(self: Any, /, *args: Given.args, **kwargs: Given.kwargs) -> Answer:
            return await unless_gone(self.gone, method(self, *args, **kwargs), within)

        return guard

    return decorate
