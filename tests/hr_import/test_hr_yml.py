"""`hr.yml`: the file that an import owns, and what happens to one that it does not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from fleet.errors import InputError
from fleet.hr_import.hr_yml import Entry, read_hr_file, render_hr_file
from fleet.hr_import.options import Options
from fleet.hr_import.run_import import Import, prepare_import
from fleet.inventory.read import read_inventory
from fleet.paths import REHEARSAL_RECIPES
from fleet.recipes.catalog import load_catalog

SERVICES = load_catalog([REHEARSAL_RECIPES]).recipes
MANDATE = "Mandate Reference,Mandate Services,Mandate Granted On,Mandate Expires On"
GRANTED = "M-1,linkedin,2026-01-15,2099-12-31"
CSV = "Email,Site,LinkedIn\nanna@b.example,Lyon,anna-k\nbob@b.example,Cork,\n"

# fmt: off
WORDS = ["no", "Yes", "null", "~", "0123", "1_000", "0x1f", "1:30", "2026-01-01", ".inf", "1e3", "y", "on", "ünï", "😀"]
SIGNS = ["=", "<<", "a: b", "a #b", "#a", "- a", "'", '"', "a'b", "\\n", "!x", "&a", "*a", "[a]", "{a}", "%a", "a,b"]
# fmt: on


def prepared(folder: Path, csv: str, keep: tuple[str, ...] | None = ()) -> Import:
    (folder / "people.csv").write_text(csv, "utf-8")
    return prepare_import(folder / "people.csv", folder / "staff", lambda _: SERVICES, Options(keep=keep))


def written(folder: Path, csv: str, keep: tuple[str, ...] | None = ()) -> str:
    prepared(folder, csv, keep).write()
    return (folder / "staff" / "hr.yml").read_text("utf-8")


def refusal(folder: Path, csv: str, keep: tuple[str, ...] | None = ()) -> str:
    """What a refused import says, without the folder; nothing is written."""
    before = {path: path.read_bytes() for path in folder.rglob("*.yml")}
    with pytest.raises(InputError) as error:
        prepared(folder, csv, keep).write()
    assert {path: path.read_bytes() for path in folder.rglob("*.yml")} == before
    return str(error.value).replace(f"{folder}/", "")


class TestContent:
    def test_the_same_people_give_the_same_bytes(self, tmp_path: Path) -> None:
        """In whatever order the export has them, and whoever was there before."""
        first = written(tmp_path, CSV)
        header, anna, bob = CSV.splitlines()
        written(tmp_path, f"{header}\n{bob}\nzoe@b.example,Lyon,\n{anna}\n")
        assert written(tmp_path, f"{header}\n{bob}\n{anna}\n") == first

    def test_what_the_export_no_longer_has_goes(self, tmp_path: Path) -> None:
        """An empty cell removes the value, and the difference says so: nobody may edit the file."""
        csv = f"Email,Site,LinkedIn,{MANDATE}\n"
        rows = [
            f"{name}@b.example,Lyon,{name}-p,M-1,linkedin,2026-01-15,2099-12-31\n" for name in ("anna", "bob", "eve")
        ]
        written(tmp_path, csv + "".join(rows))
        found = prepared(tmp_path, csv + "".join([*rows[:2], "eve@b.example,,,,,,\n"]))
        [changed] = found.difference.changed
        assert {(".".join(change.path), change.before, change.after) for change in changed.changes} == {
            ("fleet_accounts.linkedin.profile", "eve-p", None),
            ("fleet_mandate.employee", "eve", None),
            ("fleet_mandate.reference", "M-1", None),
            ("fleet_mandate.services", "linkedin", None),
            ("fleet_mandate.granted_on", "2026-01-15", None),
            ("fleet_mandate.expires_on", "2099-12-31", None),
            ("site", "lyon", None),
        }
        [authority] = found.difference.authority
        assert authority.before == "mandate M-1 for linkedin, 2026-01-15 to 2099-12-31"
        assert authority.after == "no mandate: only company accounts are visited"

    def test_half_of_the_accounts_or_mandates_do_not_go_unasked(self, tmp_path: Path) -> None:
        """A column that came out empty looks like that."""
        rows = [f"{name}@b.example,{name}-p,{GRANTED}" for name in ("anna", "bob", "eve")]
        csv = "\n".join([f"Email,LinkedIn,{MANDATE}", *rows])
        written(tmp_path, csv)
        found = prepared(tmp_path, csv.replace(GRANTED, ",,,", 2).replace("eve-p", ""))
        assert [str(loss) for loss in found.difference.losses] == ["2 of 3 mandates"]
        found = prepared(tmp_path, csv.replace("anna-p", "").replace("bob-p", ""))
        assert [str(loss) for loss in found.difference.losses] == ["2 of 3 accounts"]

    def test_who_is_kept_keeps_everything(self, tmp_path: Path) -> None:
        """The entry as it was, groups and all."""
        before = written(tmp_path, CSV)
        assert written(tmp_path, CSV.replace("bob@b.example,Cork,\n", ""), keep=("bob",)) == before

    def test_text_stays_text(self, tmp_path: Path) -> None:
        """YAML would read a number, a date or a sign in each of these; Ansible reads what was written."""
        texts = [*WORDS, *SIGNS]
        entries = [
            Entry(f"p{number}", {"fleet_accounts": {"linkedin": {"profile": "anna-a", "name": text}}}, ("no",))
            for number, text in enumerate(texts)
        ]
        path = tmp_path / "hr.yml"
        path.write_text(render_hr_file(entries), "utf-8")
        assert {one.name: one for one in read_hr_file(path).entries} == {one.name: one for one in entries}
        read = {one.name: one for one in read_inventory([str(path)], lambda _: SERVICES).employees}
        assert [read[entry.name].accounts["linkedin"].name for entry in entries] == texts
        assert {one.groups for one in read.values()} == {("no",)}


class TestRefusals:
    def test_a_file_that_was_edited_is_not_replaced(self, tmp_path: Path) -> None:
        """Not by a letter: what somebody wrote there would be lost."""
        text = written(tmp_path, CSV)
        for edited in (text.replace("anna-k", "anna-x"), f"{text}# mine\n", text.replace("\n", "\r\n"), text[:200]):
            (tmp_path / "staff" / "hr.yml").write_bytes(edited.encode())
            assert refusal(tmp_path, CSV) == (
                "staff/hr.yml: edited since the last import, so nothing was replaced. Move your lines to another file "
                "in that folder, then delete this file and import again."
            )

    @pytest.mark.parametrize("text", ["", "all:\n  hosts:\n    anna:\n", "# Generated by somebody else\n"])
    def test_a_file_that_no_import_wrote_is_not_replaced(self, tmp_path: Path, text: str) -> None:
        """And the way over is named."""
        (tmp_path / "staff").mkdir()
        (tmp_path / "staff" / "hr.yml").write_text(text)
        assert refusal(tmp_path, CSV) == (
            "staff/hr.yml: not written by an import, so nothing was replaced. Import into a folder (-i staff), or "
            "split this file first: fleet inventory adopt -i hr.yml"
        )

    def test_an_entry_in_other_letters_is_not_another_person(self, tmp_path: Path) -> None:
        """Anna.Keller would leave and anna.keller join: mandates and sessions are known by the name."""
        (tmp_path / "staff").mkdir()
        (tmp_path / "staff" / "hr.yml").write_text(
            render_hr_file([Entry("Anna.Keller", {"fleet_email": "Anna.Keller@b.example"}, ())])
        )
        for keep in (None, ()):
            assert refusal(tmp_path, "Email,Name\nanna.keller@B.example,x\n", keep) == (
                "people.csv:2: Email: 'anna.keller' is 'Anna.Keller' in hr.yml, with the same address. Write "
                "'Anna.Keller' in the export, or delete hr.yml to import everyone again."
            )

    def test_a_name_is_an_employees_or_a_groups(self, tmp_path: Path) -> None:
        """Ansible would take one for the other. Who leaves makes room for a group of their name."""
        written(tmp_path, "Email,Site\ncork@b.example,Lyon\n")
        assert refusal(tmp_path, "Email,Site\nanna@b.example,Cork\n", None) == (
            "hr.yml: the employee 'cork' is not in the export and has the name of a group; import without keeping "
            "the employee, or rename the group in the export."
        )
        assert "\ncork:\n  hosts:\n    anna: {}\n" in written(tmp_path, "Email,Site\nanna@b.example,Cork\n")

    def test_a_mandate_that_misses_an_account_is_named_by_line(self, tmp_path: Path) -> None:
        """`fleet inventory check` would refuse it."""
        csv = f"Email,LinkedIn,Intranet,{MANDATE}\nanna@b.example,anna-k,anna,M-1,linkedin,2026-01-15,2099-12-31\n"
        assert "people.csv:2: Mandate Services: does not include intranet, where anna has an account." in refusal(
            tmp_path, csv
        )


class TestWriting:
    def test_mode_and_link_stay(self, tmp_path: Path) -> None:
        """The file behind a link is written; no copy of it is left."""
        written(tmp_path, CSV)
        link = tmp_path / "staff" / "hr.yml"
        real = link.rename(tmp_path / "real.yml")
        real.chmod(0o640)
        link.symlink_to(real)
        (tmp_path / "staff" / ".hr.import.yml").rename(tmp_path / ".real.import.yml")
        assert "zoe:" in written(tmp_path, f"{CSV}zoe@b.example,Lyon,\n")
        assert link.is_symlink() and stat.S_IMODE(real.stat().st_mode) == 0o640

    @pytest.mark.parametrize("is_there", [True, False])
    def test_a_file_that_changed_meanwhile_is_not_lost(self, tmp_path: Path, is_there: bool) -> None:
        """What was written between the question and the answer wins."""
        other = render_hr_file([Entry("zoe", {}, ())])
        if is_there:
            written(tmp_path, CSV)
        found = prepared(tmp_path, f"{CSV}eve@b.example,Lyon,\n")
        (tmp_path / "staff").mkdir(exist_ok=True)
        (tmp_path / "staff" / "hr.yml").write_text(other)
        with pytest.raises(InputError, match="was changed meanwhile, so it was not written"):
            found.write()
        assert (tmp_path / "staff" / "hr.yml").read_text() == other
        assert not list((tmp_path / "staff").glob(".hr.yml.*"))

    def test_a_write_that_fails_leaves_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A full disk, for one: no half file, no rest of one."""
        before = written(tmp_path, CSV)
        found = prepared(tmp_path, f"{CSV}eve@b.example,Lyon,\n")

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)  # a full disk cannot be had here without root
        with pytest.raises(InputError, match="No space left on device"):
            found.write()
        assert (tmp_path / "staff" / "hr.yml").read_text() == before
        assert sorted(path.name for path in (tmp_path / "staff").iterdir()) == [".hr.import.yml", "hr.yml"]
