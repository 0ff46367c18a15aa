"""What the last run left: whom to visit last, what to go on with, how long a visit took."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fleet.audit import records
from fleet.audit.subjects import Subjects
from fleet.config import Settings
from fleet.employee import Account, Employee
from fleet.errors import InputError
from fleet.history import History
from fleet.inventory import Inventory
from fleet.plan import RunSpec
from tests.logs import INTENDED, STARTED, finish, open_log

AI = "ai_training"
PEOPLE = ("anna", "ben", "carla", "dora")


def spec(folder: Path, *, check: bool = False) -> RunSpec:
    """A run of four people at LinkedIn."""
    account = Account(profile="p", owner="company")
    people = tuple(Employee(name, accounts={"linkedin": account}) for name in PEOPLE)
    settings = Settings(state=folder, identity=folder / "identity", log_key=folder / "log-key.pem")
    return RunSpec("r2", check, Inventory(("staff.yml",), people, rehearsal=False, digest="0"), settings)


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A state whose last run opted anna out, found ben challenged, pressed carla, and never came to dora."""

    async def write() -> None:
        log = open_log(tmp_path / "audit")
        subjects = Subjects(tmp_path / "audit" / "subjects.sqlite")
        names = {name: subject.pseudonym for name, subject in subjects.of(dict.fromkeys(PEOPLE)).items()}
        await log.append(records.RUN_STARTED, "r1", **STARTED)
        for subject in names.values():
            planned = {"planned": [["linkedin", AI]], "authority": None, "mandate_hmac": None}
            await log.append(records.RUN_PLANNED, "r1", subject=subject, **planned)
        await finish(log, subject=names["anna"], duration_ms=9000)
        await finish(log, subject=names["ben"], outcome="challenged", reason="code", duration_ms=5000)
        await log.append(records.CONTROL_INTENDED, "r1", **INTENDED | {"subject": names["carla"]})
        subjects.close()
        log.close()

    asyncio.run(write())
    return tmp_path


class TestResume:
    def test_it_goes_on_with_what_was_never_reached_or_is_not_known(self, stopped: Path) -> None:
        """Carla was pressed and not read back, dora never reached; the run was not even closed."""
        left = History(spec(stopped)).resume()
        assert left.only == {("carla", "linkedin", AI), ("dora", "linkedin", AI)}
        assert [employee.name for employee in left.inventory.employees] == ["carla", "dora"]
        assert (left.run_id, left.resumes, left.check) == ("r2", "r1", False)

    def test_a_run_that_came_to_its_end_leaves_nothing(self, tmp_path: Path) -> None:
        """Nothing is planned then, and nobody is visited for it."""

        async def write() -> None:
            log = open_log(tmp_path / "audit")
            await log.append(records.RUN_STARTED, "r1", **STARTED)
            log.close()

        asyncio.run(write())
        assert History(spec(tmp_path)).resume().only == frozenset()

    def test_without_a_run_there_is_nothing_to_go_on_with(self, tmp_path: Path) -> None:
        """A sentence, not an empty success."""
        with pytest.raises(InputError, match="no run is in the log yet"):
            History(spec(tmp_path)).resume()

    def test_check_mode_stays_check_mode(self, tmp_path: Path) -> None:
        """What only read must not begin to press because it was interrupted."""

        async def write() -> None:
            log = open_log(tmp_path / "audit")
            await log.append(records.RUN_STARTED, "r1", **STARTED | {"check": True})
            log.close()

        asyncio.run(write())
        assert History(spec(tmp_path)).resume().check


class TestTurns:
    def test_who_was_challenged_comes_last(self, stopped: Path) -> None:
        """The others keep the inventory's order."""
        assert History(spec(stopped)).turns() == ["anna", "carla", "dora", "ben"]

    def test_without_a_log_it_is_the_inventory_s_order(self, tmp_path: Path) -> None:
        """And nothing is made in the state directory."""
        assert History(spec(tmp_path / "state")).turns() == list(PEOPLE)
        assert not (tmp_path / "state").exists()


def test_a_visit_takes_what_it_took_the_last_time(stopped: Path) -> None:
    """The median of the accounts that were visited: 9 and 5 seconds."""
    assert History(spec(stopped)).usual_seconds() == {"linkedin": 7.0}
