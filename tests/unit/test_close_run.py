"""What is left of a run that ended in the middle, and how it is ended in the log."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from fleet.agent.recorder import Recorder
from fleet.audit import records
from fleet.audit.close_run import close_open_run, close_run
from fleet.audit.keys import read_keys
from fleet.audit.log import BALLAST_BYTES, AuditLog
from fleet.audit.pseudonyms import Subject
from fleet.audit.run_state import RunState
from fleet.audit.segments import read_records
from fleet.audit.verify import Verdict, verify
from fleet.errors import AuditError
from fleet.inventory.employee import Employee
from fleet.model import Outcome, Reading, Reason, Result
from fleet.paths import AuditDir
from fleet.plan.plan import PlannedAccount
from tests.full_disk import FullDisk
from tests.logs import INTENDED, STARTED, finish, lay, lines, log_path, open_log


async def planned_run(log: AuditLog) -> None:
    """A run that ended in the middle: anna has one control finished and one intended, brian has two untouched."""
    await log.append(records.RUN_STARTED, "r1", **STARTED)
    for subject, controls in (("s_anna", ["done", "intended"]), ("s_brian", ["first", "second"])):
        planned = [["linkedin", control] for control in controls]
        await log.append(records.RUN_PLANNED, "r1", subject=subject, planned=planned, authority=None, mandate_hmac=None)
    for control in ("done", "intended"):
        await log.append(records.CONTROL_INTENDED, "r1", **(INTENDED | {"subject": "s_anna", "control": control}))
    await finish(log, "done", subject="s_anna")


def endings(folder: Path) -> dict[str, tuple[str, str | None, str | None]]:
    """Outcome, reason and first reading of each control; that there is one of each is checked here."""
    finished = [record for record in lines(folder) if record["event"] == "control.finished"]
    assert set(Counter(record["control"] for record in finished).values()) == {1}
    return {record["control"]: (record["outcome"], record["reason"], record["before"]) for record in finished}


class TestClosing:
    async def test_each_planned_control_ends_as_far_as_it_came(self, log: AuditLog, folder: Path) -> None:
        """Intended becomes unknown, untouched becomes not_run, finished stays; the counts add up to the plan."""
        await planned_run(log)
        await close_run(log, RunState.replay("r1", read_records(folder / "log")), Reason.AGENT_ENDED)
        assert endings(folder) == {
            "done": ("opted_out", None, "in"),
            "intended": ("unknown", "agent_ended", "in"),
            "first": ("not_run", "agent_ended", None),
            "second": ("not_run", "agent_ended", None),
        }
        last = lines(folder)[-1]
        assert (last["event"], last["counts"]) == ("run.finished", {"opted_out": 1, "unknown": 1, "not_run": 2})
        assert (last["stopped"], last["exit_code"]) == ("agent_ended", 5)

    @pytest.mark.parametrize(
        ("stopped", "reason", "exit_code"), [(None, "play_ended", 5), (Reason.INTERRUPTED, "interrupted", 130)]
    )
    async def test_the_reason_is_why_the_run_ended(
        self, log: AuditLog, folder: Path, stopped: Reason | None, reason: str, exit_code: int
    ) -> None:
        """Interrupted, or a play that never asked."""
        await planned_run(log)
        await close_run(log, RunState.replay("r1", read_records(folder / "log")), stopped)
        assert endings(folder)["first"] == ("not_run", reason, None)
        assert (lines(folder)[-1]["stopped"], lines(folder)[-1]["exit_code"]) == (stopped, exit_code)

    async def test_a_run_can_be_cut_anywhere_and_still_be_ended(self, log: AuditLog, tmp_path: Path) -> None:
        """After each of its records, those of an earlier ending included: one end for each planned control."""
        await planned_run(log)
        await close_run(log, RunState.replay("r1", read_records(tmp_path / "audit" / "log")), Reason.INTERRUPTED)
        written = log_path(tmp_path / "audit").read_bytes().splitlines(keepends=True)
        assert len(written) == 10
        for cut in range(3, 11):
            folder = tmp_path / f"cut-{cut}"
            lay(folder, b"".join(written[:cut]))
            for _ in range(2):
                again = open_log(folder, "run r2")
                await close_open_run(folder / "log", again)
                again.close()
            assert sorted(endings(folder)) == ["done", "first", "intended", "second"]
            [finished] = [record for record in lines(folder) if record["event"] == "run.finished"]
            assert sum(finished["counts"].values()) == 4

    async def test_thousands_end_in_a_moment(self, log: AuditLog, folder: Path) -> None:
        """Whoever interrupts a run of 10,000 employees does not wait for 10,000 syncs."""
        run_state = RunState("r1", started_at="now")
        run_state.planned = {f"s_{number}": [(f"s_{number}", "linkedin", "ai_training")] for number in range(10_000)}
        began = time.monotonic()
        await close_run(log, run_state, Reason.INTERRUPTED)
        assert time.monotonic() - began < 10
        assert lines(folder)[-1]["counts"] == {"not_run": 10_000}


class TestRecorder:
    ANNA = PlannedAccount(Employee("anna"), "linkedin", None, ("ai_training",))

    def recorder(self, log: AuditLog) -> Recorder:
        return Recorder(log, RunState("r1"), {"anna": Subject("s_anna", bytes(32))})

    async def test_a_canceled_visit_ends_once(self, log: AuditLog, folder: Path) -> None:
        """Its record was on its way when Ctrl-C came: the run's end knows of it and writes no second one."""
        recorder = self.recorder(log)
        await recorder.plan(Employee("anna"), [self.ANNA])
        visit = asyncio.create_task(recorder.finish(self.ANNA, "ai_training", Outcome.ALREADY_OPTED_OUT))
        await asyncio.sleep(0)
        visit.cancel()
        await asyncio.wait([visit])
        await recorder.close(Reason.INTERRUPTED)
        assert endings(folder) == {"ai_training": ("already_opted_out", None, None)}
        assert lines(folder)[-1]["counts"] == {"already_opted_out": 1}

    async def test_a_canceled_intent_is_an_intent(self, log: AuditLog, folder: Path) -> None:
        """It is in the log, so the control is unknown and not untouched."""
        recorder = self.recorder(log)
        await recorder.plan(Employee("anna"), [self.ANNA])
        fields = INTENDED | {"subject": "s_anna"}
        visit = asyncio.create_task(recorder.write(records.CONTROL_INTENDED, **fields))
        await asyncio.sleep(0)
        visit.cancel()
        await asyncio.wait([visit])
        await recorder.close(Reason.INTERRUPTED)
        assert endings(folder) == {"ai_training": ("unknown", "interrupted", "in")}

    async def test_what_could_not_be_recorded_is_told_and_the_run_stays_open(self, log: AuditLog, folder: Path) -> None:
        """The answer is not_run for audit_failed, and the end raises what went wrong first."""
        recorder = self.recorder(log)
        await recorder.plan(Employee("anna"), [self.ANNA])
        log.close()
        with pytest.raises(AuditError):
            await recorder.finish(self.ANNA, "ai_training", Outcome.ALREADY_OPTED_OUT)
        assert recorder.results_of("anna") == [
            Result("anna", "linkedin", "ai_training", Outcome.NOT_RUN, reason=Reason.AUDIT_FAILED)
        ]
        with pytest.raises(AuditError, match="is closed"):
            await recorder.close(None)
        assert [record["event"] for record in lines(folder)] == ["run.planned"]


class TestLedger:
    async def test_results_come_in_the_order_of_the_plan(self, log: AuditLog, folder: Path) -> None:
        """Whatever was finished first; where the log has no end, the answer is what an ending run would say."""
        await planned_run(log)
        results = RunState.replay("r1", read_records(folder / "log")).results({"s_anna": "anna"})
        assert results == [
            Result("anna", "linkedin", "done", Outcome.OPTED_OUT, Reading.IN, Reading.OUT, None, 1),
            Result("anna", "linkedin", "intended", Outcome.UNKNOWN, Reading.IN, None, Reason.AUDIT_FAILED),
            Result("s_brian", "linkedin", "first", Outcome.NOT_RUN, reason=Reason.AUDIT_FAILED),
            Result("s_brian", "linkedin", "second", Outcome.NOT_RUN, reason=Reason.AUDIT_FAILED),
        ]

    async def test_one_employee_s_results_are_theirs_alone(self, log: AuditLog, folder: Path) -> None:
        """And nobody's where nothing is planned."""
        await planned_run(log)
        run_state = RunState.replay("r1", read_records(folder / "log"))
        assert [result.control for result in run_state.results({}, "s_brian")] == ["first", "second"]
        assert run_state.results({}, "s_nobody") == []

    def test_an_answer_costs_its_own_controls_only(self) -> None:
        """10,000 employees ask one after the other; if each walked the whole plan, this would take minutes."""
        run_state = RunState("r1")
        for number in range(10_000):
            planned = [["linkedin", "ai_training"]]
            run_state.observe({"run": "r1", "event": "run.planned", "subject": f"s_{number}", "planned": planned})
        began = time.monotonic()
        for number in range(10_000):
            assert len(run_state.results({}, f"s_{number}")) == 1
        assert time.monotonic() - began < 5

    async def test_records_of_other_runs_are_passed_over(self, log: AuditLog, folder: Path) -> None:
        """One log holds many runs."""
        await planned_run(log)
        await finish(log, "intended", run="r2", subject="s_anna")
        run_state = RunState.replay("r1", read_records(folder / "log"))
        assert run_state.count() == {"opted_out": 1}
        assert run_state.is_open


class TestFullDisk:
    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system to be filled")
    async def test_the_end_of_a_run_is_recorded_all_the_same(self, folder: Path) -> None:
        """In the ballast's room: each planned control once, why it stopped, and all of it signed."""
        room = FullDisk(folder)
        try:
            log = open_log(folder, "run r1")
            recorder = Recorder(log, RunState("r1"), {"anna": Subject("s_anna", bytes(32))})
            await recorder.write(records.RUN_STARTED, **STARTED)
            account = PlannedAccount(Employee("anna"), "linkedin", None, ("one", "two", "three"))
            await recorder.plan(Employee("anna"), [account])
            await recorder.finish(account, "one", Outcome.ALREADY_OPTED_OUT)
            room.take()
            with pytest.raises(AuditError, match="No space left on device"):
                while True:
                    await recorder.write(
                        records.RUN_PLANNED, subject="s", planned=[], authority=None, mandate_hmac=None
                    )
            with pytest.raises(AuditError, match="No space left on device"):
                await recorder.finish(account, "two", Outcome.ALREADY_OPTED_OUT)
            with pytest.raises(AuditError, match="No space left on device"):
                await recorder.close(None)
            log.close()
            finished = [record for record in lines(folder) if record["event"] == "control.finished"]
            assert [(record["control"], record["outcome"], record["reason"]) for record in finished] == [
                ("one", "already_opted_out", None),
                ("two", "not_run", "audit_failed"),
                ("three", "not_run", "audit_failed"),
            ]
            assert (lines(folder)[-1]["event"], lines(folder)[-1]["stopped"]) == ("run.finished", "audit_failed")
            places = AuditDir(folder)
            assert verify(places, read_keys(places.vkey)).verdict is Verdict.OK
            with pytest.raises(AuditError, match="free space"):  # no room for ballast, no run
                open_log(folder)
            room.give_back()
            open_log(folder).close()
            assert places.ballast.stat().st_size == BALLAST_BYTES
        finally:
            room.remove()
