"""The log under crashes: killed at every call that writes, with and without what the disk had not got yet."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fleet.audit import records
from fleet.audit.keys import read_keys, read_signing_key
from fleet.audit.log import AuditLog
from fleet.audit.maintenance import rotate_key
from fleet.audit.operator import Operator
from fleet.audit.pseudonyms import Subjects
from fleet.audit.segments import read_records
from fleet.audit.verify import Verdict, verify
from fleet.errors import AuditError
from fleet.paths import AuditDir, StateDir
from fleet.state.create import make_state
from fleet.state.erasure import erase, prune
from fleet.state.writer import Writer
from tests.logs import abandon, finish, log_path, open_log, shrink
from tests.sizes import cases

SMALL = 8, 3
"""Records of a segment, and until a signature is due."""
WHOLE = {Verdict.OK, Verdict.UNSIGNED_TAIL, Verdict.TORN_TAIL}
"""What a crash may leave: nothing that was signed is touched by one."""


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, *SMALL)


def check(folder: Path) -> Verdict:
    places = AuditDir(folder)
    return verify(places, read_keys(places.vkey)).verdict


class Dying:
    """Counts the calls that change the disk, and ends this process at one of them.

    `loses` says that the power goes, too: what was not synced by then is gone, file names included.
    """

    CALLS = ("write", "fdatasync", "fsync", "ftruncate", "replace", "posix_fallocate")

    def __init__(self, at: int, *, loses: bool) -> None:
        self._left = at
        self._loses = loses
        self._real: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in self.CALLS}
        self._synced: dict[str, int] = {}
        self._unsafe_names: dict[str, set[str]] = {}
        for name in self.CALLS:
            setattr(os, name, self._wrapped(name))
        # pathlib goes by the attribute it has imported, and writes files through Python's own objects.
        real_replace = Path.replace
        dying = self

        def replace(source: Path, target: Path) -> Path:
            dying._step("replace", (str(source), str(target)))
            dying._unsafe_names.setdefault(str(Path(target).parent), set()).add(str(target))
            return real_replace(source, target)

        Path.replace = replace  # type: ignore[method-assign] # in a process of its own

    def _wrapped(self, name: str) -> Callable[..., Any]:
        real = self._real[name]

        def call(*given: Any) -> Any:
            self._step(name, given)
            answer = real(*given)
            self._note(name, given)
            return answer

        return call

    def _step(self, name: str, given: tuple[Any, ...]) -> None:
        if name == "write":  # what was there before is safe
            path = str(Path(f"/proc/self/fd/{given[0]}").readlink())
            self._synced.setdefault(path, os.fstat(given[0]).st_size)
        self._left -= 1
        if self._left == 0:
            if name == "write":  # half of it
                self._real["write"](given[0], bytes(given[1])[: len(given[1]) // 2])
            if self._loses:
                self._lose()
            os._exit(9)

    def _note(self, name: str, given: tuple[Any, ...]) -> None:
        if name in ("fdatasync", "fsync"):
            path = str(Path(f"/proc/self/fd/{given[0]}").readlink())
            if Path(path).is_dir():
                self._unsafe_names.pop(path, None)
            else:
                self._synced[path] = os.fstat(given[0]).st_size

    def _lose(self) -> None:
        for path, size in self._synced.items():
            if path.endswith(".jsonl") and os.path.exists(path) and os.path.getsize(path) > size:  # noqa: PTH110, PTH202 - os alone is not patched
                os.truncate(path, size)
        for names in self._unsafe_names.values():
            for name in names:
                if os.path.exists(name):  # noqa: PTH110 - the same
                    os.unlink(name)  # noqa: PTH108 - the same


async def write_and_tell(folder: Path, tell: int, count: int) -> None:
    """Append, and tell of each record once it is acknowledged."""
    log = open_log(folder)
    for number in range(count):
        record = await finish(log, f"c{number}")
        DYING_WRITE(tell, f"{record['seq']}\n".encode())
    log.close()


DYING_WRITE = os.write
"""The real one: telling is not what is being killed."""


def killed_at(folder: Path, at: int, count: int, *, loses: bool) -> tuple[bool, list[int]]:
    """Write in a process that is killed at its `at`th call; whether it came to its end, and what was acknowledged."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            Dying(at, loses=loses)
            asyncio.run(write_and_tell(folder, writer, count))
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        acknowledged = [int(line) for line in told.read().splitlines()]
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 9)
    return os.waitstatus_to_exitcode(status) == 0, acknowledged


@pytest.mark.parametrize("loses", [False, True], ids=["killed", "power lost"])
def test_killed_at_every_call_no_acknowledged_record_is_lost(tmp_path: Path, loses: bool) -> None:
    """From the first open to the close of a log of two segments, and then while it is written to again."""
    base = tmp_path / "base"
    asyncio.run(write_and_tell(base / "audit", os.open(os.devnull, os.O_WRONLY), 5))
    at, ended = 0, False
    while not ended:
        at += 1
        place = tmp_path / f"at-{at}"
        shutil.copytree(base, place)
        folder = place / "audit"
        ended, acknowledged = killed_at(folder, at, 9, loses=loses)
        assert check(folder) in WHOLE, at
        seqs = [record["seq"] for record in read_records(folder / "log")]
        assert seqs == list(range(len(seqs))), at
        assert set(range(5)) | set(acknowledged) <= set(seqs), at
        open_log(folder).close()
        assert check(folder) is Verdict.OK, at
        shutil.rmtree(place)
    assert at > 30 and acknowledged == list(range(5, 14))


def test_a_first_open_that_is_killed_can_be_made_again(tmp_path: Path) -> None:
    """There is no log yet."""
    at, ended = 0, False
    while not ended:
        at += 1
        folder = tmp_path / f"at-{at}" / "audit"
        folder.parent.mkdir()
        ended, acknowledged = killed_at(folder, at, 2, loses=True)
        if not (folder / "log.vkey").exists():
            assert acknowledged == []
            continue
        open_log(folder).close()
        assert check(folder) is Verdict.OK
        assert set(acknowledged) <= {record["seq"] for record in read_records(folder / "log")}


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(
    "injected",
    cases(
        [
            f"{call}:{fault}"
            for call in ("write", "fdatasync", "fsync", "rename", "ftruncate")
            for fault in ("signal=KILL", "error=EIO", "error=ENOSPC")
        ],
        in_every_run={"write:signal=KILL", "fdatasync:error=EIO", "rename:error=ENOSPC"},
    ),
)
def test_faults_of_the_real_system_calls(tmp_path: Path, injected: str) -> None:
    """Injected by strace into files of the log: no acknowledged record is lost, and the log opens again."""
    script = (
        "import asyncio, sys; from pathlib import Path; import pytest;"
        "from tests.logs import shrink; from tests.unit.test_crashes import SMALL, write_and_tell;"
        "shrink(pytest.MonkeyPatch(), *SMALL);"
        "asyncio.run(write_and_tell(Path(sys.argv[1]), 1, 9))"
    )
    call = injected.partition(":")[0]
    base = tmp_path / "base"
    asyncio.run(write_and_tell(base / "audit", os.open(os.devnull, os.O_WRONLY), 5))
    for at in (1, 3):
        place = tmp_path / f"{at}"
        shutil.copytree(base, place)
        folder = place / "audit"
        only = ["-P", str(log_path(folder))] if call in ("write", "fdatasync", "ftruncate") else []
        inject = f"inject={injected}:when={at}"
        command = ["strace", "-f", "-qq", "-o", str(place / "trace"), *only, "-e", f"trace={call}", "-e", inject]
        done = subprocess.run(
            [*command, sys.executable, "-c", script, str(folder)], capture_output=True, check=False, timeout=120
        )
        acknowledged = {int(line) for line in done.stdout.splitlines()}
        assert check(folder) in WHOLE, (at, done.stderr)
        seqs = {record["seq"] for record in read_records(folder / "log")}
        assert set(range(5)) | acknowledged <= seqs, (at, done.stderr)
        open_log(folder).close()
        assert check(folder) is Verdict.OK


def test_a_clock_that_is_set_back_is_told_and_breaks_nothing(tmp_path: Path) -> None:
    """Records keep their order by number; the verification says where."""
    folder = tmp_path / "audit"
    asyncio.run(write_and_tell(folder, os.open(os.devnull, os.O_WRONLY), 2))
    real = records._stamp

    def yesterday(*given: Any) -> Any:
        return real(*given) | {"at": "2020-01-01T00:00:00.000000Z"}

    with pytest.MonkeyPatch.context() as patched:
        stamped = [yesterday if each is real else each for each in records._PROCESSORS]
        patched.setattr(records, "_PROCESSORS", stamped)  # no test can turn the clock of one process alone
        asyncio.run(write_and_tell(folder, os.open(os.devnull, os.O_WRONLY), 1))
    asyncio.run(write_and_tell(folder, os.open(os.devnull, os.O_WRONLY), 1))
    places = AuditDir(folder)
    found = verify(places, read_keys(places.vkey))
    assert (found.verdict, found.records, found.set_back) == (Verdict.OK, 4, [2])


class LogMachine(RuleBasedStateMachine):
    """Whatever happens to a log in whatever order: it is what the model says, and verifies as it should."""

    def __init__(self) -> None:
        super().__init__()
        self._patch = pytest.MonkeyPatch()
        shrink(self._patch, *SMALL)
        self._runner = asyncio.Runner()
        self._place = Path(os.path.realpath(os.environ.get("TMPDIR", "/tmp"))) / f"log-{os.getpid()}-{id(self)}"
        self._state = StateDir(self._place / "state")
        self._folder = self._state.audit.root
        self._place.mkdir()
        make_state(self._state, self._place / "identity.txt", self._place / "log-key.pem")
        self._key = self._place / "log-key.pem"
        self._log: AuditLog | None = None
        self._acknowledged: list[str] = []
        self._written = 0
        self._is_torn = False
        self._open()

    def _open(self) -> None:
        places = self._state.audit
        self._log = AuditLog(places, "the model", read_signing_key(places, self._key))
        self._is_torn = False

    def _lines(self) -> list[dict[str, Any]]:
        return list(read_records(self._folder / "log"))

    @precondition(lambda self: self._log is not None)
    @rule(count=st.integers(1, 12))
    def append(self, count: int) -> None:
        async def all_at_once() -> None:
            assert self._log is not None
            names = [f"c{self._written + number}" for number in range(count)]
            self._written += count
            await asyncio.gather(*(finish(self._log, name) for name in names))
            self._acknowledged += names

        self._runner.run(all_at_once())

    @precondition(lambda self: self._log is not None)
    @rule()
    def sign(self) -> None:
        assert self._log is not None
        self._log.sign()

    @precondition(lambda self: self._log is not None)
    @rule()
    def close(self) -> None:
        assert self._log is not None
        self._log.close()
        self._log = None

    @precondition(lambda self: self._log is not None)
    @rule(torn=st.binary(max_size=40))
    def crash(self, torn: bytes) -> None:
        """Without a signature, and perhaps with half a line."""
        assert self._log is not None
        abandon(self._log)
        self._log = None
        torn = torn.replace(b"\n", b"")
        last = max((self._folder / "log").glob("*.jsonl"))
        with last.open("ab") as file:
            file.write(torn)
        self._is_torn = self._is_torn or bool(torn)

    @precondition(lambda self: self._log is None)
    @rule()
    def reopen(self) -> None:
        self._open()

    @precondition(lambda self: self._log is None)
    @rule()
    def rotate(self) -> None:
        self._runner.run(rotate_key(self._state.audit, self._key, Operator(None)))
        self._is_torn = False

    @precondition(lambda self: self._log is None)
    @rule()
    def erase(self) -> None:
        """Somebody whom a run has met."""
        store = Subjects(self._state.audit.subjects)
        store.of({"anna.keller": None})
        store.close()
        with Writer.opened(self._state, self._key, "erase") as writer:
            self._runner.run(erase(self._state, writer.log, writer.subjects, ["anna.keller"], Operator(None)))
        assert b"anna.keller" not in self._state.audit.subjects.read_bytes()
        self._is_torn = False

    @precondition(lambda self: self._log is None)
    @rule()
    def prune(self) -> None:
        """Everything that there is: no run is under way."""
        if self._lines():
            with Writer.opened(self._state, self._key, "prune") as writer:
                first = self._runner.run(prune(self._state, writer.log, date(2999, 1, 1), Operator(None)))
            assert [line["event"] for line in self._lines()] == [records.LOG_PRUNED]
            assert self._lines()[0]["before"] == first == self._lines()[0]["seq"]
            self._acknowledged, self._is_torn = [], False

    @precondition(lambda self: self._log is None and len(self._acknowledged) > 0)
    @rule(somewhere=st.integers(0, 1_000_000))
    def tamper(self, somewhere: int) -> None:
        """A byte of a signed record is changed on a copy: it is never found whole, nor opened."""
        copy = self._place / "copy"
        shutil.copytree(self._state.audit.root, copy)
        places = AuditDir(copy)
        signed = verify(places, read_keys(places.vkey)).signed
        path = log_path(copy)
        if signed and path.exists() and not path.with_suffix(".hashes").exists():
            first = path.read_bytes().splitlines(keepends=True)[: min(signed, 8)]
            at = somewhere % sum(map(len, first))
            content = bytearray(path.read_bytes())
            content[at] ^= 1
            path.write_bytes(content)
            assert verify(places, read_keys(places.vkey)).verdict not in WHOLE
            if signed < 8:  # a full segment is not read at opening
                with pytest.raises(AuditError):
                    AuditLog(places, "the model", read_signing_key(places, self._key))
        shutil.rmtree(copy)

    @invariant()
    def what_was_acknowledged_is_there_in_order(self) -> None:
        lines = self._lines()
        first = lines[0]["seq"] if lines else 0
        assert [line["seq"] for line in lines] == list(range(first, first + len(lines)))
        finished = [line["control"] for line in lines if line["event"] == records.CONTROL_FINISHED]
        assert finished == self._acknowledged

    @invariant()
    def it_verifies(self) -> None:
        verdict = check(self._folder)
        if self._log is not None:
            assert verdict in (Verdict.OK, Verdict.UNSIGNED_TAIL)
        elif self._is_torn:
            assert verdict is Verdict.TORN_TAIL
        else:
            assert verdict in (Verdict.OK, Verdict.UNSIGNED_TAIL)

    def teardown(self) -> None:
        if self._log is not None:
            self._log.close()
            assert check(self._folder) is Verdict.OK
        self._runner.close()
        self._patch.undo()
        shutil.rmtree(self._place)


TestModel = LogMachine.TestCase
TestModel.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
