"""What a difference does to an inventory's text: only the lines that are about it change."""

from __future__ import annotations

import difflib
import os
import stat
from pathlib import Path

import pytest

from fleet.errors import InputError
from fleet.hr_import.document import scalar
from fleet.hr_import.options import Options
from fleet.hr_import.run_import import Import, prepare_import
from fleet.inventory.read import read_inventory
from fleet.paths import REHEARSAL_RECIPES
from fleet.recipes.catalog import load_catalog
from tests.conftest import ROOT

SERVICES = load_catalog([REHEARSAL_RECIPES]).recipes
EXAMPLE = (ROOT / "inventory.example.yml").read_text("utf-8")
EVERYBODY = """Email,Site,LinkedIn
anna.keller@company.example,Dublin,
brian.walsh@company.example,Dublin,
ciara.byrne@company.example,Dublin,
chloe.martin@company.example,Lyon,
david.petit@company.example,Lyon,
emma.bernard@company.example,Lyon,
finn.schroeder@company.example,Hamburg,
greta.vogel@company.example,Hamburg,
hans.lange@company.example,Hamburg,
irene.russo@company.example,Torino,
luca.ferrari@company.example,Torino,
marta.conti@company.example,Torino,
"""

CIARA = "ciara.byrne@company.example,Dublin,"

# fmt: off
WORDS = ["no", "Yes", "null", "~", "0123", "1_000", "0x1f", "1:30", "2026-01-01", ".inf", "1e3", "y", "on", "ünï"]
SIGNS = ["=", "<<", "a: b", "a #b", "#a", "- a", "'", '"', "a'b", "\\n", "!x", "&a", "*a", "[a]", "{a}", "%a", "a,b"]
# fmt: on


def prepared(folder: Path, csv: str, inventory: str | None = EXAMPLE, keep: tuple[str, ...] | None = None) -> Import:
    (folder / "people.csv").write_text(csv, "utf-8")
    if inventory is not None:
        (folder / "staff.yml").write_bytes(inventory.encode())
    return prepare_import(folder / "people.csv", folder / "staff.yml", lambda _: SERVICES, Options(keep=keep))


def changed_lines(found: Import) -> list[str]:
    """The lines that go and come, without their places."""
    assert found.before is not None
    lines = difflib.unified_diff(found.before.decode().splitlines(), found.text.splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


class TestMinimalChange:
    def test_nothing_new_is_nothing(self, tmp_path: Path) -> None:
        """The file that people copy from is what its own export says."""
        found = prepared(tmp_path, EVERYBODY)
        assert found.difference.is_nothing and found.text == EXAMPLE
        assert [one.name for one in found.difference.kept] == ["press.office"]

    def test_a_changed_value_changes_its_line_alone(self, tmp_path: Path) -> None:
        """In braces too, and what else stands there stays."""
        found = prepared(tmp_path, EVERYBODY.replace(CIARA, f"{CIARA}0123"))
        assert changed_lines(found) == [
            "-            linkedin: {profile: ciara-byrne, name: Ciara Byrne}",
            "+            linkedin: {profile: '0123', name: Ciara Byrne}",
        ]

    def test_who_leaves_takes_their_comment_along_and_no_other(self, tmp_path: Path) -> None:
        """The next one's comment stays where it is."""
        csv = EVERYBODY.replace("brian.walsh@company.example,Dublin,\n", "")
        found = prepared(tmp_path, csv, keep=("press.office",))
        gone = changed_lines(found)
        assert all(line.startswith("-") for line in gone)
        assert gone[0] == "-        # Opted out long ago." and gone[-1].startswith("-          fleet_rehearsal_case")
        assert len(gone) == 12

    def test_who_joins_comes_where_the_name_belongs(self, tmp_path: Path) -> None:
        """A group in order stays so; a new group comes below the same parent; a group's language is not repeated."""
        csv = EVERYBODY.replace("Site,LinkedIn", "Site,LinkedIn,Language").replace(",\n", ",,\n")
        csv += "dora.lind@company.example,Lyon,dora-l,French\nzoe.b@company.example,Paris,zoe,fr\n"
        found = prepared(tmp_path, csv)
        assert changed_lines(found) == [
            "+        dora.lind:",
            "+          fleet_email: dora.lind@company.example",
            "+          fleet_accounts:",
            "+            linkedin: {profile: dora-l}",
            "+    paris:",
            "+      hosts:",
            "+        zoe.b:",
            "+          fleet_email: zoe.b@company.example",
            "+          fleet_locale: fr",
            "+          fleet_accounts:",
            "+            linkedin: {profile: zoe}",
        ]
        before = found.text.partition("dora.lind:")[0].splitlines()
        assert before[-2].strip().startswith("fleet_rehearsal_case: {linkedin: switched_on}")
        assert (
            before.index("    lyon:")
            < len(before)
            < found.text.splitlines().index("        # LinkedIn has signed her out.")
        )

    def test_who_moves_takes_everything_along(self, tmp_path: Path) -> None:
        """Comment, mandate and rehearsal case stand in the new group as they stood in the old one."""
        found = prepared(
            tmp_path, EVERYBODY.replace("anna.keller@company.example,Dublin", "anna.keller@company.example,Lyon")
        )
        lines = changed_lines(found)
        came = [line[1:] for line in lines if line[0] == "+"]
        went = [line[1:] for line in lines if line[0] == "-"]
        assert sorted(came) == sorted(went) and "        # In, and switched. Two services, four controls." in went

    def test_what_stands_elsewhere_keeps_every_byte(self, tmp_path: Path) -> None:
        """Quotes, odd indents, anchors, vaulted values, line ends and variables that no export knows."""
        inventory = (
            "# Ours.\r\n"
            "x_defaults: &d\r\n"
            "   vars:  {fleet_locale: 'fr',   note: !vault \"abc\"}\r\n"
            "lyon:\r\n"
            "   # people\r\n"
            "   hosts:\r\n"
            "      anna: &a   # why\r\n"
            '         fleet_email:   "anna@b.example"   # hers\r\n'
            "         secret: !vault |\r\n"
            "           $ANSIBLE_VAULT;1.1;AES256\r\n"
            "           6162\r\n"
            "         # below her\r\n"
            "\r\n"
            "      bob: &b\r\n"
            "         fleet_waivers:\r\n"
            "         - {service: linkedin, rationale: 'r', owner: o, expires_on: 2027-01-01}\r\n"
            "   vars: {fleet_locale: fr}"
        )
        csv = "Email,Site,LinkedIn\nanna@new.example,Lyon,\nbob@b.example,Lyon,bob-b\n"
        found = prepared(tmp_path, csv, inventory)
        assert found.text == inventory.replace('"anna@b.example"', '"anna@new.example"').replace(
            "expires_on: 2027-01-01}\r\n",
            "expires_on: 2027-01-01}\r\n"
            "         fleet_email: bob@b.example\r\n"
            "         fleet_accounts:\r\n"
            "           linkedin: {profile: bob-b}\r\n",
        )

    def test_memberships_made_by_hand_stay(self, tmp_path: Path) -> None:
        """A pilot group is no site; the variables move with the group that they stood in."""
        inventory = (
            "all:\n  children:\n    pilot:\n      hosts:\n        anna:\n    dublin:\n      hosts:\n        anna:\n"
            "          fleet_email: anna@b.example\n        bob:\n          fleet_email: bob@b.example\n"
        )
        found = prepared(tmp_path, "Email,Site\nanna@b.example,Lyon\nbob@b.example,Dublin\n", inventory)
        assert found.text == (
            "all:\n  children:\n    pilot:\n      hosts:\n        anna:\n    dublin:\n      hosts:\n        bob:\n"
            "          fleet_email: bob@b.example\n    lyon:\n      hosts:\n        anna:\n"
            "          fleet_email: anna@b.example\n"
        )

    def test_a_language_does_not_stay_behind_in_the_old_group(self, tmp_path: Path) -> None:
        """It was the group's until now; the new group has none, so it is written with the employee."""
        inventory = "lyon:\n  vars: {fleet_locale: fr}\n  hosts:\n    anna:\n      fleet_email: anna@b.example\n"
        found = prepared(tmp_path, "Email,Site,Language\nanna@b.example,Cork,French\n", inventory)
        assert found.text.endswith("    anna:\n      fleet_email: anna@b.example\n      fleet_locale: fr\n")

    def test_a_site_that_was_given_up_is_left_by_everybody(self, tmp_path: Path) -> None:
        """No row names it any more; that it is a site is remembered."""
        first = prepared(tmp_path, "Email,Site\nanna@b.example,Cork\nbob@b.example,Cork\n", None)
        first.write()
        second = prepared(tmp_path, "Email,Site\nanna@b.example,Lyon\nbob@b.example,Lyon\n", None)
        second.write()
        read = read_inventory([str(tmp_path / "staff.yml")], lambda _: SERVICES)
        assert {one.name: one.groups for one in read.employees} == {"anna": ("lyon",), "bob": ("lyon",)}


class TestForms:
    @pytest.mark.parametrize(
        "inventory",
        [
            "",
            "# nobody yet\n",
            "---\n",
            "all:\n",
            "all: {}\n",
            "all:\n  hosts:\n",
            "all:\n  hosts: {}\n",
            "all:\n  children: {}\n  vars: {a: b}",
            "all:\n  vars: {a: b}\n",
            "lyon:\n",
            "lyon:\n  hosts: ~\n",
            "lyon:\n  vars:\n    a: b\n",
            "all:\n  children:\n    lyon:\n",
            "all:\n  children:\n    europe:\n      children:\n        lyon:\n          vars: {x: y}\n",
        ],
    )
    def test_an_inventory_that_is_there_and_empty_is_filled(self, tmp_path: Path, inventory: str) -> None:
        """In whatever way nobody is written; comments and variables stay; the second time nothing is to do."""
        csv = "Email,Site,LinkedIn\nanna@b.example,Lyon,anna-k\nbob@b.example,Cork,bob-b\ncarl@b.example,,\n"
        if inventory.strip() in ("", "---", "# nobody yet"):
            found = prepared(tmp_path, csv, inventory)
        else:
            (tmp_path / "seed").mkdir()
            with pytest.MonkeyPatch.context() as patched:
                # Ansible itself refuses a file in which nobody is.
                patched.setattr(run_import, "_employees", lambda *_given: ())
                found = prepared(tmp_path, csv, inventory)
        found.write()
        read = read_inventory([str(tmp_path / "staff.yml")], lambda _: SERVICES)
        assert {one.name: set(one.groups) - {"europe"} for one in read.employees} == {
            "anna": {"lyon"},
            "bob": {"cork"},
            "carl": set(),
        }
        for line in inventory.replace("{}", "").replace("~", "").splitlines():
            assert line.rstrip() in found.text
        assert prepared(tmp_path, csv, None).difference.is_nothing

    @pytest.mark.parametrize(
        ("inventory", "sentence"),
        [
            ("[lyon]\nanna fleet_email=x@b.example\n", "is no YAML"),
            ("lyon:\n  hosts: {anna: {}, bob: {}}\n", "staff.yml:2: stands in braces"),
            ("lyon:\n  hosts:\n    a[1:3]:\n", "staff.yml: a1 does not stand in it by name"),
            (
                "lyon:\n  hosts:\n    anna:\n      a: &x b\n    carl:\n      a: *x\n",
                "That is what this import would make of staff.yml",
            ),
            ("lyon:\n  hosts:\n    anna: &x\n      a: b\n    carl: *x\n", "staff.yml:5: holds no keys of its own"),
            ("lyon:\n  hosts:\n    anna: {fleet_email: 1}\n", "staff.yml has mistakes already; mend them first"),
        ],
    )
    def test_what_cannot_be_changed_is_said_with_its_line(self, tmp_path: Path, inventory: str, sentence: str) -> None:
        """And nothing is written."""
        with pytest.raises(InputError, match=sentence) as error:
            prepared(tmp_path, "Email,Site\ncarl@b.example,Lyon\n", inventory, keep=())
        assert "/" not in str(error.value)  # such as the copy's that Ansible reads
        assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "people.csv", "staff.yml"]

    def test_a_name_is_an_employees_or_a_groups(self, tmp_path: Path) -> None:
        """Ansible would take one for the other. Who leaves makes room for a group of their name."""
        inventory = "press:\n  hosts:\n    carl:\n      fleet_email: carl@b.example\nlyon:\n  hosts:\n    cork:\n"
        csv = "Email,Site\npress@c.example,Cork\ncarl@b.example,\n"
        with pytest.raises(InputError) as error:
            prepared(tmp_path, csv, inventory)
        assert str(error.value).splitlines() == [
            "staff.yml:1: the group 'press' has the name of the employee in line 2 of the export; rename one of them.",
            "staff.yml:7: the employee 'cork' has the name of a site in line 2 of the export; rename one of them.",
        ]
        csv = csv.replace("press@", "pressman@")
        assert "cork:\n  hosts:\n    pressman:" in prepared(tmp_path, csv, inventory, keep=()).text

    def test_an_entry_in_other_letters_is_not_another_person(self, tmp_path: Path) -> None:
        """Anna.Keller would leave, with all that was written of her, and anna.keller join; another address may."""
        inventory = "all:\n  hosts:\n    Anna.Keller:\n      fleet_email: Anna.Keller@b.example\n"
        for keep in (None, ()):
            with pytest.raises(InputError) as error:
                prepared(tmp_path, "Email\nanna.keller@B.example\n", inventory, keep)
            assert str(error.value).replace(f"{tmp_path}/", "") == (
                "people.csv:2: Email: 'anna.keller' stands in staff.yml as 'Anna.Keller', with the same address; "
                "rename that entry, and the employee of its mandate, to 'anna.keller'."
            )
        found = prepared(tmp_path, "Email\nanna.keller@c.example\n", inventory, ())
        assert [one.name for one in found.difference.joined] == ["anna.keller"]

    def test_another_files_say_in_it_is_seen(self, tmp_path: Path) -> None:
        """host_vars/ beside the inventory wins over it: Ansible reads the copy before it counts."""
        (tmp_path / "host_vars").mkdir()
        (tmp_path / "host_vars" / "anna.yml").write_text("fleet_email: old@b.example\n")
        with pytest.raises(InputError, match="anna would be read otherwise than meant"):
            prepared(tmp_path, "Email,Site\nanna@b.example,Lyon\n", "all:\n  hosts:\n    anna:\n")

    def test_a_mandate_that_the_export_would_make_useless_is_named_by_line(self, tmp_path: Path) -> None:
        """A new account that an old mandate misses: `fleet inventory check` would refuse it."""
        csv = EVERYBODY.replace("Site,LinkedIn", "Site,Intranet").replace(
            "brian.walsh@company.example,Dublin,", "brian.walsh@company.example,Dublin,brian"
        )
        with pytest.raises(InputError, match=r"people.csv:3: brian.walsh: fleet_mandate.services: misses intranet"):
            prepared(tmp_path, csv)

    @pytest.mark.parametrize("text", [*WORDS, *SIGNS])
    def test_text_stays_text(self, tmp_path: Path, text: str) -> None:
        """Ansible reads what was written, in lines and in braces."""
        (tmp_path / "staff.yml").write_text(
            "all:\n  hosts:\n    anna:\n      fleet_accounts:\n"
            f"        linkedin: {{profile: anna-a, name: {scalar(text)}}}\n"
            f"        intranet:\n          profile: b\n          name: {scalar(text)}\n"
        )
        [anna] = read_inventory([str(tmp_path / "staff.yml")], lambda _: SERVICES).employees
        assert anna.problems == ()
        assert [account.name for account in anna.accounts.values()] == [text, text]


class TestWriting:
    CSV = "Email,Site\nanna@b.example,Lyon\n"

    def test_mode_and_link_stay(self, tmp_path: Path) -> None:
        """The file behind a link is written; no copy of it is left."""
        (tmp_path / "real").mkdir()
        real = tmp_path / "real" / "people.yml"
        real.write_text("all:\n  hosts:\n    anna:\n")
        real.chmod(0o640)
        (tmp_path / "staff.yml").symlink_to(real)
        prepared(tmp_path, self.CSV, None).write()
        assert (tmp_path / "staff.yml").is_symlink()
        assert stat.S_IMODE(real.stat().st_mode) == 0o640 and "lyon" in real.read_text()
        assert sorted(path.name for path in real.parent.iterdir()) == ["people.import.yml", "people.yml"]

    @pytest.mark.parametrize("before", ["all:\n  hosts:\n    anna:\n", None])
    def test_a_file_that_changed_meanwhile_is_not_lost(self, tmp_path: Path, before: str | None) -> None:
        """Somebody's edit between the question and the answer wins."""
        found = prepared(tmp_path, self.CSV, before)
        (tmp_path / "staff.yml").write_text("all:\n  hosts:\n    edited:\n")
        with pytest.raises(InputError, match="was changed while"):
            found.write()
        assert (tmp_path / "staff.yml").read_text() == "all:\n  hosts:\n    edited:\n"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "people.csv", "staff.yml"]

    def test_a_write_that_fails_leaves_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A full disk, for one: no half file, no rest of one."""
        found = prepared(tmp_path, self.CSV, "all:\n  hosts:\n    anna:\n")

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)  # a full disk cannot be had here without root
        with pytest.raises(InputError, match="No space left on device"):
            found.write()
        assert (tmp_path / "staff.yml").read_text() == "all:\n  hosts:\n    anna:\n"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "people.csv", "staff.yml"]
