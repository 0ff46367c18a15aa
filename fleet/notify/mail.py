"""Notify mailboxes: one message to each, through the server in `smtp:`."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from fleet.notify.notification import PRODUCT, Notification
from fleet.notify.targets import Smtp

_TLS_FROM_THE_START = 465


def way(mailboxes: tuple[str, ...], smtp: Smtp, timeout: float) -> Callable[[Notification], None]:
    """Return a function that sends to mailboxes, with TLS unless the server is on this machine."""

    def send(notification: Notification) -> None:
        with _connect(smtp, timeout) as server:
            for mailbox in mailboxes:
                server.send_message(letter(notification, mailboxes[0], mailbox))

    return send


def _connect(smtp: Smtp, timeout: float) -> smtplib.SMTP:
    """Connect, with TLS unless the server is on this machine. Raises SMTPNotSupportedError if it has no TLS."""
    if smtp.is_loopback:
        return smtplib.SMTP(smtp.host, smtp.port, timeout=timeout)
    context = ssl.create_default_context()
    if smtp.port == _TLS_FROM_THE_START:
        return smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=timeout, context=context)
    server = smtplib.SMTP(smtp.host, smtp.port, timeout=timeout)
    try:
        server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server


def letter(notification: Notification, sender: str, recipient: str) -> EmailMessage:
    """Return the message. Its sender is the first recipient: that address is known to exist."""
    message = EmailMessage()
    message["Subject"] = notification.title
    message["From"] = f"{PRODUCT} <{sender}>"
    message["To"] = recipient
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])  # the default contains this machine's name
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    message.set_content(notification.text)
    return message
