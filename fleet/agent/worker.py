"""The worker behind `fleet worker serve`, started over SSH. It runs browsers; everything else is asked of the agent.

It stores nothing: sessions stay in memory, and its folder is removed when the connection ends.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fleet import __version__
from fleet.agent.browsers import desk_of, is_in_sandbox, open_engine, require_desk
from fleet.agent.diagnostics import note_unhandled, without_text
from fleet.agent.json_rpc import Channel, ChannelError, Refused
from fleet.agent.main import scrub_environment, settle
from fleet.agent.protocol import MAX_MESSAGE
from fleet.agent.remote import NETWORK, SILENCE
from fleet.agent.unix_server import listen, parse
from fleet.agent.worker_protocol import AGREED, AGREEMENT, ORDER, SIGNING, TOLD, dump_ending, dump_result
from fleet.browser.engine import Engine
from fleet.browser.liveness import BrowserGone
from fleet.desk.display import adopt_display
from fleet.desk.screen import SayIn
from fleet.desk.steps import Told
from fleet.desk.visitor import Desk
from fleet.errors import FleetError, InputError
from fleet.model import Reading, Reason
from fleet.orphans import WORKER, held_folder, sweep
from fleet.paths import runtime_dir
from fleet.visit.visit import ControlResult, Ending, Here


class RemoteJournal:
    """Journal of a visit at the other end of a channel. Raises ChannelError or Refused if that cannot write it."""

    def __init__(self, channel: Channel, visit: int, ending: Ending) -> None:
        self._channel = channel
        self._visit = visit
        self._ending = ending

    async def permit(self, control: str) -> Reason | None:
        """See Journal."""
        answer = await self._channel.ask("permit", visit=self._visit, control=control)
        return Reason(answer["reason"]) if answer["reason"] is not None else None

    async def intend(self, control: str, before: Reading, picture: bytes) -> None:
        """See Journal."""
        shown = base64.b64encode(picture).decode()
        await self._channel.ask("intend", visit=self._visit, control=control, before=before, picture=shown)

    async def finish(self, finding: ControlResult) -> None:
        """See Journal. Also sends the ending so far, so that it survives if the rest is lost."""
        await self._channel.ask(
            "finish", visit=self._visit, finding=dump_result(finding), ending=dump_ending(self._ending)
        )


class VisitServer:
    """Serves one agent over stdin and stdout, and the plays on this machine over a socket."""

    def __init__(self, socket_path: Path, say_in: SayIn) -> None:
        """`say_in` translates for the desk's screen."""
        self._socket_path = socket_path
        self._say_in = say_in
        self._desk: Desk | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._engine: Engine | None = None
        self._channel: Channel

    async def serve(self, incoming: int, outgoing: int) -> None:
        """Serve until the agent is gone or silent for too long. Both descriptors are pipes, as sshd provides them."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(note_unhandled)
        reader = asyncio.StreamReader(limit=MAX_MESSAGE)
        protocol = asyncio.StreamReaderProtocol(reader)
        await loop.connect_read_pipe(lambda: protocol, os.fdopen(incoming, "rb", buffering=0))
        transport, _ = await loop.connect_write_pipe(
            lambda: asyncio.streams.FlowControlMixin(loop=loop), os.fdopen(outgoing, "wb", buffering=0)
        )
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        self._channel = Channel(reader, writer, self._answer)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._channel.close)
        server = await listen(self._socket_path, self._talk)
        watching = asyncio.create_task(self._watch())
        try:
            await self._channel.run()
        finally:
            watching.cancel()
            server.close()
            if self._engine is not None:
                await self._engine.stop()

    async def _watch(self) -> None:
        """Close the channel after `SILENCE` seconds without a message: a cut connection may send no end of file."""
        clock = asyncio.get_running_loop().time
        while clock() - self._channel.heard_at < SILENCE:
            await asyncio.sleep(SILENCE / 10)
        self._channel.close()

    async def _talk(
        self, line: bytes, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
    ) -> dict[str, Any] | None:
        """Forward a play's request to the agent."""
        request = parse(line)
        if request.get("op") != "visit":
            return request if "error" in request else {"error": "unknown operation"}
        try:
            answer = await self._channel.ask("visit", employee=request.get("employee"))
        except Refused as refused:
            return {"error": str(refused)}
        except ChannelError:
            return {"error": "not_run (worker_lost): the connection to where the run was started is gone."}
        return {name: value for name, value in answer.items() if name != "answer"}

    async def _answer(self, op: str, fields: dict[str, Any]) -> dict[str, Any]:
        answers: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
            "ping": self._ping,
            "open": self._open,
            "selectors": self._selectors,
            "order": self._order,
            "agree": self._agree,
            "sign": self._sign,
            "thank": self._thank,
        }
        try:
            return await answers[op](**fields)
        except (FleetError, BrowserGone) as error:
            raise Refused(str(error), is_input=isinstance(error, InputError)) from None

    async def _ping(self) -> dict[str, Any]:
        return {}

    async def _open(
        self,
        version: str,
        network: Mapping[str, Any],
        credentials: str,
        proxied: list[str],
        sandbox: bool,
        live: bool,
        attended: bool,
    ) -> dict[str, Any]:
        if version != __version__:
            raise Refused(f"it has Fleet Opt-Out {__version__}, and {version} is here; install the same on both.")
        if attended:
            adopt_display()
            require_desk()
        reached = NETWORK.validate_python(network)
        self._engine = await open_engine(
            reached,
            proxied,
            sandbox=sandbox,
            live=live,
            credentials=base64.b64decode(credentials),
            is_visible=attended,
        )
        if attended:
            self._desk = desk_of(self._engine, reached, sandbox=sandbox, say_in=self._say_in, tell=self._tell)
        return {"socket": str(self._socket_path), "sandbox": is_in_sandbox(sandbox)}

    async def _selectors(self, hosts: list[str], selectors: list[str]) -> dict[str, Any]:
        assert self._engine is not None
        return {"refused": sorted(await self._engine.refused_selectors(frozenset(hosts), selectors))}

    def _tell(self, told: Told) -> None:
        """Pass on to the agent what happens at this desk."""
        telling = asyncio.create_task(self._told(told))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def _told(self, told: Told) -> None:
        with suppress(ChannelError, Refused):
            await self._channel.ask("told", told=TOLD.dump_python(told, mode="json"))

    async def _agree(self, agreement: Mapping[str, Any]) -> dict[str, Any]:
        assert self._desk is not None
        agreed = await self._desk.agree(AGREEMENT.validate_python(agreement))
        return {"agreed": AGREED.dump_python(agreed, mode="json")}

    async def _sign(self, signing: Mapping[str, Any]) -> dict[str, Any]:
        assert self._desk is not None
        return {"is_sent": await self._desk.sign(SIGNING.validate_python(signing))}

    async def _thank(self, signing: Mapping[str, Any], is_sent: bool) -> dict[str, Any]:
        assert self._desk is not None
        await self._desk.thank(SIGNING.validate_python(signing), is_sent=is_sent)
        return {}

    async def _order(self, visit: int, order: Mapping[str, Any]) -> dict[str, Any]:
        assert self._engine is not None
        ending = Ending()
        journal = RemoteJournal(self._channel, visit, ending)
        try:
            ordered = ORDER.validate_python(order)
            await (self._desk or Here(self._engine)).visit(ordered, journal, ending)
        except (ChannelError, Refused):
            pass  # the agent knows
        except Exception as error:
            told = without_text(error)
            return {"failed": [told["error"], *told["at"]]}
        return {}


def serve_worker(say_in: SayIn) -> None:
    """Serve as a worker on stdin and stdout until the other end closes the connection."""
    with held_folder(runtime_dir(), WORKER) as folder:
        incoming, outgoing = os.dup(0), os.dup(1)
        silence = os.open(os.devnull, os.O_RDWR)
        for taken in (0, 1, 2):  # nothing else may write to the channel, and no page content may leak to it
            os.dup2(silence, taken)
        settle(folder)
        scrub_environment()
        asyncio.run(VisitServer(folder / "agent.sock", say_in).serve(incoming, outgoing))
    sweep(runtime_dir())
