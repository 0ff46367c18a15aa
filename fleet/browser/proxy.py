"""The company's forward proxy: `--proxy`, and connections through it (HTTP CONNECT and Basic authentication only)."""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fleet.errors import InputError
from fleet.paths import read_private

MAX_HEAD = 16 * 1024
"""Maximum bytes of a request's or an answer's head."""
DIAL_WITHIN = 20.0
"""Seconds for a connection through the proxy, from the first packet to its answer."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NoWay(Exception):
    """The connection failed. `status` is the proxy's answer, None if it did not answer; the text gives the reason."""

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class Proxy:
    """Address of a proxy, and the file with its `user:password`, if it needs one."""

    scheme: str
    host: str
    port: int
    credentials: Path | None = None

    def read_credentials(self) -> bytes:
        """Return `user:password`, empty without a file. Raises InputError if the file cannot be used."""
        return _read_credentials(self.credentials) if self.credentials is not None else b""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_proxy(value: str, credentials: Path | None = None, origin: str = "--proxy") -> Proxy:
    """Parse `http://HOST:PORT` or `https://HOST:PORT`. Raises InputError, which never repeats a password."""
    if "@" in value:
        raise InputError(
            f"{origin}: leave user and password out, other users could read them there; write user:password into a "
            "private file (chmod 600) and name it in fleet.yml: proxy_credentials: FILE."
        )
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    is_bare = re.fullmatch(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):\d+/?", value)
    if not host or not port or not is_bare:
        raise InputError(f"{origin}: {value}: write it as http://HOST:PORT or https://HOST:PORT.")
    return Proxy(parts.scheme, host, port, credentials)


class Upstream:
    """Opens connections through a proxy. It holds the password, so only processes that run browsers create one."""

    def __init__(self, proxy: Proxy, credentials: bytes | None = None) -> None:
        """`credentials` are as from `Proxy.read_credentials`; None reads them now and raises as that does."""
        self._proxy = proxy
        self._authorization = b""
        given = proxy.read_credentials() if credentials is None else credentials
        if given:
            self._authorization = b"Proxy-Authorization: Basic " + base64.b64encode(given) + b"\r\n"

    async def connect(self, host: str) -> Streams:
        """Connect to `host` (`host:port`) within `DIAL_WITHIN`. Raises NoWay."""
        writer = None
        try:
            async with asyncio.timeout(DIAL_WITHIN):
                is_tls = True if self._proxy.scheme == "https" else None
                reader, writer = await asyncio.open_connection(
                    self._proxy.host, self._proxy.port, ssl=is_tls, limit=MAX_HEAD
                )
                name = host.encode()
                writer.write(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (name, name, self._authorization))
                status = _status(await reader.readuntil(b"\r\n\r\n"))
            if not 200 <= status < 300:
                raise NoWay(f"answered {status}", status)
        except BaseException as error:
            if writer is not None:
                writer.transport.abort()
            if isinstance(error, TimeoutError):
                raise NoWay("does not answer in time") from None
            if isinstance(error, OSError):
                raise NoWay(f"cannot be reached ({error.strerror or type(error).__name__})") from None
            if isinstance(error, (EOFError, asyncio.LimitOverrunError, ValueError)):
                raise NoWay("does not answer as an HTTP proxy does") from None
            raise
        return reader, writer

    async def require(self, host: str) -> None:
        """Raise InputError if the proxy does not let connections through to `host`.

        A failure beyond the proxy is not its fault and does not raise.
        """
        try:
            _, writer = await self.connect(host)
            writer.close()
        except NoWay as error:
            if error.status is None:
                raise InputError(f"The proxy {self._proxy} {error}; check --proxy, and that it runs.") from None
            if error.status == 407 and self._proxy.credentials is None:
                raise InputError(
                    f"The proxy {self._proxy} asks for user and password (407); write user:password into a private "
                    "file (chmod 600) and name it in fleet.yml: proxy_credentials: FILE."
                ) from None
            if error.status == 407:
                raise InputError(
                    f"The proxy {self._proxy} does not accept what stands in {self._proxy.credentials} (407); mend it "
                    "(user:password on one line; only Basic is spoken)."
                ) from None
            if error.status < 500:
                raise InputError(
                    f"The proxy {self._proxy} refuses {host} ({error.status}); ask whoever runs it to admit it."
                ) from None


def _read_credentials(path: Path) -> bytes:
    given = read_private(path, MAX_HEAD).strip()
    if not re.fullmatch(rb"[^:\x00-\x1f]+:[^\x00-\x1f]*", given):
        raise InputError(f"{path} (proxy_credentials) must hold one line: user:password")
    return given


def _status(head: bytes) -> int:
    match = re.match(rb"HTTP/1\.[01] (\d{3})\b", head)
    if match is None:
        raise ValueError("not HTTP")
    return int(match[1])
