"""Recognize loopback hosts by name or address, without a DNS lookup."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Return True for `localhost` and loopback addresses; IPv6 may be in brackets."""
    name = host.strip("[]").lower()
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
