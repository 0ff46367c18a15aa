"""A local proxy between one Chromium and the network that admits the recipe's hosts and no others.

With a proxy, Chromium requests any host by name, and its resolver rules confine nothing. So this relay is its proxy,
and all other names fail to resolve. A full browser gets the relay even without an upstream proxy: when a name does not
resolve, it queries public name servers, bypassing its own rules, to see whether it is online.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from fleet.browser.proxy import DIAL_WITHIN, MAX_HEAD, NoWay, Streams, Upstream

MAX_CONNECTIONS = 64
"""Chromium itself opens at most 32 through one proxy."""
ASK_WITHIN = 10.0
"""Seconds within which a connection must name its destination."""
_CHUNK = 64 * 1024


class Relay:
    """Serves CONNECT on 127.0.0.1 to this user's processes. `hosts` and the keys of `mapped` are `host:port`.

    A host in `mapped` (loopback addresses, from `--resolve`) is reached there and never through the proxy; without
    `upstream` all hosts are reached directly.
    """

    def __init__(self, hosts: frozenset[str], mapped: Mapping[str, str], upstream: Upstream | None) -> None:
        self._hosts = hosts
        self._mapped = mapped
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen and return the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=MAX_HEAD)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Stop listening and close open connections."""
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving, timeout=1)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            if len(self._serving) <= MAX_CONNECTIONS and _is_own(writer):
                await self._relay(reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # either end disconnected, the request was late or over the limit, or the relay stops
        finally:
            self._serving.discard(task)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(ASK_WITHIN):
            head = await reader.readuntil(b"\r\n\r\n")
        asked = re.match(rb"CONNECT ([!-~]+) HTTP/1\.[01]\r\n", head)
        if asked is None:
            return  # plain http: no answer, as the page might take it for the service's own
        host = asked[1].decode().lower()
        if host not in self._hosts:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        try:
            beyond = await self._connect(host)
        except NoWay:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _join((reader, writer), beyond)
        finally:
            beyond[1].close()

    async def _connect(self, host: str) -> Streams:
        if host not in self._mapped and self._upstream is not None:
            return await self._upstream.connect(host)
        address, _, port = self._mapped.get(host, host).rpartition(":")
        try:
            async with asyncio.timeout(DIAL_WITHIN):
                return await asyncio.open_connection(address.strip("[]"), int(port), happy_eyeballs_delay=0.25)
        except OSError:
            raise NoWay("cannot be reached") from None


async def _join(one: Streams, other: Streams) -> None:
    """Copy data both ways until either end is done. Reading pauses while the other end accepts no data."""
    ways = [asyncio.create_task(_carry(one[0], other[1])), asyncio.create_task(_carry(other[0], one[1]))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


def _is_own(writer: asyncio.StreamWriter) -> bool:
    """Return True if the other end is an open socket of this user, according to the kernel's table of connections."""
    ends = [_as_in_table(*writer.get_extra_info(name)) for name in ("peername", "sockname")]
    for line in Path("/proc/self/net/tcp").read_text("ascii").splitlines()[1:]:
        _, local, remote, state, _, _, _, uid, _, inode, *_ = line.split()
        if [local, remote] == ends:
            # Older kernels list a socket that its process has already closed (inode 0) as root's.
            return state == "01" and inode != "0" and int(uid) == os.geteuid()
    return False


def _as_in_table(address: str, port: int) -> str:
    return f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}:{port:04X}"
