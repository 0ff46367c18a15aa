"""The way through a proxy: what `--proxy` may be, and a relay that opens to a recipe's hosts and no others."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from fleet.browser import proxy as proxy_module
from fleet.browser import relay as relay_module
from fleet.browser.proxy import Proxy, Upstream, parse_proxy
from fleet.browser.relay import MAX_CONNECTIONS, Relay
from fleet.errors import InputError
from fleet.paths import write_private
from fleet.rehearsal.tls import certificate_for

HOST = "www.a.example:443"
OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class TestOption:
    def test_it_is_a_scheme_a_host_and_a_port(self) -> None:
        """Names and addresses; the port is never guessed."""
        assert parse_proxy("http://proxy.corp.example:3128") == Proxy("http", "proxy.corp.example", 3128)
        assert str(parse_proxy("https://[2001:db8::1]:8443/")) == "https://[2001:db8::1]:8443"

    @pytest.mark.parametrize(
        "value", ["proxy:3128", "http://proxy", "socks5://proxy:1080", "http://proxy:70000", "http://proxy:80/path", ""]
    )
    def test_anything_else_is_refused(self, value: str) -> None:
        """Other schemes, no port, a path."""
        with pytest.raises(InputError, match=r"write it as http://HOST:PORT"):
            parse_proxy(value)

    def test_a_password_is_refused_and_not_repeated(self) -> None:
        """Other users see the command line; the sentence says where it belongs."""
        with pytest.raises(InputError, match="proxy_credentials: FILE") as caught:
            parse_proxy("http://ann:geheim@proxy:3128")
        assert "geheim" not in str(caught.value)

    @pytest.mark.parametrize(
        ("content", "mode", "message"),
        [
            (b"ann:geheim", 0o644, "is open to other users"),
            (b"geheim", 0o600, "must hold one line: user:password"),
            (b"ann:geheim\r\nX-Evil: 1", 0o600, "must hold one line: user:password"),
            (None, 0, "cannot be read"),
        ],
    )
    def test_credentials_that_cannot_be_used(self, tmp_path: Path, content: bytes, mode: int, message: str) -> None:
        """One sentence with the file's name and without what is in it."""
        file = tmp_path / "proxy.txt"
        if content is not None:
            file.write_bytes(content)
            file.chmod(mode)
        with pytest.raises(InputError, match=message) as caught:
            Upstream(parse_proxy("http://proxy:3128", file))
        assert str(file) in str(caught.value) and "geheim" not in str(caught.value)


@asynccontextmanager
async def served(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """A proxy on loopback that does what `answer` does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield Proxy("http", "127.0.0.1", server.sockets[0].getsockname()[1])


@asynccontextmanager
async def relayed(answer: Answer, mapped: dict[str, str] | None = None) -> AsyncIterator[int]:
    """A relay to HOST in front of such a proxy; its port."""
    async with served(answer) as proxy:
        relay = Relay(frozenset({HOST, *(mapped or {})}), mapped or {}, Upstream(proxy))
        try:
            yield await relay.start()
        finally:
            await relay.stop()


async def never(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """A proxy that must not be asked."""
    raise AssertionError("the proxy was asked")


def says(words: bytes) -> Answer:
    """A proxy that reads what it is asked, says so much and hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(words)

    return answer


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A proxy that admits everything; what is beyond repeats what it is told."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(OPEN)
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def ask(port: int, words: bytes, more: bytes = b"") -> bytes:
    """All that the relay says to `words`, until it hangs up; with `more`, once that came back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(words)
    said = b""
    if more:
        said = await reader.readuntil(b"\r\n\r\n")
        writer.write(more)
        said += await reader.readexactly(len(more))
        writer.write_eof()
    try:
        async with asyncio.timeout(5):
            return said + await reader.read()
    except ConnectionError:
        return said
    finally:
        writer.close()


def connect(host: str = HOST) -> bytes:
    return f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same limits, sooner."""
    monkeypatch.setattr(relay_module, "ASK_WITHIN", 0.2)
    monkeypatch.setattr(proxy_module, "DIAL_WITHIN", 0.2)


class TestRelay:
    async def test_a_declared_host_is_carried_both_ways(self) -> None:
        """More than fits into any buffer comes back whole."""
        data = os.urandom(100_000)
        async with relayed(echo) as port:
            assert await ask(port, connect("WWW.A.example:443"), data) == OPEN + data

    @pytest.mark.parametrize("host", ["evil.example:443", "www.a.example:8443", "127.0.0.1:22", "[::1]:443", "x"])
    async def test_any_other_host_or_port_is_refused(self, host: str) -> None:
        """The proxy never hears of it."""
        async with relayed(never) as port:
            assert (await ask(port, connect(host))).startswith(b"HTTP/1.1 403 ")

    @pytest.mark.parametrize(
        "words",
        [
            b"GET http://www.a.example/ HTTP/1.1\r\nHost: www.a.example\r\n\r\n",
            b"CONNECT www.a.example:443 HTTP/1.1 \r\n\r\n",
            b"\x16\x03\x01\x00\xa5\r\n\r\n",
            b"CONNECT www.a.example:443 HTTP/1.1\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
        ],
    )
    async def test_anything_but_connect_gets_no_answer(self, words: bytes) -> None:
        """Plain http, garbage, a head without end."""
        async with relayed(never) as port:
            assert await ask(port, words) == b""

    async def test_who_says_nothing_is_not_waited_for(self, short_patience: None) -> None:
        """A half-open connection holds its place for a limited time."""
        async with relayed(never) as port:
            assert await ask(port, b"CONNECT www") == b""

    @pytest.mark.parametrize(
        "words",
        [
            b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n",
            b"HTTP/1.1 403 Filtered\r\n\r\n",
            b"HTTP/1.0 502 Bad Gateway\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"",
        ],
    )
    async def test_a_proxy_that_opens_no_way_is_a_bad_gateway(self, words: bytes) -> None:
        """Refused, garbage, a head without end, half a head, nothing: the browser is never asked for a password."""
        async with relayed(says(words)) as port:
            assert (await ask(port, connect())).startswith(b"HTTP/1.1 502 ")

    async def test_a_proxy_that_does_not_answer_is_not_waited_for(self, short_patience: None) -> None:
        """The limit holds from the first packet to the answer."""

        async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.read()
            await reader.read()

        async with relayed(silent) as port:
            assert (await ask(port, connect())).startswith(b"HTTP/1.1 502 ")

    async def test_a_proxy_that_is_gone_is_a_bad_gateway(self) -> None:
        """Nothing listens there any more."""
        async with served(never) as proxy:
            pass
        relay = Relay(frozenset({HOST}), {}, Upstream(proxy))
        try:
            assert (await ask(await relay.start(), connect())).startswith(b"HTTP/1.1 502 ")
        finally:
            await relay.stop()

    async def test_what_dies_in_the_middle_ends_the_connection(self) -> None:
        """The browser sees it at once, and no more data than there was."""

        async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OPEN + b"half a")
            await writer.drain()
            await reader.readexactly(1)
            writer.transport.abort()

        async with relayed(dies) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(connect())
            assert await reader.readexactly(len(OPEN) + 6) == OPEN + b"half a"
            writer.write(b"x")
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            writer.close()

    async def test_nothing_is_read_that_nobody_takes(self) -> None:
        """A service that sends without end to a browser that does not read is stopped after a few buffers."""
        sent, offered, waits = 0, 40_000_000, 0

        async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent, waits
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OPEN)
            while sent < offered:
                writer.write(bytes(65536))
                waits = writer.transport.get_write_buffer_size()
                await writer.drain()
                sent += 65536

        async with relayed(floods) as port, AsyncExitStack() as stack:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
            stack.callback(writer.close)
            writer.write(connect())
            await reader.readexactly(len(OPEN))
            before, turns = sent, 0
            # All three ends are in this loop, so turns are counted and not seconds: however slow the machine is, the
            # relay had a hundred of them to take what waits for it.
            while sent < offered and turns < 100:
                await asyncio.sleep(0.003)
                before, turns = sent, turns + 1 if sent == before and waits else 0
            assert 0 < sent < 20_000_000  # what the kernel's buffers hold, and not what was offered

    async def test_a_mapped_host_never_goes_to_the_proxy(self) -> None:
        """`--resolve` leads it to this machine, past the proxy."""
        async with served(says(b"it is here")) as here:
            mapped = {"b.example:443": f"127.0.0.1:{here.port}"}
            async with relayed(never, mapped) as port:
                assert await ask(port, connect("b.example:443") + b"hello\r\n\r\n") == OPEN + b"it is here"

    async def test_without_a_proxy_the_host_itself_is_reached(self) -> None:
        """A full browser is given a relay in any case."""
        async with served(says(b"it is here")) as here:
            host = f"localhost:{here.port}"
            relay = Relay(frozenset({host}), {}, None)
            try:
                assert await ask(await relay.start(), connect(host) + b"hello\r\n\r\n") == OPEN + b"it is here"
            finally:
                await relay.stop()

    async def test_there_are_only_so_many_connections(self) -> None:
        """One too many is closed unheard; once another one ends there is room again."""
        async with relayed(echo) as port, AsyncExitStack() as stack:
            for _ in range(MAX_CONNECTIONS):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                stack.callback(writer.close)
                writer.write(connect())
                await reader.readexactly(len(OPEN))
            assert await ask(port, connect()) == b""
            writer.write_eof()
            await reader.read()
            assert await ask(port, connect(), b"hello") == OPEN + b"hello"

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
    @pytest.mark.parametrize("stays", [True, False])
    async def test_another_user_is_not_served(self, stays: bool) -> None:
        """Who shares the machine cannot use the relay, not even by hanging up before anybody looks."""
        asked: list[bytes] = []

        async def answer(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readuntil(b"\r\n\r\n"))

        async with relayed(answer) as port:
            os.seteuid(65534)  # a socket belongs to whom the process is while it is made
            try:
                other = socket.socket()
            finally:
                os.seteuid(0)
            other.connect(("127.0.0.1", port))
            other.sendall(connect())
            if stays:
                with suppress(ConnectionResetError):  # what it said was not even read
                    assert await asyncio.to_thread(other.recv, 100) == b""
            other.close()
            own = await ask(port, connect())
            assert own.startswith(b"HTTP/1.1 502 ") and len(asked) == 1

    async def test_its_end_cuts_what_is_open(self) -> None:
        """A run that ends leaves no door behind."""
        async with relayed(echo) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(connect())
            await reader.readexactly(len(OPEN))
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


class TestBeforeARun:
    """What is wrong with the proxy is told before anything is touched."""

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (
                b"HTTP/1.1 407 No\r\n\r\n",
                r"asks for user and password \(407\); write user:password into a private file",
            ),
            (b"HTTP/1.1 403 No\r\n\r\n", rf"refuses {HOST} \(403\); ask whoever runs it"),
            (b"220 smtp.example\r\n\r\n", "does not answer as an HTTP proxy does; check --proxy"),
            (b"", "does not answer as an HTTP proxy does; check --proxy"),
        ],
    )
    async def test_a_proxy_that_lets_nothing_through(self, words: bytes, message: str) -> None:
        """One sentence each, that says what to do."""
        async with served(says(words)) as proxy:
            with pytest.raises(InputError, match=message):
                await Upstream(proxy).require(HOST)

    async def test_a_proxy_that_is_not_there(self, short_patience: None) -> None:
        """Nothing listens, or what listens says nothing."""
        async with served(lambda reader, _writer: reader.readexactly(10_000)) as proxy:  # type: ignore[arg-type,return-value]
            with pytest.raises(InputError, match="does not answer in time; check --proxy, and that it runs"):
                await Upstream(proxy).require(HOST)
        with pytest.raises(InputError, match=r"http://127.0.0.1:\d+ cannot be reached \(Connect"):
            await Upstream(proxy).require(HOST)

    async def test_an_https_proxy_must_show_a_certificate_that_is_trusted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By the authorities of this machine, which SSL_CERT_FILE may name; the way through it is the same."""
        with certificate_for(["localhost"]) as files:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(files.certificate, files.key)
            async with served(echo, context) as proxy:
                upstream = Upstream(Proxy("https", "localhost", proxy.port))
                with pytest.raises(InputError, match=r"cannot be reached \(.*certificate verify failed"):
                    await upstream.require(HOST)
                monkeypatch.setenv("SSL_CERT_FILE", str(files.certificate))
                await upstream.require(HOST)

    async def test_a_service_that_is_down_is_not_the_proxys_fault(self) -> None:
        """It is told of the service's accounts, as without a proxy."""
        async with served(says(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")) as proxy:
            await Upstream(proxy).require(HOST)

    async def test_user_and_password_are_sent_to_the_proxy_alone(self, tmp_path: Path) -> None:
        """In Basic's form, from the private file; a wrong one names the file."""
        file = tmp_path / "proxy.txt"
        write_private(file, b"ann:geheim\n")
        heads: list[bytes] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 407 No\r\n\r\n")

        async with served(answer) as proxy:
            with pytest.raises(InputError, match=f"does not accept what stands in {file}"):
                await Upstream(Proxy("http", "127.0.0.1", proxy.port, file)).require(HOST)
        expected = base64.b64encode(b"ann:geheim")
        assert heads == [
            b"CONNECT %b HTTP/1.1\r\nHost: %b\r\nProxy-Authorization: Basic %b\r\n\r\n"
            % (HOST.encode(), HOST.encode(), expected)
        ]
