"""What is deleted on purpose is gone, is recorded, and leaves a log that can still be verified."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from fleet.audit import records
from fleet.audit.keys import read_keys, read_signing_key
from fleet.audit.log import AuditLog
from fleet.audit.maintenance import rotate_key
from fleet.audit.operator import Operator
from fleet.audit.proof import Prover
from fleet.audit.pseudonyms import Subjects, known_names
from fleet.audit.segments import read_records
from fleet.audit.verify import Verdict, verify
from fleet.errors import AuditError, BusyError, InputError
from fleet.paths import StateDir, write_private
from fleet.state import erasure
from fleet.state.create import make_state
from fleet.state.erasure import Erased
from fleet.state.writer import Writer
from tests.logs import FINISHED, STARTED, shrink

ME = Operator("ops")
NAMES = {"anna.keller": "de", "brian.walsh": None}


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of 8 records: five runs of four records fill two of them, and half of a third."""
    shrink(monkeypatch, 8)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "log-key.pem"


@pytest.fixture
def state(tmp_path: Path, key: Path) -> StateDir:
    state = StateDir(tmp_path / "state")
    make_state(state, tmp_path / "keys" / "identity.txt", key)
    return state


async def run(state: StateDir, key: Path, month: int, *, ends: bool = True) -> None:
    """A run of two employees in that month: four records with both of its ends, and a picture for each."""
    name, at = f"2026{month:02}15T120000Z-abcdef", f"2026-{month:02}-15T12:00:00.000000Z"
    subjects = Subjects(state.audit.subjects)
    pseudonyms = [subject.pseudonym for subject in subjects.of(NAMES).values()]
    subjects.close()

    def stamp(*given: Any) -> Any:
        return records._stamp(*given) | {"at": at}

    with pytest.MonkeyPatch.context() as patched:
        # No test can turn the clock of one process alone.
        stamped = [stamp if each is records._stamp else each for each in records._PROCESSORS]
        patched.setattr(records, "_PROCESSORS", stamped)
        log = AuditLog(state.audit, name, read_signing_key(state.audit, key))
        await log.append(records.RUN_STARTED, name, **STARTED)
        for pseudonym in pseudonyms:
            await log.append(records.CONTROL_FINISHED, name, **(FINISHED | {"subject": pseudonym}))
            picture = state.evidence / name / f"{pseudonym}.linkedin.ai_training.after.png"
            picture.parent.mkdir(exist_ok=True)
            picture.write_bytes(b"picture")
        state.diagnostics(name).write_text("said")
        if ends:
            await log.append(records.RUN_FINISHED, name, counts={}, stopped=None, exit_code=0)
        log.close()


async def erase(state: StateDir, key: Path, employee: str) -> Erased | None:
    with Writer.opened(state, key, "fleet audit erase") as writer:
        return (await erasure.erase(state, writer.log, writer.subjects, [employee], ME)).get(employee)


async def prune(state: StateDir, key: Path, before: date) -> int:
    with Writer.opened(state, key, "fleet audit prune") as writer:
        return await erasure.prune(state, writer.log, before, ME)


def everything(state: StateDir) -> list[dict[str, Any]]:
    return list(read_records(state.audit.log))


def verdict(state: StateDir) -> Verdict:
    return verify(state.audit, read_keys(state.audit.vkey)).verdict


class TestErase:
    async def test_nothing_leads_to_the_person_any_more(self, state: StateDir, key: Path) -> None:
        """Row, key, pictures and sessions are gone; the other employee's are not; the log is whole and says so."""
        await run(state, key, 1)
        subjects = Subjects(state.audit.subjects)
        subject = subjects.get("anna.keller")
        subjects.close()
        assert subject is not None
        own = ("anna.keller.linkedin.age", "anna.keller.linkedin.json")
        rests = ("anna.keller.wiki.json", ".anna.keller.linkedin.age.abcd1234")  # of a crash
        for name in (*own, *rests, "brian.walsh.linkedin.age", "anna.keller.jr.linkedin.age"):
            (state.sessions / name).write_bytes(b"{}")
        assert await erase(state, key, "anna.keller") == Erased(subject.pseudonym, 1, 1)
        assert set(known_names(state.audit.subjects).values()) == {"brian.walsh"}
        stored = state.audit.subjects.read_bytes()
        assert b"brian.walsh" in stored
        assert not any(secret in stored for secret in (b"anna.keller", subject.key, subject.pseudonym.encode()))
        kept = ["anna.keller.jr.linkedin.age", "brian.walsh.linkedin.age"]
        assert sorted(path.name for path in state.sessions.iterdir()) == kept
        assert not list(state.evidence.rglob(f"{subject.pseudonym}*")) and list(state.evidence.rglob("*.png"))
        last = everything(state)[-1]
        assert {name: last[name] for name in ("event", "run", "subject", "sessions", "evidence")} == {
            "event": "subject.erased",
            "run": None,
            "subject": subject.pseudonym,
            "sessions": 1,
            "evidence": 1,
        }
        assert verdict(state) is Verdict.OK

    @pytest.mark.parametrize("employee", ["a" * 30, "a" * 38, "a" * 39, "a" * 40, "a" * 100])
    async def test_what_a_crash_left_of_a_long_name_goes_too(
        self, state: StateDir, key: Path, monkeypatch: pytest.MonkeyPatch, employee: str
    ) -> None:
        """Under today's temporary names, and under those that were cut off after 40 characters."""
        sealed = state.sessions / f"{employee}.linkedin.age"
        # No test can kill a process between the two steps: what is under the temporary name stays there.
        monkeypatch.setattr(Path, "replace", lambda self, target: shutil.copy(self, target))
        write_private(sealed, b"sealed")
        monkeypatch.undo()
        (state.sessions / f".{sealed.name[:40]}.abcd1234").write_bytes(b"sealed")
        (state.sessions / f".{employee}x.linkedin.age.abcd1234").write_bytes(b"another's")
        (state.sessions / "b.linkedin.age").write_bytes(b"another's")
        assert len(list(state.sessions.iterdir())) == 5
        await erase(state, key, employee)
        assert sorted(path.name for path in state.sessions.iterdir()) == [
            f".{employee}x.linkedin.age.abcd1234",
            "b.linkedin.age",
        ]

    async def test_many_cost_little_more_than_one(
        self, state: StateDir, key: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each folder is listed once, and the store is written anew once, for three people as for one."""
        names = ("anna.keller", "brian.walsh", "new.person", "never.seen")
        await run(state, key, 1)
        for name in names[:3]:
            (state.sessions / f"{name}.linkedin.age").write_bytes(b"{}")
        asked: list[str] = []
        glob = Path.glob
        # How often a folder is listed leaves no trace that could be looked at.
        monkeypatch.setattr(Path, "glob", lambda self, *what: asked.append(self.name) or glob(self, *what))
        with Writer.opened(state, key, "fleet audit erase") as writer:
            writer.subjects._database.set_trace_callback(lambda sql: asked.append(sql) if sql == "VACUUM" else None)
            erased = await erasure.erase(state, writer.log, writer.subjects, names, ME)
        assert {name: (one.sessions, one.evidence) for name, one in erased.items()} == {
            "anna.keller": (1, 1),
            "brian.walsh": (1, 1),
            "new.person": (1, 0),
        }
        once = ["appointments", "attestations", "evidence", "former-names", "mandates", "notices", "portal"]
        twice = ("former-names", "sessions")  # what is in them is read, too
        assert sorted(asked) == sorted(["VACUUM", *once, *twice, "sessions", "spot_checks"])
        assert known_names(state.audit.subjects) == {} and list(state.sessions.iterdir()) == []
        assert [record["event"] for record in everything(state)][-3:] == ["subject.erased"] * 3

    async def test_who_could_not_be_recorded_is_still_known(self, state: StateDir, key: Path) -> None:
        """Nothing of theirs is gone, and the store is open to others."""
        await run(state, key, 1)
        with Writer.opened(state, key, "fleet audit erase") as writer:
            writer.log.close()
            with pytest.raises(AuditError):
                await erasure.erase(state, writer.log, writer.subjects, NAMES, ME)
            assert set(known_names(state.audit.subjects).values()) == set(NAMES)
        assert len(list(state.evidence.rglob("*.png"))) == 2

    async def test_nowhere_in_the_state_stands_the_name(self, state: StateDir, key: Path) -> None:
        """Not in a file, not in the name of one."""
        await run(state, key, 1)
        await erase(state, key, "anna.keller")
        for path in state.root.rglob("*"):
            assert "anna.keller" not in path.name
            if path.is_file():
                assert b"anna.keller" not in path.read_bytes(), path

    async def test_of_somebody_unknown_nothing_is_erased(self, state: StateDir, key: Path) -> None:
        """Nothing is recorded; twice is once."""
        await run(state, key, 1)
        await erase(state, key, "anna.keller")
        before = everything(state)
        for name in ("anna.keller", "nobody"):
            assert await erase(state, key, name) is None
        assert everything(state) == before

    async def test_a_session_of_somebody_whom_no_run_has_met_goes_too(self, state: StateDir, key: Path) -> None:
        """There is no pseudonym to record."""
        (state.sessions / "new.person.linkedin.age").write_bytes(b"")
        assert await erase(state, key, "new.person") == Erased(None, 1, 0)
        assert everything(state)[-1]["subject"] is None

    async def test_nothing_is_erased_under_a_run(self, state: StateDir, key: Path) -> None:
        """The run is named; it may be about that very person."""
        await run(state, key, 1)
        log = AuditLog(state.audit, "run r2", read_signing_key(state.audit, key))
        with pytest.raises(BusyError, match="run r2"):
            await erase(state, key, "anna.keller")
        log.close()
        assert "anna.keller" in known_names(state.audit.subjects).values()


class TestPrune:
    async def test_runs_that_are_too_old_go_and_the_rest_can_be_proved(self, state: StateDir, key: Path) -> None:
        """Their records, pictures and diagnostics; hashes stay, so every stored checkpoint can still be checked."""
        for month in range(1, 6):
            await run(state, key, month)
        kept = everything(state)[12:]
        checkpoints = sorted(path.name for path in state.audit.checkpoints.iterdir())
        assert await prune(state, key, date(2026, 4, 1)) == 12
        assert everything(state)[: len(kept)] == kept
        assert (everything(state)[-1]["event"], everything(state)[-1]["before"]) == ("log.pruned", 12)
        kept_runs = ["20260415T120000Z-abcdef", "20260515T120000Z-abcdef"]
        assert sorted(path.name for path in state.evidence.iterdir()) == kept_runs
        assert sorted(path.name for path in state.runs.iterdir()) == [f"{run}.agent.log" for run in kept_runs]
        assert sorted(path.name for path in state.audit.log.iterdir() if path.suffix != ".root") == [
            "000000000000.hashes",
            "000000000008.hashes",
            "000000000008.jsonl",
            "000000000016.jsonl",
        ]
        found = verify(state.audit, read_keys(state.audit.vkey))
        assert (found.verdict, found.records, found.pruned) == (Verdict.OK, 21, 12)
        assert found.checkpoints == len(checkpoints) + 1
        prover = Prover(state.audit, read_keys(state.audit.vkey))
        assert [prover.prove(index).index for index in range(12, 21)] == list(range(12, 21))
        with pytest.raises(InputError, match="Record 11 was pruned"):
            prover.prove(11)

    async def test_the_log_goes_on_after_it(self, state: StateDir, key: Path) -> None:
        """Numbers go on; and it can be pruned again, up to the last run."""
        await run(state, key, 1)
        await run(state, key, 2)
        assert await prune(state, key, date(2026, 2, 1)) == 4
        await run(state, key, 3)
        assert await prune(state, key, date(2026, 3, 1)) == 8
        await run(state, key, 4)
        assert [record["seq"] for record in everything(state)] == list(range(8, 18))
        assert verdict(state) is Verdict.OK

    async def test_a_run_is_not_cut_in_two(self, state: StateDir, key: Path) -> None:
        """One that has no end stays, with all that follows."""
        await run(state, key, 1)
        await run(state, key, 2, ends=False)
        assert await prune(state, key, date(2026, 12, 1)) == 4

    async def test_a_rotated_key_can_still_be_proved(self, state: StateDir, key: Path) -> None:
        """The record that introduced it has gone; whoever has the first key alone can still check."""
        first = read_keys(state.audit.vkey)
        await run(state, key, 1)
        await rotate_key(state.audit, key, ME)
        await run(state, key, 2)
        await prune(state, key, date(2999, 1, 1))
        await run(state, key, 3)
        found = verify(state.audit, first)
        assert (found.verdict, len(found.keys), found.pruned) == (Verdict.OK, 2, 9)

    async def test_a_run_with_a_strange_name_deletes_nothing(self, state: StateDir, key: Path, tmp_path: Path) -> None:
        """A path in a run's place leads nowhere."""
        victim = tmp_path / "victim"
        victim.mkdir()
        log = AuditLog(state.audit, "x", read_signing_key(state.audit, key))
        await log.append(records.RUN_STARTED, str(victim), **STARTED)
        await log.append(records.RUN_FINISHED, str(victim), counts={}, stopped=None, exit_code=0)
        log.close()
        await prune(state, key, date(2999, 1, 1))
        assert victim.is_dir()

    async def test_nothing_old_means_nothing_written(self, state: StateDir, key: Path) -> None:
        """No record, no change."""
        await run(state, key, 5)
        before = everything(state)
        assert await prune(state, key, date(2026, 5, 15)) == 0
        assert everything(state) == before

    @pytest.mark.parametrize("steps", range(5))
    async def test_a_prune_that_is_cut_short_can_be_given_again(
        self, state: StateDir, key: Path, monkeypatch: pytest.MonkeyPatch, steps: int
    ) -> None:
        """After each of its files: the log is whole at once, and the second time finishes the work."""
        for month in range(1, 6):
            await run(state, key, month)
        real, left = erasure.write_private, steps

        def write(path: Path, data: bytes, **how: bool) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            real(path, data, **how)

        with monkeypatch.context() as patched:
            patched.setattr(erasure, "write_private", write)
            try:
                await prune(state, key, date(2026, 4, 1))
            except KeyboardInterrupt:
                assert steps < 3
        assert verdict(state) is Verdict.OK
        assert await prune(state, key, date(2026, 4, 1)) == 12
        assert everything(state)[0]["seq"] == 12
        assert verdict(state) is Verdict.OK

    async def test_what_is_taken_out_without_a_record_is_a_gap(self, state: StateDir, key: Path) -> None:
        """Hashes alone do not show that it was meant."""
        for month in range(1, 6):
            await run(state, key, month)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(AuditLog, "append", lambda *_given, **_fields: _nothing())
            await prune(state, key, date(2026, 4, 1))
        found = verify(state.audit, read_keys(state.audit.vkey))
        assert found.verdict is Verdict.GAP
        assert [one.what for one in found.findings] == ["records 0 to 11: deleted without a signed record of pruning"]


async def _nothing() -> None:
    return None
