"""What a worker may make the agent record: no more than the order of a visit allows, however it speaks."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ansible_runner
import pytest

from fleet.agent.channel import Channel, ChannelError, Refused
from fleet.agent.remote import Worker, dump_finding, load_finding
from fleet.catalogue import load_catalogue
from fleet.errors import AuditError
from fleet.model import Outcome, Reading, Reason
from fleet.optout import Ending, Finding, Order, VisitorLost
from fleet.runner import _WithoutFiles

ORDER = Order(
    load_catalogue().recipes["linkedin"], "anna-k", "en", ["ai_training"], {"cookies": [], "origins": []}, False
)
PROVED = Finding("ai_training", Outcome.OPTED_OUT, Reading.IN, Reading.OUT, read_back=True, picture=b"\x89PNG")
ENDED = {"ending": {"rotated_state": None, "retry_after": None}}
PICTURE = base64.b64encode(b"\x89PNG").decode()

Says = Callable[[Channel, int], Awaitable[dict[str, Any]]]
"""What the worker does with an order, of the number that is given; its answer."""


class Notes:
    """A journal that keeps what it is told. A mock, because what is tested is what gets as far as a journal."""

    def __init__(self, failure: AuditError | None = None) -> None:
        self.intended: list[str] = []
        self.finished: list[Finding] = []
        self._failure = failure

    async def permit(self, control: str) -> Reason | None:
        return None

    async def intend(self, control: str, before: Reading, picture: bytes) -> None:
        if self._failure:
            raise self._failure
        self.intended.append(control)

    async def finish(self, finding: Finding) -> None:
        self.finished.append(finding)


@asynccontextmanager
async def connected(says: Says) -> AsyncIterator[Worker]:
    """A worker as the agent sees it, and at the other end of a socket one that does with orders what `says` does."""
    here, there = socket.socketpair()

    async def visited(_employee: object, _worker: Worker) -> dict[str, Any]:
        return {"results": []}

    async def answer(op: str, fields: dict[str, Any]) -> dict[str, Any]:
        return await says(channel, fields["visit"]) if op == "order" else {}

    worker, at_work = Worker("paris", {}, visited), asyncio.Event()
    channel = Channel(*await asyncio.open_unix_connection(sock=there), answer)
    speaking = asyncio.create_task(channel.run())
    serving = asyncio.create_task(worker.serve(*await asyncio.open_unix_connection(sock=here), at_work.set))
    await at_work.wait()
    try:
        yield worker
    finally:
        worker.let_go()
        channel.close()
        await asyncio.wait([speaking, serving], timeout=5)


async def visit(says: Says, order: Order = ORDER, notes: Notes | None = None) -> tuple[Notes, Ending]:
    """One visit, and what was noted of it."""
    notes, ending = notes or Notes(), Ending()
    async with connected(says) as worker:
        await asyncio.wait_for(worker.visit(order, notes, ending), 10)
    return notes, ending


async def intend(channel: Channel, number: int, control: str = "ai_training") -> None:
    await channel.ask("intend", visit=number, control=control, before="in", picture=PICTURE)


async def finish(channel: Channel, number: int, finding: Finding = PROVED) -> None:
    await channel.ask("finish", visit=number, finding=dump_finding(finding))


class TestHonest:
    async def test_a_visit_is_noted_as_it_was(self) -> None:
        """Permit, intent, proof, the session that rotated."""

        async def says(channel: Channel, number: int) -> dict[str, Any]:
            assert (await channel.ask("permit", visit=number, control="ai_training"))["reason"] is None
            await intend(channel, number)
            await finish(channel, number)
            return {"ending": {"rotated_state": {"cookies": []}, "retry_after": 60}}

        notes, ending = await visit(says)
        assert (notes.intended, notes.finished) == (["ai_training"], [PROVED])
        assert (ending.rotated_state, ending.retry_after) == ({"cookies": []}, 60)

    @pytest.mark.parametrize("finding", [PROVED, replace(PROVED, picture=None, refused_hosts=("a.example:443",))])
    def test_a_finding_crosses_whole(self, finding: Finding) -> None:
        """As JSON and back."""
        assert load_finding(json.loads(json.dumps(dump_finding(finding)))) == finding


async def _no_intent(channel: Channel, number: int) -> dict[str, Any]:
    await finish(channel, number)
    return ENDED


async def _no_reading(channel: Channel, number: int) -> dict[str, Any]:
    await intend(channel, number)
    await finish(channel, number, replace(PROVED, read_back=False))
    return ENDED


async def _still_in(channel: Channel, number: int) -> dict[str, Any]:
    await intend(channel, number)
    await finish(channel, number, replace(PROVED, after=Reading.IN))
    return ENDED


async def _another_control(channel: Channel, number: int) -> dict[str, Any]:
    await intend(channel, number, "close_account")
    return ENDED


async def _another_visit(channel: Channel, number: int) -> dict[str, Any]:
    await intend(channel, number + 1)
    return ENDED


async def _twice_intended(channel: Channel, number: int) -> dict[str, Any]:
    await intend(channel, number)
    await intend(channel, number)
    return ENDED


async def _a_long_text(channel: Channel, number: int) -> dict[str, Any]:
    await intend(channel, number)
    await finish(channel, number, replace(PROVED, refused_hosts=("what a page says " * 500,)))
    return ENDED


async def _no_time(channel: Channel, number: int) -> dict[str, Any]:
    await intend(channel, number)
    await finish(channel, number, replace(PROVED, duration_ms=-1))
    return ENDED


async def _no_outcome(channel: Channel, number: int) -> dict[str, Any]:
    await channel.ask("finish", visit=number, finding=dump_finding(PROVED) | {"outcome": "splendid"})
    return ENDED


async def _no_operation(channel: Channel, number: int) -> dict[str, Any]:
    await channel.ask("erase", visit=number)
    return ENDED


async def _nothing(_channel: Channel, _number: int) -> dict[str, Any]:
    return ENDED


async def _hangs_up(channel: Channel, _number: int) -> dict[str, Any]:
    channel.close()
    return ENDED


class TestNotToBeBelieved:
    @pytest.mark.parametrize(
        "says",
        [
            *(_no_intent, _no_reading, _still_in, _another_control, _another_visit, _no_outcome, _no_operation),
            *(_nothing, _hangs_up, _a_long_text, _no_time),
        ],
        ids=lambda says: says.__name__.strip("_"),
    )
    async def test_nothing_that_an_order_does_not_allow_is_noted(self, says: Says) -> None:
        """The visit is lost, and no end of the worker's making is noted."""
        notes = Notes()
        with pytest.raises(VisitorLost):
            await visit(says, notes=notes)
        assert notes.finished == []

    async def test_an_intent_counts_once(self) -> None:
        """A second press would need a second intent."""
        notes = Notes()
        with pytest.raises(VisitorLost):
            await visit(_twice_intended, notes=notes)
        assert (notes.intended, notes.finished) == (["ai_training"], [])

    async def test_check_mode_knows_no_intent(self) -> None:
        """Whatever the worker says."""
        notes = Notes()

        async def says(channel: Channel, number: int) -> dict[str, Any]:
            await intend(channel, number)
            return ENDED

        with pytest.raises(VisitorLost):
            await visit(says, replace(ORDER, check=True), notes)
        assert notes.intended == []

    @pytest.mark.parametrize("ending", ["well", 7, ENDED["ending"] | {"retry_after": float("nan")}])
    async def test_an_ending_that_is_none(self, ending: object) -> None:
        """What was proved stays noted."""
        notes = Notes()

        async def says(channel: Channel, number: int) -> dict[str, Any]:
            await intend(channel, number)
            await finish(channel, number)
            return {"ending": ending}

        with pytest.raises(VisitorLost):
            await visit(says, notes=notes)
        assert notes.finished == [PROVED]

    async def test_a_flood_of_questions_ends_the_channel(self) -> None:
        """Before they fill the memory."""

        async def says(channel: Channel, number: int) -> dict[str, Any]:
            async with asyncio.TaskGroup() as group:
                for _ in range(5000):
                    group.create_task(channel.ask("visit", employee="anna"))
            return ENDED

        with pytest.raises(VisitorLost):
            await visit(says)

    async def test_a_log_that_cannot_be_written_stops_the_visit(self) -> None:
        """The worker is told no more than that, and the failure is the log's own."""
        failure = AuditError("no space left")
        told = []

        async def says(channel: Channel, number: int) -> dict[str, Any]:
            try:
                await intend(channel, number)
            except Refused as refused:
                told.append(str(refused))
            return ENDED

        with pytest.raises(AuditError) as caught:
            await visit(says, notes=Notes(failure))
        assert caught.value is failure
        assert told == ["the audit log cannot be written"]

    @pytest.mark.parametrize(
        "line", [b"Welcome to paris\n", b"[]\n", b'{"op": "visit"}\n', b"\xff\n", b"[" * 9999 + b"\n"]
    )
    async def test_what_is_no_question_ends_the_channel(self, line: bytes) -> None:
        """Such as what a shell's profile prints."""
        here, there = socket.socketpair()

        async def answer(_op: str, _fields: dict[str, Any]) -> dict[str, Any]:
            return {}

        channel = Channel(*await asyncio.open_unix_connection(sock=here), answer)
        running = asyncio.create_task(channel.run())
        asking = asyncio.create_task(channel.ask("ping"))
        await asyncio.sleep(0)
        there.sendall(line)
        with pytest.raises(ChannelError, match="does not speak as it should"):
            await asyncio.wait_for(asking, 10)
        await running
        there.close()


def archive(link: Path) -> bytes:
    """A worker's files as Runner streams them: a link out of the folder, and a file behind it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as files:
        outside = zipfile.ZipInfo("out")
        outside.create_system, outside.external_attr = 3, 0o120777 << 16
        files.writestr(outside, str(link))
        files.writestr("out/planted", "from the worker")
    content = packed.getvalue()
    return json.dumps({"zipfile": len(content)}).encode() + b"\n" + base64.b64encode(content)


class TestFiles:
    @pytest.mark.parametrize("is_guarded", [False, True])
    def test_no_file_comes_from_a_worker(self, tmp_path: Path, is_guarded: bool) -> None:
        """Runner alone writes where a worker's link leads; what it is given here has no way for files."""
        outside, private = tmp_path / "outside", tmp_path / "private"
        outside.mkdir()
        private.mkdir()
        stream: Any = io.BytesIO(archive(outside) + b'{"status": "successful"}\n{"eof": true}\n')
        processed = ansible_runner.interface.run(
            streamer="process",
            _input=_WithoutFiles(stream) if is_guarded else stream,
            private_data_dir=str(private),
            ident="r1",
            quiet=True,
            cancel_callback=lambda: False,
        )
        assert [path.name for path in outside.iterdir()] == ([] if is_guarded else ["planted"])
        assert processed.status == ("error" if is_guarded else "successful")
