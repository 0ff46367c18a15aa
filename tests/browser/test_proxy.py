"""With and without a proxy the browser is confined alike: a recipe's hosts on their own ports, and nothing else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from fleet.browser.engine import Engine
from fleet.browser.failures import Unreachable
from fleet.browser.find_browser import find_browser
from fleet.browser.network import Network
from fleet.browser.proxy import Proxy
from fleet.model import Outcome, Reason
from fleet.recipes.catalog import load_catalog
from fleet.rehearsal.process import Rehearsal, RehearsalAccount, start_rehearsal
from fleet.visit.visit import Order, Visit
from tests.browser.test_gallery import MemoryJournal
from tests.playbook.helpers import processes

pytestmark = pytest.mark.xdist_group("cases")

LINKEDIN = load_catalog().recipes["linkedin"]


@dataclass
class ForwardProxy:
    """A small proxy that knows the rehearsed hosts only. `asked` is all that it was asked for."""

    rehearsal: Rehearsal
    asked: set[str] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode().split()
        self.asked.add(request[1])
        if request[1] not in self.rehearsal.resolve:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            writer.close()
            return
        address, _, port = self.rehearsal.address.rpartition(":")
        beyond = await asyncio.open_connection(address, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

        async def carry(one: asyncio.StreamReader, other: asyncio.StreamWriter) -> None:
            while data := await one.read(65536):
                other.write(data)
            other.close()

        await asyncio.gather(carry(reader, beyond[1]), carry(beyond[0], writer), return_exceptions=True)


@dataclass
class Ground:
    engine: Engine
    rehearsal: Rehearsal
    proxy: ForwardProxy


@pytest.fixture(scope="module")
def rehearsal() -> Iterator[Rehearsal]:
    """One for all tests; only one of them visits the account."""
    with start_rehearsal([RehearsalAccount("anna", "linkedin", "anna-k", "Anna", "en", "switched_on")]) as rehearsal:
        yield rehearsal


@asynccontextmanager
async def ground(rehearsal: Rehearsal, *, behind_proxy: bool) -> AsyncIterator[Ground]:
    """A browser that reaches a rehearsal directly or through a proxy."""
    proxy = ForwardProxy(rehearsal)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    if behind_proxy:
        where = Proxy("http", "127.0.0.1", server.sockets[0].getsockname()[1])
        network = Network({}, (rehearsal.spki,), where)
    else:
        network = Network(rehearsal.resolve, (rehearsal.spki,))
    engine = Engine(find_browser(), network, sandbox=False)
    try:
        yield Ground(engine, rehearsal, proxy)
    finally:
        await engine.stop()
        server.close()


async def test_a_visit_through_a_proxy(rehearsal: Rehearsal) -> None:
    """Opted out, borne out by the service; the proxy is asked for the recipe's hosts and nothing else."""
    async with ground(rehearsal, behind_proxy=True) as here:
        journal = MemoryJournal()
        state = here.rehearsal.storage_state("anna", "linkedin")
        assert state is not None
        await Visit(here.engine, Order(LINKEDIN, "anna-k", "en", ["ai_training"], state, False), journal).run()
        assert [finding.outcome for finding in journal.findings] == [Outcome.OPTED_OUT]
        assert here.rehearsal.truth()[0]["controls"] == {"ai_training": "out"}
        assert here.proxy.asked == {"www.linkedin.com:443", "static.licdn.com:443", "media.licdn.com:443"}


@pytest.mark.parametrize("behind_proxy", [False, True])
async def test_everything_else_is_refused_alike(rehearsal: Rehearsal, behind_proxy: bool) -> None:
    """Other names, other ports, plain http, addresses, this machine's own services: named, and nobody was asked."""
    knocked: list[str] = []

    async def knock(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        knocked.append("here")
        writer.close()

    server = await asyncio.start_server(knock, "127.0.0.1", 0)
    own = server.sockets[0].getsockname()[1]
    async with server, ground(rehearsal, behind_proxy=behind_proxy) as here:
        for address, named in {
            "https://evil.example/": "evil.example:443",
            "https://www.linkedin.com:8443/": "www.linkedin.com:8443",
            "http://www.linkedin.com/": "www.linkedin.com:80",
            "https://192.0.2.1/": "192.0.2.1:443",
            f"http://127.0.0.1:{own}/": f"127.0.0.1:{own}",
            f"http://localhost:{own}/": f"localhost:{own}",
        }.items():
            async with here.engine.tab(LINKEDIN.hosts, {}, None) as tab:
                with pytest.raises(Unreachable) as caught:
                    await tab.load(address)
                assert (caught.value.reason, tab.refused_hosts) == (Reason.REFUSED_HOST, {named}), address
        assert knocked == []
        assert here.proxy.asked == set()


async def test_a_service_that_the_proxy_cannot_reach_is_the_networks_fault(rehearsal: Rehearsal) -> None:
    """The recipe declares the host, so there is nothing to fix in the recipe."""
    async with ground(rehearsal, behind_proxy=True) as here:
        hosts = frozenset({"www.elsewhere.example:443"})
        async with here.engine.tab(hosts, {}, None) as tab:
            with pytest.raises(Unreachable) as caught:
                await tab.load("https://www.elsewhere.example/")
            assert (caught.value.reason, tab.refused_hosts) == (Reason.NETWORK, set())
        assert here.proxy.asked == {"www.elsewhere.example:443"}


async def test_what_playwright_disables_stays_disabled() -> None:
    """Chromium heeds the last of two lists, ours; a newer Playwright may disable more."""
    engine = Engine(find_browser(), Network(), sandbox=False)
    try:
        async with engine.tab(frozenset(), {}, None):
            [command, *_] = [process.command for process in processes() if process.is_browser]
    finally:
        await engine.stop()
    playwrights, ours = re.findall(r"--disable-features=(\S+)", command)
    assert set(playwrights.split(",")) - set(ours.split(",")) == set()
    assert "WebRtcHideLocalIpsWithMdns" in ours
