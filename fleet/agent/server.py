"""The agent's process: one socket, one run, and an end as soon as nobody needs it any more.

It ends on `finish`, on a signal, or when the process that it belongs to is gone (pidfd), however that one went.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from fleet.advice import next_step
from fleet.agent.diagnostics import diagnostics, note_unhandled, without_text
from fleet.agent.protocol import MAX_MESSAGE, VERSION, result_fields
from fleet.agent.run import Run
from fleet.errors import AgentError, FleetError
from fleet.leftovers import reap
from fleet.model import Reason, Result


class Agent:
    """Serves one run on a Unix socket (0600) in a private folder that is removed at the end."""

    def __init__(self, socket_path: Path, open_run: Callable[[], Awaitable[Run]], *, belongs_to_play: bool) -> None:
        self._socket_path = socket_path
        self._open_run = open_run
        self._belongs_to_play = belongs_to_play
        self._opening: asyncio.Task[Run] | None = None
        self._ended: asyncio.Future[Reason | None] | None = None
        self._closed = asyncio.Event()
        self._failure: FleetError | None = None
        self._visiting = 0

    async def serve(self, owners: list[int]) -> None:
        """Serve until the run is over; `owners` are pidfds of processes without which there is no run."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(note_unhandled)
        self._ended = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._end, Reason.INTERRUPTED)
        for owner in owners:
            loop.add_reader(owner, self._end, Reason.INTERRUPTED)
        # Listening comes first: opening takes about a second, and requests may wait for it.
        server = await self._listen()
        self._opening = asyncio.create_task(self._open())
        try:
            stopped = await self._ended
            for owner in owners:
                loop.remove_reader(owner)
            await self._close(stopped)
        finally:
            self._closed.set()
            await asyncio.sleep(0.05)  # let the answer to `finish` out
            server.close()
            reap(self._socket_path.parent)

    def _end(self, reason: Reason | None) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(reason)

    async def _listen(self) -> asyncio.Server:
        temporary = self._socket_path.with_suffix(".new")
        server = await asyncio.start_unix_server(self._converse, temporary, limit=MAX_MESSAGE)
        temporary.chmod(0o600)
        temporary.rename(self._socket_path)
        return server

    async def _open(self) -> Run:
        try:
            return await self._open_run()
        except FleetError as error:
            self._failure = error
            diagnostics.error("run.refused", error=type(error).__name__)
            raise
        except Exception as error:
            told = without_text(error)
            diagnostics.error("run.failed", **told)
            self._failure = AgentError(
                f"The run could not be opened: {told['error']} at {told['at'][-1]}. This is a mistake of ours; "
                "nothing was touched. Please report it."
            )
            raise self._failure from None

    async def _close(self, stopped: Reason | None) -> None:
        assert self._opening is not None
        if not self._opening.done() and stopped is not None:
            self._opening.cancel()
        with contextlib.suppress(FleetError, asyncio.CancelledError):
            run = await self._opening
            try:
                await run.close(stopped)
            except FleetError as error:
                self._failure = error

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _peer_uid(writer) != os.getuid():
                return
            async for line in reader:
                answer = await self._answer(line)
                writer.write(json.dumps({"v": VERSION} | answer).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            return  # the other side went away, or sent a line without end
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            operation, version = request["op"], request["v"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return {"error": "not a request of this protocol"}
        if version != VERSION:
            return {"error": f"this agent speaks version {VERSION} of the protocol; use the role of its own release"}
        if operation == "finish":
            return await self._finish()
        try:
            assert self._opening is not None
            run = await asyncio.shield(self._opening)
        except FleetError as error:
            return {"error": str(error), "exit_code": error.exit_code}
        except asyncio.CancelledError:
            return {"error": "the run was interrupted", "exit_code": 130}
        if operation == "ready":
            return {"run": run.spec.run_id, "visiting": self._visiting}
        if operation == "visit":
            return await self._visit(run, request.get("employee"))
        return {"error": "unknown operation"}

    async def _visit(self, run: Run, employee: object) -> dict[str, Any]:
        if not isinstance(employee, str):
            return {"error": "an employee is named by a text"}
        if not run.knows(employee):
            return {"error": f"{employee} is not in the plan of this run"}
        self._visiting += 1
        try:
            results = await run.visit(employee)
        finally:
            self._visiting -= 1
        answer: dict[str, Any] = {"results": [self._fields(run, result) for result in results]}
        if self._belongs_to_play:
            # The callback plugin finishes only an agent that belongs to its own play.
            answer["agent"] = str(self._socket_path)
        return answer

    def _fields(self, run: Run, result: Result) -> dict[str, Any]:
        return result_fields(result, next_step(result, run.service_name(result.service)))

    async def _finish(self) -> dict[str, Any]:
        self._end(None)
        await self._closed.wait()
        answer: dict[str, Any] = {}
        with contextlib.suppress(BaseException):
            assert self._opening is not None
            run = self._opening.result()
            answer = {"run": run.spec.run_id, "counts": run.counts, "log": str(run.log_path)}
        if self._failure is not None:
            answer |= {"error": str(self._failure), "exit_code": self._failure.exit_code}
        return answer


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    peer: socket.socket = writer.get_extra_info("socket")
    if not hasattr(socket, "SO_PEERCRED"):
        return os.getuid()  # no peer credentials on this system: the socket's mode (0600) must do
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])
