"""Serves the portal: TLS of its own, or a Unix socket or loopback port behind a proxy that has it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 256
MAX_HEADERS = 16 * 1024
HEADER_SECONDS = 15
"""For a new connection to send its first request."""


@dataclass(frozen=True)
class Listen:
    """Where to listen: a socket file, or host and port, with TLS if certificate and key are given."""

    host: str = "127.0.0.1"
    port: int = 8443
    socket: Path | None = None
    cert: Path | None = None
    key: Path | None = None


class _Protocol(H11Protocol):
    """Closes connections that never ask anything, which uvicorn itself keeps for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self.loop.call_later(HEADER_SECONDS, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None:
            self.transport.close()


def server_for(app: ASGIApp, listen: Listen) -> uvicorn.Server:
    """Return the server, to run."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=listen.host,
            port=listen.port,
            uds=str(listen.socket) if listen.socket else None,
            ssl_certfile=listen.cert,
            ssl_keyfile=listen.key,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,  # addresses on the way back from the provider have codes in them
            server_header=False,
            proxy_headers=False,  # our own address is in site.json; nothing a proxy says is needed
            limit_concurrency=MOST_CONNECTIONS,
            h11_max_incomplete_event_size=MAX_HEADERS,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=5,
        )
    )


def serve(app: ASGIApp, listen: Listen) -> None:
    """Serve until a signal ends it. Warnings and errors go to stderr."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    server_for(app, listen).run()
