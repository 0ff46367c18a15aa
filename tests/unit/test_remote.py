"""What a worker may make the agent record: no more than the order of a visit allows, however it speaks."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from fleet.agent.json_rpc import Channel, ChannelError, Refused
from fleet.agent.remote import RemoteVisitor
from fleet.agent.worker_protocol import dump_result, load_result
from fleet.errors import AuditError
from fleet.model import Outcome, Reading, Reason
from fleet.visit.visit import ControlResult, Ending, Order, VisitorLost
from tests.visits import ORDER, PROVED

LEFT: dict[str, Any] = {"rotated_state": None, "retry_after": None}
ENDED: dict[str, Any] = {}
PICTURE = base64.b64encode(b"\x89PNG").decode()

Says = Callable[[Channel, int], Awaitable[dict[str, Any]]]
"""What the worker does with an order, of the number that is given; its answer."""


class Notes:
    """A journal that keeps what it is told. A mock, because what is tested is what gets as far as a journal."""

    def __init__(self, failure: AuditError | None = None) -> None:
        self.intended: list[str] = []
        self.finished: list[ControlResult] = []
        self._failure = failure

    async def permit(self, control: str) -> Reason | None:
        return None

    async def intend(self, control: str, before: Reading, picture: bytes) -> None:
        if self._failure:
            raise self._failure
        self.intended.append(control)

    async def finish(self, finding: ControlResult) -> None:
        self.finished.append(finding)


@asynccontextmanager
async def connected(says: Says) -> AsyncIterator[RemoteVisitor]:
    """A worker as the agent sees it, and at the other end of a socket one that does with orders what `says` does."""
    here, there = socket.socketpair()

    async def visited(_employee: object, _worker: RemoteVisitor) -> dict[str, Any]:
        return {"results": []}

    async def answer(op: str, fields: dict[str, Any]) -> dict[str, Any]:
        return await says(channel, fields["visit"]) if op == "order" else {}

    worker, at_work = RemoteVisitor("paris", {}, visited), asyncio.Event()
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
    assert (await channel.ask("permit", visit=number, control=control))["reason"] is None
    await channel.ask("intend", visit=number, control=control, before="in", picture=PICTURE)


async def finish(channel: Channel, number: int, finding: ControlResult = PROVED, left: object = LEFT) -> None:
    await channel.ask("finish", visit=number, finding=dump_result(finding), ending=left)


class TestHonest:
    async def test_a_visit_is_noted_as_it_was(self) -> None:
        """Permit, intent, proof, the session that rotated."""

        async def says(channel: Channel, number: int) -> dict[str, Any]:
            await intend(channel, number)
            await finish(channel, number, PROVED, {"rotated_state": {"cookies": []}, "retry_after": 60})
            return ENDED

        notes, ending = await visit(says)
        assert (notes.intended, notes.finished) == (["ai_training"], [PROVED])
        assert (ending.rotated_state, ending.retry_after) == ({"cookies": []}, 60)

    @pytest.mark.parametrize("finding", [PROVED, replace(PROVED, picture=None, refused_hosts=("a.example:443",))])
    def test_a_finding_crosses_whole(self, finding: ControlResult) -> None:
        """As JSON and back."""
        assert load_result(json.loads(json.dumps(dump_result(finding)))) == finding


async def _another_control(channel: Channel, number: int) -> dict[str, Any]:
    await intend(channel, number, "close_account")
    return ENDED


async def _another_visit(channel: Channel, number: int) -> dict[str, Any]:
    await intend(channel, number + 1)
    return ENDED


async def _not_permitted(channel: Channel, number: int) -> dict[str, Any]:
    await channel.ask("intend", visit=number, control="ai_training", before="in", picture=PICTURE)
    return ENDED


async def _twice_intended(channel: Channel, number: int) -> dict[str, Any]:
    await intend(channel, number)
    await intend(channel, number)
    return ENDED


async def _no_outcome(channel: Channel, number: int) -> dict[str, Any]:
    await channel.ask("finish", visit=number, finding=dump_result(PROVED) | {"outcome": "splendid"}, ending=LEFT)
    return ENDED


async def _no_operation(channel: Channel, number: int) -> dict[str, Any]:
    await channel.ask("erase", visit=number)
    return ENDED


async def _nothing(_channel: Channel, _number: int) -> dict[str, Any]:
    return ENDED


async def _hangs_up(channel: Channel, _number: int) -> dict[str, Any]:
    channel.close()
    return ENDED


def ends(finding: ControlResult, *, intended: bool = False) -> Says:
    """Says nothing but that the control came to this, after an intent or without one."""

    async def says(channel: Channel, number: int) -> dict[str, Any]:
        if intended:
            await intend(channel, number)
        await finish(channel, number, finding)
        return ENDED

    return says


def unpressed(outcome: Outcome, reading: Reading | None = None) -> ControlResult:
    """The control came to this by its first reading alone."""
    return ControlResult("ai_training", outcome, reading, reading)


LIES = {
    "no_intent": ends(PROVED),
    "no_reading": ends(replace(PROVED, read_back=False), intended=True),
    "still_in": ends(replace(PROVED, after=Reading.IN), intended=True),
    "was_out_before": ends(replace(PROVED, before=Reading.OUT), intended=True),
    "a_long_text": ends(replace(PROVED, refused_hosts=("what a page says " * 500,)), intended=True),
    "no_time": ends(replace(PROVED, duration_ms=-1), intended=True),
    "already_in": ends(unpressed(Outcome.ALREADY_OPTED_OUT, Reading.IN)),
    "already_unread": ends(unpressed(Outcome.ALREADY_OPTED_OUT)),
    "already_but_in_before": ends(ControlResult("ai_training", Outcome.ALREADY_OPTED_OUT, Reading.IN, Reading.OUT)),
    "already_after_an_intent": ends(unpressed(Outcome.ALREADY_OPTED_OUT, Reading.OUT), intended=True),
    "read_back_without_an_intent": ends(replace(unpressed(Outcome.ALREADY_OPTED_OUT, Reading.OUT), read_back=True)),
    "not_touched_after_an_intent": ends(unpressed(Outcome.ERROR), intended=True),
    "page_changed_after_an_intent": ends(unpressed(Outcome.PAGE_CHANGED), intended=True),
    "not_offered_after_an_intent": ends(unpressed(Outcome.NOT_OFFERED), intended=True),
    "not_saved_without_an_intent": ends(unpressed(Outcome.NOT_SAVED, Reading.IN)),
    "unknown_without_an_intent": ends(unpressed(Outcome.UNKNOWN, Reading.IN)),
    "a_label_for_nothing": ends(replace(unpressed(Outcome.PAGE_CHANGED), label="Use my data")),
    "a_label_that_is_none": ends(
        replace(unpressed(Outcome.PAGE_CHANGED), reason=Reason.LABEL, label="a\x1b[31m" * 100)
    ),
    "would": ends(unpressed(Outcome.WOULD_OPT_OUT, Reading.IN)),
    "no_mandate": ends(unpressed(Outcome.NO_MANDATE, Reading.IN)),
    "waived": ends(unpressed(Outcome.WAIVED)),
    "submitted": ends(unpressed(Outcome.SUBMITTED)),
    "not_permitted": _not_permitted,
    "another_control": _another_control,
    "another_visit": _another_visit,
    "no_outcome": _no_outcome,
    "no_operation": _no_operation,
    "nothing": _nothing,
    "hangs_up": _hangs_up,
}


class TestInCheckMode:
    @pytest.mark.parametrize("outcome", [Outcome.NOT_SAVED, Outcome.UNKNOWN])
    async def test_nothing_that_follows_a_press_is_noted(self, outcome: Outcome) -> None:
        """Nothing is pressed in check mode, so nothing can have gone wrong with it."""
        notes = Notes()
        with pytest.raises(VisitorLost):
            await visit(ends(unpressed(outcome, Reading.IN)), replace(ORDER, check=True), notes)
        assert notes.finished == []

    @pytest.mark.parametrize(
        "finding",
        [
            unpressed(Outcome.WOULD_OPT_OUT, Reading.IN),
            unpressed(Outcome.ALREADY_OPTED_OUT, Reading.OUT),
            replace(unpressed(Outcome.PAGE_CHANGED), reason=Reason.LABEL, label="Do not use my data"),
        ],
    )
    async def test_what_was_only_read_is_noted(self, finding: ControlResult) -> None:
        """With what a renamed control is called."""
        notes, _ = await visit(ends(finding), replace(ORDER, check=True))
        assert notes.finished == [finding]


class TestNotToBeBelieved:
    @pytest.mark.parametrize("says", LIES.values(), ids=LIES)
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

    @pytest.mark.parametrize("left", ["well", 7, LEFT | {"retry_after": float("nan")}, LEFT | {"retry_after": -1}])
    async def test_it_leaves_nothing_that_is_none(self, left: object) -> None:
        """Neither a session nor a time to wait."""
        notes = Notes()

        async def says(channel: Channel, number: int) -> dict[str, Any]:
            await intend(channel, number)
            await finish(channel, number, PROVED, left)
            return ENDED

        with pytest.raises(VisitorLost):
            await visit(says, notes=notes)
        assert notes.finished == []

    async def test_what_it_left_before_it_was_lost_is_kept(self) -> None:
        """A session that has rotated would be over without it."""
        ending = Ending()

        async def says(channel: Channel, number: int) -> dict[str, Any]:
            await intend(channel, number)
            await finish(channel, number, PROVED, {"rotated_state": {"cookies": []}, "retry_after": None})
            channel.close()
            return ENDED

        async with connected(says) as worker:
            with pytest.raises(VisitorLost):
                await asyncio.wait_for(worker.visit(ORDER, Notes(), ending), 10)
        assert ending.rotated_state == {"cookies": []}

    async def test_only_those_who_are_assigned_are_visited(self) -> None:
        """Else it could ask for everybody's session."""
        told = []

        async def says(channel: Channel, number: int) -> dict[str, Any]:
            assert await channel.ask("visit", employee="anna") == {"answer": 1, "results": []}
            for other in ("ben", None, ["anna"]):
                with pytest.raises(Refused) as refused:
                    await channel.ask("visit", employee=other)
                told.append(str(refused.value))
            return ENDED

        async with connected(says) as worker:
            worker.assigned = frozenset({"anna"})
            with pytest.raises(VisitorLost):
                await asyncio.wait_for(worker.visit(ORDER, Notes(), Ending()), 10)
        assert told[:2] == ["this employee is not assigned to this worker"] * 2 and len(told) == 3

    async def test_a_visit_that_does_not_end_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However lively the worker is otherwise."""
        monkeypatch.setattr("fleet.agent.remote.limit", lambda _shows_within: 0.1)
        monkeypatch.setattr("fleet.agent.remote.GRACE", 0.1)

        async def says(_channel: Channel, _number: int) -> dict[str, Any]:
            await asyncio.sleep(60)
            return ENDED

        with pytest.raises(VisitorLost):
            await visit(says)

    async def test_a_flood_of_questions_ends_the_channel(self) -> None:
        """Before they fill the memory."""

        async def says(channel: Channel, number: int) -> dict[str, Any]:
            async with asyncio.TaskGroup() as group:
                for _ in range(5000):
                    group.create_task(channel.ask("permit", visit=number, control="ai_training"))
            return ENDED

        class Slow(Notes):
            async def permit(self, control: str) -> Reason | None:
                await asyncio.sleep(20)
                return None

        with pytest.raises(VisitorLost):
            await visit(says, notes=Slow())

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
        assert told == ["it cannot be recorded"]

    @pytest.mark.parametrize(
        "line",
        [b"Welcome to paris\n", b"[]\n", b'{"op": "visit"}\n', b"\xff\n", b"[" * 9999 + b"\n"],
        ids=["words", "a list", "no number", "no UTF-8", "deep"],
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
