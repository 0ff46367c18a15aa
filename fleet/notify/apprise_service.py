"""Notify through Apprise, an optional extra that supports over a hundred products. Only this module imports it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from fleet.errors import InputError
from fleet.notify.failures import NotSent
from fleet.notify.notification import PRODUCT, Notification
from fleet.notify.targets import Target

# Apprise logs addresses, which contain secrets; Python prints warnings that have no handler.
logging.getLogger("apprise").addHandler(logging.NullHandler())
logging.getLogger("apprise").propagate = False


def way(target: Target, timeout: float) -> Callable[[Notification], None]:
    """Return a function that sends to an Apprise URL. Raises InputError if Apprise is missing or rejects the URL."""
    try:
        from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType, PersistentStoreMode
        from apprise.plugins.custom_json import NotifyJSON
    except ImportError:
        raise InputError(
            f"{target.origin}: {target.scheme}:// needs Apprise, which is not installed; run: "
            "pip install 'fleet-optout[apprise]', or use https:// or mailto:."
        ) from None
    everyone = Apprise(
        asset=AppriseAsset(
            app_id=PRODUCT,
            app_desc=PRODUCT,
            app_url="",
            image_url_mask="",
            image_url_logo="",
            http_redirects=False,  # secrets in an address are for its own host only
            storage_mode=PersistentStoreMode.MEMORY,  # stores and reads nothing on this machine
            pgp_autogen=False,
            pem_autogen=False,
            allow_templates=False,
        )
    )
    service = Apprise.instantiate(target.url, everyone.asset)
    if service is None:
        raise InputError(
            f"{target.origin}: Apprise cannot use {target}; check its scheme, and that the address is complete "
            "(https://appriseit.com/services/)."
        )
    everyone.add(service)
    service.socket_connect_timeout = service.socket_read_timeout = timeout

    def send(notification: Notification) -> None:
        if isinstance(service, NotifyJSON):
            # An empty value removes one of Apprise's own fields; fields requested in the URL stay.
            ours = {"version": "", "attachments": "", **notification.fields()}
            service.payload_extras = {**ours, **service.payload_extras}
        kind = NotifyType(notification.type)
        if not everyone.notify(notification.text, notification.title, kind, body_format=NotifyFormat.TEXT):
            raise NotSent("Apprise could not deliver it; check that the address is right and that its host answers")

    return send
