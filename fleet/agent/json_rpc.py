"""Requests in both directions over one stream, one JSON object per line, between the agent and a worker.

{"ask": 1, "op": "visit", ...}  ->  {"answer": 1, ...}  or  {"answer": 1, "error": SENTENCE}
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from fleet.agent.diagnostics import diagnostics, without_text

MAX_AT_ONCE = 1000
"""Maximum number of requests being answered; a worker has a few for each of its forks."""
MAX_BYTES_AT_ONCE = 64 * 1024 * 1024
"""Maximum size of those requests in bytes, pictures included."""
MAX_SENTENCE = 1000
"""Maximum length in characters of an error from the other side."""

Answer = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Handles a request from the other side, given the operation's name and its fields."""


class ChannelError(Exception):
    """The other side is gone or violates the protocol. The text says which and quotes nothing."""


class Refused(Exception):
    """The other side answered with an error; the text is its sentence. `is_input` if an input is at fault."""

    def __init__(self, sentence: str, *, is_input: bool = False) -> None:
        super().__init__(sentence)
        self.is_input = is_input


class Channel:
    """One end of the connection. `run` reads until the end; `ask` may be called as soon as it runs."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._answering: dict[asyncio.Task[None], int] = {}
        self._ended: ChannelError | None = None
        self.heard_at = asyncio.get_running_loop().time()
        """When the last message arrived, on the event loop's clock."""

    async def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Return the answer to a request. Raises Refused with the other side's sentence, ChannelError if it is gone."""
        if self._ended is not None:
            raise self._ended
        number = next(self._numbers)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._send({"ask": number, "op": op, **fields})
            answer: dict[str, Any] = await waiting
        finally:
            del self._waiting[number]
        if "error" in answer:
            sentence = str(answer["error"])[:MAX_SENTENCE].encode(errors="replace").decode()
            raise Refused(sentence, is_input=answer.get("is_input") is True)
        return answer

    async def run(self) -> None:
        """Read until the other side is gone; then fail all pending requests and cancel those being answered."""
        why = "it is gone"
        try:
            async for line in self._reader:
                self.heard_at = asyncio.get_running_loop().time()
                self._take(json.loads(line), len(line))
        except ConnectionError:
            pass
        except (ValueError, KeyError, TypeError, RecursionError):
            why = "it does not speak as it should"
        finally:
            self._end(ChannelError(why))
            self._writer.close()

    def close(self) -> None:
        """Close the connection. Messages already written may still be delivered."""
        self._end(ChannelError("it was let go"))
        self._writer.close()
        self._reader.feed_eof()  # the other side may keep its own end open

    def _end(self, why: ChannelError) -> None:
        self._ended = self._ended or why
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(self._ended)
        for answering in list(self._answering):
            answering.cancel()

    def _take(self, message: dict[str, Any], size: int) -> None:
        if "answer" in message:
            waiting = self._waiting.get(message["answer"])
            if waiting is not None and not waiting.done():  # the caller may have been canceled meanwhile
                waiting.set_result(message)
            return
        if len(self._answering) >= MAX_AT_ONCE or sum(self._answering.values()) > MAX_BYTES_AT_ONCE:
            raise ValueError("more questions than anybody has")
        number, op = message.pop("ask"), message.pop("op")
        answering = asyncio.create_task(self._reply(number, op, message))
        self._answering[answering] = size
        answering.add_done_callback(self._answering.pop)

    async def _reply(self, number: int, op: str, fields: dict[str, Any]) -> None:
        try:
            answer = await self._answer(op, fields)
        except Refused as refused:
            answer = {"error": str(refused), "is_input": refused.is_input}
        except Exception as error:
            diagnostics.error("channel.failed", **without_text(error))
            answer = {"error": f"{type(error).__name__}, a mistake of ours"}
        with contextlib.suppress(ChannelError):
            await self._send({"answer": number, **answer})

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            self._writer.write(json.dumps(message).encode() + b"\n")
            await self._writer.drain()
        except (ConnectionError, RuntimeError):
            raise self._ended or ChannelError("it is gone") from None
