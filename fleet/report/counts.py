"""Counts for managers: no names, and no number from which somebody could find out about fewer than five people.

- Everybody is counted in one group: one of the groups of one kind (such as department_…), or the others. With
  overlapping groups, the difference of two could be a single person.
- A group of fewer than five people joins the others; if these are still fewer than five, so does the smallest group
  left. The groups are the same for all settings: otherwise two settings together would show what each hides.
- A count of a setting is exact only if it and the rest of its group are five or more. Otherwise it is a range of five
  numbers at the low or the high end: "0 of 6" and "6 of 6" say of each person what they did. In a group of fewer than
  nine people such a range would give the count away, so none is shown.
- What employees said is shown beside what was read only if both, and the rest, are five or more.
- A total is the sum of what is shown, so nothing follows from it.

Who compares the pages of two days sees what changed in between: publish them rarely, and by one kind of group only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from fleet.report.rendering import asset, digest, templates
from fleet.report.status import Row
from fleet.report.translations import Translator, visible

FEWEST = 5
"""People in a group, and in a count that is shown exactly."""
OTHERS = "others"


@dataclass(frozen=True)
class Range:
    """A count, from `low` to `high`; both are the same if it is exact."""

    low: int
    high: int

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)


@dataclass(frozen=True)
class GroupCount:
    """One line: how many people were read as out, and how many said that they are; None if that is not shown."""

    group: str
    people: int
    out: Range | None
    said: int | None


@dataclass(frozen=True)
class SettingCount:
    """One setting, with its groups in order, and their sum if there are several."""

    name: str
    groups: tuple[GroupCount, ...]
    total: GroupCount | None


def counts(rows: Iterable[Row], kind: str | None = None) -> list[SettingCount]:
    """Return the counts of each setting, by groups whose names begin with `kind` and an underscore; else of all.

    Empty if there are fewer than five people.
    """
    rows = list(rows)
    groups = groups_of(rows, kind)
    names = sorted({row.name for row in rows}) if groups else []
    return [_setting(name, [row for row in rows if row.name == name], groups) for name in names]


def groups_of(rows: Iterable[Row], kind: str | None) -> dict[str, set[str]]:
    """Return the employees of each group to show, the others last; empty if there are too few for one."""
    of_employee: dict[str, str] = {}
    for row in rows:
        own = [name for name in row.groups if kind is not None and name.startswith(f"{kind}_")]
        of_employee[row.employee] = own[0] if len(own) == 1 else OTHERS if kind is not None else "all"
    groups: dict[str, set[str]] = {}
    for employee, group in of_employee.items():
        groups.setdefault(group, set()).add(employee)
    shown = {name: groups[name] for name in sorted(groups) if name != OTHERS and len(groups[name]) >= FEWEST}
    others = set(of_employee) - set().union(*shown.values())
    while others and len(others) < FEWEST and shown:
        others |= shown.pop(min(shown, key=lambda name: (len(shown[name]), name)))
    if len(others) >= FEWEST:
        shown[OTHERS] = others
    return shown


def _setting(name: str, rows: list[Row], groups: Mapping[str, set[str]]) -> SettingCount:
    out = {row.employee for row in rows if row.state == "out"}
    said = {row.employee for row in rows if row.state == "attested"}
    lines = tuple(
        line_of(group, len(people), len(people & out), len(people & said)) for group, people in groups.items()
    )
    return SettingCount(name, lines, _total(lines) if len(lines) > 1 else None)


def line_of(group: str, people: int, out: int, said: int) -> GroupCount:
    """Return what may be shown of a group."""
    if people < 2 * FEWEST - 1:
        return GroupCount(group, people, None, None)
    if out < FEWEST:
        return GroupCount(group, people, Range(0, FEWEST - 1), None)
    if people - out < FEWEST:
        return GroupCount(group, people, Range(people - FEWEST + 1, people), None)
    is_enough = min(said, people - out - said) >= FEWEST
    return GroupCount(group, people, Range(out, out), said if is_enough else None)


def _total(lines: Iterable[GroupCount]) -> GroupCount:
    people, out, said = 0, Range(0, 0), 0
    is_said_everywhere = True
    for line in lines:
        people += line.people
        out += line.out or Range(0, line.people)
        said += line.said or 0
        is_said_everywhere &= line.said is not None
    return GroupCount("all", people, out, said if is_said_everywhere else None)


def render_counts(
    settings: Iterable[SettingCount], kind: str | None, words: Translator, now: datetime, *, rehearsal: bool
) -> str:
    """Return the counts by groups of a kind as one HTML page."""
    style = asset("report.css")

    def number(count: Range | int | None) -> str:
        if count is None:
            return "–"
        ends = [count] if isinstance(count, int) else dict.fromkeys((count.low, count.high))
        return "–".join(map(words.number, ends))

    return (
        templates(words, is_page=True)
        .get_template("counts.html.j2")
        .render(
            settings=list(settings),
            number=number,
            name=lambda group: words(group) if group in ("all", OTHERS) else visible(group.removeprefix(f"{kind}_")),
            rehearsal=rehearsal,
            made_at=words.moment(now),
            style=Markup(style),  # noqa: S704 - our own file
            policy=f"default-src 'none'; style-src '{digest(style)}'; base-uri 'none'; form-action 'none'",
        )
    )
