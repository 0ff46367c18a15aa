"""The files of an inventory after a rename: the new name where the employee was named; every other byte as before."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.authority.former_names import Rename
from fleet.errors import InputError
from fleet.hr_import.hr_yml import Entry, read_hr_file, render_hr_file
from fleet.hr_import.options import Remembered, read_remembered, remembered_path, render_remembered
from fleet.hr_import.renamed_files import renamed_files

CHANGE = Rename("anna.keller", "anna.wyss")


@pytest.fixture
def staff(tmp_path: Path) -> Path:
    """An empty inventory folder."""
    folder = tmp_path / "staff"
    folder.mkdir()
    return folder


def rename(staff: Path, change: Rename = CHANGE) -> list[str]:
    """Write the new name; returns the files that have it now, and whether they define the host."""
    found = renamed_files([str(staff)], change)
    for one in found:
        one.write()
    return [f"{one.target.relative_to(staff)}{'*' * one.has_host}" for one in found]


class TestByHand:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("all: {hosts: {anna.keller: {a: 1}}}", "all: {hosts: {anna.wyss: {a: 1}}}"),
            ("lyon:\n  hosts:\n    'anna.keller':  # ü 😀\n", "lyon:\n  hosts:\n    'anna.wyss':  # ü 😀\n"),
            ('{"all": {"hosts": {"anna.keller": {}}}}', '{"all": {"hosts": {"anna.wyss": {}}}}'),
            (
                "all:\n  children:\n    x: {hosts: {anna.keller: }}\n  hosts:\n    anna.keller.jr: {}\n",
                "all:\n  children:\n    x: {hosts: {anna.wyss: }}\n  hosts:\n    anna.keller.jr: {}\n",
            ),
            (
                "all: {hosts: {anna.keller: {fleet_email: anna.keller@b.ch, fleet_mandate: {employee: anna.keller}}}}",
                "all: {hosts: {anna.wyss: {fleet_email: anna.keller@b.ch, fleet_mandate: {employee: anna.wyss}}}}",
            ),
        ],
        ids=["flow", "quoted", "JSON", "groups", "mandate"],
    )
    def test_in_yaml_the_host_and_the_mandate_have_the_new_name(self, staff: Path, before: str, after: str) -> None:
        """Addresses, other names that begin alike and comments are left alone."""
        (staff / "staff.yml").write_text(before, "utf-8")
        assert rename(staff) == ["staff.yml*"]
        assert (staff / "staff.yml").read_text("utf-8") == after

    @pytest.mark.parametrize(
        ("new", "written"), [("007", '"007"'), ("1e5", '"1e5"'), ("no", '"no"'), ("a@b.c", "a@b.c")]
    )
    def test_a_name_that_yaml_reads_as_something_else_is_quoted(self, staff: Path, new: str, written: str) -> None:
        """It stays text."""
        (staff / "staff.yml").write_text("all: {hosts: {anna.keller: {}}}")
        rename(staff, Rename("anna.keller", new))
        assert (staff / "staff.yml").read_text() == f"all: {{hosts: {{{written}: {{}}}}}}"

    def test_in_ini_the_first_word_of_a_line_is_the_host(self, staff: Path) -> None:
        """And the mandate is JSON on it."""
        (staff / "hosts").write_text(
            '[lyon]\nanna.keller fleet_mandate=\'{"employee": "anna.keller"}\'\nanna.keller2\n[x]\nanna.keller\n'
        )
        assert rename(staff) == ["hosts*"]
        assert (staff / "hosts").read_text() == (
            '[lyon]\nanna.wyss fleet_mandate=\'{"employee": "anna.wyss"}\'\nanna.keller2\n[x]\nanna.wyss\n'
        )

    def test_files_of_variables_get_the_name(self, staff: Path) -> None:
        """As Ansible finds them by it: one file, or a folder of them."""
        (staff / "host_vars/anna.keller").mkdir(parents=True)
        (staff / "host_vars/anna.keller/mandate.yml").write_text("fleet_mandate: {employee: anna.keller}\n")
        (staff / "host_vars/anna.keller.yml").write_text("fleet_locale: de\n")
        (staff / "host_vars/anna.keller.jr.yml").write_text("fleet_locale: fr\n")
        rename(staff)
        found = {str(path.relative_to(staff)) for path in staff.rglob("*") if path.is_file()}
        assert found == {
            "host_vars/anna.wyss/mandate.yml",
            "host_vars/anna.wyss.yml",
            "host_vars/anna.keller.jr.yml",
        }
        assert (staff / "host_vars/anna.wyss/mandate.yml").read_text() == "fleet_mandate: {employee: anna.wyss}\n"
        assert rename(staff) == []

    def test_a_script_is_not_changed(self, staff: Path) -> None:
        """Ansible runs it: where it has its names from, nobody knows here."""
        script = staff / "people"
        script.write_text("#!/bin/sh\nanna.keller\n")
        script.chmod(0o700)
        assert rename(staff) == [] and script.read_text() == "#!/bin/sh\nanna.keller\n"


class TestByImport:
    def test_hr_yml_has_the_new_name_and_is_still_the_imports(self, staff: Path) -> None:
        """With its mandate, and sorted; who is kept although HR does not have them is remembered by the new name."""
        entries = [
            Entry("anna.keller", {"fleet_mandate": {"employee": "anna.keller", "reference": "M-1"}}, ("lyon",)),
            Entry("anna.lind", {}, ()),
        ]
        path = staff / "hr.yml"
        path.write_text(render_hr_file(entries))
        remembered_path(path).write_text(render_remembered(Remembered(keep=("anna.keller", "press"))))
        assert rename(staff) == ["hr.yml*", ".hr.import.yml"]
        assert {one.name: one.variables for one in read_hr_file(path).entries} == {
            "anna.lind": {},
            "anna.wyss": {"fleet_mandate": {"employee": "anna.wyss", "reference": "M-1"}},
        }
        assert read_remembered(remembered_path(path)).keep == ("anna.wyss", "press")

    def test_one_that_was_edited_is_refused(self, staff: Path) -> None:
        """An import would not touch it either."""
        (staff / "hr.yml").write_text(render_hr_file([Entry("anna.keller", {}, ())]) + "# mine\n")
        with pytest.raises(InputError, match="edited since the last import"):
            rename(staff)


class TestRefused:
    @pytest.mark.parametrize("host", ["&a anna.keller", "!!str anna.keller", "? anna.keller\n    "])
    def test_a_name_with_an_anchor_or_a_tag(self, staff: Path, host: str) -> None:
        """It cannot be replaced by itself; a question mark before it can."""
        (staff / "staff.yml").write_text(f"all:\n  hosts:\n    {host}: {{}}\n")
        if host[0] == "?":
            assert rename(staff) == ["staff.yml*"]
        else:
            with pytest.raises(InputError, match=r"staff\.yml:3: anna\.keller has an anchor or a tag here"):
                rename(staff)

    def test_a_file_of_variables_that_is_there(self, staff: Path) -> None:
        """It is another one's, or was forgotten."""
        (staff / "host_vars").mkdir()
        for name in ("anna.keller.yml", "anna.wyss.yml"):
            (staff / "host_vars" / name).write_text("fleet_locale: de\n")
        with pytest.raises(InputError, match=r"anna\.wyss\.yml exists already"):
            rename(staff)

    def test_a_file_that_changes_meanwhile(self, staff: Path) -> None:
        """What somebody saves in an editor is not lost."""
        (staff / "staff.yml").write_text("all: {hosts: {anna.keller: {}}}")
        [found] = renamed_files([str(staff)], CHANGE)
        (staff / "staff.yml").write_text("all: {hosts: {anna.keller: {}, ben: {}}}")
        with pytest.raises(InputError, match="was changed meanwhile"):
            found.write()
        assert "ben" in (staff / "staff.yml").read_text()
