"""Recognize loopback hosts by name or address, without a DNS lookup, and keep their traffic on this machine."""

from __future__ import annotations

import ipaddress
from typing import Any


def is_loopback(host: str) -> bool:
    """Return True for `localhost` and loopback addresses; IPv6 may be in brackets."""
    name = host.strip("[]").lower()
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def http_client_options(host: str, timeout: float) -> dict[str, Any]:
    """Return the options of an HTTP client (httpx) for connections to a host.

    It trusts the system's roots and those in SSL_CERT_FILE and SSL_CERT_DIR; httpx itself trusts only certifi's. It
    uses the environment's proxies, but not for this machine: a rehearsal must not reach any other.
    """
    import ssl  # slow to load, and needed by few commands

    return {"verify": ssl.create_default_context(), "timeout": timeout, "trust_env": not is_loopback(host)}
