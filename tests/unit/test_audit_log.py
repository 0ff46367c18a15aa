"""The audit log: real files, a real full disk, and what is left of a run that ended in the middle."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.agent.recorder import Recorder
from fleet.audit import records
from fleet.audit.closing import close_open_run, close_run
from fleet.audit.ledger import Ledger
from fleet.audit.log import AuditLog, log_path, read_last_run, read_records
from fleet.audit.subjects import Subject, Subjects
from fleet.employee import Employee
from fleet.errors import AuditError, BusyError
from fleet.model import Outcome, Reading, Reason, Result
from fleet.plan import PlannedAccount
from tests.full_disk import WAYS, FullDisk, SizeLimit

STARTED = {
    "version": "0",
    "operator": 0,
    "operator_claimed": None,
    "check": False,
    "rehearsal": True,
    "sandbox": True,
    "inventory_sha256": "0",
    "recipes_sha256": {},
    "employees": 2,
    "controls": 4,
}
FINISHED = {
    "subject": "s_1",
    "service": "linkedin",
    "control": "ai_training",
    "outcome": "opted_out",
    "reason": None,
    "before": "in",
    "after": "out",
    "read_back": True,
    "duration_ms": 1,
    "evidence": None,
    "http_status": None,
    "refused_hosts": [],
}
INTENDED = {
    "subject": "s_1",
    "service": "linkedin",
    "control": "ai_training",
    "before": "in",
    "authority": "company",
    "mandate_hmac": None,
    "profile_hmac": "0",
    "evidence": "0",
}


def lines(folder: Path) -> list[dict[str, Any]]:
    """What is in the file: only whole lines, each a record."""
    content = log_path(folder).read_bytes()
    assert content == b"" or content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


async def finish(log: AuditLog, control: str = "ai_training", run: str = "r1", **changed: Any) -> dict[str, Any]:
    return await log.append(records.CONTROL_FINISHED, run, **(FINISHED | {"control": control} | changed))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def log(folder: Path) -> Iterator[AuditLog]:
    log = AuditLog(folder, "run r1")
    yield log
    log.close()


class TestWriting:
    async def test_a_record_is_in_the_file_when_append_returns(self, log: AuditLog, folder: Path) -> None:
        """Whoever was told that it is recorded can find it there, as it was returned."""
        for number in range(5):
            record = await finish(log, f"c{number}")
            assert lines(folder)[-1] == record
        assert [record["control"] for record in lines(folder)] == ["c0", "c1", "c2", "c3", "c4"]

    async def test_a_record_is_synced_before_append_returns(
        self, log: AuditLog, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The disk has been waited for, with the whole line already written."""
        # A spy, because no test can cut the power.
        sizes: list[int] = []
        real = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", lambda file: (real(file), sizes.append(os.fstat(file).st_size)))
        await finish(log)
        assert sizes == [log_path(folder).stat().st_size]

    async def test_numbers_and_order_hold_under_many_writers(self, log: AuditLog, folder: Path) -> None:
        """50 visits with 20 records each: numbers without gaps, each visit's records in its own order."""
        returned: list[dict[str, Any]] = []

        async def visit(name: str) -> None:
            returned.extend([await finish(log, f"c{number}", subject=name) for number in range(20)])

        await asyncio.gather(*(visit(f"s_{number}") for number in range(50)))
        written = lines(folder)
        assert [record["seq"] for record in written] == list(range(1000))
        assert sorted(returned, key=lambda record: int(record["seq"])) == written
        for number in range(50):
            own = [record["control"] for record in written if record["subject"] == f"s_{number}"]
            assert own == [f"c{number}" for number in range(20)]

    async def test_those_who_wait_together_share_a_sync(
        self, log: AuditLog, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A thousand records at once cost the disk a few syncs, not a thousand."""
        synced: list[int] = []
        real = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", lambda file: (real(file), synced.append(file)))
        await asyncio.gather(*(finish(log, f"c{number}") for number in range(1000)))
        assert len(lines(folder)) == 1000
        assert len(synced) < 10

    async def test_a_new_writer_goes_on_counting(self, log: AuditLog, folder: Path) -> None:
        """Nothing is overwritten, and numbers continue."""
        await finish(log)
        log.close()
        again = AuditLog(folder, "run r2")
        assert (await finish(again))["seq"] == 1
        again.close()

    async def test_a_canceled_visit_leaves_a_whole_record(self, log: AuditLog, folder: Path) -> None:
        """What was on its way is written all the same, and the log goes on."""
        writing = asyncio.create_task(finish(log, "c0"))
        await asyncio.sleep(0)
        writing.cancel()
        await finish(log, "c1")
        assert [record["control"] for record in lines(folder)] == ["c0", "c1"]

    def test_the_log_is_private(self, log: AuditLog, folder: Path) -> None:
        """Nobody else can read it."""
        assert stat.S_IMODE(log_path(folder).stat().st_mode) == 0o600
        assert stat.S_IMODE(log_path(folder).parent.stat().st_mode) == 0o700

    async def test_a_closed_log_writes_nowhere(self, folder: Path, tmp_path: Path) -> None:
        """A record that comes too late is refused; it does not land in a file that was opened since."""
        log = AuditLog(folder, "run r1")
        log.close()
        descriptors = [os.open(tmp_path / f"{number}", os.O_RDWR | os.O_CREAT) for number in range(4)]
        with pytest.raises(AuditError, match="is closed"):
            await finish(log)
        assert [(tmp_path / f"{number}").read_bytes() for number in range(4)] == [b""] * 4
        for descriptor in descriptors:
            os.close(descriptor)


class TestAllowList:
    @pytest.mark.parametrize(
        ("event", "fields", "message"),
        [
            ("control.guessed", FINISHED, "'control.guessed' is not an event of the audit log"),
            ("control.finished", FINISHED | {"page_text": "x"}, "no field page_text"),
            ("control.finished", FINISHED | {"at": "2026-01-01T00:00:00Z"}, "no field at"),
            ("control.finished", {**FINISHED, "v": 2, "monotonic_ms": 0}, "no field monotonic_ms, v"),
            ("control.finished", {"subject": "s_1"}, "the record lacks after, before, control"),
            ("control.finished", FINISHED | {"evidence": ValueError("Anna Keller")}, "cannot be written as JSON"),
            ("control.finished", FINISHED | {"evidence": b"0"}, "cannot be written as JSON"),
            ("control.finished", FINISHED | {"duration_ms": float("nan")}, "cannot be written as JSON"),
            ("control.finished", FINISHED | {"control": "\udc80"}, "cannot be written as JSON"),
            ("control.finished", FINISHED | {"refused_hosts": ["h" * 8192]}, "over the 8192 allowed"),
        ],
    )
    async def test_what_is_no_record_is_refused_and_leaves_no_trace(
        self, log: AuditLog, folder: Path, event: str, fields: dict[str, Any], message: str
    ) -> None:
        """No byte, no gap in the numbers, no poisoned log; and the sentence shows no value."""
        await finish(log, "c0")
        with pytest.raises(AuditError) as caught:
            await log.append(event, "r1", **fields)
        assert message in str(caught.value) and "Keller" not in str(caught.value)
        await finish(log, "c1")
        assert [(record["seq"], record["control"]) for record in lines(folder)] == [(0, "c0"), (1, "c1")]

    async def test_a_number_of_the_caller_s_own_changes_nothing(self, log: AuditLog) -> None:
        """Only the writer numbers."""
        assert (await finish(log, seq=7))["seq"] == 0

    async def test_a_refused_record_among_many_harms_no_other(self, log: AuditLog, folder: Path) -> None:
        """Those that wait beside it are written, without a gap."""
        wishes = [finish(log, f"c{number}", **({"page": 1} if number == 3 else {})) for number in range(6)]
        answers = await asyncio.gather(*wishes, return_exceptions=True)
        assert [isinstance(answer, AuditError) for answer in answers] == [False, False, False, True, False, False]
        assert [record["seq"] for record in lines(folder)] == [0, 1, 2, 3, 4]

    async def test_a_line_may_be_as_long_as_allowed_and_no_longer(self, log: AuditLog, folder: Path) -> None:
        """8,192 bytes with the LF are written, 8,193 are not."""
        await finish(log, refused_hosts=[""])
        missing = 8192 - log_path(folder).stat().st_size
        await finish(log, refused_hosts=["h" * missing])
        assert [len(line) for line in log_path(folder).read_bytes().splitlines(keepends=True)][1] == 8192
        with pytest.raises(AuditError, match="a record of 8193 bytes"):
            await finish(log, refused_hosts=["h" * (missing + 1)])

    async def test_what_looks_like_the_end_of_a_line_is_no_end(self, log: AuditLog, folder: Path) -> None:
        """Line breaks of all kinds inside a value stay inside it."""
        await finish(log, "a\n\r\u2028\x00b")
        assert [record["control"] for record in read_records(folder)] == ["a\n\r\u2028\x00b"]


class TestTornLine:
    async def test_a_line_torn_anywhere_is_put_aside_and_recorded(self, log: AuditLog, tmp_path: Path) -> None:
        """Cut at each of its bytes: what came before stays, the piece is kept apart, and its number is given anew."""
        await finish(log, "c0")
        whole = log_path(tmp_path / "audit").read_bytes()
        await finish(log, "c1")
        last = log_path(tmp_path / "audit").read_bytes().removeprefix(whole)
        for cut in range(1, len(last)):
            folder, piece = tmp_path / f"cut-{cut}", last[:cut]
            log_path(folder).parent.mkdir(parents=True, mode=0o700)
            log_path(folder).write_bytes(whole + piece)
            assert [record["control"] for record in read_records(folder)] == ["c0"]
            AuditLog(folder, "run r2").close()
            assert log_path(folder).read_bytes().startswith(whole)
            [_, recovered] = lines(folder)
            assert {name: recovered[name] for name in ("seq", "event", "run", "bytes", "sha256")} == {
                "seq": 1,
                "event": "log.recovered",
                "run": None,
                "bytes": cut,
                "sha256": hashlib.sha256(piece).hexdigest(),
            }
            assert (folder / "torn" / recovered["sha256"]).read_bytes() == piece

    async def test_a_tear_may_be_longer_than_any_line(self, folder: Path) -> None:
        """A power cut can leave a whole batch as zeros."""
        log = AuditLog(folder, "run r1")
        await finish(log)
        log.close()
        with log_path(folder).open("ab") as file:
            file.write(bytes(100_000))
        again = AuditLog(folder, "run r2")
        assert (await finish(again))["seq"] == 2
        again.close()
        assert lines(folder)[1]["bytes"] == 100_000

    def test_a_log_that_holds_nothing_but_a_tear_begins_anew(self, folder: Path) -> None:
        """The first record of all was torn."""
        log_path(folder).parent.mkdir(parents=True, mode=0o700)
        log_path(folder).write_bytes(b'{"v":1,"seq":0')
        AuditLog(folder, "run r1").close()
        assert [(record["seq"], record["event"]) for record in lines(folder)] == [(0, "log.recovered")]

    def test_a_last_line_that_is_no_record_is_refused_and_kept(self, folder: Path) -> None:
        """A whole line of something else was not torn by a crash: a person must look. The lock is free again."""
        log_path(folder).parent.mkdir(parents=True, mode=0o700)
        log_path(folder).write_bytes(b"hello\n")
        for _ in range(2):
            with pytest.raises(AuditError, match="the last line is not a record"):
                AuditLog(folder, "run r1")
        assert log_path(folder).read_bytes() == b"hello\n"


class TestOneWriter:
    def test_a_second_writer_is_told_who_is_first(self, log: AuditLog, folder: Path) -> None:
        """By run and process; it has changed nothing, and may write once the first has ended."""
        with pytest.raises(BusyError, match=rf"^run r1 \(process {os.getpid()}\) is writing to {folder.parent};"):
            AuditLog(folder, "run r2")
        log.close()
        AuditLog(folder, "run r2").close()

    def test_a_writer_that_was_killed_holds_nothing(self, folder: Path) -> None:
        """The lock ends with its process, however that one ended."""
        script = (
            "import pathlib, sys, time; from fleet.audit.log import AuditLog;"
            "log = AuditLog(pathlib.Path(sys.argv[1]), 'run r1'); print(flush=True); time.sleep(60)"
        )
        first = subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE)
        assert first.stdout is not None and first.stdout.readline() == b"\n"
        with pytest.raises(BusyError, match=rf"^run r1 \(process {first.pid}\)"):
            AuditLog(folder, "run r2")
        first.send_signal(signal.SIGKILL)
        first.communicate()
        AuditLog(folder, "run r2").close()

    def test_what_cannot_be_opened_is_said_in_a_sentence(self, folder: Path) -> None:
        """No traceback: the path and the system's reason."""
        (folder / "lock").mkdir(parents=True)
        with pytest.raises(AuditError, match=r"jsonl cannot be opened for writing \(Is a directory\); make it"):
            AuditLog(folder, "run r1")


@pytest.fixture(params=WAYS)
def room(request: pytest.FixtureRequest, folder: Path) -> Iterator[FullDisk | SizeLimit]:
    room = request.param(folder)
    yield room
    room.remove()


class TestFailedWrite:
    async def test_nothing_is_appended_after_a_failed_write(self, room: FullDisk | SizeLimit, folder: Path) -> None:
        """Acknowledged is what is in the file, whole; the log stays shut, also when there is room again."""
        log = AuditLog(folder, "run r1")
        acknowledged = [await finish(log, f"c{number}") for number in range(5)]
        room.take()
        with pytest.raises(AuditError, match=r"cannot be written \((No space left on device|File too large)\)"):
            while True:
                acknowledged.append(await finish(log))
        assert lines(folder) == acknowledged
        room.give_back()
        with pytest.raises(AuditError, match="cannot be written"):
            await finish(log)
        log.close()
        assert lines(folder) == acknowledged

    async def test_the_next_writer_finds_a_whole_log_and_goes_on(
        self, room: FullDisk | SizeLimit, folder: Path
    ) -> None:
        """No torn line, so nothing to recover; the numbers have no gap."""
        log = AuditLog(folder, "run r1")
        await finish(log)
        room.take()
        with pytest.raises(AuditError):
            while True:
                await finish(log)
        log.close()
        room.give_back()
        again = AuditLog(folder, "run r2")
        await finish(again, "after", run="r2")
        again.close()
        written = lines(folder)
        assert [record["seq"] for record in written] == list(range(len(written)))
        assert {record["event"] for record in written} == {"control.finished"}
        assert written[-1]["control"] == "after"

    async def test_of_those_that_wait_together_all_fail(self, room: FullDisk | SizeLimit, folder: Path) -> None:
        """A batch that does not fit is not there at all, and everybody who waited for it is told."""
        log = AuditLog(folder, "run r1")
        first = await finish(log)
        room.take()
        answers = await asyncio.gather(*(finish(log) for _ in range(300)), return_exceptions=True)
        log.close()
        assert all(isinstance(answer, AuditError) for answer in answers)
        assert lines(folder) == [first]

    async def test_a_failed_sync_is_a_failed_write(
        self, log: AuditLog, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What may not be on the disk is taken back, and a later sync that works does not open the log again."""

        def broken(_file: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        first = await finish(log)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fdatasync", broken)  # no disk here breaks when asked to
            with pytest.raises(AuditError, match="Input/output error"):
                await finish(log)
        with pytest.raises(AuditError, match="Input/output error"):
            await finish(log)
        assert lines(folder) == [first]


class TestReading:
    async def test_the_last_run_is_found_without_reading_the_others(self, log: AuditLog, folder: Path) -> None:
        """From its `run.started` on; nothing of the run before it."""
        assert list(read_last_run(folder)) == []
        for run in ("r1", "r2"):
            await log.append(records.RUN_STARTED, run, **STARTED)
            await finish(log, run=run)
        assert [(record["event"], record["run"]) for record in read_last_run(folder)] == [
            ("run.started", "r2"),
            ("control.finished", "r2"),
        ]

    def test_a_log_that_does_not_exist_is_empty(self, folder: Path) -> None:
        """Reading makes nothing."""
        assert list(read_records(folder)) == []
        assert list(read_last_run(folder)) == []
        assert not folder.exists()

    async def test_a_line_that_is_no_record_is_named(self, log: AuditLog, folder: Path) -> None:
        """By file and line."""
        await finish(log)
        with log_path(folder).open("ab") as file:
            file.write(b"[1]\n")
        with pytest.raises(AuditError, match=r"000000000000\.jsonl: line 2 after byte 0 is not a record"):
            list(read_records(folder))


class TestSubjects:
    def test_a_person_keeps_the_pseudonym(self, tmp_path: Path) -> None:
        """In later runs too, whoever else is in them; and it can be shown to those who may know."""
        store = Subjects(tmp_path / "subjects.sqlite")
        first = store.of(["anna.keller"])["anna.keller"]
        store.close()
        store = Subjects(tmp_path / "subjects.sqlite")
        assert store.of(["brian.walsh", "anna.keller"])["anna.keller"] == first
        assert store.names()[first.pseudonym] == "anna.keller"
        store.close()

    def test_a_pseudonym_is_random(self, tmp_path: Path) -> None:
        """The same name in another store gets another one: nobody can compute it from the name."""
        stores = [Subjects(tmp_path / f"{number}.sqlite") for number in range(2)]
        one, other = (store.of(["anna.keller"])["anna.keller"] for store in stores)
        assert one.pseudonym != other.pseudonym and one.key != other.key
        assert len(one.pseudonym) == 34 and one.pseudonym.startswith("s_") and len(one.key) == 32

    def test_equal_values_of_two_people_look_different(self, tmp_path: Path) -> None:
        """Each has a key of their own, and each kind of value its label."""
        people = Subjects(tmp_path / "subjects.sqlite").of(["anna.keller", "brian.walsh"])
        anna, brian = people["anna.keller"], people["brian.walsh"]
        assert anna.hmac("mandate", "M-1") == anna.hmac("mandate", b"M-1")
        assert len({anna.hmac("mandate", "M-1"), brian.hmac("mandate", "M-1"), anna.hmac("profile", "M-1")}) == 3

    def test_who_is_removed_comes_back_as_somebody_else(self, tmp_path: Path) -> None:
        """What the log said of them is linked to nobody any more."""
        store = Subjects(tmp_path / "subjects.sqlite")
        before = store.of(["anna.keller"])["anna.keller"]
        with sqlite3.connect(tmp_path / "subjects.sqlite") as database:
            database.execute("DELETE FROM subjects WHERE employee = 'anna.keller'")
        assert store.names() == {}
        after = store.of(["anna.keller"])["anna.keller"]
        assert after.pseudonym != before.pseudonym and after.key != before.key

    def test_the_store_is_private(self, tmp_path: Path) -> None:
        """It alone says who is who."""
        Subjects(tmp_path / "subjects.sqlite").of(["anna.keller"])
        assert stat.S_IMODE((tmp_path / "subjects.sqlite").stat().st_mode) == 0o600

    @pytest.mark.parametrize("content", [b"no database, " * 100, None])
    def test_a_store_that_cannot_be_used_is_said_in_a_sentence(self, tmp_path: Path, content: bytes | None) -> None:
        """Damaged, or a folder in its place: the run does not begin."""
        path = tmp_path / "subjects.sqlite"
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
        with pytest.raises(AuditError, match=r"subjects\.sqlite cannot be opened"):
            Subjects(path)


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
        await close_run(log, Ledger.replay("r1", read_records(folder)), Reason.AGENT_ENDED)
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
        await close_run(log, Ledger.replay("r1", read_records(folder)), stopped)
        assert endings(folder)["first"] == ("not_run", reason, None)
        assert (lines(folder)[-1]["stopped"], lines(folder)[-1]["exit_code"]) == (stopped, exit_code)

    async def test_a_run_can_be_cut_anywhere_and_still_be_ended(self, log: AuditLog, tmp_path: Path) -> None:
        """After each of its records, those of an earlier ending included: one end for each planned control."""
        await planned_run(log)
        await close_run(log, Ledger.replay("r1", read_records(tmp_path / "audit")), Reason.INTERRUPTED)
        written = log_path(tmp_path / "audit").read_bytes().splitlines(keepends=True)
        assert len(written) == 10
        for cut in range(3, 11):
            folder = tmp_path / f"cut-{cut}"
            log_path(folder).parent.mkdir(parents=True, mode=0o700)
            log_path(folder).write_bytes(b"".join(written[:cut]))
            for _ in range(2):
                again = AuditLog(folder, "run r2")
                await close_open_run(folder, again)
                again.close()
            assert sorted(endings(folder)) == ["done", "first", "intended", "second"]
            assert [record["event"] for record in lines(folder)].count("run.finished") == 1
            assert sum(lines(folder)[-1]["counts"].values()) == 4

    async def test_thousands_end_in_a_moment(self, log: AuditLog, folder: Path) -> None:
        """Whoever interrupts a run of 10,000 employees does not wait for 10,000 syncs."""
        ledger = Ledger("r1", started_at="now")
        ledger.planned = {f"s_{number}": [(f"s_{number}", "linkedin", "ai_training")] for number in range(10_000)}
        began = time.monotonic()
        await close_run(log, ledger, Reason.INTERRUPTED)
        assert time.monotonic() - began < 10
        assert lines(folder)[-1]["counts"] == {"not_run": 10_000}


class TestRecorder:
    ANNA = PlannedAccount(Employee("anna"), "linkedin", None, ("ai_training",))

    def recorder(self, log: AuditLog) -> Recorder:
        return Recorder(log, Ledger("r1"), {"anna": Subject("s_anna", bytes(32))})

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
        results = Ledger.replay("r1", read_records(folder)).results({"s_anna": "anna"})
        assert results == [
            Result("anna", "linkedin", "done", Outcome.OPTED_OUT, Reading.IN, Reading.OUT, None, 1),
            Result("anna", "linkedin", "intended", Outcome.UNKNOWN, Reading.IN, None, Reason.AUDIT_FAILED),
            Result("s_brian", "linkedin", "first", Outcome.NOT_RUN, reason=Reason.AUDIT_FAILED),
            Result("s_brian", "linkedin", "second", Outcome.NOT_RUN, reason=Reason.AUDIT_FAILED),
        ]

    async def test_one_employee_s_results_are_theirs_alone(self, log: AuditLog, folder: Path) -> None:
        """And nobody's where nothing is planned."""
        await planned_run(log)
        ledger = Ledger.replay("r1", read_records(folder))
        assert [result.control for result in ledger.results({}, "s_brian")] == ["first", "second"]
        assert ledger.results({}, "s_nobody") == []

    def test_an_answer_costs_its_own_controls_only(self) -> None:
        """10,000 employees ask one after the other; if each walked the whole plan, this would take minutes."""
        ledger = Ledger("r1")
        for number in range(10_000):
            planned = [["linkedin", "ai_training"]]
            ledger.observe({"run": "r1", "event": "run.planned", "subject": f"s_{number}", "planned": planned})
        began = time.monotonic()
        for number in range(10_000):
            assert len(ledger.results({}, f"s_{number}")) == 1
        assert time.monotonic() - began < 5

    async def test_records_of_other_runs_are_passed_over(self, log: AuditLog, folder: Path) -> None:
        """One log holds many runs."""
        await planned_run(log)
        await finish(log, "intended", run="r2", subject="s_anna")
        ledger = Ledger.replay("r1", read_records(folder))
        assert ledger.count() == {"opted_out": 1}
        assert ledger.is_open
