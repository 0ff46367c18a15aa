"""Notify a webhook: one JSON object by HTTP POST."""

from __future__ import annotations

import logging
from collections.abc import Callable

import httpx

from fleet.errors import InputError
from fleet.loopback import http_client_options
from fleet.notify.failures import NotSent, answered
from fleet.notify.notification import PRODUCT, Notification
from fleet.notify.targets import Target

logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs complete addresses, which contain secrets


def way(target: Target, timeout: float) -> Callable[[Notification], None]:
    """Return a function that sends to a webhook; redirects are not followed and only the answer's headers are read."""
    try:
        url = httpx.URL(target.url)
    except httpx.InvalidURL:
        raise InputError(f"{target.origin}: the address is not a valid URL; fix its host.") from None

    def send(notification: Notification) -> None:
        client = httpx.Client(**http_client_options(target.host, timeout), headers={"User-Agent": PRODUCT})
        # The status shows whether it arrived. The body is not read: an endless one would exhaust memory.
        with client, client.stream("POST", url, json=notification.payload()) as answer:
            if not answer.is_success:
                raise NotSent(answered(answer.status_code))

    return send
