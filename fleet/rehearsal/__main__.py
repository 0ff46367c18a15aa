"""The server process of the rehearsal: one JSON line in, one JSON line out, then TLS on loopback until stdin ends.

fleet/rehearsal/process.py starts it and says what the lines hold.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from cryptography import x509

from fleet.errors import InputError
from fleet.paths import write_private
from fleet.rehearsal.account import RehearsalAccount
from fleet.rehearsal.app import make_app
from fleet.rehearsal.hosts import HOSTS, TRUTH
from fleet.rehearsal.tls import make_certificate, spki_of
from fleet.rehearsal.world import World


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM ends the server quietly; Ctrl-C belongs to the parent."""
        if sig == signal.SIGTERM:
            self.should_exit = True


def main() -> int:
    """Serve; returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    order: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", order["port"]))
        listener.listen(512)
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        return _refuse("port_in_use" if in_use else "port_refused", port=order["port"])
    accounts = [RehearsalAccount(**account) for account in order["accounts"]]
    try:
        world = World(accounts, Path(order["world_file"]) if order["world_file"] else None)
    except InputError as error:
        return _refuse("world_file", message=str(error))

    certificate, key = make_certificate((*HOSTS, TRUTH))
    server = _Server(_configuration(make_app(world, order["truth_token"]), certificate, key))
    threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
    _say(
        address=f"127.0.0.1:{listener.getsockname()[1]}",
        spki=spki_of(x509.load_pem_x509_certificate(certificate)),
    )
    server.run(sockets=[listener])
    return 0


def _configuration(app: Any, certificate: bytes, key: bytes) -> uvicorn.Config:
    with tempfile.TemporaryDirectory(prefix="fleet-rehearsal-") as folder:
        # TLS libraries read certificates from files only; these are gone as soon as they are read.
        certificate_file, key_file = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        write_private(certificate_file, certificate)
        write_private(key_file, key)
        configuration = uvicorn.Config(
            app,
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=1,
            ssl_certfile=str(certificate_file),
            ssl_keyfile=str(key_file),
        )
        configuration.load()
    return configuration


def _end_with_parent(server: _Server) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    server.should_exit = True


def _refuse(error: str, **details: Any) -> int:
    _say(error=error, **details)
    return 2


def _say(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
