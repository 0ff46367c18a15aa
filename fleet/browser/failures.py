"""Classifies the browser's errors."""

from __future__ import annotations

from fleet.browser.liveness import BrowserGone
from fleet.model import Reason

_GONE = ("crashed", "has been closed", "Connection closed")
_REASONS = {
    "Download is starting": Reason.ADDRESS,
    "ERR_TOO_MANY_REDIRECTS": Reason.SERVICE_ERROR,
    "ERR_CERT": Reason.TLS,
    "ERR_SSL": Reason.TLS,
}


class Unreachable(Exception):
    """The address could not be loaded. `reason` is recorded."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def explain(text: str, *, is_gone: bool, is_led_away: bool) -> Unreachable | BrowserGone:
    """Return what a Playwright error means. Its text may contain addresses with tokens, so it is not passed on.

    `is_led_away`: the page itself navigated to a host that the browser may not reach.
    """
    if is_gone or any(words in text for words in _GONE):
        return BrowserGone("the page is gone")
    if is_led_away:
        return Unreachable(Reason.REFUSED_HOST)
    return Unreachable(next((reason for words, reason in _REASONS.items() if words in text), Reason.NETWORK))
