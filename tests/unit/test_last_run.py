"""What the last run tells the next one: whom to visit last, how long a visit took."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from fleet.inventory.employee import Account, Employee
from fleet.plan.last_run import History
from fleet.plan.plan import RunSpec
from fleet.settings.hours import Hours
from tests.unit.stopped_run import PEOPLE, spec, stopped

__all__ = ["stopped"]


def mixed(folder: Path, accounts: dict[str, dict[str, Account]], **hours: Hours) -> RunSpec:
    """A run of people at different services."""
    chosen = spec(folder)
    people = tuple(Employee(name, accounts=own) for name, own in accounts.items())
    return replace(
        chosen, inventory=replace(chosen.inventory, employees=people), settings=replace(chosen.settings, hours=hours)
    )


class TestTurns:
    def test_who_was_challenged_comes_last(self, stopped: Path) -> None:
        """The others keep the inventory's order."""
        assert History(spec(stopped)).turns() == ["anna", "carla", "dora", "ben"]

    def test_without_a_log_it_is_the_inventory_s_order(self, tmp_path: Path) -> None:
        """And nothing is made in the state directory."""
        assert History(spec(tmp_path / "state")).turns() == list(PEOPLE)
        assert not (tmp_path / "state").exists()

    def test_people_of_one_service_do_not_keep_those_of_another_waiting(self, tmp_path: Path) -> None:
        """Forks are few: six at LinkedIn before the three of the wiki would let nobody to it for six pauses."""
        people = [*(f"l{number}" for number in range(6)), *(f"w{number}" for number in range(3))]
        accounts = {name: {"linkedin" if name[0] == "l" else "wiki": Account(profile=name)} for name in people}
        assert History(mixed(tmp_path, accounts)).turns() == ["l0", "w0", "l1", "l2", "w1", "l3", "l4", "w2", "l5"]

    def test_who_must_wait_for_the_hours_comes_later(self, tmp_path: Path) -> None:
        """In the night the wiki is visited first; by day all are mixed."""
        accounts = {"anna": {"linkedin": Account(profile="a")}, "ben": {"wiki": Account(profile="b")}}
        chosen = mixed(tmp_path, accounts, linkedin=Hours.parse("08:00-18:00"))
        assert History(chosen).turns(datetime(2026, 3, 2, 23, 0)) == ["ben", "anna"]
        assert History(chosen).turns(datetime(2026, 3, 2, 12, 0)) == ["anna", "ben"]


def test_a_visit_takes_what_it_took_the_last_time(stopped: Path) -> None:
    """The median of the accounts that were visited: 9 and 5 seconds."""
    assert History(spec(stopped)).usual_seconds() == {"linkedin": 7.0}
