"""Numbers for managers: nobody can be found in them, also not by subtraction."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleet.audit.current_state import CurrentState, Sighting
from fleet.model import Outcome, Reading
from fleet.report.counts import OTHERS, GroupCount, Range, counts, line_of
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


def sizes_of(rows: list[Row]) -> list[tuple[str, int]]:
    return [(one.group, one.people) for one in shown(rows)]


class TestGroups:
    def test_small_ones_are_counted_together(self) -> None:
        """Among them who is in no group of this kind, or in two."""
        rows = people(a={"open": 7}, b={"open": 3}, c={"open": 2})
        both = row("both", "open", "department_a", "department_b")
        assert sizes_of([*rows, row("none", "open"), both]) == [("department_a", 7), (OTHERS, 7)]

    def test_a_single_small_one_takes_another_with_it(self) -> None:
        """Otherwise it were the total less the rest."""
        rows = people(a={"open": 9}, b={"open": 7}, c={"open": 2})
        assert sizes_of(rows) == [("department_a", 9), (OTHERS, 9)]

    def test_of_a_few_people_nothing_is_shown(self) -> None:
        """Not even how many they are."""
        assert counts(people(a={"open": 4}), "department") == counts([], None) == []

    def test_without_a_kind_there_is_one_line(self) -> None:
        """For all."""
        assert shown(people(a={"open": 5}, b={"out": 5}), None) == (GroupCount("all", 10, Range(5, 5), None),)

    def test_they_are_the_same_for_every_setting(self) -> None:
        """Whoever has it: two tables together do not show what each hides."""
        rows = people(a={"open": 9}, b={"open": 7}, c={"open": 2})
        rows += [replace(one, control="ads") for one in people(b={"out": 7})]
        first, second = counts(rows, "department")
        assert [(one.group, one.people) for one in first.groups] == [(one.group, one.people) for one in second.groups]


class TestNumbers:
    def test_what_was_read_and_what_was_said_stand_apart(self) -> None:
        """Where both and the rest are five and more; then the sum is exact, too."""
        [setting] = counts(
            people(a={"out": 5, "attested": 6, "open": 7}, b={"out": 8, "attested": 5, "open": 9}), "department"
        )
        assert setting.groups == (
            GroupCount("department_a", 18, Range(5, 5), 6),
            GroupCount("department_b", 22, Range(8, 8), 5),
        )
        assert setting.total == GroupCount("all", 40, Range(13, 13), 11)

    def test_at_both_ends_there_is_a_range(self) -> None:
        """All and none say of each person what they did."""
        rows = people(a={"out": 10}, b={"open": 12}, c={"out": 8})
        [setting] = counts(rows, "department")
        assert [one.out for one in setting.groups] == [Range(6, 10), Range(0, 4), None]
        assert setting.total == GroupCount("all", 30, Range(6, 22), None)

    def test_what_is_not_offered_was_not_read_as_off(self) -> None:
        """No success that nobody saw."""
        rows = people(a={"out": 5, "open": 5})
        missing = [
            replace(one, current=replace(one.current, outcome=Outcome.NOT_OFFERED))
            for one in rows
            if one.state != "out" and one.current
        ]
        assert shown([*rows[:5], *missing]) == (GroupCount("department_a", 10, Range(5, 5), None),)


@pytest.mark.parametrize("most", sizes(22, 45))
def test_no_count_of_a_few_people_follows_from_a_line(most: int) -> None:
    """All groups and all counts: what a line leaves possible is one number of five and more, or at least five numbers.

    That holds for those read as off, for those who said so, for the rest, and for each two of them together.
    """
    for size in range(5, most):
        possible: dict[GroupCount, list[tuple[int, int]]] = {}
        for out in range(size + 1):
            for said in range(size - out + 1):
                possible.setdefault(line_of("a", size, out, said), []).append((out, said))
        for line, those in possible.items():
            for values in ({one[0] for one in those}, {one[1] for one in those}, {sum(one) for one in those}):
                [first, *rest] = sorted(values)
                is_exact = not rest and 5 <= first <= size - 5
                assert is_exact or len(values) >= 5, (line, values)


def derived(
    lines: dict[frozenset[tuple[str, str]], tuple[int, int]],
) -> dict[frozenset[tuple[str, str]], tuple[int, int]]:
    """All that follows from what is shown by adding and subtracting, again and again; by sets of group and state."""
    known = dict(lines)
    while True:
        new = {}
        for (one, (low, high)), (other, (least, most)) in itertools.permutations(known.items(), 2):
            if other < one:
                found = one - other, (max(low - most, 0), high - least)
            elif not one & other:
                found = one | other, (low + least, high + most)
            else:
                continue
            if found[0] and found[0] not in known:
                new[found[0]] = found[1]
        if not new:
            return known
        known |= new


@pytest.mark.parametrize("count", sizes(20, 600))
def test_no_sum_and_no_difference_of_what_is_shown_is_a_few_people(count: int) -> None:
    """Companies of three departments and two settings: groups, states and totals, added and subtracted without end."""
    chance = random.Random(count)
    for _ in range(count):
        rows = []
        for control in ("ai", "ads"):
            groups = {
                name: {state: chance.choice((0, 1, 2, 4, 5, 6, 12)) for state in ("out", "attested", "open")}
                for name in "abc"
            }
            rows += [replace(one, control=control) for one in people(**groups)]
        everybody = len({one.employee for one in rows})
        for setting in counts(rows, "department"):
            seen: dict[frozenset[tuple[str, str]], tuple[int, int]] = {}
            lines = [*setting.groups, *([setting.total] if setting.total else [])]
            names = [one.group for one in setting.groups]
            for line in lines:
                of_line = names if line is setting.total else [line.group]
                states = ("out", "attested", "open")
                seen[frozenset(itertools.product(of_line, states))] = line.people, line.people
                if line.out is not None:
                    seen[frozenset((name, "out") for name in of_line)] = line.out.low, line.out.high
                if line.said is not None:
                    seen[frozenset((name, "attested") for name in of_line)] = line.said, line.said
            assert sum(one.people for one in setting.groups) == everybody
            exact = {what: low for what, (low, high) in derived(seen).items() if low == high}
            assert [what for what, number in exact.items() if number < 5] == [], (groups, setting)


def test_the_page_names_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And only what may be shown."""
    monkeypatch.chdir(tmp_path)
    hosts = {f"anna{number}": {"fleet_accounts": {"linkedin": {"profile": f"anna-{number}"}}} for number in range(6)}
    Path("staff.yml").write_text(json.dumps({"all": {"children": {"department_it": {"hosts": hosts}}}}))
    Path("fleet.yml").write_text("inventory: staff.yml\nstate: state\n")
    assert fleet("init").returncode == 0
    assert fleet("report", "--counts", "--by", "department", "-o", "counts.html").returncode == 0
    page = Path("counts.html").read_text()
    assert ">it</th>" in page and "anna" not in page and ">6<" in page and ">–<" in page
    assert "--by works only with --counts" in fleet("report", "--by", "x").stderr
    assert "omit the run" in fleet("report", "r1", "--counts").stderr
