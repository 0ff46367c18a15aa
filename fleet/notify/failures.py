"""Explains why a notification failed, without any part of an address."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator


class NotSent(Exception):
    """The target did not accept the notification; the text gives the reason without any part of the address."""


def why_not_sent(error: BaseException) -> str:
    """Return why it failed and what to do. The exception's own text is not used: it may contain the address."""
    causes = tuple(_causes(error))

    def has(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    for cause in causes:
        if isinstance(cause, NotSent):
            return str(cause)
        if isinstance(cause, smtplib.SMTPResponseException):
            return answered(cause.smtp_code)
        if isinstance(cause, smtplib.SMTPRecipientsRefused):
            return answered(next(iter(cause.recipients.values()))[0])
    if has(smtplib.SMTPNotSupportedError):
        return "it does not offer TLS; use another mail server (smtp: in fleet.yml)"
    if has(ssl.SSLError):
        return "TLS failed; if your own CA signed its certificate, set SSL_CERT_FILE to the CA's file"
    if has(socket.gaierror):
        return "its host name was not found; fix the address"
    if has(ConnectionRefusedError):
        return "it refused the connection; check that it is up"
    if has(TimeoutError):
        return "it timed out; check that it is up"
    return "it is unreachable; check the address"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def answered(code: int) -> str:
    """Return the failure for a target that answered with an error."""
    return f"it answered {code}; check that the address is right and still valid"
