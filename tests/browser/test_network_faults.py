"""Networks that reset, stall, break off, lie about who they are: nothing false is claimed, and it takes bounded time.

Between the browser and the rehearsal stands a relay that does so, a real one: bytes over real sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from fleet.browser.engine import Engine
from fleet.browser.find_browser import find_browser
from fleet.browser.network import Network
from fleet.model import Outcome, Reading, Reason
from fleet.recipes.catalog import load_catalog
from fleet.rehearsal.process import Rehearsal, RehearsalAccount, start_rehearsal
from fleet.rehearsal.tls import certificate_for
from fleet.visit.visit import Order, Visit
from tests.browser.test_gallery import MemoryJournal

pytestmark = pytest.mark.xdist_group("network-faults")

PEOPLE = ("resets", "stalls", "breaks-off", "other-key", "not-tls", "drips", "cut-after-press", "cut-for-a-while")
LINKEDIN = load_catalog().recipes["linkedin"]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class FaultyRelay:
    """Forwards connections to `address` as long as `fault` lets it; `cut` breaks what is open and all that comes."""

    address: str
    fault: Callable[[FaultyRelay, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    is_cut: bool = False
    connections: int = 0
    _open: list[asyncio.StreamWriter] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """The relay's own `address:port`, while it serves."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            self.cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.append(writer)
        if self.is_cut:
            reset(writer)
            return
        with contextlib.suppress(OSError):
            await self.fault(self, reader, writer)

    def cut(self) -> None:
        """Reset every connection, and every later one."""
        self.is_cut = True
        for writer in self._open:
            reset(writer)

    async def upstream(self) -> Streams:
        """A connection to the service."""
        host, _, port = self.address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        self._open.append(writer)
        return reader, writer


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection without a goodbye (RST)."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def forward(
    relay: FaultyRelay,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    at_most: int = 2**40,
    pause: float = 0,
) -> None:
    """Both ways; of the answers `at_most` so many bytes, with a `pause` (s) after each kilobyte."""
    from_service, to_service = await relay.upstream()

    async def upwards() -> None:
        while data := await reader.read(65536):
            to_service.write(data)
            await to_service.drain()
        to_service.close()

    asking = asyncio.create_task(upwards())
    sent = 0
    while sent < at_most and (data := await from_service.read(min(1024 if pause else 65536, at_most - sent))):
        writer.write(data)
        await writer.drain()
        sent += len(data)
        await asyncio.sleep(pause)
    asking.cancel()
    writer.close()


async def resets(_relay: FaultyRelay, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def stalls(_relay: FaultyRelay, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while await reader.read(65536):
        pass


async def breaks_off(relay: FaultyRelay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await forward(relay, reader, writer, at_most=2000)  # after the handshake, in the middle of the first answer


async def drips(relay: FaultyRelay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await forward(relay, reader, writer, pause=0.05)


async def answers_in_clear(_relay: FaultyRelay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(65536)
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://hotel.example/sign-in\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


async def has_another_key(_relay: FaultyRelay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with certificate_for(["www.linkedin.com"]) as files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
    with contextlib.suppress(ssl.SSLError):
        await writer.start_tls(context)
        await reader.read(65536)
    writer.close()


@dataclass
class CuttingJournal(MemoryJournal):
    """Cuts the network when the intent is recorded; in `back_after` seconds it is there again, if ever."""

    relay: FaultyRelay | None = None
    back_after: float | None = None

    async def intend(self, control: str, before: Reading, picture: bytes) -> None:
        await super().intend(control, before, picture)
        assert self.relay is not None
        self.relay.cut()
        if self.back_after is not None:
            asyncio.get_running_loop().call_later(self.back_after, setattr, self.relay, "is_cut", False)


@pytest.fixture(scope="module")
def rehearsal() -> Any:
    accounts = [RehearsalAccount(name, "linkedin", f"p-{name}", name, "en", "switched_on") for name in PEOPLE]
    with start_rehearsal(accounts) as running:
        yield running


async def visit(rehearsal: Rehearsal, who: str, address: str, journal: MemoryJournal) -> float:
    """One visit over a network; how long it took, in seconds."""
    network = Network(
        {**dict.fromkeys(rehearsal.resolve, rehearsal.address), "www.linkedin.com:443": address}, (rehearsal.spki,)
    )
    engine = Engine(find_browser(), network, sandbox=False)
    state = rehearsal.storage_state(who, "linkedin")
    assert state is not None
    began = time.monotonic()
    try:
        await Visit(engine, Order(LINKEDIN, f"p-{who}", "en", ["ai_training"], state, False), journal).run()
    finally:
        await engine.stop()
    return time.monotonic() - began


def truth(rehearsal: Rehearsal, who: str) -> tuple[str, int]:
    """What is stored for somebody, and how often a change arrived."""
    [row] = [row for row in rehearsal.truth() if row["employee"] == who]
    return row["controls"]["ai_training"], row["writes"]["ai_training"]


@pytest.mark.parametrize(
    ("who", "fault", "reason"),
    [
        ("resets", resets, Reason.NETWORK),
        ("stalls", stalls, Reason.TIMEOUT),
        ("breaks-off", breaks_off, Reason.TIMEOUT),
        ("other-key", has_another_key, Reason.TLS),
        ("not-tls", answers_in_clear, Reason.TLS),
    ],
)
async def test_what_cannot_be_loaded_is_an_error_and_nothing_is_touched(
    rehearsal: Rehearsal, who: str, fault: Any, reason: Reason
) -> None:
    """A reset, a stall, an answer that breaks off, and the two ways of a captive portal: in under a minute."""
    relay, journal = FaultyRelay(rehearsal.address, fault), MemoryJournal()
    async with relay.serve() as address:
        assert await visit(rehearsal, who, address, journal) < 60
    assert relay.connections > 0
    assert [(one.outcome, one.reason) for one in journal.findings] == [(Outcome.ERROR, reason)]
    assert (journal.intents, truth(rehearsal, who)) == ([], ("in", 0))


async def test_a_slow_network_is_waited_for(rehearsal: Rehearsal) -> None:
    """Twenty kilobytes a second: all goes well."""
    journal = MemoryJournal()
    async with FaultyRelay(rehearsal.address, drips).serve() as address:
        await visit(rehearsal, "drips", address, journal)
    assert [one.outcome for one in journal.findings] == [Outcome.OPTED_OUT]
    assert truth(rehearsal, "drips") == ("out", 1)


async def test_a_network_that_goes_away_after_the_press_leaves_it_unknown(rehearsal: Rehearsal) -> None:
    """The change did not arrive, and nobody could look: neither a success nor a failure is said."""
    relay = FaultyRelay(rehearsal.address, forward)
    journal = CuttingJournal(relay=relay)
    async with relay.serve() as address:
        await visit(rehearsal, "cut-after-press", address, journal)
    [finding] = journal.findings
    assert (finding.outcome, finding.read_back) == (Outcome.UNKNOWN, False)
    assert truth(rehearsal, "cut-after-press")[0] == "in"


async def test_a_network_that_comes_back_is_read_over(rehearsal: Rehearsal) -> None:
    """Whatever became of the change, what is said is what is stored, and it was pressed once."""
    relay = FaultyRelay(rehearsal.address, forward)
    journal = CuttingJournal(relay=relay, back_after=2)
    async with relay.serve() as address:
        await visit(rehearsal, "cut-for-a-while", address, journal)
    [finding] = journal.findings
    value, writes = truth(rehearsal, "cut-for-a-while")
    assert finding.outcome is (Outcome.OPTED_OUT if value == "out" else Outcome.NOT_SAVED)
    assert (len(journal.intents), finding.read_back, writes <= 1) == (1, True, True)
