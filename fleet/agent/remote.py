"""Workers as the agent sees them: each has browsers and nothing else; sessions, gates, pacing and records stay here.

What a worker is asked (`open`, `selectors`, `order`, `ping`) and asks itself (`visit`, `permit`, `intend`, `finish`)
crosses a channel. It can see what it is given, and can lie about what it reads; it cannot write a record that the
order of a visit does not allow.
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
from fleet.agent.worker_protocol import ORDER, Ordered
from fleet.browser.liveness import BrowserGone
from fleet.browser.network import Network
from fleet.errors import InputError, WorkerError
from fleet.recipes.recipe import Recipe
from fleet.visit.timeouts import limit
from fleet.visit.visit import Ending, Journal, Order, VisitorLost

PING_EVERY = 10.0
"""Seconds between two looks whether a worker is still there."""
SILENCE = 30.0
"""Seconds after which one side takes the other for gone."""
GRACE = 60.0
"""Seconds that a visit may take beside what its controls may, which it limits itself."""
OPEN_WITHIN = 120.0
"""Seconds in which a worker is ready: it starts a browser for each set of hosts."""

_PLACE = re.compile(r"[A-Za-z]{1,60}|[A-Za-z0-9_./-]{1,200}:[0-9]{1,6}")
"""What a worker may say of its own troubles: a type of error, and places in code."""
_SOCKET = re.compile(r"/[A-Za-z0-9._/-]{1,107}")

NETWORK = TypeAdapter(Network)

Visited = Callable[[object, "RemoteVisitor"], Awaitable[dict[str, Any]]]
"""Does the visits of one employee with a worker's browsers: the answer that the play there gets."""


class RemoteVisitor:
    """One worker, as long as its channel lasts; a Visitor."""

    def __init__(self, name: str, ways: Mapping[str, str], visited: Visited) -> None:
        """`ways` are its own addresses for those of this machine's loopback."""
        self.name = name
        """What the log calls it."""
        self._ways = ways
        self._visited = visited
        self._ordered: dict[int, Ordered] = {}
        self._numbers = itertools.count(1)
        self._channel: Channel
        self.socket = ""
        """Where plays on the worker ask."""
        self.sandbox = False
        """Whether its browsers are in their sandbox."""
        self.is_gone = False
        """Whether it was lost, or let go."""
        self.assigned: frozenset[str] = frozenset()
        """Whom it may visit: those of the plays that were given to it."""

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, at_work: Callable[[], None]
    ) -> None:
        """Talk with the worker until it is gone or let go; `at_work` is called once it can be asked."""
        self._channel = Channel(reader, writer, self._answer)
        watching = asyncio.create_task(self._watch())
        at_work()
        try:
            await self._channel.run()
        finally:
            self.is_gone = True
            watching.cancel()

    async def open(self, network: Network, proxied: list[str], *, sandbox: bool, live: bool) -> None:
        """Make it ready for a run. Raises FleetError with what is missing there."""
        resolve = {host: self._ways[address] for host, address in network.resolve.items()}
        proxy = network.proxy
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
        """As Engine has it, of the worker's browser. Raises BrowserGone if that does not start."""
        try:
            answer = await self._channel.ask("selectors", hosts=sorted(hosts), selectors=sorted(selectors))
            return set(answer["refused"])
        except (Refused, ChannelError, KeyError, TypeError) as error:
            raise BrowserGone(f"worker {self.name}: {error}") from None

    async def visit(self, order: Order, journal: Journal, ending: Ending) -> None:
        """As Visitor has it."""
        number = next(self._numbers)
        ordered = self._ordered[number] = Ordered(order, journal, ending)
        try:
            # A visit is begun a second time after a crash; one that does not end has no browser behind it.
            spent = sum(limit(order.recipe.controls[control].shows_within) for control in order.controls)
            async with asyncio.timeout(2 * (spent + GRACE)):
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

    def let_go(self) -> None:
        """Hang up: the worker ends its browsers and its plays, and leaves nothing behind."""
        self._channel.close()

    async def _answer(self, op: str, fields: dict[str, Any]) -> dict[str, Any]:
        if op == "visit":
            if fields.get("employee") not in self.assigned:
                raise Refused("this employee is not assigned to this worker")
            return await self._visited(fields["employee"], self)
        try:
            ordered = self._ordered.get(fields.pop("visit"))
            if ordered is None or ordered.failure is not None:
                raise Refused("there is no such visit, or not any more")
            answers: dict[str, Callable[..., Awaitable[dict[str, Any]]]]
            answers = {"permit": ordered.permit, "intend": ordered.intend, "finish": ordered.finish}
            return await answers[op](**fields)
        except (ValueError, KeyError, TypeError) as error:
            # It is not to be believed any more, whatever made it so.
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
    """The workers of a run: expected by name, let in one after the other, opened together."""

    def __init__(self, visited: Visited) -> None:
        self._visited = visited
        self._expected: frozenset[str] = frozenset()
        self._all: dict[str, RemoteVisitor] = {}
        self._let_in = asyncio.Event()
        self.loopback: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        """Addresses on this machine's loopback that the workers must be able to reach."""

    def lack(self, name: object) -> bool:
        """True if a worker of that name is waited for."""
        return isinstance(name, str) and name in self._expected and name not in self._all

    def assign(self, name: object, employees: object) -> str | None:
        """Let a worker visit these employees, too; returns where plays on it ask, None if there is no such worker."""
        worker = self._all.get(name) if isinstance(name, str) else None
        if worker is None or worker.is_gone or not isinstance(employees, list):
            return None
        worker.assigned |= set(map(str, employees))
        return worker.socket

    async def employ(
        self, name: str, ways: Mapping[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Let a worker in, and serve it until it is gone. `ways` are its own addresses for those of `loopback`."""
        worker = RemoteVisitor(name, ways, self._visited)

        def at_work() -> None:
            self._all[name] = worker
            self._let_in.set()

        await worker.serve(reader, writer, at_work)

    async def open(
        self, names: Collection[str], network: Network, recipes: Iterable[Recipe], *, sandbox: bool, live: bool
    ) -> list[RemoteVisitor]:
        """Wait until all have come, and make them ready for a run. Raises FleetError with what is missing where."""
        recipes = list(recipes)
        hosts = [host for recipe in recipes for host in recipe.hosts]
        ways = network.mapped(hosts)
        self._expected = frozenset(names)
        self.loopback.set_result(sorted(set(ways.values())))
        while not self._all.keys() >= self._expected:
            self._let_in.clear()
            await self._let_in.wait()
        proxied, mapped = proxied_hosts(network, recipes), replace(network, resolve=ways)
        opening = (worker.open(mapped, proxied, sandbox=sandbox, live=live) for worker in self._all.values())
        await asyncio.gather(*opening)
        return list(self._all.values())

    @property
    def names(self) -> list[str]:
        """Those that are still there."""
        return [name for name, worker in self._all.items() if not worker.is_gone]

    def let_go(self) -> None:
        """Hang up on all."""
        for worker in self._all.values():
            worker.let_go()
