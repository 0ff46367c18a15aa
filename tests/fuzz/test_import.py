"""Any export: written as a whole and without a mistake, or refused; never anything in between."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

from hypothesis import strategies as st

from fleet.errors import InputError
from fleet.hr_import.hr_export import OnBadRow
from fleet.hr_import.leavers import OnLeaver
from fleet.hr_import.options import Options
from fleet.hr_import.run_import import prepare_import
from fleet.inventory.read import gaps_in_mandates, inventory_of
from tests.fuzz.ansible_lists import list_hosts
from tests.fuzz.cases import fuzz, mutated, texts
from tests.fuzz.test_people import SERVICES

EXPORT = """Work Email,Location,Department,LinkedIn URL,Display Name,Language,Mandate Reference,Mandate Services,\
Mandate granted on,Mandate expires on
anna.keller@company.example,Dublin,R&D,anna-keller-4b1a2,Anna Keller,English,M-1,linkedin intranet,2026-01-15,2099-12-31
finn.schroeder@company.example,Hamburg,Sales,https://de.linkedin.com/in/finn-schr%C3%B6der/,Finn,German,,,,
dora.lind@company.example,Lyon,Sales,dora,"Lind, Dora",fr,M-2,linkedin,2026-01-15,2099-12-31
zoe@company.example,Paris,,,,,,,,
"""
HEADER, BODY = EXPORT.split("\n", 1)
NAMES = ("anna.keller", "bob", "0123", "no", "1e3", "finn.schroeder", "emma.bernard", "zoe", "y", "a_b", "x+y", "null")
SITES = ("Lyon", "Hamburg", "Paris", "1", "all", "", "Zürich", "Łódź", "c:d")
NICE = (
    "no",
    "0123",
    "1:30",
    "2026-01-01",
    "a: b",
    "'",
    '"',
    "x #y",
    "& a",
    "*a",
    "[x]",
    "|",
    "Zoë",
    "y",
    "",
    "{a}",
    "!x",
    "%",
)
words = st.sampled_from(NICE) | st.text("abcÄß漢 .,;:'\"#&*[]{}|!%<>?~`\\0129", max_size=9)


def table(rows: list[list[str]]) -> str:
    """The rows below the usual header, each cell in quotes."""
    return "\n".join([HEADER, *(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)]) + "\n"


@st.composite
def sound(draw: st.DrawFn) -> list[list[str]]:
    """People in whom nothing is wrong, and whose names and sites YAML would like to read as something else."""
    rows = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True)):
        shown = draw(words.filter(lambda text: not any(mark in text for mark in ("{{", "{%", "{#"))))
        profile = draw(
            st.sampled_from(
                ["", "-", "nil", "0123", "1_000", "true", "ünï", "0x1f", "in/~~~", "https://linkedin.com/in/off"]
            )
        )
        mandate = [draw(st.sampled_from(NICE[:4])), "linkedin intranet", "2026-01-15", "2099-12-31"]
        department, language = draw(st.sampled_from(["R&D", "Sales", ""])), draw(st.sampled_from(["", "fr", "German"]))
        row = [f"{name}@company.example", draw(st.sampled_from(SITES)), department, profile, shown, language]
        rows.append([*row, *(mandate if draw(st.booleans()) else [""] * 4)])
    return rows


@st.composite
def broken(draw: st.DrawFn) -> str:
    """A sound table with one or two cells of it replaced by anything."""
    rows = draw(sound())
    for _ in range(draw(st.integers(1, 2))):
        row = rows[draw(st.integers(0, len(rows) - 1))]
        row[draw(st.integers(0, 9))] = draw(texts)
    return table(rows)


def bring_in(folder: Path) -> None:
    """Import, and hold what is written: Ansible reads the people of the export and nothing else, without a mistake, and
    a second import changes nothing. Raises InputError where the import is refused."""
    export, staff = folder / "people.csv", folder / "staff"
    options = Options(keep=None, leavers=OnLeaver.TAKE, on_bad_row=OnBadRow.SKIP)
    found = prepare_import(export, staff, lambda _: SERVICES, options)
    found.write()
    listed, _, _ = list_hosts([str(staff / "hr.yml")], None, "", None)
    assert listed["_meta"]["hostvars"] == {one.name: one.variables for one in found.people if one.variables}
    members = {group: frozenset(value.get("hosts", ())) for group, value in listed.items() if group != "_meta"}
    assert {one.name: sorted(set(one.groups.values())) for one in found.people} == {
        one.name: sorted(group for group in members.keys() - {"ungrouped"} if one.name in members[group])
        for one in found.people
    }
    read = inventory_of(listed, [str(staff / "hr.yml")], lambda _: SERVICES)
    assert [*read.all_problems(), *gaps_in_mandates(read)] == []
    assert {person.name for person in found.people} == {employee.name for employee in read.employees}
    again = prepare_import(export, staff, lambda _: SERVICES, options)
    assert again.difference.is_nothing and again.remembered == again.was_remembered
    assert again.text.encode() == again.hr_file.content
    assert {path.name for path in staff.iterdir()} == {"hr.yml", ".hr.import.yml"}


@fuzz(120, [*csv.reader(BODY.splitlines())], case=sound())
def test_sound_people_are_written(case: list[list[str]]) -> None:
    """None of them is refused, and what YAML would take for a number, a date or a sign is the text that it was."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "people.csv").write_text(table(case), "utf-8")
        bring_in(Path(name))


exports = broken() | mutated(BODY).map(lambda body: f"{HEADER}\n{body}") | mutated(EXPORT.replace(",", ";")) | texts
cases = exports.map(lambda text: text.encode("utf-8", "surrogatepass")) | mutated(EXPORT).map(
    lambda text: b"\xff\xfe" + text.encode("utf-16-le", "surrogatepass")
)


@fuzz(250, EXPORT.encode(), case=cases)
def test_whatever_is_written_has_no_mistake_and_is_written_once(case: bytes) -> None:
    """The sound rows of any export are written, or it is refused and there is no file."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "people.csv").write_bytes(case)
        try:
            bring_in(Path(name))
        except InputError:
            assert not (Path(name) / "staff").exists()
