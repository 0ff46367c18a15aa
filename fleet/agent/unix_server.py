"""A Unix socket (0600) that answers one JSON object per line, only to this user's own processes."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from fleet.agent.protocol import MAX_MESSAGE, VERSION

Talk = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[dict[str, Any] | None]]
"""Answers a line; returns None once it has taken over the connection."""


async def listen(path: Path, talk: Talk) -> asyncio.Server:
    """Listen at `path`, which appears once connections are accepted."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _peer_uid(writer) != os.getuid():
                return
            async for line in reader:
                answer = await talk(line, reader, writer)
                if answer is None:
                    return
                writer.write(json.dumps({"v": VERSION} | answer).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            return  # the client disconnected, or sent a line over the limit
        finally:
            writer.close()

    temporary = path.with_suffix(".new")
    server = await asyncio.start_unix_server(converse, temporary, limit=MAX_MESSAGE)
    temporary.chmod(0o600)
    temporary.rename(path)
    return server


def parse(line: bytes) -> dict[str, Any]:
    """Return the parsed request, or `{"error": …}` if it is invalid."""
    try:
        request: dict[str, Any] = json.loads(line)
        _, version = request["op"], request["v"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {"error": "not a request of this protocol"}
    if version != VERSION:
        return {"error": f"this agent speaks version {VERSION} of the protocol; use the role of its own release"}
    return request


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    peer: socket.socket = writer.get_extra_info("socket")
    if not hasattr(socket, "SO_PEERCRED"):
        return os.getuid()  # no peer credentials on this system: rely on the socket's mode (0600)
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])
