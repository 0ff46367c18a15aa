"""Files beside `hr.yml`: what an import and a check say of what people wrote there."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fleet.cli import app
from fleet.hr_import.hand_written import check_folder
from fleet.inventory.read import read_inventory

CSV = """Work Email,Location,Language,LinkedIn URL
anna@b.example,Lyon,fr,anna-k
bob@b.example,Lyon,fr,bob-b
eve@b.example,Lyon,fr,eve-e
"""
MANDATE = "{employee: NAME, reference: M-1, services: [linkedin], granted_on: 2026-01-15, expires_on: 2099-12-31}"


def fleet(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("people.csv").write_text(CSV)
    assert fleet("inventory", "import", "people.csv", "-i", "staff", "--yes").exit_code == 0


def by_hand(name: str, text: str) -> None:
    Path("staff", name).parent.mkdir(exist_ok=True)
    Path("staff", name).write_text(text)


def test_what_hr_does_not_export_is_nobodys_mistake() -> None:
    """A mandate, a group and a variable beside the values of HR; Ansible merges them by name."""
    by_hand("staff.yml", f"all:\n  hosts:\n    anna:\n      fleet_mandate: {MANDATE.replace('NAME', 'anna')}\n")
    by_hand("pilot.yml", "pilot:\n  hosts:\n    anna:\n    bob:\n")
    done = fleet("inventory", "check", "-i", "staff")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "3 employees, 3 accounts, 0 mistakes\n", "")


def test_somebody_whom_hr_does_not_know_is_a_mistake_until_kept() -> None:
    """An entry by hand keeps a leaver in the inventory; `--keep` says that it should."""
    by_hand("staff.yml", "all:\n  hosts:\n    bob:\n    press:\n      fleet_email: press@b.example\n")
    by_hand("more.ini", "[pilot]\ncarl fleet_locale=fr\n")
    Path("people.csv").write_text(CSV.replace("bob@b.example,Lyon,fr,bob-b\n", ""))
    done = fleet("inventory", "import", "people.csv", "-i", "staff", "--yes")
    assert "staff/staff.yml:3: bob is no longer in the export, but still has an entry here; remove it." in done.stderr
    done = fleet("inventory", "check", "-i", "staff")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        "Error: staff/staff.yml:3: bob is not in the HR export; remove the entry, or import with --keep bob.",
        "Error: staff/staff.yml:4: press is not in the HR export; remove the entry, or import with --keep press.",
        "Error: staff/more.ini:2: carl is not in the HR export; remove the entry, or import with --keep carl.",
    ]
    by_hand("staff.yml", "all:\n  hosts:\n    press:\n      fleet_email: press@b.example\n")
    keep = ("--keep", "press", "--keep", "carl")
    assert fleet("inventory", "import", "people.csv", "-i", "staff", "--yes", *keep).exit_code == 0
    assert fleet("inventory", "check", "-i", "staff").exit_code == 0


@pytest.mark.parametrize(
    ("name", "text", "line", "which"),
    [
        ("staff.yml", "all:\n  hosts:\n    anna:\n      fleet_locale: de\n", "staff.yml:3", "this file wins"),
        ("aaa.yml", "all:\n  hosts:\n    anna:\n      fleet_locale: de\n", "aaa.yml:3", "hr.yml wins"),
        ("staff", "[x]\nanna fleet_locale=de\n", "staff:2", "this file wins"),
        ("host_vars/anna.yml", "fleet_locale: de\n", "host_vars/anna.yml:1", "this file wins"),
    ],
)
def test_a_value_that_hr_gives_as_well_is_told(name: str, text: str, line: str, which: str) -> None:
    """With the one that Ansible takes; a person may have meant it, so it is a warning."""
    by_hand(name, text)
    done = fleet("inventory", "check", "-i", "staff")
    assert done.exit_code == 0, done.stderr
    assert done.stderr == (
        f"Warning: staff/{line}: anna: fleet_locale is also set in hr.yml, and {which} as a whole; keep one of them.\n"
    )
    [anna] = read_inventory(["staff"], lambda _: {}, "anna").employees
    assert anna.locale == {"this file wins": "de", "hr.yml wins": "fr"}[which]


def test_accounts_by_hand_replace_those_of_hr() -> None:
    """All of them, so the account that would be lost is a mistake; the same value twice is none."""
    by_hand("staff.yml", "all:\n  hosts:\n    anna:\n      fleet_accounts: {linkedin: {profile: other}}\n")
    done = fleet("inventory", "check", "-i", "staff")
    assert done.exit_code == 2 and "anna-k is ignored: another entry sets other accounts for anna" in done.stderr
    assert "Warning: staff/staff.yml:3: anna: fleet_accounts is also set in hr.yml, and this file wins" in done.stderr
    by_hand("staff.yml", "all:\n  hosts:\n    anna:\n      fleet_accounts: {linkedin: {profile: anna-k}}\n")
    assert check_folder(Path("staff")).overridden == ()


def test_a_folder_that_no_import_writes_into_is_not_compared() -> None:
    """All of it is written by hand."""
    Path("staff/hr.yml").unlink()
    by_hand("staff.yml", "all:\n  hosts:\n    carl:\n")
    assert fleet("inventory", "check", "-i", "staff").exit_code == 0
