"""Notify a webhook: one JSON object by HTTP POST. The one module that imports httpx."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable

import httpx

from fleet.errors import InputError
from fleet.loopback import is_loopback
from fleet.notify.failures import NotSent, answered
from fleet.notify.notification import PRODUCT, Notification
from fleet.notify.targets import Target

logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs whole addresses, and those hold secrets


def way(target: Target, timeout: float) -> Callable[[Notification], None]:
    """What sends to a webhook: no redirect is followed, and no answer is read beyond its headers."""
    try:
        url = httpx.URL(target.url)
    except httpx.InvalidURL:
        raise InputError(f"{target.origin}: the address is not a valid URL; fix its host.") from None

    def send(notification: Notification) -> None:
        client = httpx.Client(
            # The system's roots, and those of SSL_CERT_FILE and SSL_CERT_DIR; httpx has certifi's alone.
            verify=ssl.create_default_context(),
            timeout=timeout,
            # The environment's proxies, but not for this machine: a rehearsal must reach no other.
            trust_env=not is_loopback(target.host),
            headers={"User-Agent": PRODUCT},
        )
        # The status says whether it arrived. The body is not read: one without end would fill the memory.
        with client, client.stream("POST", url, json=notification.payload()) as answer:
            if not answer.is_success:
                raise NotSent(answered(answer.status_code))

    return send
