"""Workers as the agent sees them: they run browsers only; sessions, gates, pacing and records stay with the agent.

The agent sends `open`, `selectors`, `order`, `agree`, `sign`, `thank` and `ping`; the worker sends `visit`, `permit`,
`intend`, `finish` and `told`. A worker sees what it is given and can lie about what it reads; it cannot write a record
that the sequence of a visit does not allow.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from fleet import __version__
from fleet.agent.browsers import proxied_hosts
from fleet.agent.diagnostics import diagnostics
from fleet.agent.json_rpc import Channel, ChannelError, Refused
from fleet.agent.worker_protocol import AGREED, AGREEMENT, ORDER, SIGNING, TOLD, Ordered
from fleet.browser.liveness import BrowserGone
from fleet.browser.network import Network
from fleet.desk.agreement import Agreed, Agreement
from fleet.desk.signing import Signing
from fleet.desk.steps import Tell
from fleet.errors import InputError, WorkerError
from fleet.recipes.recipe import Recipe
from fleet.visit.timeouts import limit
from fleet.visit.visit import Ending, Journal, Order, VisitorLost

PING_EVERY = 10.0
"""Seconds between two pings to a worker."""
SILENCE = 30.0
"""Seconds without a message after which either side considers the other gone."""
GRACE = 60.0
"""Seconds a visit may take in addition to the time limits of its controls, which the worker enforces itself."""
OPEN_WITHIN = 120.0
"""Seconds within which a worker must be ready: it starts a browser for each set of hosts."""

_PLACE = re.compile(r"[A-Za-z]{1,60}|[A-Za-z0-9_./-]{1,200}:[0-9]{1,6}")
"""What a worker may report about its own failures: an error type, and code locations."""
_SOCKET = re.compile(r"/[A-Za-z0-9._/-]{1,107}")

NETWORK = TypeAdapter(Network)

Visited = Callable[[object, "RemoteVisitor"], Awaitable[dict[str, Any]]]
"""Visits one employee with a worker's browsers and returns the answer for the play on that worker."""


class RemoteVisitor:
    """The Visitor of one worker; it lasts as long as its channel."""

    def __init__(self, name: str, ways: Mapping[str, str], visited: Visited) -> None:
        """`ways` maps addresses on this machine's loopback to the worker's own addresses for them."""
        self._tell: Tell | None = None
        self.name = name
        """The worker's name in the log."""
        self._ways = ways
        self._visited = visited
        self._ordered: dict[int, Ordered] = {}
        self._numbers = itertools.count(1)
        self._channel: Channel
        self.socket = ""
        """Socket on the worker to which plays send their requests."""
        self.sandbox = False
        """True if the worker's browsers run in their sandbox."""
        self.is_gone = False
        """True if the worker was lost or released."""
        self.assigned: frozenset[str] = frozenset()
        """Employees it may visit: those of the plays assigned to it."""

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, at_work: Callable[[], None]
    ) -> None:
        """Serve the worker until it is gone or released; `at_work` is called once it accepts requests."""
        self._channel = Channel(reader, writer, self._answer)
        watching = asyncio.create_task(self._watch())
        at_work()
        try:
            await self._channel.run()
        finally:
            self.is_gone = True
            watching.cancel()

    async def open(
        self, network: Network, proxied: list[str], *, sandbox: bool, live: bool, tell: Tell | None = None
    ) -> None:
        """Prepare the worker for a run; with `tell` it is a desk, and its steps are told.

        Raises FleetError that names what is missing on it.
        """
        resolve = {host: self._ways[address] for host, address in network.resolve.items()}
        proxy, self._tell = network.proxy, tell
        try:
            async with asyncio.timeout(OPEN_WITHIN):
                answer = await self._channel.ask(
                    "open",
                    version=__version__,
                    network=NETWORK.dump_python(replace(network, resolve=resolve), mode="json"),
                    credentials=base64.b64encode(proxy.read_credentials()).decode() if proxy else "",
                    proxied=proxied,
                    sandbox=sandbox,
                    live=live,
                    attended=tell is not None,
                )
            self.socket, self.sandbox = str(answer["socket"]), bool(answer["sandbox"])
        except Refused as refused:
            sentence = f"Worker {self.name}: {refused}"
            raise InputError(sentence) if refused.is_input else WorkerError(sentence, self.name) from None
        except (ChannelError, KeyError) as error:
            raise WorkerError(
                f"Worker {self.name} cannot be used: {error}. 'fleet doctor --worker …' tells what is missing; "
                f"'ssh … true' must print nothing.",
                self.name,
            ) from None
        except TimeoutError:
            raise WorkerError(
                f"Worker {self.name} was not ready within {OPEN_WITHIN:.0f} s; see what keeps that machine busy.",
                self.name,
            ) from None
        if not _SOCKET.fullmatch(self.socket):
            raise WorkerError(f"Worker {self.name} cannot be used: it does not speak as it should.", self.name)

    async def refused_selectors(self, hosts: frozenset[str], selectors: Collection[str]) -> set[str]:
        """Like Engine's, with the worker's browser. Raises BrowserGone if that does not start."""
        try:
            answer = await self._channel.ask("selectors", hosts=sorted(hosts), selectors=sorted(selectors))
            return set(answer["refused"])
        except (Refused, ChannelError, KeyError, TypeError) as error:
            raise BrowserGone(f"worker {self.name}: {error}") from None

    async def visit(self, order: Order, journal: Journal, ending: Ending) -> None:
        """See Visitor."""
        number = next(self._numbers)
        ordered = self._ordered[number] = Ordered(order, journal, ending)
        try:
            # A visit is restarted once after a crash; a visit that exceeds the limit has lost its browser.
            spent = sum(limit(order.recipe.controls[control].shows_within) for control in order.controls)
            # At the desk a person takes the time they need; each question to them has its own limit.
            async with asyncio.timeout(None if order.attended else 2 * (spent + GRACE)):
                answer = await self._channel.ask("order", visit=number, order=ORDER.dump_python(order, mode="json"))
        except (ChannelError, Refused, TimeoutError) as error:
            if isinstance(error, TimeoutError):
                self.let_go()
            raise ordered.failure or VisitorLost(self.name) from error
        finally:
            del self._ordered[number]
        if ordered.failure is not None:
            raise ordered.failure
        if "failed" in answer:
            told = [place for place in map(str, answer["failed"]) if _PLACE.fullmatch(place)][:10]
            diagnostics.error("worker.visit_failed", worker=self.name, service=order.recipe.service, told=told)
            raise RuntimeError("the worker has met a mistake of ours")
        if ordered.finished != set(order.controls):
            raise VisitorLost(self.name)

    async def agree(self, agreement: Agreement) -> Agreed | None:
        """Ask the employee at the worker's screen for a mandate; None if they do not agree. Raises VisitorLost."""
        try:
            answer = await self._channel.ask("agree", agreement=AGREEMENT.dump_python(agreement, mode="json"))
            return AGREED.validate_python(answer["agreed"])
        except (ChannelError, Refused, KeyError, ValueError) as error:
            raise VisitorLost(self.name) from error

    async def sign(self, signing: Signing) -> bool:
        """See Desk. Raises VisitorLost."""
        try:
            answer = await self._channel.ask("sign", signing=SIGNING.dump_python(signing, mode="json"))
            return answer["is_sent"] is True
        except (ChannelError, Refused, KeyError) as error:
            raise VisitorLost(self.name) from error

    async def thank(self, signing: Signing, *, is_sent: bool) -> None:
        """See Desk. Raises VisitorLost."""
        try:
            await self._channel.ask("thank", signing=SIGNING.dump_python(signing, mode="json"), is_sent=is_sent)
        except (ChannelError, Refused) as error:
            raise VisitorLost(self.name) from error

    def let_go(self) -> None:
        """Close the channel: the worker ends its browsers and its plays, and leaves nothing behind."""
        self._channel.close()

    async def _answer(self, op: str, fields: dict[str, Any]) -> dict[str, Any]:
        if op == "visit":
            if fields.get("employee") not in self.assigned:
                raise Refused("this employee is not assigned to this worker")
            return await self._visited(fields["employee"], self)
        try:
            if op == "told" and self._tell is not None:
                self._tell(TOLD.validate_python(fields["told"]))
                return {}
            ordered = self._ordered.get(fields.pop("visit"))
            if ordered is None or ordered.failure is not None:
                raise Refused("there is no such visit, or not any more")
            answers: dict[str, Callable[..., Awaitable[dict[str, Any]]]]
            answers = {"permit": ordered.permit, "intend": ordered.intend, "finish": ordered.finish}
            return await answers[op](**fields)
        except (ValueError, KeyError, TypeError) as error:
            # Whatever caused the violation, the worker is no longer trusted.
            diagnostics.error("worker.violation", worker=self.name, error=type(error).__name__)
            self.let_go()
            raise Refused("not as the order of a visit allows") from None

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        with contextlib.suppress(ChannelError, Refused):
            while clock() - self._channel.heard_at < SILENCE:
                await asyncio.sleep(PING_EVERY)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._channel.ask("ping"), PING_EVERY)
        self.let_go()


class RemoteVisitors:
    """The workers of a run: expected by name, accepted one by one, opened together."""

    def __init__(self, visited: Visited) -> None:
        self._visited = visited
        self._expected: frozenset[str] = frozenset()
        self._all: dict[str, RemoteVisitor] = {}
        self._let_in = asyncio.Event()
        self.loopback: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        """Addresses on this machine's loopback that the workers must be able to reach."""

    def lack(self, name: object) -> bool:
        """Return True if a worker of that name is still expected."""
        return isinstance(name, str) and name in self._expected and name not in self._all

    def assign(self, name: object, employees: object) -> str | None:
        """Let a worker also visit these employees. Returns the socket for its plays, None if no such worker exists."""
        worker = self._all.get(name) if isinstance(name, str) else None
        if worker is None or worker.is_gone or not isinstance(employees, list):
            return None
        worker.assigned |= set(map(str, employees))
        return worker.socket

    async def employ(
        self, name: str, ways: Mapping[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Accept a worker and serve it until it is gone. `ways` maps addresses in `loopback` to the worker's own."""
        worker = RemoteVisitor(name, ways, self._visited)

        def at_work() -> None:
            self._all[name] = worker
            self._let_in.set()

        await worker.serve(reader, writer, at_work)

    async def open(
        self,
        names: Collection[str],
        network: Network,
        recipes: Iterable[Recipe],
        *,
        sandbox: bool,
        live: bool,
        tell: Tell | None = None,
    ) -> list[RemoteVisitor]:
        """Wait until all workers have connected, and prepare them for a run; with `tell`, as desks.

        Raises FleetError that names what is missing and on which worker.
        """
        recipes = list(recipes)
        hosts = [host for recipe in recipes for host in recipe.hosts]
        ways = network.mapped(hosts)
        self._expected = frozenset(names)
        self.loopback.set_result(sorted(set(ways.values())))
        while not self._all.keys() >= self._expected:
            self._let_in.clear()
            await self._let_in.wait()
        proxied, mapped = proxied_hosts(network, recipes), replace(network, resolve=ways)
        opening = (worker.open(mapped, proxied, sandbox=sandbox, live=live, tell=tell) for worker in self._all.values())
        await asyncio.gather(*opening)
        return list(self._all.values())

    @property
    def names(self) -> list[str]:
        """Names of the workers still connected."""
        return [name for name, worker in self._all.items() if not worker.is_gone]

    def let_go(self) -> None:
        """Close the channels of all workers."""
        for worker in self._all.values():
            worker.let_go()
