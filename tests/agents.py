"""An agent on a real socket, for tests of what may talk to it: it has nothing but answers, as a real run needs a
browser."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from fleet.agent.protocol import MAX_MESSAGE
from fleet.agent.remote import RemoteVisitors
from fleet.agent.run import Run
from fleet.agent.server import Agent
from fleet.model import Outcome, Result

READY = b'{"v": 1, "op": "ready"}\n'
IS_READY = b'{"v": 1, "run": "r1", "visiting": 0, "workers": [], "told": []}'


def _run() -> Run:
    """A run that has nothing but answers: what is tested is the way to it, and a real one needs a browser."""

    async def visit(employee: str, worker: object) -> list[Result]:
        return [Result(employee, "linkedin", "ai_training", Outcome.OPTED_OUT)]

    stand_in = SimpleNamespace(
        spec=SimpleNamespace(run_id="r1"),
        knows=lambda name: name == "anna",
        visit=visit,
        told=[],
    )
    stand_in.close = lambda stopped: asyncio.sleep(0)
    return cast("Run", stand_in)


class Served:
    """An agent on a real socket until `close`; `failures` are tracebacks of its loop."""

    def __init__(self) -> None:
        self.failures: list[dict[str, Any]] = []
        self._runner = asyncio.Runner()
        self._runner.get_loop().set_exception_handler(lambda _loop, context: self.failures.append(context))
        self.path = Path(tempfile.mkdtemp(prefix="fuzz-")) / "run" / "agent.sock"
        self.path.parent.mkdir(mode=0o700)
        self._serving = self._runner.run(self._serve())

    async def _serve(self) -> asyncio.Task[None]:
        async def open_run(_workers: RemoteVisitors) -> Run:
            return _run()

        serving = asyncio.create_task(Agent(self.path, open_run, lambda _path: None, belongs_to_play=False).serve([]))
        while not self.path.exists():
            await asyncio.sleep(0.001)  # the socket appears under its name once it listens
        return serving

    def talk(self, sent: list[bytes], *, is_leaving: bool = False) -> list[bytes]:
        """Send piece by piece, and read until the agent has nothing more to say; or leave before it answers."""
        return self._runner.run(self._talk(sent, is_leaving))

    async def _talk(self, sent: list[bytes], is_leaving: bool) -> list[bytes]:
        reader, writer = await asyncio.open_unix_connection(self.path, limit=MAX_MESSAGE)
        try:
            for piece in sent:
                writer.write(piece)
                await writer.drain()
            if is_leaving:
                writer.transport.abort()
                return []
            writer.write_eof()
            return (await reader.read()).splitlines()
        except ConnectionError:
            return []
        finally:
            writer.close()

    def talk_as(self, uid: int) -> bytes:
        """What a process of another user is answered when it asks whether the run is ready."""
        return self._runner.run(asyncio.to_thread(_ask_as, uid, str(self.path)))

    def close(self) -> None:
        self.talk([b'{"v": 1, "op": "finish"}\n'])
        self._runner.run(asyncio.wait_for(self._serving, 5))
        self._runner.close()
        self.path.parent.parent.rmdir()


def _ask_as(uid: int, path: str) -> bytes:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(10)
                connection.connect(path)
                os.write(writer, b"connected ")
                connection.sendall(READY)
                os.write(writer, connection.recv(1000))
        except ConnectionError:
            os.write(writer, b"closed")
        except OSError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        said = told.read()
    os.waitpid(child, 0)
    return said
