"""The rehearsal's own process: reads one JSON line, prints one, then serves until its input ends.

In: {"accounts": [[{employee, service, profile, name, locale, case}, {the fields of behavior.Case}]],
"world_file": path or null, "port": 0, "extension": the folder of an Extension or null}
Out: {"address": "127.0.0.1:PORT", "spki": …, "token": …}, or {"error": …} and exit code 2.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from fleet.rehearsal.account import RehearsalAccount
from fleet.rehearsal.app import rehearsal_app
from fleet.rehearsal.behavior import Case
from fleet.rehearsal.process import SITE_HOSTS, TRUTH_HOST
from fleet.rehearsal.site import extend
from fleet.rehearsal.tls import certificate_for
from fleet.rehearsal.world import World, WorldFileError

_STDIN = 0


class _Server(uvicorn.Server):
    """Calls `on_listening` when it listens, and leaves signals to `main`."""

    on_listening: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_listening()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main() -> int:
    """Serve and return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and then closes our input
    line = _read_line()
    if not line:
        return 0  # the parent exited before sending anything
    wish = json.loads(line)
    # asyncio sets TCP_NODELAY only on a socket created for TCP; otherwise each answer waits 40 ms for an ACK.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", wish["port"]))
        # A bound port may be shared: with SO_REUSEADDR two sockets may bind, but only one may listen.
        listening.listen(1024)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return _refuse({"error": "port_in_use", "port": wish["port"]})
    world_file = wish.get("world_file")
    if wish["extension"] is not None:
        extend(Path(wish["extension"]))
    try:
        people = [(RehearsalAccount(**account), Case.from_json(case)) for account, case in wish["accounts"]]
        world = World(people, Path(world_file) if world_file else None)
    except WorldFileError:
        return _refuse({"error": "world_file"})
    try:
        asyncio.run(_serve(world, listening))
    finally:
        world.close()
    return 0


async def _serve(world: World, listening: socket.socket) -> None:
    token = secrets.token_urlsafe(24)
    with certificate_for([*SITE_HOSTS, TRUTH_HOST]) as files:
        config = uvicorn.Config(
            rehearsal_app(world, token),
            ssl_certfile=files.certificate,
            ssl_keyfile=files.key,
            log_config=None,
            log_level="error",
            access_log=False,
            lifespan="off",
            ws="none",
            http="h11",
            server_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
        config.load()
    server = _Server(config)
    port = listening.getsockname()[1]
    server.on_listening = lambda: _say({"address": f"127.0.0.1:{port}", "spki": files.spki, "token": token})

    def stop() -> None:
        # Connections cut off from here on are not errors.
        logging.disable(logging.CRITICAL)
        server.should_exit = True

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop)
    threading.Thread(target=_wait_for_end_of_input, args=(loop, stop), daemon=True).start()
    await server.serve([listening])


def _read_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        # Unbuffered: a buffer's lock, held by the waiting thread, would crash the interpreter at shutdown.
        chunk = os.read(_STDIN, 65536)
        if not chunk:
            break
        line += chunk
    return line


def _wait_for_end_of_input(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    while os.read(_STDIN, 65536):
        pass
    if not loop.is_closed():
        loop.call_soon_threadsafe(stop)


def _refuse(answer: dict[str, Any]) -> int:
    _say(answer)
    return 2


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    sys.exit(main())
