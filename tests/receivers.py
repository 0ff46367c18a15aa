"""What notifications arrive at: a web server with TLS and a mail server, both real, on this machine."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from fleet.rehearsal.tls import certificate_for


@dataclass
class Webhook:
    """A web server that keeps what is posted to it."""

    url: str
    certificate: str
    """The file to trust."""
    raw: list[bytes] = field(default_factory=list)
    """Request lines, headers and bodies."""
    status: int = 200
    is_endless: bool = False
    """Whether its answers have no end."""

    @property
    def notices(self) -> list[dict[str, Any]]:
        """The bodies."""
        return [json.loads(one.partition(b"\n\n")[2]) for one in self.raw]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A web server at https://localhost with a certificate of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.raw.append(f"{self.requestline}\n{self.headers}".strip().encode() + b"\n\n" + body)
            self.send_response(hook.status)
            if hook.status // 100 == 3:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            with suppress(OSError):
                while hook.is_endless:
                    self.wfile.write(bytes(65536))

        def log_message(self, *_: object) -> None:
            """A test's output is its own."""

    with certificate_for(["localhost"]) as files, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        hook = Webhook(f"https://localhost:{server.server_port}", str(files.certificate))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield hook
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Mailbox:
    """A mail server that keeps what it gets."""

    smtp: str = ""
    raw: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    is_refusing: bool = False
    """Whether it refuses all recipients."""

    @property
    def letters(self) -> list[EmailMessage]:
        """Parsed."""
        return [message_from_bytes(one, policy=default) for one in self.raw]  # type: ignore[arg-type,misc]

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """What aiosmtpd calls for each recipient."""
        if self.is_refusing:
            return f"550 no {address} here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """What aiosmtpd calls for each letter."""
        assert isinstance(envelope.content, bytes)
        self.raw.append(envelope.content)
        self.recipients += envelope.rcpt_tos
        return "250 OK"


class _AnyPort(Controller):
    """Of aiosmtpd's, on whichever port is free."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mailbox(
    tls: ssl.SSLContext | None = None, *, is_tls_from_the_start: bool = False, is_refusing: bool = False
) -> Iterator[Mailbox]:
    """A mail server on 127.0.0.1; with `tls` it takes letters after STARTTLS only, or speaks TLS from the start."""

    box = Mailbox(is_refusing=is_refusing)
    how = {"ssl_context": tls} if is_tls_from_the_start else {"tls_context": tls, "require_starttls": tls is not None}
    controller = _AnyPort(box, hostname="127.0.0.1", port=0, **how)
    controller.start()
    box.smtp = f"127.0.0.1:{controller.port}"
    try:
        yield box
    finally:
        controller.stop()
