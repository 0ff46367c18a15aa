"""Which controls a run is about: what stopped, what is new, what failed, what was read long ago; and who is missing."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet.agent.main import spec_of_play
from fleet.agent.role_variables import selection_from_variables
from fleet.audit import records
from fleet.audit.keys import read_signing_key
from fleet.audit.log import AuditLog
from fleet.audit.pseudonyms import Subjects
from fleet.authority.waivers import Waiver
from fleet.errors import InputError
from fleet.inventory.read import inventory_of
from fleet.paths import StateDir
from fleet.plan.plan import RunSpec
from fleet.plan.selection import EVERYTHING, Selection, require_no_shrink
from fleet.recipes.catalog import load_catalog
from fleet.state.create import make_state
from tests.logs import STARTED, finish, open_log
from tests.unit.stopped_run import AI, PEOPLE, pseudonyms, spec, stopped

__all__ = ["stopped"]

CATALOG = load_catalog()


def who(chosen: RunSpec) -> list[str]:
    """Whom a run would visit; plan and inventory agree."""
    assert chosen.only is not None
    names = [employee.name for employee in chosen.inventory.employees]
    assert sorted(names) == sorted({name for name, _, _ in chosen.only})
    return names


def started(folder: Path, run: str = "r1", **fields: Any) -> None:
    """A run that only began."""

    async def write() -> None:
        log = open_log(folder / "audit")
        await log.append(records.RUN_STARTED, run, **STARTED | fields)
        log.close()

    asyncio.run(write())


def finished(folder: Path, employee: str, **fields: Any) -> None:
    """One more record about somebody."""

    async def write() -> None:
        log = open_log(folder / "audit")
        await finish(log, subject=pseudonyms(folder)[employee], **fields)
        log.close()

    asyncio.run(write())


class TestResume:
    def test_it_goes_on_with_what_was_never_reached_or_is_not_known(self, stopped: Path) -> None:
        """Carla was pressed and not read back, dora never reached; the run was not even closed."""
        left = Selection(resume=True).of(spec(stopped), CATALOG)
        assert left.only == {("carla", "linkedin", AI), ("dora", "linkedin", AI)}
        assert who(left) == ["carla", "dora"]
        assert (left.run_id, left.resumes, left.check) == ("r2", "r1", False)

    def test_a_run_that_came_to_its_end_leaves_nothing(self, tmp_path: Path) -> None:
        """Nothing is planned then, and nobody is visited for it."""
        started(tmp_path)
        assert Selection(resume=True).of(spec(tmp_path), CATALOG).only == frozenset()

    def test_without_a_run_there_is_nothing_to_go_on_with(self, tmp_path: Path) -> None:
        """A sentence, not an empty success."""
        with pytest.raises(InputError, match="the log has no run yet"):
            Selection(resume=True).of(spec(tmp_path), CATALOG)

    def test_check_mode_stays_check_mode(self, tmp_path: Path) -> None:
        """What only read must not begin to press because it was interrupted."""
        started(tmp_path, check=True)
        assert Selection(resume=True).of(spec(tmp_path), CATALOG).check

    @pytest.mark.parametrize("other", [{"new": True}, {"only_failed": "last"}, {"stale_days": 0}])
    def test_it_stands_alone(self, stopped: Path, other: dict[str, Any]) -> None:
        """What else was asked for would be lost."""
        with pytest.raises(InputError, match="omit --new, --only-failed and --stale"):
            Selection(resume=True, **other).of(spec(stopped), CATALOG)


class TestNew:
    def test_it_is_about_what_no_run_has_done(self, stopped: Path) -> None:
        """Anna is out; ben was challenged, carla and dora have no record that ends."""
        assert who(Selection(new=True).of(spec(stopped), CATALOG)) == ["ben", "carla", "dora"]

    @pytest.mark.parametrize(
        "read",
        [
            {"outcome": "would_opt_out", "before": "in", "after": "in"},
            {"outcome": "already_opted_out", "before": "out", "after": "out"},
            {"outcome": "not_offered", "before": None, "after": None},
        ],
    )
    def test_a_look_in_check_mode_hides_nobody(self, stopped: Path, read: dict[str, Any]) -> None:
        """Their session came late, and the weekly look was first to see them: they are still to be opted out."""
        started(stopped, run="r2", check=True)
        finished(stopped, "dora", run="r2", **read)
        assert who(Selection(new=True).of(spec(stopped), CATALOG)) == ["ben", "carla", "dora"]

    def test_what_was_not_saved_is_still_new(self, stopped: Path) -> None:
        """It was read, and pressed, and is in."""
        finished(stopped, "dora", outcome="not_saved", reason="still_in", before="in", after="in")
        assert "dora" in who(Selection(new=True).of(spec(stopped), CATALOG))

    @pytest.mark.parametrize(("expires_on", "is_new"), [(date(2099, 1, 1), False), (date(2026, 1, 2), True)])
    def test_a_waiver_is_no_end_once_it_has_ended(self, stopped: Path, expires_on: date, is_new: bool) -> None:
        """While it is in force there is nothing to do; the day after, there is."""
        finished(stopped, "dora", outcome="waived", before=None, after=None)
        waiver = Waiver(service="linkedin", rationale="on leave", owner="hr", expires_on=expires_on)
        chosen = spec(stopped)
        people = tuple(replace(employee, waivers=(waiver,)) for employee in chosen.inventory.employees)
        chosen = Selection(new=True).of(replace(chosen, inventory=replace(chosen.inventory, employees=people)), CATALOG)
        assert ("dora" in who(chosen)) is is_new

    def test_what_a_later_visit_could_not_read_is_not_new_again(self, stopped: Path) -> None:
        """Anna was opted out, whatever came after."""
        finished(stopped, "anna", outcome="sign_in_needed", reason="signed_out", before=None, after=None)
        assert "anna" not in who(Selection(new=True).of(spec(stopped), CATALOG))

    def test_a_control_that_is_not_offered_was_looked_at(self, stopped: Path) -> None:
        """The page was recognized and said so: a job on every change would visit it for ever."""
        finished(stopped, "dora", outcome="not_offered", before=None, after=None)
        assert "dora" not in who(Selection(new=True).of(spec(stopped), CATALOG))

    def test_without_a_log_everybody_is_new(self, tmp_path: Path) -> None:
        """And nothing is made in the state directory."""
        assert who(Selection(new=True).of(spec(tmp_path / "state"), CATALOG)) == list(PEOPLE)
        assert not (tmp_path / "state").exists()

    def test_somebody_who_was_erased_is_new(self, stopped: Path) -> None:
        """What the log says of them is nobody's any more."""
        subjects = Subjects(stopped / "audit" / "subjects.sqlite")
        subjects.forget(["anna"])
        subjects.close()
        assert who(Selection(new=True).of(spec(stopped), CATALOG)) == list(PEOPLE)

    def test_filters_hold(self, stopped: Path) -> None:
        """A service that was not asked for is not new either; one that no recipe knows is told."""
        chosen = spec(stopped)
        other = replace(chosen, settings=replace(chosen.settings, services=("intranet",)))
        with pytest.raises(InputError, match="--service intranet: no recipe"):
            Selection(new=True).of(other, CATALOG)


class TestStale:
    NOW = datetime.now(UTC) + timedelta(days=90)

    def test_it_is_about_what_was_read_before_that(self, stopped: Path) -> None:
        """Only anna was ever read; 90 days later that is older than 89, and not older than 91."""
        assert who(Selection(stale_days=89).of(spec(stopped), CATALOG, self.NOW)) == ["anna"]
        assert Selection(stale_days=91).of(spec(stopped), CATALOG, self.NOW).only == frozenset()

    def test_a_visit_that_could_not_look_renews_nothing(self, stopped: Path) -> None:
        """The reading is as old as it was."""
        fresh = Selection(stale_days=0).of(spec(stopped), CATALOG, datetime.now(UTC) + timedelta(seconds=1))
        finished(stopped, "dora", before="out", after="out", outcome="already_opted_out")
        finished(stopped, "anna", outcome="error", reason="network", before=None, after=None)
        assert who(fresh) == ["anna"]
        assert who(Selection(stale_days=0).of(spec(stopped), CATALOG, self.NOW)) == ["anna", "dora"]

    def test_several_add_up(self, stopped: Path) -> None:
        """New, or stale: together everybody here."""
        chosen = Selection(new=True, stale_days=1).of(spec(stopped), CATALOG, self.NOW)
        assert who(chosen) == list(PEOPLE)


class TestOnlyFailed:
    @pytest.mark.parametrize("run", ["r1", "last"])
    def test_it_is_about_what_did_not_end_well(self, stopped: Path, run: str) -> None:
        """Challenged, pressed and not read back, never reached; not who is out."""
        assert who(Selection(only_failed=run).of(spec(stopped), CATALOG)) == ["ben", "carla", "dora"]

    def test_who_has_left_is_not_visited(self, stopped: Path) -> None:
        """The inventory of today decides."""
        chosen = spec(stopped)
        chosen = replace(chosen, inventory=chosen.inventory.only(["anna", "ben"]))
        assert who(Selection(only_failed="r1").of(chosen, CATALOG)) == ["ben"]

    @pytest.mark.parametrize("run", ["r9", "last"])
    def test_a_run_that_is_not_there_is_told(self, tmp_path: Path, run: str) -> None:
        """A mistyped run must not pass for one without failures."""
        with pytest.raises(InputError, match="The log has no run"):
            Selection(only_failed=run).of(spec(tmp_path), CATALOG)


def test_nothing_asked_for_is_everything(stopped: Path) -> None:
    """The run stays as it was."""
    assert EVERYTHING.of(spec(stopped), CATALOG) == spec(stopped)


class TestVariables:
    def test_they_are_the_options_of_a_play(self) -> None:
        """As Ansible gives them, from YAML or from -e."""
        given = {"optout_new": "true", "optout_only_failed": "last", "optout_stale": "30"}
        assert selection_from_variables(given) == Selection(False, True, "last", 30)
        assert selection_from_variables({"optout_new": True}) == Selection(new=True)
        assert selection_from_variables({"optout_new": "no"}) == selection_from_variables({}) == EVERYTHING

    def test_a_number_that_is_none_is_told(self) -> None:
        """With the variable's name."""
        with pytest.raises(InputError, match="optout_stale: soon is not a number"):
            selection_from_variables({"optout_stale": "soon"})
        with pytest.raises(InputError, match="optout_stale: must be 0 or more"):
            selection_from_variables({"optout_stale": -1})
        with pytest.raises(InputError, match="optout_new: perhaps is neither true nor false"):
            selection_from_variables({"optout_new": "perhaps"})


class TestShrink:
    def of(self, folder: Path, total: int | None, source: str = "staff.yml") -> RunSpec:
        """A run over an inventory of that many."""
        chosen = spec(folder)
        return replace(chosen, inventory=replace(chosen.inventory, total=total, sources=(source,)))

    def before(self, folder: Path, total: int | None) -> None:
        """A run over staff.yml when it had that many."""
        started(folder, inventory_employees=total, sources_sha256=self.of(folder, 0).inventory.sources_digest)

    @pytest.mark.parametrize(("before", "now"), [(4, 2), (100, 50), (100, 3), (2, 1)])
    def test_half_gone_is_refused(self, tmp_path: Path, before: int, now: int) -> None:
        """The sentence has both numbers, the run, and the way on."""
        self.before(tmp_path, before)
        with pytest.raises(InputError, match=rf"lists {now} employees?, but {before} in run r1.*--accept-shrink"):
            require_no_shrink(self.of(tmp_path, now))

    @pytest.mark.parametrize(("before", "now"), [(4, 3), (100, 51), (2, 2), (2, 9), (None, 1), (100, None)])
    def test_all_else_is_not(self, tmp_path: Path, before: int | None, now: int | None) -> None:
        """Less than half; more; one of both was read with a limit."""
        self.before(tmp_path, before)
        require_no_shrink(self.of(tmp_path, now))

    def test_only_the_same_sources_are_compared(self, tmp_path: Path) -> None:
        """Another office's list is not this one's rest."""
        self.before(tmp_path, 100)
        require_no_shrink(self.of(tmp_path, 3, "paris.yml"))

    def test_a_run_with_a_limit_does_not_hide_the_one_before(self, tmp_path: Path) -> None:
        """The last whole reading counts, and none older."""
        self.before(tmp_path, 1000)
        self.before(tmp_path, 100)
        self.before(tmp_path, None)
        require_no_shrink(self.of(tmp_path, 60))
        with pytest.raises(InputError, match="but 100 in run"):
            require_no_shrink(self.of(tmp_path, 50))

    def test_however_they_are_spelled_they_are_the_same(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """By hand, by systemd, and through a link; a list of hosts is what it is."""
        (tmp_path / "here").mkdir()
        (tmp_path / "linked").symlink_to(tmp_path / "here")
        (tmp_path / "here" / "staff.yml").touch()
        monkeypatch.chdir(tmp_path / "here")

        def digest(source: str) -> str:
            listing: dict[str, Any] = {"_meta": {"hostvars": {"anna": {}}}}
            return inventory_of(listing, [source], lambda _is_rehearsal: {}).sources_digest

        spelled = ["./staff.yml", "../here/staff.yml", f"{tmp_path}/here/staff.yml", f"{tmp_path}/linked/staff.yml"]
        assert {digest(source) for source in spelled} == {digest("staff.yml")}
        assert digest("anna,ben") != digest("staff.yml")

    def test_a_log_that_knows_their_spelling_is_still_compared(self, tmp_path: Path) -> None:
        """As versions before this one wrote it."""
        spelling = hashlib.sha256(b"staff.yml").hexdigest()
        started(tmp_path, inventory_employees=100, sources_sha256=spelling)
        chosen = self.of(tmp_path, 3)
        chosen = replace(chosen, inventory=replace(chosen.inventory, places=("/srv/staff.yml",)))
        with pytest.raises(InputError, match="but 100 in run"):
            require_no_shrink(chosen)

    def test_a_play_without_our_command_is_guarded_too(self, tmp_path: Path) -> None:
        """A limit of the play is none of the inventory's; a variable says that it is meant."""
        (tmp_path / "staff.yml").write_text("all: {hosts: {anna: {}, ben: {}}}")
        make_state(StateDir(tmp_path / "state"), tmp_path / "identity", tmp_path / "key")

        def play(**variables: str) -> RunSpec:
            made, _ = spec_of_play(
                {
                    "cwd": str(tmp_path),
                    "inventory_sources": ["staff.yml"],
                    "hosts": ["anna"],
                    "check": False,
                    "ansible_python": sys.executable,
                    "variables": {"optout_state": str(tmp_path / "state"), **variables},
                }
            )
            return made

        sources = play().inventory.sources_digest

        async def write() -> None:
            log = AuditLog(
                StateDir(tmp_path / "state").audit,
                "a test",
                read_signing_key(StateDir(tmp_path / "state").audit, tmp_path / "key"),
            )
            await log.append(
                records.RUN_STARTED, "r1", **STARTED | {"inventory_employees": 4, "sources_sha256": sources}
            )
            log.close()

        asyncio.run(write())
        with pytest.raises(InputError, match=r"lists 2 employees, but 4 in run r1.*optout_accept_shrink"):
            play()
        assert [employee.name for employee in play(optout_accept_shrink="true").inventory.employees] == ["anna"]

    def test_without_a_log_there_is_nothing_to_compare(self, tmp_path: Path) -> None:
        """The first run."""
        require_no_shrink(self.of(tmp_path, 3))
