"""A rehearsal and the truth never meet: each has a state of its own, and nobody reads the one for the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.audit.current_state import current_states
from fleet.audit.keys import read_signing_key
from fleet.audit.log import AuditLog
from fleet.audit.segments import read_records
from fleet.errors import InputError
from fleet.inventory.employee import Account, Employee
from fleet.inventory.read import Inventory
from fleet.paths import REHEARSAL_RECIPES, StateDir, default_log_key
from fleet.plan.last_run import History
from fleet.plan.plan import RunSpec
from fleet.plan.selection import Selection
from fleet.recipes.catalog import load_catalog
from fleet.rehearsal.stage import raise_stage, raise_stage_alone
from fleet.sessions.store import SessionStore, StorageState
from fleet.settings.resolve import Settings
from fleet.state.create import make_state
from tests.commands import fleet
from tests.conftest import ROOT
from tests.inventories import at_linkedin
from tests.logs import STARTED
from tests.unit.test_audit_commands import LOCALES, told, write
from tests.unit.test_commands import STAFF, refusal

pytestmark = pytest.mark.usefixtures("same_inventories")  # what a state is of is the subject
EXAMPLE = str(ROOT / "inventory.example.yml")
LINKEDIN = load_catalog().recipes["linkedin"]
MARK = "rehearsal.mark"
OUT = {"outcome": "opted_out", "before": "in", "after": "out", "read_back": True}
IN = {"outcome": "not_saved", "reason": "still_in", "before": "in", "after": "in"}


def inventory(*, rehearsal: bool = True) -> Inventory:
    people = (Employee("anna.keller", accounts={"linkedin": Account(profile="anna-keller", owner="employee")}),)
    return Inventory(("staff.yml",), people, rehearsal=rehearsal, digest="0")


def settings(folder: Path) -> Settings:
    return Settings(folder / "state", folder / "keys" / "identity.txt", folder / "keys" / "log-key.pem")


def made(given: Settings, *, rehearsal: bool) -> StateDir:
    """A state with somebody's session."""
    make_state(given.state_dir, given.identity, given.log_key, rehearsal=rehearsal)
    SessionStore(given.state_dir).seal("anna.keller", LINKEDIN, StorageState())
    return given.state_dir


def content(state: StateDir) -> dict[str, bytes]:
    """Every file of a state."""
    return {str(path.relative_to(state.root)): path.read_bytes() for path in state.root.rglob("*") if path.is_file()}


class TestMark:
    def test_a_state_says_which_kind_it_is(self, tmp_path: Path) -> None:
        """From the moment that it is made; the other kind is refused, and nothing is touched."""
        real, rehearsed = (
            made(settings(tmp_path / "a"), rehearsal=False),
            made(settings(tmp_path / "b"), rehearsal=True),
        )
        assert not (real.root / MARK).exists() and (rehearsed.root / MARK).exists()
        real.check()
        rehearsed.check(rehearsal=True)
        with pytest.raises(InputError, match=r"a/state is not marked as a state of rehearsals, so it counts as real"):
            real.check(rehearsal=True)
        with pytest.raises(InputError, match=r"b/state is a state of rehearsals; for real accounts name another"):
            rehearsed.check()
        for one, kind in ((settings(tmp_path / "a"), True), (settings(tmp_path / "b"), False)):
            before = content(one.state_dir)
            with pytest.raises(InputError):
                make_state(one.state_dir, one.identity, one.log_key, rehearsal=kind)
            assert content(one.state_dir) == before

    def test_without_its_mark_it_counts_as_real(self, tmp_path: Path) -> None:
        """Also where the list of recipients is gone with it: what it holds may be real."""
        state = made(settings(tmp_path), rehearsal=True)
        for lost in (MARK, "recipients.txt"):
            (state.root / lost).unlink()
            with pytest.raises(InputError, match="counts as real"):
                state.check(rehearsal=True)
            with pytest.raises(InputError, match="counts as real"):
                state.create(rehearsal=True)

    def test_one_that_was_cut_short_while_it_was_made_is_finished(self, tmp_path: Path) -> None:
        """Empty folders hold nothing of anybody."""
        given = settings(tmp_path)
        for name in ("", "sessions", "audit"):
            (given.state / name).mkdir(mode=0o700)
        made(given, rehearsal=True).check(rehearsal=True)

    @pytest.mark.parametrize("raising", [raise_stage, raise_stage_alone])
    def test_a_stage_touches_no_state_without_the_mark(self, tmp_path: Path, raising: Callable[..., Any]) -> None:
        """Real sessions are neither sealed over nor removed, the real log gets no record."""
        given = settings(tmp_path)
        before = content(made(given, rehearsal=False))
        with pytest.raises(InputError, match="counts as real"):
            raising(inventory(), given, load_catalog(rehearsal=True))
        assert content(given.state_dir) == before


class TestCommands:
    @pytest.fixture
    def state(self, tmp_path: Path) -> StateDir:
        """A real state that is given, and the rehearsals' own inside."""
        given = settings(tmp_path)
        made(given, rehearsal=False)
        made(given.of_kind(rehearsal=True), rehearsal=True)
        return given.state_dir

    @pytest.mark.parametrize(
        "command",
        [
            ("sessions", "list"),
            ("sessions", "remove", "anna.keller", "linkedin"),
            ("mandates", "list"),
            ("mandates", "revoke", "anna.keller", "--unknown"),
            ("audit", "show"),
            ("audit", "erase", "anna.keller"),
            ("status",),
            ("report",),
            ("init",),
            ("run", "-i", "staff.yml", "--plan"),
            ("run", "-i", "staff.yml"),
        ],
        ids=" ".join,
    )
    def test_none_takes_rehearsals_for_the_truth(
        self, state: StateDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
    ) -> None:
        """`--state STATE/rehearsal` is no way around it."""
        monkeypatch.chdir(tmp_path)
        Path("staff.yml").write_text(STAFF)
        rehearsed = StateDir(state.root / "rehearsal")
        before = content(rehearsed)
        done = fleet(*command, "--state", str(rehearsed.root))
        assert done.returncode == 2 and f"{rehearsed.root} is a state of rehearsals" in " ".join(done.stderr.split())
        assert content(rehearsed) == before

    @pytest.mark.parametrize(
        "command",
        [("sessions", "list", "--rehearsal"), ("audit", "show", "--rehearsal"), ("run", "-i", EXAMPLE), ("demo",)],
        ids=" ".join,
    )
    def test_none_takes_the_truth_for_rehearsals(self, state: StateDir, command: tuple[str, ...]) -> None:
        """A state of that name which was made as a real one, or has lost its mark."""
        rehearsed = StateDir(state.root / "rehearsal")
        (rehearsed.root / MARK).unlink()
        before = content(rehearsed)
        done = fleet(*command, "--state", str(state.root))
        assert done.returncode == 2 and "counts as real and is not used" in " ".join(done.stderr.split())
        assert content(rehearsed) == before

    def test_a_second_run_stages_nothing_under_the_first(self, state: StateDir) -> None:
        """Who holds the log is named before a session is sealed or removed."""
        given = settings(state.root.parent).of_kind(rehearsal=True)
        log = AuditLog(given.state_dir.audit, "run r1", read_signing_key(given.state_dir.audit, given.log_key))
        before = content(given.state_dir)
        keys = ("--state", str(state.root), "--identity", str(settings(state.root.parent).identity))
        keys += ("--log-key", str(settings(state.root.parent).log_key))
        for verb in ("run", "rehearsal"):
            said = fleet(verb, "-i", EXAMPLE, *keys)
            assert said.returncode == 2 and "run r1 (process" in said.stderr, said
        log.close()
        after = {name: data for name, data in content(given.state_dir).items() if not name.startswith("runs/")}
        assert after == before | {name: after[name] for name in after if name.startswith("audit/")}

    def test_staging_leaves_real_sessions_and_the_real_log_alone(self, state: StateDir, tmp_path: Path) -> None:
        """The page's own rehearsal, with a state that fleet.yml names: the real state is as it was, byte for byte."""
        people = {"anna.keller": at_linkedin("anna.keller", "anna-keller", "already_out")}
        staff = {"all": {"vars": {"fleet_rehearsal": True}, "hosts": people}}
        (tmp_path / "staff.yml").write_text(json.dumps(staff))
        (tmp_path / "fleet.yml").write_text("state: state\nidentity: keys/identity.txt\nlog_key: keys/log-key.pem\n")
        before = {name: data for name, data in content(state).items() if not name.startswith("rehearsal/")}
        done = fleet("run", "-i", "staff.yml", "--output", "json", cwd=tmp_path)
        results = json.loads(done.stdout)["results"]
        assert [(one["outcome"], one["reason"]) for one in results] == [("already_opted_out", None)]
        after = {name: data for name, data in content(state).items() if not name.startswith("rehearsal/")}
        assert after == before
        assert "no audit log" in fleet("status", cwd=tmp_path).stderr
        assert "1 of 1 controls read out" in fleet("status", "--rehearsal", cwd=tmp_path).stdout


class TestMixedLog:
    """Older versions kept both in one state, where one was given."""

    @pytest.fixture
    def state(self, monkeypatch: pytest.MonkeyPatch) -> StateDir:
        """Anna was out in truth before a rehearsal found her in, brian was met by that alone. Both runs have ended."""
        state = StateDir(Path.home() / ".local/state/fleet")
        make_state(state, Path.home() / ".config/fleet/identity.txt", default_log_key())
        asyncio.run(write(state, {"real": {"anna.keller": OUT}}))
        monkeypatch.setitem(STARTED, "rehearsal", True)
        asyncio.run(write(state, {"tried": {"anna.keller": IN, "brian.walsh": OUT}}))
        return state

    def spec(self, state: StateDir) -> RunSpec:
        people = tuple(Employee(name, accounts={"linkedin": Account(profile=name)}) for name in sorted(LOCALES))
        return RunSpec(
            "r9",
            False,
            Inventory(("staff.yml",), people, rehearsal=False, digest="0"),
            Settings(state.root, Path("identity"), default_log_key()),
        )

    def test_status_and_drift_are_of_real_runs(self, state: StateDir) -> None:
        """Anna is out and has not drifted; of brian nothing is known."""
        answer = json.loads(told("status", "--output", "json"))
        states = {row["employee"]: (row["state"], row["has_drifted"]) for row in answer["controls"]}
        assert states == {"anna.keller": ("out", False)}
        assert fleet("status", "--drift").returncode == 0
        assert len(current_states(read_records(state.audit.log))) == 2  # there was something to leave out

    def test_a_selection_is_of_real_runs(self, state: StateDir) -> None:
        """Brian is new, nobody has failed, nothing is left to go on with."""
        spec = self.spec(state)
        new = Selection(new=True).of(spec, load_catalog()).inventory.employees
        assert [one.name for one in new] == ["brian.walsh", "ciara.byrne"]
        assert Selection(only_failed="last").of(spec, load_catalog()).only == frozenset()
        assert Selection(resume=True).of(spec, load_catalog()).resumes == "real"
        assert History(spec).turns() == ["anna.keller", "brian.walsh", "ciara.byrne"]
        with pytest.raises(InputError, match="Run 'tried' was a rehearsal, so it has no real accounts"):
            Selection(only_failed="tried").of(spec, load_catalog())

    def test_a_rehearsal_s_selection_is_of_rehearsals(self, state: StateDir) -> None:
        """The reverse: anna failed there."""
        spec = self.spec(state)
        rehearsed = replace(spec, inventory=replace(spec.inventory, rehearsal=True))
        assert [
            one.name for one in Selection(only_failed="last").of(rehearsed, load_catalog()).inventory.employees
        ] == ["anna.keller"]

    def test_a_receipt_tells_of_real_runs(self, state: StateDir, tmp_path: Path) -> None:
        """Anna's of her change; brian's of none."""
        for name in ("anna.keller", "brian.walsh"):
            fleet("audit", "receipt", name, "-o", str(tmp_path), "--language", "en")
        anna, brian = ((tmp_path / f"{name}.receipt.txt").read_text() for name in ("anna.keller", "brian.walsh"))
        assert "read it back: off" in anna and "still on" not in anna
        assert "No run has completed any of your settings yet." in brian and "switched it off" not in brian

    def test_last_is_the_last_real_run(self, state: StateDir, tmp_path: Path) -> None:
        """In a report, a comparison, an export; a rehearsal by its own id is refused."""
        exported = [json.loads(line) for line in told_lines("audit", "export")]
        assert {record["run"] for record in exported} == {"real"}
        assert {json.loads(line)["run"] for line in told_lines("audit", "export", "--run", "last")} == {"real"}
        assert "report-real.html" in fleet("report", cwd=tmp_path).stdout
        assert "0 differ, 1 are the same" in fleet("audit", "diff", "real", "last").stderr
        for command in (("report", "tried"), ("audit", "diff", "real", "tried"), ("audit", "export", "--run", "tried")):
            assert "Run 'tried' was a rehearsal" in refusal(*command)

    def test_people_are_shown_both_each_marked(self, state: StateDir) -> None:
        """History is whole; which record is whose is said by each."""
        records = json.loads(told("audit", "show", "--output", "json"))["records"]
        assert {(record["run"], record["rehearsal"]) for record in records} == {("real", False), ("tried", True)}
        shown = told("audit", "show", "--employee", "brian.walsh")
        assert shown.count("(rehearsal)") == shown.count("control.") + shown.count("run.planned") > 0
        assert "(rehearsal)" not in told("audit", "show", "--run", "last")


def told_lines(*arguments: str) -> list[str]:
    """The lines that a command prints."""
    return fleet(*arguments).stdout.splitlines()


class TestRecipes:
    """Those of the stand-in services exist in rehearsals alone."""

    OWN = (REHEARSAL_RECIPES / "intranet.yml").read_text("utf-8")
    PEOPLE = STAFF.replace("{linkedin: {profile: bob-stone}}", "{intranet: {profile: bob-stone}}")

    def test_a_real_inventory_knows_none_of_them(self, tmp_path: Path) -> None:
        """`inventory check` says so as the run does; the same people can be rehearsed."""
        (tmp_path / "staff.yml").write_text(self.PEOPLE)
        (tmp_path / "rehearsal.yml").write_text("all:\n  vars: {fleet_rehearsal: true}\n")
        done = fleet("inventory", "check", "-i", "staff.yml", cwd=tmp_path)
        assert done.returncode == 2
        assert (
            "bob.stone: fleet_accounts.intranet: unknown service; recipes (--recipes) exist for linkedin."
            in done.stderr
        )
        done = fleet("inventory", "check", "-i", "staff.yml", "-i", "rehearsal.yml", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")

    def test_an_own_recipe_may_have_the_name_of_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """In every command over a real inventory."""
        monkeypatch.chdir(tmp_path)
        Path("ours").mkdir()
        Path("ours/intranet.yml").write_text(self.OWN.replace("newsletter", "circular"))
        Path("staff.yml").write_text(self.PEOPLE)
        Path("fleet.yml").write_text("inventory: staff.yml\nrecipes: [ours]\nsandbox: false\naccepted_by: a test\n")
        Path("people.csv").write_text("Work Email\nanna.keller@company.example\nbob.stone@company.example\n")
        assert fleet("init").returncode == 0
        StateDir(Path.home() / ".local/state/fleet").audit.log.mkdir(mode=0o700)
        assert "intranet.circular" in fleet("run", "--plan").stdout
        for command in (
            ("inventory", "check"),
            ("inventory", "import", "people.csv", "-i", "hr.yml", "--check"),
            ("inventory", "prune"),
            ("status",),
        ):
            assert (done := fleet(*command)).returncode == 0, done.stderr
        for command in (("report",), ("audit", "receipt", "anna.keller")):
            assert "The log has n" in refusal(*command)

    def test_in_a_rehearsal_the_own_one_counts(self, tmp_path: Path) -> None:
        """The organization knows best what its service is; where that cannot be rehearsed, nothing is visited."""
        own = tmp_path / "ours" / "intranet.yml"
        own.parent.mkdir()
        own.write_text(self.OWN.replace("newsletter", "circular"))
        catalog = load_catalog([own.parent], rehearsal=True)
        assert catalog.paths["intranet"] == own
        assert "circular" in catalog.recipes["intranet"].controls
        own.write_text(self.OWN.replace("intranet.example", "company.example"))
        (tmp_path / "staff.yml").write_text(self.PEOPLE.replace("all:", "all:\n  vars: {fleet_rehearsal: true}"))
        said = refusal("run", "-i", str(tmp_path / "staff.yml"), "--recipes", str(own.parent))
        assert "is marked fleet_rehearsal, but intranet would be visited for real" in said
