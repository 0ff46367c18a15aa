"""Any export beside any inventory: written as a whole and without a mistake, or refused; never anything in between."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import pytest
from hypothesis import strategies as st

from fleet.errors import InputError
from fleet.hr_import.hr_export import OnBadRow
from fleet.hr_import.leavers import OnLeaver
from fleet.hr_import.options import Options, remembered_path
from fleet.hr_import.run_import import prepare_import
from fleet.inventory import read as listing
from fleet.inventory.read import gaps_in_mandates, read_inventory
from tests.conftest import ROOT
from tests.fuzz.ansible_lists import list_hosts
from tests.fuzz.cases import fuzz, mutated, texts
from tests.fuzz.test_people import SERVICES

EXAMPLE = (ROOT / "inventory.example.yml").read_text("utf-8")
EXPORT = """Work Email,Location,Department,LinkedIn URL,Display Name,Language,Mandate Reference,Mandate Services,\
Mandate granted on,Mandate expires on
anna.keller@company.example,Dublin,R&D,anna-keller-4b1a2,Anna Keller,English,M-1,linkedin intranet,2026-01-15,2099-12-31
finn.schroeder@company.example,Hamburg,Sales,https://de.linkedin.com/in/finn-schr%C3%B6der/,Finn,German,,,,
dora.lind@company.example,Lyon,Sales,dora,"Lind, Dora",fr,M-2,linkedin,2026-01-15,2099-12-31
zoe@company.example,Paris,,,,,,,,
"""
HAND = """# Ours
lyon:
  hosts:
    anna.keller: &a   # why
      fleet_email: "anna@b.example"
      secret: !vault |
        $ANSIBLE_VAULT;1.1;AES256
      # below her

    bob:
      fleet_waivers:
      - {service: linkedin, rationale: r, owner: o, expires_on: 2027-01-01}
  vars: {fleet_locale: fr}
pilot:
  hosts:
    bob: ~
    zoe: {fleet_email: 'zoe@b.example'}
"""
HEADER, BODY = EXPORT.split("\n", 1)
INVENTORIES = (None, "", "# nobody yet\n", EXAMPLE, HAND)
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


def both(export: Path, staff: Path, case: tuple[bytes, str | None]) -> None:
    """Lay a case's files down."""
    export.write_bytes(case[0])
    if case[1] is not None:
        staff.write_bytes(case[1].encode("utf-8", "surrogatepass"))


def bring_in(folder: Path, on_bad_row: OnBadRow = OnBadRow.REFUSE) -> None:
    """Import, and hold what is written: Ansible reads no mistake in it, everybody is there, and a second time is
    nothing to do. Raises InputError where the import is refused."""
    export, staff = folder / "people.csv", folder / "staff.yml"
    options = Options(keep=None, leavers=OnLeaver.TAKE, on_bad_row=on_bad_row)
    found = prepare_import(export, staff, lambda _: SERVICES, options)
    found.write()
    read = read_inventory([str(staff)], lambda _: SERVICES)
    assert [*read.all_problems(), *gaps_in_mandates(read)] == []
    assert {person.name for person in found.people} <= {employee.name for employee in read.employees}
    again = prepare_import(export, staff, lambda _: SERVICES, options)
    assert again.difference.is_nothing and again.remembered == again.was_remembered
    assert {path.name for path in folder.iterdir()} <= {"people.csv", "staff.yml", remembered_path(staff).name}


@fuzz(120, ([*csv.reader(BODY.splitlines())], EXAMPLE), case=st.tuples(sound(), st.sampled_from(INVENTORIES)))
def test_sound_people_are_written_into_any_sound_inventory(case: tuple[list[list[str]], str | None]) -> None:
    """None of them is refused, and what YAML would take for a number, a date or a sign is the text that it was."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        patched.setattr(listing, "_list_hosts", list_hosts)
        both(Path(name) / "people.csv", Path(name) / "staff.yml", (table(case[0]).encode(), case[1]))
        bring_in(Path(name))


exports = broken() | mutated(BODY).map(lambda body: f"{HEADER}\n{body}") | mutated(EXPORT.replace(",", ";")) | texts
cases = st.tuples(
    exports.map(lambda text: text.encode("utf-8", "surrogatepass"))
    | mutated(EXPORT).map(lambda text: b"\xff\xfe" + text.encode("utf-16-le", "surrogatepass")),
    st.sampled_from(INVENTORIES) | mutated(HAND) | mutated(EXAMPLE),
)


@fuzz(250, (EXPORT.encode(), None), (EXPORT.encode(), HAND), case=cases)
def test_whatever_is_written_has_no_mistake_and_is_written_once(case: tuple[bytes, str | None]) -> None:
    """Any export beside any inventory: its sound rows are written, or it is refused with every byte as it was."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        patched.setattr(listing, "_list_hosts", list_hosts)
        export, staff = Path(name) / "people.csv", Path(name) / "staff.yml"
        both(export, staff, case)
        before = {path.name: path.read_bytes() for path in Path(name).iterdir()}
        try:
            bring_in(Path(name), OnBadRow.SKIP)
        except InputError:
            assert {path.name: path.read_bytes() for path in Path(name).iterdir()} == before
