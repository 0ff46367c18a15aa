"""Counts for managers: no names, and no number from which somebody could find out about fewer than five people.

Groups are those of one kind (such as department_…), so that each person is in one group only: with overlapping groups,
a difference of two of them could be a single person. A group is shown by itself if it has at least five people and
each of its states counts none of them or at least five. All others are counted together; if even that is too few, the
smallest group that could be shown joins them. Every number shown, and every sum or difference of shown groups, is thus
one of none or of five and more. What the states say apart is left out before a group is: what employees said counts as
done, or the group's size alone is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from markupsafe import Markup

from fleet.report.rendering import asset, digest, templates
from fleet.report.status import Row
from fleet.report.translations import Translator

FEWEST = 5
"""People in a group or state that is shown."""
OTHERS = "others"
OUT, SAID, OPEN, DONE = "out", "attested", "open", "done"


@dataclass(frozen=True)
class GroupCount:
    """One line. `states` is empty if only the size may be shown."""

    group: str
    people: int
    states: Mapping[str, int]


@dataclass(frozen=True)
class SettingCount:
    """One setting; `groups` is empty if fewer than five people have it."""

    name: str
    groups: tuple[GroupCount, ...]


def counts(rows: Iterable[Row], kind: str | None = None) -> list[SettingCount]:
    """Return the counts of each setting, by groups whose names begin with `kind` and an underscore; else of all."""
    by_name = groupby(sorted(rows, key=lambda row: row.name), key=lambda row: row.name)
    return [SettingCount(name, tuple(_groups(list(of_one), kind))) for name, of_one in by_name]


def _groups(rows: list[Row], kind: str | None) -> list[GroupCount]:
    if len(rows) < FEWEST:
        return []
    by_group: dict[str, list[str]] = {}
    for row in rows:
        own = sorted(name for name in row.groups if kind is not None and name.startswith(f"{kind}_"))
        by_group.setdefault(own[0] if len(own) == 1 else OTHERS, []).append(_state(row))
    if kind is None:
        by_group = {"all": [_state(row) for row in rows]}
    for states in (lambda one: one, _without_what_was_said):
        found = _shown({group: [states(one) for one in each] for group, each in by_group.items()})
        if found:
            return found
    return [GroupCount("all", len(rows), {})]


def _shown(by_group: Mapping[str, list[str]]) -> list[GroupCount]:
    """Return the groups to show, the others last; none if even all of them together may not be shown."""
    shown = {group: states for group, states in by_group.items() if group != OTHERS and _may_be_shown(states)}
    others = [state for group, states in by_group.items() if group not in shown for state in states]
    while others and not _may_be_shown(others):
        if not shown:
            return []
        others += shown.pop(min(shown, key=lambda group: (len(shown[group]), group)))
    lines = [(group, shown[group]) for group in sorted(shown)] + ([(OTHERS, others)] if others else [])
    return [GroupCount(group, len(states), dict(Counter(states))) for group, states in lines]


def _may_be_shown(states: list[str]) -> bool:
    return len(states) >= FEWEST and all(count >= FEWEST for count in Counter(states).values())


def _state(row: Row) -> str:
    return {"out": OUT, "attested": SAID, "not offered": OUT}.get(row.state, OPEN)


def _without_what_was_said(state: str) -> str:
    return DONE if state in (OUT, SAID) else state


def render_counts(settings: Iterable[SettingCount], words: Translator, now: datetime, *, rehearsal: bool) -> str:
    """Return the counts as one HTML page."""
    style = asset("report.css")
    return (
        templates(words, is_page=True)
        .get_template("counts.html.j2")
        .render(
            settings=list(settings),
            is_merged=lambda setting: any(DONE in one.states for one in setting.groups),
            rehearsal=rehearsal,
            made_at=words.moment(now),
            style=Markup(style),  # noqa: S704 - our own file
            policy=f"default-src 'none'; style-src '{digest(style)}'; base-uri 'none'; form-action 'none'",
        )
    )
