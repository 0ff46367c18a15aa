"""Send notifications to all targets in parallel: webhooks, mail, and targets that only Apprise supports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from fleet.errors import InputError
from fleet.notify.failures import why_not_sent
from fleet.notify.notification import Notification
from fleet.notify.targets import WEB_SCHEMES, Channels, Smtp, Target

WITHIN = 15.0
"""Seconds for all targets of one notification, which are sent in parallel."""
_STEP = 10.0
"""Seconds for one connection and for one answer."""

Send = Callable[[Notification], None]
"""Sends to one target. Raises NotSent, or the errors of its library."""


class Notifier:
    """Sends notifications to the targets in `channels`; loads no library without targets."""

    def __init__(self, channels: Channels | None = None) -> None:
        """Raises InputError for an unusable file, and for an address that no installed library supports."""
        self._smtp = channels.smtp if channels else Smtp("localhost", 25)
        targets = channels.everyone() if channels else ()
        self._ways = [(target, _way(target, self._smtp)) for target in targets]

    def __bool__(self) -> bool:
        """True if there is any target."""
        return bool(self._ways)

    def require_loopback(self) -> None:
        """Raise InputError, and drop all targets, if one may be on another machine: a rehearsal must not reach it."""
        for target, _ in self._ways:
            if not target.stays_here(self._smtp):
                self._ways = []
                raise InputError(
                    f"{target.origin}: a rehearsal sends nothing to other machines, and {target} may be on one; "
                    "remove it, or use a webhook or mail server on localhost."
                )

    def tell(self, notification: Notification) -> list[str]:
        """Send to all targets within `WITHIN` seconds. Returns a sentence, without secrets, for each failure."""
        failures: dict[int, str | None] = {}

        def send(number: int, way: Send) -> None:
            try:
                way(notification)
                failures[number] = None
            except Exception as error:  # also a bug in a library: the run's results must still be shown
                failures[number] = why_not_sent(error)

        # Daemon threads: one that hangs must not keep the command from exiting.
        threads = [
            threading.Thread(target=send, args=(number, way), daemon=True) for number, (_, way) in enumerate(self._ways)
        ]
        deadline = time.monotonic() + WITHIN
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))
        late = f"no answer within {WITHIN:.0f} s; check that it is up"
        return [
            f"{target.origin}: {target} was not notified: {why}."
            for number, (target, _) in enumerate(self._ways)
            if (why := failures.get(number, late)) is not None
        ]


def _way(target: Target, smtp: Smtp) -> Send:
    """Return the sender for a target. Modules are imported on demand: most commands send no notification."""
    if target.mailboxes:
        from fleet.notify import mail

        return mail.way(target.mailboxes, smtp, _STEP)
    if target.scheme in WEB_SCHEMES:
        from fleet.notify import webhook

        return webhook.way(target, _STEP)
    from fleet.notify import apprise_service

    return apprise_service.way(target, _STEP)
