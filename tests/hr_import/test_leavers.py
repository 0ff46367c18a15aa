"""Rows that are not read: of people who have left by their own row, and those that --where does not ask for."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from fleet.errors import InputError
from fleet.hr_import.hr_export import Export, read_export
from fleet.hr_import.leavers import OnLeaver, leavers_of, parse_where, rows_where, without_leavers

TODAY = date(2026, 11, 1)


def export(tmp_path: Path, text: str) -> Export:
    path = tmp_path / "people.csv"
    path.write_text(text, "utf-8")
    return read_export(path)


def emails(found: Export) -> list[str]:
    return [row.cells[0] for row in found.rows]


class TestLeavers:
    @pytest.mark.parametrize(
        ("header", "cell"),
        [
            ("Status", "Terminated"),
            ("Employment Status", "Inactive"),
            ("EMPLOYEE_STATUS", "Resigned (voluntary)"),
            ("Status", "no longer employed"),
            ("Status", "Not Active"),
            ("Status", "T"),
            ("Statut", "Inactif"),
            ("Statut", "Démissionnaire"),
            ("Mitarbeiterstatus", "ausgeschieden"),
            ("Beschäftigungsstatus", "Gekündigt"),
            ("Stato", "Cessato"),
            ("Active", "No"),
            ("Is Active", "FALSE"),
            ("Aktiv", "nein"),
            ("Termination Date", "2026-10-31"),
            ("End Date", "31.10.2026"),
            ("End Date", "10/31/2026"),
            ("End Date", "31/10/26"),
            ("Last Working Day", "30-Jun-2026"),
            ("Austrittsdatum", "2026/10/31"),
            ("Date de départ", "31/10/2026"),
            ("Data di cessazione", "2025-01-31T00:00:00"),
        ],
    )
    def test_a_row_that_says_so_is_seen(self, tmp_path: Path, header: str, cell: str) -> None:
        """In the columns that HR systems have for it, in four languages."""
        found = export(tmp_path, f"Email,{header}\na@b.example,{cell}\n")
        [leaver] = leavers_of(found, [0], {}, TODAY)
        assert (leaver.line, leaver.column, leaver.value) == (2, header, cell)

    @pytest.mark.parametrize(
        ("header", "cell"),
        [
            ("Status", "Active"),
            ("Status", "On leave"),
            ("Status", "Part-time"),
            ("Status", "Partially remote"),
            ("Active", "Yes"),
            ("Termination Date", ""),
            ("Termination Date", "-"),
            ("Termination Date", "2026-11-01"),
            ("End Date", "9999-12-31"),
            ("End Date", "01.12.2026"),
            ("End Date", "unbefristet"),
            ("Notes", "Terminated"),
            ("Hire Date", "2020-01-01"),
        ],
    )
    def test_a_row_that_does_not_is_not(self, tmp_path: Path, header: str, cell: str) -> None:
        """A day to come is none that is past; other columns are nobody's business."""
        assert leavers_of(export(tmp_path, f"Email,{header}\na@b.example,{cell}\n"), [0], {}, TODAY) == ()

    def test_a_column_that_is_asked_for_or_read_is_answered(self, tmp_path: Path) -> None:
        """By --where, or because a field is read from it."""
        found = export(tmp_path, "Email,Status\na@b.example,Terminated\n")
        assert leavers_of(found, [0], {"status": ("Terminated",)}, TODAY) == ()
        assert leavers_of(found, [0, 1], {}, TODAY) == ()

    def test_nobody_is_written_down_before_somebody_has_said_what_to_do(self, tmp_path: Path) -> None:
        """With who, where, and the options; then they are left out, or taken."""
        found = export(tmp_path, "Email,Status\na@b.example,Active\nb@b.example,Terminated\n")
        leavers = leavers_of(found, [0], {}, TODAY)
        with pytest.raises(InputError) as error:
            without_leavers(found, leavers, OnLeaver.REFUSE)
        assert str(error.value).replace(f"{tmp_path}/", "") == (
            "people.csv: 1 of 2 rows are for people who have left: line 3 (Status: Terminated). Nothing was written. "
            "Add --leavers skip to leave them out, --leavers take to import them, or --where COLUMN=VALUE."
        )
        assert emails(without_leavers(found, leavers, OnLeaver.SKIP)) == ["a@b.example"]
        assert without_leavers(found, leavers, OnLeaver.TAKE) is found


class TestWhere:
    TEXT = (
        "Email,Status,Country\na@b.example,Active,IE\nb@b.example, ACTIVE ,DE\nc@b.example,Leave,IE\nd@b.example,-,IE\n"
    )

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (["Status=Active"], "ab"),
            (["status=active", "Status=Leave"], "abc"),
            (["Status=Active", "Country=IE"], "a"),
            (["Status="], "d"),
        ],
    )
    def test_rows_with_one_of_the_values_are_read(self, tmp_path: Path, options: list[str], expected: str) -> None:
        """Of each column that is named; case and spaces do not matter."""
        found = rows_where(export(tmp_path, self.TEXT), parse_where(options))
        assert [one[0] for one in emails(found)] == list(expected)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["State=Active"], "people.csv:1: no column named 'State' (--where); name a column"),
            (["Status=Gone"], "people.csv: no row has Status=Gone; check --where against the file."),
            (["Status"], "--where Status: write it as COLUMN=VALUE, such as: --where 'Status=Active'"),
            (["Status=a\nb"], "--where Status=a\nb: write it as COLUMN=VALUE"),
        ],
    )
    def test_what_cannot_be_asked_for_is_said(self, tmp_path: Path, options: list[str], said: str) -> None:
        """A slip of the pen must not empty an inventory."""
        with pytest.raises(InputError) as error:
            rows_where(export(tmp_path, self.TEXT), parse_where(options))
        assert str(error.value).replace(f"{tmp_path}/", "").startswith(said)
