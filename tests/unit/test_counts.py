"""Numbers for managers: nobody can be found in them, also not by subtraction."""

from __future__ import annotations

import itertools
import json
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleet.audit.current_state import CurrentState, Sighting
from fleet.model import Outcome, Reading
from fleet.report.counts import OTHERS, GroupCount, counts
from fleet.report.status import Row
from tests.commands import fleet
from tests.sizes import sizes

SIGHTING = Sighting(datetime(2026, 3, 1, tzinfo=UTC), "r1")


def row(employee: str, state: str, *groups: str) -> Row:
    """One person's setting: `out`, `attested` or `open`."""
    outcome = {"out": Outcome.OPTED_OUT, "attested": Outcome.ATTESTED, "open": Outcome.NO_MANDATE}[state]
    reading = Reading.OUT if state == "out" else None
    current = CurrentState("s", "linkedin", "ai", outcome, None, SIGHTING, reading, SIGHTING if reading else None)
    return Row(employee, "linkedin", "ai", groups, "en", current)


def people(**groups: dict[str, int]) -> list[Row]:
    """So many people of each state in each department."""
    return [
        row(f"{group}{state}{number}", state, f"department_{group}", "site_x")
        for group, states in groups.items()
        for state, count in states.items()
        for number in range(count)
    ]


def shown(rows: list[Row], kind: str | None = "department") -> tuple[GroupCount, ...]:
    [setting] = counts(rows, kind)
    return setting.groups


class TestShown:
    def test_groups_of_five_and_more_are_shown(self) -> None:
        """With their states."""
        assert shown(people(a={"out": 5, "open": 6}, b={"open": 5})) == (
            GroupCount("department_a", 11, {"out": 5, "open": 6}),
            GroupCount("department_b", 5, {"open": 5}),
        )

    def test_small_ones_are_counted_together(self) -> None:
        """Among them who is in no group of this kind, or in two."""
        rows = people(a={"open": 7}, b={"open": 3}, c={"open": 4})
        assert [(one.group, one.people) for one in shown(rows)] == [("department_a", 7), (OTHERS, 7)]

    def test_a_single_small_one_takes_another_with_it(self) -> None:
        """Otherwise it were the total less the rest."""
        rows = people(a={"open": 9}, b={"open": 7}, c={"open": 2})
        assert [(one.group, one.people) for one in shown(rows)] == [("department_a", 9), (OTHERS, 9)]

    def test_a_small_state_hides_its_group(self) -> None:
        """Who is open alone among twenty is no number either."""
        rows = people(a={"out": 19, "open": 1}, b={"out": 6, "open": 5})
        assert shown(rows) == (GroupCount(OTHERS, 31, {"out": 25, "open": 6}),)

    def test_what_was_said_counts_as_done_if_it_is_too_little(self) -> None:
        """The state goes before the group does."""
        assert shown(people(a={"out": 8, "attested": 2, "open": 6})) == (
            GroupCount("department_a", 16, {"done": 10, "open": 6}),
        )

    def test_of_a_few_people_nothing_is_shown(self) -> None:
        """Not even how many they are."""
        assert shown(people(a={"open": 4})) == ()

    def test_without_a_kind_there_is_one_line(self) -> None:
        """For all."""
        assert shown(people(a={"open": 5}, b={"out": 5}), None) == (GroupCount("all", 10, {"open": 5, "out": 5}),)


@pytest.mark.parametrize("count", sizes(300, 5000))
def test_no_sum_and_no_difference_of_what_is_shown_is_a_few_people(count: int) -> None:
    """All companies, all unions of lines, and what is left of all: none, or five and more; by size and by state."""
    chance = random.Random(count)
    for _ in range(count):
        groups = {
            name: {state: chance.choice((0, 0, 1, 2, 4, 5, 6, 12)) for state in ("out", "attested", "open")}
            for name in "abcdef"[: chance.randint(1, 6)]
        }
        rows = people(**groups)
        for setting in counts(rows, "department"):
            assert sum(one.people for one in setting.groups) in (0, len(rows))
            for some in range(len(setting.groups) + 1):
                for lines in itertools.combinations(setting.groups, some):
                    sums = [sum(one.people for one in lines), len(rows) - sum(one.people for one in lines)]
                    if not setting.groups:
                        continue
                    states = {state for one in setting.groups for state in one.states}
                    for state in states:
                        total = sum(one.states.get(state, 0) for one in setting.groups)
                        part = sum(one.states.get(state, 0) for one in lines)
                        sums += [part, total - part]
                    assert all(each == 0 or each >= 5 for each in sums), (groups, setting)


def test_the_page_names_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And only what may be shown."""
    monkeypatch.chdir(tmp_path)
    hosts = {f"anna{number}": {"fleet_accounts": {"linkedin": {"profile": f"anna-{number}"}}} for number in range(6)}
    Path("staff.yml").write_text(json.dumps({"all": {"children": {"department_it": {"hosts": hosts}}}}))
    Path("fleet.yml").write_text("inventory: staff.yml\nstate: state\n")
    assert fleet("init").returncode == 0
    assert fleet("report", "--counts", "--by", "department", "-o", "counts.html").returncode == 0
    page = Path("counts.html").read_text()
    assert "department_it" in page and "anna" not in page and ">6<" in page
    assert "--by works only with --counts" in fleet("report", "--by", "x").stderr
