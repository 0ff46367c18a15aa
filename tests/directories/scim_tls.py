"""`scim2-server` over TLS, which its command line lacks: the certificate's file first, then its own arguments."""

from __future__ import annotations

import ssl
import sys
from typing import Any
from wsgiref.simple_server import make_server

from scim2_server.testserver import cli


def make_tls_server(*args: Any, **kwargs: Any) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = make_server(*args, **kwargs)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


certificate = sys.argv.pop(1)
cli.make_server = make_tls_server
cli.main()
