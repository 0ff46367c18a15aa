"""The audit log: real files, a real full disk, and what is left of a run that ended in the middle."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fleet.audit import records
from fleet.audit.keys import make_private_key, read_keys, read_signing_key, successor_of
from fleet.audit.log import AuditLog
from fleet.audit.maintenance import rotate_key
from fleet.audit.operator import Operator
from fleet.audit.segments import Growing, read_last_run, read_records
from fleet.audit.verify import Verdict, verify
from fleet.errors import AuditError, BusyError
from fleet.paths import AuditDir, make_private_dir, write_private
from tests.full_disk import WAYS, FullDisk, SizeLimit
from tests.logs import FINISHED, STARTED, finish, lay, lines, log_path, open_log, shrink


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
        again = open_log(folder, "run r2")
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
        log = open_log(folder, "run r1")
        log.close()
        descriptors = [os.open(tmp_path / f"{number}", os.O_RDWR | os.O_CREAT) for number in range(4)]
        with pytest.raises(AuditError, match="is closed"):
            await finish(log)
        assert [(tmp_path / f"{number}").read_bytes() for number in range(4)] == [b""] * 4
        for descriptor in descriptors:
            os.close(descriptor)


class TestAllowList:
    @pytest.mark.parametrize("clock", [-1, 10**12 + 1])
    async def test_a_clock_that_no_reader_takes_is_not_written(
        self, log: AuditLog, folder: Path, monkeypatch: pytest.MonkeyPatch, clock: int
    ) -> None:
        """The kernel's clock is the one thing that a record holds and nobody has given it."""
        await finish(log, "c0")
        # No machine has been up for so long.
        monkeypatch.setattr(records, "time", SimpleNamespace(monotonic_ns=lambda: clock * 1_000_000))
        with pytest.raises(AuditError, match=r"control\.finished: the audit log holds no such value in monotonic_ms"):
            await finish(log, "c1")
        assert [record["control"] for record in lines(folder)] == ["c0"]

    @pytest.mark.parametrize(
        ("event", "fields", "message"),
        [
            ("control.guessed", FINISHED, "'control.guessed' is not an event of the audit log"),
            ("control.finished", FINISHED | {"page_text": "x"}, "no field page_text"),
            ("control.finished", FINISHED | {"at": "2026-01-01T00:00:00Z"}, "no field at"),
            ("control.finished", {**FINISHED, "v": 2, "monotonic_ms": 0}, "no field monotonic_ms, v"),
            ("control.finished", {"subject": "s_1"}, "the record lacks after, attended, attested_on, before, control"),
            ("control.finished", FINISHED | {"evidence": ValueError("Anna Keller")}, "no such value in evidence"),
            ("control.finished", FINISHED | {"evidence": b"0"}, "no such value in evidence"),
            ("control.finished", FINISHED | {"duration_ms": float("nan")}, "no such value in duration_ms"),
            ("control.finished", FINISHED | {"outcome": "Anna Keller"}, "no such value in outcome"),
            ("control.finished", FINISHED | {"before": ["in"]}, "cannot be written as JSON"),
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
        assert [record["control"] for record in read_records(folder / "log")] == ["a\n\r\u2028\x00b"]


class TestTornLine:
    async def test_a_line_torn_anywhere_is_put_aside_and_recorded(self, log: AuditLog, tmp_path: Path) -> None:
        """Cut at each of its bytes: what came before stays, the piece is kept apart, and its number is given anew."""
        await finish(log, "c0")
        whole = log_path(tmp_path / "audit").read_bytes()
        await finish(log, "c1")
        last = log_path(tmp_path / "audit").read_bytes().removeprefix(whole)
        for cut in range(1, len(last)):
            folder, piece = tmp_path / f"cut-{cut}", last[:cut]
            lay(folder, whole + piece)
            assert [record["control"] for record in read_records(folder / "log")] == ["c0"]
            open_log(folder, "run r2").close()
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
        log = open_log(folder, "run r1")
        await finish(log)
        log.close()
        with log_path(folder).open("ab") as file:
            file.write(bytes(100_000))
        again = open_log(folder, "run r2")
        assert (await finish(again))["seq"] == 2
        again.close()
        assert lines(folder)[1]["bytes"] == 100_000

    def test_a_log_that_holds_nothing_but_a_tear_begins_anew(self, folder: Path) -> None:
        """The first record of all was torn."""
        lay(folder, b'{"v":1,"seq":0')
        open_log(folder, "run r1").close()
        assert [(record["seq"], record["event"]) for record in lines(folder)] == [(0, "log.recovered")]

    def test_a_last_line_that_is_no_record_is_refused_and_kept(self, folder: Path) -> None:
        """A whole line of something else was not torn by a crash: a person must look. The lock is free again."""
        lay(folder, b"hello\n")
        for _ in range(2):
            with pytest.raises(AuditError, match="was changed: record 0 is not a record"):
                open_log(folder, "run r1")
        assert log_path(folder).read_bytes() == b"hello\n"


class TestOneWriter:
    def test_a_second_writer_is_told_who_is_first(self, log: AuditLog, folder: Path) -> None:
        """By run and process; it has changed nothing, and may write once the first has ended."""
        with pytest.raises(BusyError, match=rf"^run r1 \(process {os.getpid()}\) is writing to {folder.parent};"):
            open_log(folder, "run r2")
        log.close()
        open_log(folder, "run r2").close()

    def test_a_writer_that_was_killed_holds_nothing(self, folder: Path) -> None:
        """The lock ends with its process, however that one ended."""
        script = (
            "import pathlib, sys, time; from tests.logs import open_log;"
            "log = open_log(pathlib.Path(sys.argv[1]), 'run r1'); print(flush=True); time.sleep(60)"
        )
        first = subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE)
        assert first.stdout is not None and first.stdout.readline() == b"\n"
        with pytest.raises(BusyError, match=rf"^run r1 \(process {first.pid}\)"):
            open_log(folder, "run r2")
        first.send_signal(signal.SIGKILL)
        first.communicate()
        open_log(folder, "run r2").close()

    def test_what_cannot_be_opened_is_said_in_a_sentence(self, folder: Path) -> None:
        """No traceback: the path and the system's reason."""
        make_private_dir(folder)
        (folder / "lock").mkdir()
        with pytest.raises(AuditError, match=r"audit cannot be opened for writing \(Is a directory\); free space"):
            open_log(folder, "run r1")


@pytest.fixture(params=WAYS)
def room(request: pytest.FixtureRequest, folder: Path) -> Iterator[FullDisk | SizeLimit]:
    room = request.param(folder)
    yield room
    room.remove()


class TestFailedWrite:
    async def test_nothing_is_appended_after_a_failed_write(self, room: FullDisk | SizeLimit, folder: Path) -> None:
        """Acknowledged is what is in the file, whole; the log stays shut, also when there is room again."""
        log = open_log(folder, "run r1")
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
        """No torn line, no gap in the numbers; how many records nobody had signed is recorded."""
        log = open_log(folder, "run r1")
        await finish(log)
        room.take()
        with pytest.raises(AuditError):
            while True:
                await finish(log)
        log.close()
        room.give_back()
        again = open_log(folder, "run r2")
        await finish(again, "after", run="r2")
        again.close()
        written = lines(folder)
        assert [record["seq"] for record in written] == list(range(len(written)))
        assert {record["event"] for record in written[:-2]} == {"control.finished"}
        assert (written[-2]["event"], written[-2]["bytes"]) == ("log.recovered", None)
        assert written[-2]["unsigned"] == len(written) - 2
        assert written[-1]["control"] == "after"

    async def test_of_those_that_wait_together_all_fail(self, room: FullDisk | SizeLimit, folder: Path) -> None:
        """A batch that does not fit is not there at all, and everybody who waited for it is told."""
        log = open_log(folder, "run r1")
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
        assert list(read_last_run(folder / "log", rehearsal=None)) == []
        for run in ("r1", "r2"):
            await log.append(records.RUN_STARTED, run, **STARTED)
            await finish(log, run=run)
        assert [(record["event"], record["run"]) for record in read_last_run(folder / "log", rehearsal=None)] == [
            ("run.started", "r2"),
            ("control.finished", "r2"),
        ]

    def test_a_log_that_does_not_exist_is_empty(self, folder: Path) -> None:
        """Reading makes nothing."""
        assert list(read_records(folder / "log")) == []
        assert list(read_last_run(folder / "log", rehearsal=None)) == []
        assert not folder.exists()

    async def test_what_grows_is_read_once(self, log: AuditLog, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Record by record, over the end of a segment; what was read already is spoiled here, and nobody sees it."""
        shrink(monkeypatch, 4)
        growing = Growing(folder / "log")
        assert list(growing.new()) == []
        for first in (0, 3, 6):
            for _ in range(3):
                await finish(log)
            assert [record["seq"] for _, record in growing.new()] == [first, first + 1, first + 2]
            assert list(growing.new()) == []
            for path in (folder / "log").glob("*.jsonl"):
                with path.open("r+b") as file:
                    file.write(b"spoiled")

    async def test_a_prune_meanwhile_shows_nothing_twice(self, log: AuditLog, folder: Path) -> None:
        """It writes the file anew, with fewer lines."""
        for _ in range(3):
            await finish(log)
        growing = Growing(folder / "log")
        assert len(list(growing.new())) == 3
        await finish(log)
        kept = log_path(folder).read_bytes().splitlines(keepends=True)[2:]
        write_private(log_path(folder), b"".join(kept))
        assert [record["seq"] for _, record in growing.new()] == [3]

    async def test_a_line_that_is_no_record_is_named(self, log: AuditLog, folder: Path) -> None:
        """By its file; to say where is the business of `verify`."""
        await finish(log)
        with log_path(folder).open("ab") as file:
            file.write(b"[1]\n")
        with pytest.raises(AuditError, match=r"000000000000\.jsonl has a line that is not a record"):
            list(read_records(folder / "log"))


class TestRotation:
    """Whoever reads the key while another process rotates it neither loses the new key nor goes on with the old one."""

    def test_a_new_key_outlives_a_look_while_the_log_is_held(self, tmp_path: Path) -> None:
        """It is what the log will be signed with; without a writer it is what a crash has left, and goes."""
        folder, key = tmp_path / "audit", tmp_path / "log-key.pem"
        log = open_log(folder)
        make_private_key(successor_of(key))
        read_signing_key(AuditDir(folder), key)
        assert successor_of(key).exists()
        log.close()
        read_signing_key(AuditDir(folder), key)
        assert not successor_of(key).exists()

    async def test_the_old_key_does_not_sign_after_a_rotation(self, tmp_path: Path) -> None:
        """A writer that has read the key and then waited for the log is asked to try again."""
        places, key = AuditDir(tmp_path / "audit"), tmp_path / "log-key.pem"
        open_log(places.root).close()
        old = read_signing_key(places, key)
        await rotate_key(places, key, Operator(None))
        with pytest.raises(BusyError, match="was rotated a moment ago; try again"):
            AuditLog(places, "a test", old)
        AuditLog(places, "a test", read_signing_key(places, key)).close()
        assert verify(places, read_keys(places.vkey)).verdict is Verdict.OK
