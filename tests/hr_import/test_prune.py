"""`fleet inventory prune`: what is kept of people who are in no inventory any more is shown, and goes when told."""

from __future__ import annotations

import asyncio
import json
import subprocess
from datetime import date
from pathlib import Path

import pytest

from fleet.audit import records
from fleet.audit.keys import read_keys, read_signing_key
from fleet.audit.log import AuditLog
from fleet.audit.operator import Operator
from fleet.audit.pseudonyms import Subjects, known_names
from fleet.audit.segments import read_records
from fleet.audit.verify import Verdict, verify
from fleet.authority.mandates import Revocations
from fleet.hr_import.hr_yml import Entry, render_hr_file
from fleet.paths import StateDir, default_log_key, default_state
from fleet.state import erasure
from fleet.state.erasure import Erased
from fleet.state.leavers import Leaver, find_leavers
from fleet.state.writer import Writer
from tests.commands import fleet
from tests.conftest import ROOT
from tests.logs import FINISHED, STARTED

pytestmark = pytest.mark.usefixtures("same_inventories")  # what is kept of the others is the subject
RUN = "20260115T120000Z-abcdef"
NAMES = ("anna", "bob", "carl", "dora", "emil")
STAFF = "all:\n  hosts:\n    anna:\n    carl:\n    dora:\n    emil:\n"


async def remove(state: StateDir, leavers: tuple[Leaver, ...]) -> dict[str, Erased]:
    with Writer.opened(state, default_log_key(), "fleet inventory prune") as writer:
        names = [one.employee for one in leavers]
        return await erasure.erase(state, writer.log, writer.subjects, names, Operator(None))


def prune(*arguments: str) -> subprocess.CompletedProcess[str]:
    return fleet("inventory", "prune", "-i", "staff.yml", *arguments)


async def run(state: StateDir, key: Path) -> None:
    """A run of everybody, each with one picture, that has ended."""
    subjects = Subjects(state.audit.subjects)
    pseudonyms = [subject.pseudonym for subject in subjects.of(dict.fromkeys(NAMES)).values()]
    subjects.close()
    log = AuditLog(state.audit, RUN, read_signing_key(state.audit, key))
    await log.append(records.RUN_STARTED, RUN, **STARTED)
    for pseudonym in pseudonyms:
        await log.append(records.CONTROL_FINISHED, RUN, **(FINISHED | {"subject": pseudonym}))
        picture = state.evidence / RUN / f"{pseudonym}.linkedin.ai_training.after.png"
        picture.parent.mkdir(exist_ok=True)
        picture.write_bytes(b"picture")
    await log.append(records.RUN_FINISHED, RUN, counts={}, stopped=None, exit_code=0)
    log.close()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateDir:
    """Five people whom a run has met, sessions of two of them and of somebody else, two revoked mandates."""
    monkeypatch.chdir(tmp_path)
    assert fleet("init").returncode == 0
    state = StateDir(default_state())
    asyncio.run(run(state, default_log_key()))
    for name in ("anna.linkedin", "bob.linkedin", "bob.intranet", "zoe.linkedin"):
        (state.sessions / f"{name}.age").write_bytes(b"")
        (state.sessions / f"{name}.json").write_bytes(b"{}")
    Revocations(state.revocations).add("bob", date(2026, 3, 1))
    Revocations(state.revocations).add("gone", date(2026, 3, 1))
    Path("staff.yml").write_text(STAFF)
    return state


def known(state: StateDir) -> set[str]:
    return set(known_names(state.audit.subjects).values())


def last_events(state: StateDir) -> list[str]:
    return [record["event"] for record in read_records(state.audit.log)][7:]


def is_whole(state: StateDir) -> bool:
    return verify(state.audit, read_keys(state.audit.vkey)).verdict is Verdict.OK


class TestList:
    def test_who_is_in_no_inventory_is_listed_with_what_is_kept(self, state: StateDir) -> None:
        """Nothing goes, nothing is recorded; the command that would do it is shown."""
        done = prune()
        assert done.returncode == 0, done.stderr
        assert [line.split() for line in done.stdout.splitlines()[1:]] == [
            ["bob", "2", "1", "revoked", "on", "2026-03-01;", "stays", "revoked"],
            ["gone", "-", "-", "revoked", "on", "2026-03-01;", "stays", "revoked"],
            ["zoe", "1", "-"],
        ]
        assert "fleet inventory prune -i staff.yml --remove" in done.stderr
        assert known(state) == set(NAMES) and last_events(state) == []

    def test_who_is_only_written_by_hand_is_named(self, state: StateDir) -> None:
        """An entry that HR does not know keeps somebody in the inventory, so nothing of theirs goes."""
        Path("staff").mkdir()
        entries = [Entry(name, {}, ()) for name in NAMES if name != "bob"]
        Path("staff/hr.yml").write_text(render_hr_file(entries))
        Path("staff/staff.yml").write_text("all:\n  hosts:\n    bob:\n")
        done = fleet("inventory", "prune", "-i", "staff")
        assert "staff/staff.yml:3: bob is not in the HR export; remove the entry, or" in done.stderr
        assert "bob" not in done.stdout

    def test_several_inventories_are_one(self, state: StateDir) -> None:
        """Whoever is in any of them is there."""
        Path("more.yml").write_text("all:\n  hosts:\n    bob:\n    gone:\n    zoe:\n")
        done = prune("-i", "more.yml", "--remove", "--yes")
        assert (done.returncode, done.stdout) == (0, "")
        assert "All people in the state (6) are in the inventory." in done.stderr

    def test_a_script_gets_one_object(self, state: StateDir) -> None:
        """With what is kept, and whether it went."""
        left = [
            {"employee": "bob", "sessions": 2, "evidence": 1, "revoked_on": "2026-03-01", "removed": False},
            {"employee": "gone", "sessions": 0, "evidence": 0, "revoked_on": "2026-03-01", "removed": False},
            {"employee": "zoe", "sessions": 1, "evidence": 0, "revoked_on": None, "removed": False},
        ]
        said = json.loads(prune("--output", "json").stdout)
        assert (said["known"], said["left"]) == (6, left)
        removed = json.loads(prune("--output", "json", "--remove", "--yes").stdout)["left"]
        assert [one["removed"] for one in removed] == [True, False, True]


class TestRemove:
    def test_what_leads_to_them_goes_and_is_recorded(self, state: StateDir) -> None:
        """Sessions, pictures, pseudonym and key; a revoked mandate and everybody else stay; the log verifies."""
        done = prune("--remove", "--yes")
        assert done.returncode == 0, done.stderr
        assert (
            done.stdout.splitlines()[-1]
            == f"2 removed from {state.root}: 3 sessions, 1 screenshot. This is recorded in the log."
        )
        assert known(state) == set(NAMES) - {"bob"}
        assert {path.stem for path in state.sessions.iterdir()} == {"anna.linkedin"}
        assert len(list(state.evidence.rglob("*.png"))) == 4
        assert Revocations(state.revocations).all() == {"bob": date(2026, 3, 1), "gone": date(2026, 3, 1)}
        # Of the two withdrawals, which were put there by hand, the log is told by its next writer.
        assert last_events(state) == ["mandate.revoked"] * 2 + ["subject.erased"] * 2
        assert fleet("audit", "verify").returncode == 0
        assert [line.split()[0] for line in prune().stdout.splitlines()[1:]] == ["bob", "gone"]

    def test_without_a_terminal_it_takes_yes(self, state: StateDir) -> None:
        """Nothing goes that nobody agreed to."""
        done = prune("--remove")
        assert done.returncode == 2 and "no terminal to ask at, so nothing was done; add --yes" in done.stderr
        assert known(state) == set(NAMES) and last_events(state) == []

    def test_half_of_everybody_is_a_wrong_inventory(self, state: StateDir) -> None:
        """Three of six are refused; told otherwise they go."""
        Path("staff.yml").write_text(STAFF.replace("    emil:\n", ""))
        done = prune("--remove", "--yes")
        assert done.returncode == 2 and "3 of the 6 people in the state would be removed" in done.stderr
        assert known(state) == set(NAMES) and last_events(state) == []
        assert prune("--remove", "--yes", "--accept-shrink").returncode == 0
        assert known(state) == set(NAMES) - {"bob", "emil"}

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("all:\n  hosts:\n   anna:\n  x\n", "fix the YAML"),
            ("all:\n", "no employees"),
            (None, "inventory not found"),
            (
                "all:\n  vars: {fleet_rehearsal: true}\n  hosts:\n    anna:\n",
                "marked fleet_rehearsal, but this is the state",
            ),
        ],
    )
    def test_an_inventory_that_is_not_whole_removes_nobody(
        self, state: StateDir, text: str | None, sentence: str
    ) -> None:
        """Broken, empty, missing, or a rehearsal's: refused before anything is looked up."""
        if text is None:
            Path("staff.yml").unlink()
        else:
            Path("staff.yml").write_text(text)
        done = prune("--remove", "--yes", "--accept-shrink")
        assert done.returncode == 2 and sentence in done.stderr, done.stderr
        assert known(state) == set(NAMES) and last_events(state) == []

    def test_real_people_are_not_looked_for_in_rehearsals(self, state: StateDir) -> None:
        """The rehearsals' state has none of them, so all of its own would go."""
        done = prune("--rehearsal", "--remove", "--yes")
        assert done.returncode == 2 and "staff.yml is not marked fleet_rehearsal" in done.stderr

    def test_rehearsed_people_leave_the_rehearsals_state(self, state: StateDir) -> None:
        """A real rehearsal of the example, of somebody whom a copy of it does not name."""
        example = (ROOT / "inventory.example.yml").read_text("utf-8")
        Path("staff.yml").write_text(example, "utf-8")
        assert fleet("run", "-i", "staff.yml", "-l", "ciara.byrne,press.office", "--check").returncode in (3, 4)
        Path("staff.yml").write_text(example.replace("ciara.byrne:", "ciara.other:"), "utf-8")
        assert "ciara.byrne" in prune("--rehearsal").stdout
        assert prune("--rehearsal", "--remove", "--yes", "--accept-shrink").returncode == 0
        assert "ciara.byrne" not in known_names(StateDir(state.root / "rehearsal").audit.subjects).values()
        assert fleet("audit", "verify", "--rehearsal").returncode == 0
        assert known(state) == set(NAMES)

    def test_nobody_is_removed_under_a_run(self, state: StateDir) -> None:
        """The run that writes the log is named."""
        log = AuditLog(state.audit, RUN, read_signing_key(state.audit, default_log_key()))
        done = prune("--remove", "--yes")
        log.close()
        assert done.returncode == 2 and RUN in done.stderr
        assert known(state) == set(NAMES)

    @pytest.mark.parametrize("step", range(15))
    def test_what_was_cut_short_is_finished_the_next_time(
        self, state: StateDir, monkeypatch: pytest.MonkeyPatch, step: int
    ) -> None:
        """Killed before each file and each row that goes: who is not gone is still listed, nothing went unrecorded."""
        gone = find_leavers(state, {"anna", "carl", "dora", "emil"}).removable
        assert gone == (
            Leaver("bob", True, 2, 1, date(2026, 3, 1)),
            Leaver("zoe", False, 1, 0, None),
        )
        left = step

        def dies(real: object) -> object:
            def call(*given: object, **named: object) -> object:
                nonlocal left
                left -= 1
                if left < 0:
                    raise KeyboardInterrupt
                return real(*given, **named)  # type: ignore[operator]

            return call

        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", dies(Path.unlink))
            patched.setattr(erasure.Subjects, "forget", dies(erasure.Subjects.forget))
            try:
                asyncio.run(remove(state, gone))
                assert step >= 11
            except KeyboardInterrupt:
                assert last_events(state)[:1] == ["subject.erased"]
        assert is_whole(state)
        again = find_leavers(state, {"anna", "carl", "dora", "emil"}).removable
        erased = asyncio.run(remove(state, again))
        assert set(erased) == {one.employee for one in again} and all(isinstance(e, Erased) for e in erased.values())
        assert find_leavers(state, {"anna", "carl", "dora", "emil"}).removable == ()
        assert {path.stem for path in state.sessions.iterdir()} == {"anna.linkedin"}
        assert len(list(state.evidence.rglob("*.png"))) == 4 and is_whole(state)
