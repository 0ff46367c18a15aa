"""Sends notices through Apprise, which knows the products' ways; the one module that imports it, when it is needed."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from fleet.errors import InputError
from fleet.model import EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_OK, EXIT_TOOL_FAILED
from fleet.notify.notification import PRODUCT, Notice
from fleet.notify.targets import WEB_SCHEMES, Channels, Smtp, Target

if TYPE_CHECKING:
    from apprise import AppriseAsset, NotifyBase

WITHIN = 15.0
"""Seconds for all notifications of one notice; they go side by side."""
_STEP = 10.0
"""Seconds for one connection and for one answer."""

MAX_ANSWER = 1024 * 1024
"""Bytes of an answer; whatever was sent has arrived by then, and what answers without end is no webhook."""

_REASONS = (
    (r"no end of the answer", "its answer has no end; see that the address is a webhook's"),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError|\[SSL",
        "TLS failed; where its certificate is your own, name the authority's file in REQUESTS_CA_BUNDLE (for a web "
        "server) or SSL_CERT_FILE (for a mail server)",
    ),
    (r"timed? ?out", "it did not answer in time; see that it runs"),
    (r"refused", "it refused the connection; see that it runs"),
    (r"Name or service not known|NameResolution|getaddrinfo", "its name could not be found; mend the address"),
    (r"STARTTLS", "it does not offer TLS; use another mail server (smtp: in fleet.yml)"),
)
"""Of what Apprise logs only these words get out: its texts hold addresses, and those hold secrets."""


class Notifier:
    """Tells everybody of some channels; nobody if there are none, and Apprise is not even loaded then."""

    def __init__(self, channels: Channels | None = None) -> None:
        """Raises InputError for a file that cannot be used and for an address that cannot be one."""
        self._smtp = channels.smtp if channels else Smtp("localhost", 25)
        self._ways: list[tuple[Target, NotifyBase]] = []
        targets = channels.everyone() if channels else ()
        if targets:
            asset = _asset()
            _bound_answers()
            with _listening():
                self._ways = [(target, _service(target, self._smtp, asset)) for target in targets]

    def __bool__(self) -> bool:
        """True if there is anybody to tell."""
        return bool(self._ways)

    def require_loopback(self) -> None:
        """Refuse what may leave this machine: a rehearsal must not page anybody, nor of this. Raises InputError."""
        for target, _ in self._ways:
            if not target.stays_here(self._smtp):
                self._ways = []
                raise InputError(
                    f"{target.origin}: a rehearsal notifies nobody outside this machine, and {target} may be there; "
                    "leave it out, or name a webhook or a mail server on localhost."
                )

    def tell(self, notice: Notice) -> list[str]:
        """Send it to all, within `WITHIN` seconds. A sentence for each that did not get it; secrets stay out of it."""
        if not self._ways:
            return []
        sent: dict[int, str | None] = {}

        def send(number: int, service: NotifyBase) -> None:
            sent[number] = _send(service, notice)

        # Daemons: one that never ends must not keep the command from ending.
        threads = [
            threading.Thread(target=send, args=(number, service), daemon=True)
            for number, (_, service) in enumerate(self._ways)
        ]
        deadline = time.monotonic() + WITHIN
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))
        late = f"it did not answer within {WITHIN:.0f} s; see that it runs"
        return [
            f"{target.origin}: {target} was not notified: {why}."
            for number, (target, _) in enumerate(self._ways)
            if (why := sent.get(number, late)) is not None
        ]


def _send(service: NotifyBase, notice: Notice) -> str | None:
    """None if it arrived, else why it did not."""
    from apprise import Apprise, NotifyFormat, NotifyType
    from apprise.plugins.custom_json import NotifyJSON

    kind = NotifyType.WARNING
    if notice.exit_code in (EXIT_TOOL_FAILED, EXIT_BAD_INPUT, EXIT_INTERRUPTED):
        kind = NotifyType.FAILURE
    elif notice.exit_code == EXIT_OK and not notice.not_looked_at:
        kind = NotifyType.SUCCESS
    if isinstance(service, NotifyJSON):
        # An empty value takes one of Apprise's own fields away; what the address itself asks for stays.
        service.payload_extras = {"version": "", "attachments": "", **notice.fields(), **service.payload_extras}
    everyone = Apprise(asset=service.asset)
    everyone.add(service)
    with _listening() as said:
        try:
            if everyone.notify(notice.text, notice.title, kind, body_format=NotifyFormat.TEXT):
                return None
        except Exception as error:  # a plugin's own mistake must not end a run whose results are there
            said.append(repr(error))
    return _why("\n".join(said))


@cache  # once for all notifiers
def _bound_answers() -> None:
    """Have requests, by which Apprise's ways ask, read no more than `MAX_ANSWER`: it would fill the memory with an
    answer that has no end, and neither Apprise nor the environment can tell it to stop."""
    from requests import RequestException, Response

    without_end = Response.iter_content

    def iter_content(self: Response, *how: Any, **more: Any) -> Iterator[bytes]:
        taken = 0
        for piece in without_end(self, *how, **more):
            taken += len(piece)
            if taken > MAX_ANSWER:
                raise RequestException("no end of the answer")
            yield piece

    Response.iter_content = iter_content  # type: ignore[method-assign]


def _why(said: str) -> str:
    answered = re.search(r"error[= ]+(\d{3})\b", said)
    if answered:
        return f"it answered {answered[1]}; see that the address is right and still valid"
    return next(
        (words for pattern, words in _REASONS if re.search(pattern, said, re.IGNORECASE)),
        "it was not taken; see that the address is right",
    )


def _asset() -> AppriseAsset:
    """Apprise with nothing that it reads or keeps on this machine: no plugins, templates, storage, keys or pictures."""
    from apprise import AppriseAsset, PersistentStoreMode

    return AppriseAsset(
        app_id=PRODUCT,
        app_desc=PRODUCT,
        app_url="",
        async_mode=False,
        http_redirects=False,  # what an address holds is for its own host
        image_url_mask="",
        image_url_logo="",
        image_path_mask=False,
        pgp_autogen=False,
        pem_autogen=False,
        storage_mode=PersistentStoreMode.MEMORY,
        service_timeout=0,  # ours bounds them all
        allow_templates=False,
    )


def _service(target: Target, smtp: Smtp, asset: AppriseAsset) -> NotifyBase:
    from apprise import Apprise

    if target.mailboxes:
        found = Apprise.instantiate(_mail_url(target.mailboxes, smtp), asset)
    else:
        found = Apprise.instantiate(target.url, asset)
        if found is None and target.scheme in WEB_SCHEMES:
            found = Apprise.instantiate(_webhook(target), asset)
    if found is None:
        raise InputError(
            f"{target.origin}: Apprise cannot use {target}; see that the scheme is one of its own, and that nothing is "
            "missing in the address (https://appriseit.com/services/)."
        )
    if not is_on_network(type(found)):
        raise InputError(f"{target.origin}: {target.scheme}:// notifies on this machine only; use https:// or mailto:.")
    found.socket_connect_timeout = found.socket_read_timeout = _STEP
    return found


def is_on_network(service: type[NotifyBase]) -> bool:
    """Whether a service of Apprise's is elsewhere: its address needs a host, a token or the like.

    One that needs nothing is on this machine: desktops, syslog, a USB lamp.
    """
    return any(
        name == "host" or token.get("required") or token.get("private")
        for name, token in service.template_tokens.items()
    )


def _mail_url(mailboxes: tuple[str, ...], smtp: Smtp) -> str:
    """From the first of the addresses: the one that surely exists, and nothing of this machine."""
    mode = "insecure" if smtp.is_loopback else "ssl" if smtp.port == 465 else "starttls"
    host = f"[{smtp.host}]" if ":" in smtp.host else smtp.host
    query = {"from": f"{PRODUCT} <{mailboxes[0]}>", "to": ",".join(mailboxes), "mode": mode, "format": "text"}
    return f"mailto{'' if mode == 'insecure' else 's'}://{host}:{smtp.port}?{urlencode(query, quote_via=quote)}"


def _webhook(target: Target) -> dict[str, Any]:
    """What Apprise's JSON webhook is made from; as an address its query would be taken for options of Apprise's."""
    parts = urlsplit(target.url)
    return {
        "schema": "jsons" if target.scheme == "https" else "json",
        "secure": target.scheme == "https",
        "host": f"[{parts.hostname}]" if ":" in target.host else parts.hostname,
        "port": parts.port,
        "user": parts.username,
        "password": parts.password,
        "fullpath": parts.path or "/",
        "params": dict(parse_qsl(parts.query, keep_blank_values=True)),
    }


class _Said(logging.Handler):
    """Keeps what is logged from the thread that made it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.said.append(record.getMessage())


@contextmanager
def _listening() -> Iterator[list[str]]:
    """What Apprise logs meanwhile, which goes nowhere else: Python prints warnings that have no handler."""
    logger, handler = logging.getLogger("apprise"), _Said()
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield handler.said
    finally:
        logger.removeHandler(handler)
