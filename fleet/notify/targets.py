"""Notification targets: `--notify`, `notify:` and the private file in `--notify-file`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from fleet.errors import InputError
from fleet.loopback import is_loopback
from fleet.paths import read_private

DEFAULT_SMTP = "localhost:25"
MAX_FILE = 64 * 1024
"""Maximum bytes of a file with addresses."""

PLAIN_SCHEMES = frozenset({"http", "json", "xml", "form"})
"""Web requests without TLS: to this machine only."""
WEB_SCHEMES = frozenset({"http", "https"})
_OF_A_HOST = WEB_SCHEMES | {"json", "jsons"}
"""Schemes with the destination in the host part; only Apprise can interpret a product's address."""
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+")
_PASSWORDS = ("pass", "password")


@dataclass(frozen=True)
class Smtp:
    """The mail server for `mailto:ADDRESS`. On another machine it must use STARTTLS, or TLS from the start (465)."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """True if it is on this machine."""
        return is_loopback(self.host)


@dataclass(frozen=True)
class Target:
    """One address, which may be a secret: `str` and `repr` show only enough to distinguish it from others."""

    url: str = field(repr=False)
    origin: str
    """Where it is written, for messages: `--notify`, or a file with a line."""

    def __str__(self) -> str:
        if self.mailboxes:
            return f"mailto:{','.join(self.mailboxes)}"
        if self.scheme not in _OF_A_HOST:
            return f"{self.scheme}://…"  # product URLs have tokens in place of the host
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{self.scheme}://{host}{f':{parts.port}' if parts.port else ''}/…"

    @property
    def scheme(self) -> str:
        """The scheme, in lower case."""
        return self.url.partition(":")[0].lower()

    @property
    def host(self) -> str:
        """The host as written; empty if missing."""
        return urlsplit(self.url).hostname or ""

    @property
    def mailboxes(self) -> tuple[str, ...]:
        """The addresses of a `mailto:` (RFC 6068); empty for anything else, including Apprise's `mailto://`."""
        if self.scheme != "mailto" or self.url[len("mailto:") :].startswith("//"):
            return ()
        return tuple(unquote(one) for one in self.url.partition(":")[2].split(","))

    def stays_here(self, smtp: Smtp) -> bool:
        """Return True if it is certain to reach only this machine."""
        return smtp.is_loopback if self.mailboxes else self.scheme in _OF_A_HOST and is_loopback(self.host)


@dataclass(frozen=True)
class Channels:
    """All notification targets; the file is not read yet."""

    targets: tuple[Target, ...] = ()
    file: Path | None = None
    smtp: Smtp = Smtp("localhost", 25)

    def everyone(self) -> tuple[Target, ...]:
        """Return the targets and those in the file. Raises InputError if it is not private or has a malformed one."""
        return self.targets + (_read_targets(self.file) if self.file else ())


def parse_target(text: str, origin: str, *, is_private: bool = False) -> Target:
    """Parse `https://…`, `mailto:ADDRESS` or an Apprise URL.

    Raises InputError, which never repeats the text; a password is refused unless `is_private`.
    """
    target = Target(text, origin)
    if not text.isprintable():
        raise InputError(f"{origin}: the address has a line break or another invisible character; remove it.")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InputError(f"{origin}: the address is not a URL (its host or port is malformed); fix it.") from None
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*", target.scheme) or ":" not in text:
        raise InputError(
            f"{origin}: the address has no valid scheme; write https://…, mailto:ADDRESS or an Apprise URL."
        )
    if target.mailboxes:
        if not all(map(_MAILBOX.fullmatch, target.mailboxes)):
            raise InputError(f"{origin}: write mailto:ADDRESS, several separated by commas, and nothing after them.")
        return target
    if "://" not in text:
        raise InputError(f"{origin}: {target.scheme}: is not followed by //; write the full URL.")
    has_password = bool(parts.password) or any(key.lower() in _PASSWORDS for key, _ in parse_qsl(parts.query))
    if has_password and not is_private:
        raise InputError(
            f"{origin}: other users could read the password here; put the address into a private file (chmod 600), one "
            "per line, and pass it with --notify-file (notify_file: in fleet.yml)."
        )
    if target.scheme in _OF_A_HOST and not host:
        raise InputError(f"{origin}: the address has no host; write {target.scheme}://HOST/…")
    if target.scheme in PLAIN_SCHEMES and not is_loopback(host or ""):
        raise InputError(
            f"{origin}: {target.scheme}:// is not encrypted and is allowed only to this machine; use "
            f"{target.scheme}s:// with a certificate that is trusted here."
        )
    return target


def parse_smtp(text: str, origin: str) -> Smtp:
    """Parse `HOST:PORT` of a mail server. Raises InputError for anything else."""
    match = re.fullmatch(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", text)
    if match is None or not 0 < int(match[2]) < 65536:
        raise InputError(f"{origin}: smtp: write it as HOST:PORT, such as {DEFAULT_SMTP}.")
    return Smtp(match[1].strip("[]"), int(match[2]))


def _read_targets(path: Path) -> tuple[Target, ...]:
    content = read_private(path, MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise InputError(
            f"{path} (notify_file) is larger than {MAX_FILE // 1024} KiB; give a list of addresses, one per line."
        )
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} (notify_file) is not UTF-8 text; save it as UTF-8.") from None
    return tuple(
        parse_target(text, f"{path}:{number}", is_private=True)
        for number, line in enumerate(lines, 1)
        if (text := line.strip()) and not text.startswith("#")
    )
