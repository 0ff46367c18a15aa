"""A line to a port of loopback that is as long as one likes, and that can go dead without a word."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType


class Line:
    """Stands where a network would be: what is sent arrives `delay` seconds later, or, once it was cut, never.

    Nobody is told of a cut: connections stay open on both sides, as they do when a cable is pulled.
    """

    def __init__(self, to: int, delay: float = 0.0) -> None:
        self._to, self._delay, self._cut = to, delay, False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: list[asyncio.StreamWriter] = []

    def __enter__(self) -> Line:
        self._thread.start()
        server = asyncio.start_server(self._connect, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(server, self._loop).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self) -> None:
        """From now on nothing arrives any more, in either direction."""
        self._cut = True

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._open += [writer, far_writer]
        await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer), return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def arrive() -> None:
            while True:
                due, piece = await under_way.get()
                await asyncio.sleep(due - self._loop.time())
                if self._cut:
                    return
                if not piece:
                    writer.close()
                    return
                writer.write(piece)
                await writer.drain()

        arriving = asyncio.ensure_future(arrive())
        piece = b"-"
        while piece:
            piece = await reader.read(65536)
            under_way.put_nowait((self._loop.time() + self._delay, piece))
        await arriving

    async def _close(self) -> None:
        self._server.close()
        for writer in self._open:
            writer.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
