"""Exports as HR systems write them are read; a file that was cut or mangled is refused, with the line."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from fleet.errors import InputError
from fleet.hr_import import hr_export as module
from fleet.hr_import.hr_export import Encoding, Export, OnBadRow, read_export

TEXT = "Work Email,Location\nanna@company.example,Zürich\n"
ROWS = [(2, ("anna@company.example", "Zürich"))]


def read(tmp_path: Path, data: bytes | str, encoding: Encoding | None = None) -> Export:
    path = tmp_path / "people.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_export(path, encoding)


def refused(tmp_path: Path, data: bytes | str, encoding: Encoding | None = None) -> str:
    """The sentences of a refusal, without the folder."""
    with pytest.raises(InputError) as error:
        read(tmp_path, data, encoding)
    return str(error.value).replace(f"{tmp_path}/", "")


class TestForms:
    @pytest.mark.parametrize(
        "data",
        [
            TEXT.encode(),
            TEXT.encode("utf-8-sig"),
            b"\xff\xfe" + TEXT.encode("utf-16-le"),
            b"\xfe\xff" + TEXT.encode("utf-16-be"),
            TEXT.replace(",", ";").encode(),
            TEXT.replace(",", "\t").encode(),
            b"\xff\xfe" + TEXT.replace(",", "\t").encode("utf-16-le"),
            TEXT.replace("\n", "\r\n").encode(),
            TEXT.replace("\n", "\r").encode(),
            TEXT.rstrip().encode(),
        ],
        ids=[
            "utf-8",
            "mark",
            "utf-16-le",
            "utf-16-be",
            "semicolon",
            "tab",
            "excel-unicode",
            "crlf",
            "cr",
            "no-last-line-end",
        ],
    )
    def test_encodings_and_separators_are_seen(self, tmp_path: Path, data: bytes) -> None:
        """Each of them reads as the same people."""
        found = read(tmp_path, data)
        assert found.header.cells == ("Work Email", "Location")
        assert [(row.line, row.cells) for row in found.rows] == ROWS
        assert found.ends_with_line_end is data.endswith((b"\n", b"\r", b"\n\0"))

    def test_windows_text_is_read_when_told(self, tmp_path: Path) -> None:
        """No file says of itself that it is cp1252; a mark in the file is above the option."""
        assert read(tmp_path, TEXT.encode("cp1252"), Encoding.CP1252).rows[0].cells[1] == "Zürich"
        assert read(tmp_path, TEXT.encode("utf-8-sig"), Encoding.CP1252).rows[0].cells[1] == "Zürich"
        assert read(tmp_path, TEXT.replace("ü", "u").encode(), Encoding.CP1252).rows[0].cells[1] == "Zurich"
        said = refused(tmp_path, TEXT.encode("cp1252"))
        assert said == (
            "people.csv:2: not UTF-8 text; save it as UTF-8, or add --encoding cp1252 if it comes from Windows."
        )

    def test_a_code_page_is_not_laid_over_utf_8(self, tmp_path: Path) -> None:
        """An HR system that says UTF-8 from now on, and an encoding that is remembered: no name is made of `Ã¼`."""
        said = refused(tmp_path, TEXT.encode(), Encoding.CP1252)
        assert said == (
            "people.csv:2: UTF-8 text, but --encoding cp1252 was given, now or for an earlier import; add "
            "--encoding utf-8."
        )

    def test_the_line_that_excel_puts_first_is_understood(self, tmp_path: Path) -> None:
        """`sep=;` names the separator, and lines are counted with it."""
        for end in ("\r\n", "\n", "\r"):
            found = read(tmp_path, f'sep=;{end}"a;b";c{end}d;e{end}')
            assert (found.header.cells, found.rows[0].line) == (("a;b", "c"), 3)

    @pytest.mark.parametrize("separator", ['"', "", " ", ";;", "x"])
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_a_separator_that_can_be_none_is_refused(self, tmp_path: Path, separator: str, end: str) -> None:
        """Whatever the line ends."""
        assert refused(tmp_path, f"sep={separator}{end}a;b{end}c;d{end}") == (
            "people.csv:1: 'sep=' needs one separator after it; write sep=; (or a comma or tab), or delete the line."
        )

    def test_lines_are_those_of_the_file(self, tmp_path: Path) -> None:
        """Line ends in quotes count, blank lines are skipped."""
        found = read(tmp_path, 'a,b\n\n"two\nlines",x\n,\n"1 ""q""",y\n')
        assert [(row.line, row.cells) for row in found.rows] == [(3, ("two\nlines", "x")), (6, ('1 "q"', "y"))]


class TestCutFiles:
    def test_each_broken_row_is_named(self, tmp_path: Path) -> None:
        """All of them at once, and the option that leaves them out; with it, they are kept apart."""
        *said, way_out = refused(tmp_path, "a,b\n1\n1,2\n1,2,3\n").splitlines()
        assert way_out == "Nothing was written. Fix these rows, or skip and list them: --on-bad-row skip"
        assert [line.partition(":")[2][:15] for line in said] == ["2: 1 cell, but ", "4: 3 cells, but"]
        assert all(line.endswith("or delete the line if it has no employee.") for line in said)
        found = read_export(tmp_path / "people.csv", on_bad_row=OnBadRow.SKIP)
        assert ([row.line for row in found.rows], [one.row.line for one in found.broken]) == ([3], [2, 4])
        assert "too few, so the file was truncated" in said[0] and "too many" in said[1]

    @pytest.mark.parametrize(
        ("data", "sentence"),
        [
            ("", "people.csv is empty"),
            (b"\xef\xbb\xbf\n", "people.csv is empty"),
            ('a,b\n1,2\n3,"4\n5,6\n', "people.csv:3: a quote opened here is never closed"),
            ('a,b\n1,"2" x\n', "people.csv:2: a quote in the middle"),
            ("a,b\n1,\0\n", "people.csv:2: contains a NUL byte"),
            (TEXT.encode("utf-16-le"), "people.csv looks like UTF-16 without a BOM"),
            (b"\xff\xfe" + TEXT.encode("utf-16-le")[:-1], "people.csv ends in the middle of a character"),
            (f"a,b\n1,{'x' * 10_001}\n", "people.csv:2: a cell has more than 10,000"),
            (f'a,b\n1,"{"x" * 140_000}"\n', "people.csv:2: a quote opened here is never closed"),
            ("a" + "," * 500 + "\n", "people.csv:1: more than 500 columns"),
        ],
    )
    def test_what_is_no_whole_file_is_refused(self, tmp_path: Path, data: bytes | str, sentence: str) -> None:
        """With the line, where there is one."""
        assert refused(tmp_path, data).startswith(sentence)

    @pytest.mark.parametrize(
        "text", ["Email\na@b.example\n", 'Worker\n"Keller, Anna"\n', '"Work\nEmail",Site\na@b.example,x\n', "a\n"]
    )
    def test_a_header_of_one_name_is_one(self, tmp_path: Path, text: str) -> None:
        """Where the lines below it have one cell, or it goes on in the next line."""
        assert read(tmp_path, text).header.line == 1

    def test_a_file_cut_anywhere_in_a_quoted_cell_is_seen(self, tmp_path: Path) -> None:
        """At each of its bytes but between rows: refused, or without its last line end."""
        whole = 'a,b\n"1","2"\n"3","4"\n'
        for end in range(5, len(whole)):
            if whole[end - 1] == "\n":
                continue
            with contextlib.suppress(InputError):
                assert not read(tmp_path, whole[:end]).ends_with_line_end

    def test_there_are_limits(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Size and rows; what is no file, or not there, is said."""
        monkeypatch.setattr(module, "MAX_ROWS", 2)
        assert "has more than 2 rows" in refused(tmp_path, "a,b\n" + "1,2\n" * 3)
        monkeypatch.setattr(module, "MAX_BYTES", 1024 * 1024)
        assert "is larger than 1 MiB" in refused(tmp_path, b"x" * (1024 * 1024 + 1))
        with pytest.raises(InputError, match="cannot be read"):
            read_export(tmp_path)

    def test_no_more_than_fifty_mistakes_are_listed(self, tmp_path: Path) -> None:
        """Nobody reads more."""
        assert len(refused(tmp_path, "a,b\n" + "1\n" * 80).splitlines()) == 52


class TestAround:
    """What stands above and below the people."""

    @pytest.mark.parametrize(
        "titles",
        [
            "Employee report 2026",
            "Employee report 2026,,",
            '"Report, of 2026"',
            "\n\nReport",
            "Active Employees as of 2026-11-01\nRun by: HR\n",
            "sep=,\nReport",
            "Run by:,HR\nDate:,2026-11-01,\n",
        ],
    )
    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    def test_titles_above_the_header_are_passed_over(self, tmp_path: Path, titles: str, separator: str) -> None:
        """One or several; the header's line is told, and the lines of people are those of the file."""
        if separator != "," and '"' in titles:
            titles = titles.replace(", ", f"{separator} ")
        text = f"{titles}\nWork Email,Site,City\na@b.example,x,y\n".replace(",", separator)
        path = tmp_path / "people.csv"
        path.write_text(text)
        found = read_export(path, headers={"work email"})
        line = 1 + titles.count("\n") + 1
        assert (found.header.line, found.header.cells[0]) == (line, "Work Email")
        assert found.rows[0].line == line + 1
        filled = [number for number, one in enumerate(titles.split("\n"), 1) if one and not one.startswith("sep=")]
        assert list(found.above) == filled

    def test_a_person_is_no_title(self, tmp_path: Path) -> None:
        """A line with an address stays where it is, and so does what is called as a column but stands below people."""
        for text in ("Email\na@b.example,Dublin\n", "a@b.example\nEmail,Site\n"):
            assert "cells, but the header has 1" in refused(tmp_path, text)
        path = tmp_path / "people.csv"
        path.write_text("Who,Contact by\nx,y\nz,email\n")
        assert read_export(path, headers={"email"}).header.line == 3  # as --map email=email says
        assert read_export(path).header.line == 1

    @pytest.mark.parametrize(
        "total",
        ["Total: 2,,", "Grand Total,2,", "Row Count,2", "Count: 1 000;".replace(";", ","), "\n,Summe,2", "Total 2"],
    )
    def test_totals_below_the_last_person_are_nobody(self, tmp_path: Path, total: str) -> None:
        """Whatever their cells."""
        found = read(tmp_path, f"a,b,c\n1,2,3\n{total}\n")
        assert ([row.cells for row in found.rows], len(found.totals)) == ([("1", "2", "3")], 1)

    @pytest.mark.parametrize("row", ["Total,x@b.example,", "Total,,", "Totalis 2,,", "Anna,2,"])
    def test_somebody_is_no_total(self, tmp_path: Path, row: str) -> None:
        """Nor is what stands above people."""
        assert read(tmp_path, f"a,b,c\n1,2,3\n{row}\n").totals == ()
        assert read(tmp_path, "a,b,c\nTotal: 2,,\n1,2,3\n").totals == ()
