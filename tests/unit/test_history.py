"""What the last run tells the next one: whom to visit last, how long a visit took."""

from __future__ import annotations

from pathlib import Path

from fleet.history import History
from tests.unit.stopped_run import PEOPLE, spec, stopped

__all__ = ["stopped"]


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
