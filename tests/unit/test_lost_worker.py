"""A worker that is lost: what it had said counts, and whoever it had not begun with is visited by another one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyrage
import pytest

from fleet.agent.account_visit import AccountVisit, Ground
from fleet.agent.breaker import Breaker
from fleet.agent.pacing import Pacing
from fleet.agent.recorder import Recorder
from fleet.agent.run import Run
from fleet.audit.log import AuditLog
from fleet.audit.pseudonyms import Subject
from fleet.audit.run_state import RunState
from fleet.inventory.employee import Account, Employee
from fleet.model import Outcome, Reading
from fleet.plan.pace import Pace
from fleet.plan.plan import PlannedAccount
from fleet.sessions.storage_state import StorageState
from fleet.sessions.store import Opened
from fleet.visit.visit import Ending, Journal, Order, VisitorLost
from tests.logs import lines
from tests.visits import ORDER, PROVED, gates_in


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
        self.recorder = Recorder(log, RunState("r1"), {"anna": Subject("s_anna", bytes(32))})
        # What is tested begins with a session that was opened: no age file is needed for that.
        sessions: Any = SimpleNamespace(open=lambda *_: Opened(StorageState(), ""))
        self.ground = Ground(
            run_id="r1",
            check=False,
            recorder=self.recorder,
            pacing=Pacing(1, {"linkedin": Pace(3600, 3600)}),
            sessions=sessions,
            identity=pyrage.x25519.Identity.generate(),
            gates=gates_in(folder, "linkedin"),
            evidence=folder / "evidence",
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
        spec: Any = SimpleNamespace(attended=False)
        run = Run(spec, desk.recorder, desk.ground, {"anna": [desk.planned]}, None)
        run._live = {"linkedin"}
        waiting = asyncio.create_task(run.visit("anna", Gone()))
        [result] = await asyncio.wait_for(run.visit("anna", Proving()), 10)
        await waiting
        assert result.outcome is Outcome.OPTED_OUT
        assert desk.ends() == [("opted_out", None, "rome")]
