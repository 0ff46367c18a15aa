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
from types import SimpleNamespace
from typing import Any

import ansible_runner
import pyrage
import pytest

from fleet.agent.account import AccountVisit, Ground
from fleet.agent.breaker import Breaker
from fleet.agent.channel import Channel, ChannelError, Refused
from fleet.agent.orders import dump_finding, load_finding
from fleet.agent.pacing import Pacing
from fleet.agent.recorder import Recorder
from fleet.agent.remote import Worker
from fleet.agent.run import Run
from fleet.audit.ledger import Ledger
from fleet.audit.log import AuditLog
from fleet.audit.subjects import Subject
from fleet.catalogue import load_catalogue
from fleet.configfile import Pause
from fleet.employee import Account, Employee
from fleet.errors import AuditError
from fleet.mandates import Revocations
from fleet.model import Outcome, Reading, Reason
from fleet.optout import Ending, Finding, Journal, Order, VisitorLost
from fleet.plan import PlannedAccount
from fleet.runner import _WithoutFiles
from fleet.sessions import StorageState
from tests.logs import lines

ORDER = Order(
    load_catalogue().recipes["linkedin"], "anna-k", "en", ["ai_training"], {"cookies": [], "origins": []}, False
)
PROVED = Finding("ai_training", Outcome.OPTED_OUT, Reading.IN, Reading.OUT, read_back=True, picture=b"\x89PNG")
LEFT: dict[str, Any] = {"rotated_state": None, "retry_after": None}
ENDED: dict[str, Any] = {}
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
    assert (await channel.ask("permit", visit=number, control=control))["reason"] is None
    await channel.ask("intend", visit=number, control=control, before="in", picture=PICTURE)


async def finish(channel: Channel, number: int, finding: Finding = PROVED, left: object = LEFT) -> None:
    await channel.ask("finish", visit=number, finding=dump_finding(finding), ending=left)


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


async def _not_permitted(channel: Channel, number: int) -> dict[str, Any]:
    await channel.ask("intend", visit=number, control="ai_training", before="in", picture=PICTURE)
    return ENDED


async def _twice_intended(channel: Channel, number: int) -> dict[str, Any]:
    await intend(channel, number)
    await intend(channel, number)
    return ENDED


async def _was_out_before(channel: Channel, number: int) -> dict[str, Any]:
    await intend(channel, number)
    await finish(channel, number, replace(PROVED, before=Reading.OUT))
    return ENDED


async def _already_in(channel: Channel, number: int) -> dict[str, Any]:
    await finish(channel, number, Finding("ai_training", Outcome.ALREADY_OPTED_OUT, Reading.IN, Reading.IN))
    return ENDED


async def _waived(channel: Channel, number: int) -> dict[str, Any]:
    await finish(channel, number, Finding("ai_training", Outcome.WAIVED))
    return ENDED


async def _already_unread(channel: Channel, number: int) -> dict[str, Any]:
    await finish(channel, number, Finding("ai_training", Outcome.ALREADY_OPTED_OUT))
    return ENDED


async def _would(channel: Channel, number: int) -> dict[str, Any]:
    await finish(channel, number, Finding("ai_training", Outcome.WOULD_OPT_OUT, Reading.IN, Reading.IN))
    return ENDED


async def _no_mandate(channel: Channel, number: int) -> dict[str, Any]:
    await finish(channel, number, Finding("ai_training", Outcome.NO_MANDATE, Reading.IN, Reading.IN))
    return ENDED


async def _submitted(channel: Channel, number: int) -> dict[str, Any]:
    await finish(channel, number, Finding("ai_training", Outcome.SUBMITTED))
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
    await channel.ask("finish", visit=number, finding=dump_finding(PROVED) | {"outcome": "splendid"}, ending=LEFT)
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
            *(
                _not_permitted,
                _no_intent,
                _no_reading,
                _still_in,
                _another_control,
                _another_visit,
                _no_outcome,
                _no_operation,
            ),
            *(
                _nothing,
                _hangs_up,
                _was_out_before,
                _already_in,
                _already_unread,
                _waived,
                _submitted,
                _would,
                _no_mandate,
                _a_long_text,
                _no_time,
            ),
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
        monkeypatch.setattr("fleet.agent.remote.LIMIT", 0.1)
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


class Dying:
    """A Visitor that is lost while its last words are on their way to the log."""

    name = "paris"
    is_gone = False

    def __init__(self, last_words: Callable[[Journal], Awaitable[None]]) -> None:
        self._last_words = last_words

    async def visit(self, order: Order, journal: Journal, ending: Ending) -> None:
        speaking = asyncio.ensure_future(self._last_words(journal))
        await asyncio.sleep(0)
        speaking.cancel()  # as a channel does with what it is answering when it ends
        await asyncio.wait([speaking])
        raise VisitorLost("paris")


class Desk:
    """An agent's run without the rest of the agent: one employee, one account, a real log."""

    def __init__(self, log: AuditLog, folder: Path) -> None:
        account = Account(profile="anna-k", owner="company")
        self.planned = PlannedAccount(
            Employee("anna", accounts={"linkedin": account}), "linkedin", ORDER.recipe, ("ai_training",)
        )
        self.recorder = Recorder(log, Ledger("r1"), {"anna": Subject("s_anna", bytes(32))})
        # What is tested begins with a session that was opened: no age file is needed for that.
        sessions: Any = SimpleNamespace(open=lambda *_: StorageState(), seal=lambda *_: None)
        self.ground = Ground(
            run_id="r1",
            check=False,
            recorder=self.recorder,
            pacing=Pacing(1, Pause(shortest=3600, longest=3600)),
            sessions=sessions,
            identity=pyrage.x25519.Identity.generate(),
            revocations=Revocations(folder / "revocations.yml"),
            evidence=folder / "evidence",
            terms_accepted=frozenset({"linkedin"}),
            breaker=Breaker(None),
        )
        self._folder = folder

    def ends(self) -> list[tuple[str, str | None, str | None]]:
        """Outcome, reason and worker of each end that is in the log."""
        ended = [record for record in lines(self._folder) if record["event"] == "control.finished"]
        return [(record["outcome"], record["reason"], record["worker"]) for record in ended]


class Proving:
    """A Visitor that finds and proves what it is sent for."""

    name = "rome"
    is_gone = False

    async def visit(self, order: Order, journal: Journal, ending: Ending) -> None:
        await journal.finish(PROVED)


class Gone(Proving):
    """One that was lost before the turn of the visit came."""

    name = "paris"
    is_gone = True

    async def visit(self, order: Order, journal: Journal, ending: Ending) -> None:
        raise VisitorLost("paris")


class TestLostInTheMiddle:
    @pytest.mark.parametrize(
        ("last_words", "ends"),
        [
            (lambda journal: journal.finish(PROVED), ("opted_out", None)),
            (lambda journal: journal.intend("ai_training", Reading.IN, b""), ("unknown", "worker_lost")),
            (lambda journal: asyncio.sleep(1), ("error", "worker_lost")),
        ],
        ids=["finish", "intend", "nothing"],
    )
    async def test_what_was_on_its_way_to_the_log_counts(
        self, log: AuditLog, folder: Path, last_words: Any, ends: tuple[str, str | None]
    ) -> None:
        """Exactly one end: the one that was being written, else one that knows of the intent."""
        desk = Desk(log, folder)
        await desk.recorder.plan(desk.planned.employee, [desk.planned])
        await AccountVisit(desk.ground, desk.planned, ORDER.recipe, Dying(last_words), live=False).work()
        assert desk.ends() == [(*ends, "paris")]

    async def test_who_was_not_begun_with_is_visited_by_the_next(self, log: AuditLog, folder: Path) -> None:
        """Once, and without the pause of a live service, as nobody was visited."""
        desk = Desk(log, folder)
        await desk.recorder.plan(desk.planned.employee, [desk.planned])
        spec: Any = SimpleNamespace()
        run = Run(spec, desk.recorder, desk.ground, {"anna": [desk.planned]}, None)
        run._live = {"linkedin"}
        waiting = asyncio.create_task(run.visit("anna", Gone()))
        [result] = await asyncio.wait_for(run.visit("anna", Proving()), 10)
        await waiting
        assert result.outcome is Outcome.OPTED_OUT
        assert desk.ends() == [("opted_out", None, "rome")]


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
