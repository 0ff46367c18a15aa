"""The agent's process: one socket, one run, and an end as soon as it is no longer needed.

It ends on `finish`, on a signal, or when the process that owns it is gone (pidfd), however that process ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fleet.agent.diagnostics import diagnostics, note_unhandled, without_text
from fleet.agent.protocol import task_fields
from fleet.agent.remote import RemoteVisitor, RemoteVisitors
from fleet.agent.run import Run
from fleet.agent.unix_server import listen, parse
from fleet.errors import AgentError, BusyError, FleetError, WorkerError, told
from fleet.model import Reason
from fleet.orphans import reap
from fleet.state.acts import ACT


class Agent:
    """Serves one run on a Unix socket (0600) in a private folder that is removed at the end."""

    def __init__(
        self,
        socket_path: Path,
        open_run: Callable[[RemoteVisitors], Awaitable[Run]],
        announce: Callable[[Path], None],
        *,
        belongs_to_play: bool,
    ) -> None:
        self._socket_path = socket_path
        self._open_run = open_run
        self._announce = announce
        self._belongs_to_play = belongs_to_play
        self._opening: asyncio.Task[Run] | None = None
        self._ended: asyncio.Future[Reason | None] | None = None
        self._closed = asyncio.Event()
        self._failure: FleetError | None = None
        self._visiting = 0
        self._workers: RemoteVisitors

    async def serve(self, owners: list[int]) -> None:
        """Serve until the run is over. `owners` are pidfds; the run ends when one of those processes does."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(note_unhandled)
        self._ended = loop.create_future()
        self._workers = RemoteVisitors(self._visited)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._end, Reason.INTERRUPTED)
        for owner in owners:
            loop.add_reader(owner, self._end, Reason.INTERRUPTED)
        # Listen first: opening takes about a second, and requests may wait for it.
        server = await listen(self._socket_path, self._talk)
        self._announce(self._socket_path)
        self._opening = asyncio.create_task(self._open())
        try:
            stopped = await self._ended
            for owner in owners:
                loop.remove_reader(owner)
            await self._close(stopped)
        finally:
            self._workers.let_go()
            self._closed.set()
            await asyncio.sleep(0.05)  # let the answer to `finish` out
            server.close()
            reap(self._socket_path.parent)

    def _end(self, reason: Reason | None) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(reason)

    async def _open(self) -> Run:
        try:
            return await self._open_run(self._workers)
        except FleetError as error:
            self._failure = error
            diagnostics.error("run.refused", error=type(error).__name__)
            raise
        except OSError as error:
            diagnostics.error("run.failed", **without_text(error))
            self._failure = AgentError(f"The run could not be opened: {told(error)}")
            raise self._failure from None
        except Exception as error:
            where = without_text(error)
            diagnostics.error("run.failed", **where)
            self._failure = AgentError(
                f"The run could not be opened: {where['error']} at {where['at'][-1]}. This is a mistake of ours; "
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
            except OSError as error:
                diagnostics.error("run.failed", **without_text(error))
                self._failure = AgentError(told(error))

    async def _talk(
        self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> dict[str, Any] | None:
        request = parse(line)
        if "error" in request:
            return request
        if request["op"] == "alive":
            return {}
        if request["op"] == "finish":
            return await self._finish()
        if request["op"] == "assign":
            name = request.get("worker")
            socket = self._workers.assign(name, request.get("employees"))
            if socket is not None:
                return {"socket": socket}
            return {"error": f"Worker {name}: its connection has ended.", "worker": name}
        if request["op"] == "work":
            name, ways = request.get("worker"), request.get("ways")
            if not isinstance(ways, dict) or not self._workers.lack(name):
                return {"error": "this run waits for no such worker"}
            await self._workers.employ(str(name), ways, reader, writer)
            return None
        try:
            assert self._opening is not None
            if request["op"] == "loopback":
                return await self._loopback()
            run = await asyncio.shield(self._opening)
        except FleetError as error:
            return self._refusal(error)
        except asyncio.CancelledError:
            return {"error": "the run was interrupted", "exit_code": 130}
        if request["op"] == "act":
            return await self._act(run, request.get("act"))
        if request["op"] == "ready":
            told = [asdict(one) for one in run.told]
            return {"run": run.spec.run_id, "visiting": self._visiting, "workers": self._workers.names, "told": told}
        if request["op"] == "visit":
            return await self._visit(run, request.get("employee"))
        return {"error": "unknown operation"}

    @staticmethod
    def _refusal(error: FleetError) -> dict[str, Any]:
        worker = {"worker": error.worker} if isinstance(error, WorkerError) else {}
        busy = {"busy": True} if isinstance(error, BusyError) else {}
        return {"error": str(error), "exit_code": error.exit_code, **worker, **busy}

    async def _act(self, run: Run, given: object) -> dict[str, Any]:
        """Carry out an act for a command. Only valid acts are accepted."""
        try:
            act = ACT.validate_python(given)
        except ValidationError:
            return {"error": f"Run {run.spec.run_id} does not know such an act; use the release that it runs with."}
        try:
            return await run.perform(act)
        except FleetError as error:
            return self._refusal(error)

    async def _loopback(self) -> dict[str, Any]:
        """Return the loopback addresses that workers must reach, once known. Raises what keeps the run from opening."""
        assert self._opening is not None
        either: list[asyncio.Future[Any]] = [self._opening, self._workers.loopback]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._workers.loopback.done():
            return {"loopback": self._workers.loopback.result()}
        await asyncio.shield(self._opening)
        return {"loopback": []}  # the run has no workers

    async def _visited(self, employee: object, worker: RemoteVisitor) -> dict[str, Any]:
        """Return the answer to a play on a worker, using that worker's browsers."""
        assert self._opening is not None
        return await self._visit(await asyncio.shield(self._opening), employee, worker)

    async def _visit(self, run: Run, employee: object, worker: RemoteVisitor | None = None) -> dict[str, Any]:
        if not isinstance(employee, str):
            return {"error": "an employee is named by a text"}
        if not run.knows(employee):
            return {"error": f"{employee} is not in the plan of this run"}
        self._visiting += 1
        try:
            results = await run.visit(employee, worker)
        except FleetError as error:
            return self._refusal(error)
        finally:
            self._visiting -= 1
        task = task_fields(employee, results)
        if self._belongs_to_play:
            # The callback plugin finishes an agent only if it belongs to its own play.
            task["agent"] = str(self._socket_path)
        return {"task": task}

    async def _finish(self) -> dict[str, Any]:
        self._end(None)
        await self._closed.wait()
        answer: dict[str, Any] = {}
        with contextlib.suppress(BaseException):
            assert self._opening is not None
            run = self._opening.result()
            told = [asdict(one) for one in run.told]
            answer = {"run": run.spec.run_id, "counts": run.counts, "log": str(run.log_path), "told": told}
        if self._failure is not None:
            answer |= self._refusal(self._failure)
        return answer
