"""`fleet inventory adopt`: an inventory that imports and people wrote into becomes a folder that says the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fleet.cli import app
from fleet.errors import InputError
from fleet.hr_import.adopt import adopt

STAFF = """# Ours.
all:
  vars: {company: Example}
  children:
    europe:
      children:
        dublin:
          vars: {fleet_locale: en}
          hosts:
            # One of the first.
            anna.keller:
              fleet_email: anna.keller@company.example
              fleet_accounts:
                linkedin: {profile: anna-keller, name: Anna Keller}
              fleet_mandate:
                employee: anna.keller
                reference: M-1
                services: [linkedin]
                granted_on: 2026-01-15
                expires_on: 2099-12-31
              fleet_waivers:
                - {service: linkedin, rationale: pilot, owner: dpo, expires_on: 2099-06-30}
            press.office:
              fleet_email: press@company.example
    lyon:
      hosts:
        brian.walsh:
          fleet_email: brian.walsh@company.example
          fleet_accounts:
            linkedin: {profile: '0123'}
            intranet: {profile: brian}
          secret: !vault |
            $ANSIBLE_VAULT;1.1;AES256
            6162
        chloe.martin:
          fleet_email: chloe.martin@company.example
    pilot:
      hosts:
        chloe.martin:
"""
REMEMBERED = """columns:
  email: Work Email
  site: Location
  linkedin.profile: LinkedIn URL
  mandate.reference: R
  mandate.services: S
  mandate.granted_on: G
  mandate.expires_on: E
groups:
  site: [dublin, lyon]
keep: [press.office]
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("staff.yml").write_text(STAFF)
    Path("staff.import.yml").write_text(REMEMBERED)


def listing(source: str) -> dict[str, Any]:
    """What Ansible reads, with the members of each group in order."""
    program = str(Path(sys.executable).with_name("ansible-inventory"))
    done = subprocess.run([program, "-i", source, "--list"], capture_output=True, check=True)
    return {
        name: {key: sorted(value) if isinstance(value, list) else value for key, value in group.items()}
        for name, group in json.loads(done.stdout).items()
    }


def test_ansible_reads_the_same_and_the_file_is_untouched() -> None:
    """What HR exports is in hr.yml, all else in a file beside it: waivers, vaulted values, groups, kept people."""
    done = CliRunner().invoke(app, ["inventory", "adopt", "-i", "staff.yml"])
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "hr.yml has 3 employees, staff.yml has the hand-written entries" in said
    assert "brian.walsh: all of fleet_accounts stays hand-written" in said
    assert Path("staff.yml").read_text() == STAFF
    assert sorted(path.name for path in Path("staff").iterdir()) == [".hr.import.yml", "hr.yml", "staff.yml"]
    assert listing("staff") == listing("staff.yml")
    assert Path("staff/hr.yml").read_text().partition("all:\n")[2] == (
        "  hosts:\n"
        "    anna.keller:\n"
        "      fleet_accounts:\n"
        "        linkedin:\n"
        "          name: Anna Keller\n"
        "          profile: anna-keller\n"
        "      fleet_email: anna.keller@company.example\n"
        "      fleet_mandate:\n"
        "        employee: anna.keller\n"
        "        expires_on: '2099-12-31'\n"
        "        granted_on: '2026-01-15'\n"
        "        reference: M-1\n"
        "        services:\n"
        "        - linkedin\n"
        "    brian.walsh:\n"
        "      fleet_email: brian.walsh@company.example\n"
        "    chloe.martin:\n"
        "      fleet_email: chloe.martin@company.example\n"
        "dublin:\n"
        "  hosts:\n"
        "    anna.keller: {}\n"
        "lyon:\n"
        "  hosts:\n"
        "    brian.walsh: {}\n"
        "    chloe.martin: {}\n"
    )


def test_the_next_import_has_nothing_to_change() -> None:
    """An export that says what the file said finds it said."""
    adopt(Path("staff.yml"), Path("staff"))
    Path("people.csv").write_text(
        "Work Email,Location,LinkedIn URL,First Name,Last Name,R,S,G,E\n"
        "anna.keller@company.example,Dublin,anna-keller,Anna,Keller,M-1,linkedin,2026-01-15,2099-12-31\n"
        "brian.walsh@company.example,Lyon,,,,,,,\n"
        "chloe.martin@company.example,Lyon,,,,,,,\n"
    )
    remembered = Path("staff/.hr.import.yml")
    remembered.write_text(
        remembered.read_text().replace("email:", "first_name: First Name\n  last_name: Last Name\n  email:")
    )
    done = CliRunner().invoke(app, ["inventory", "import", "people.csv", "-i", "staff"])
    assert (done.exit_code, done.stdout) == (0, "Nothing to change in hr.yml: 3 unchanged.\n"), done.output


def test_host_vars_beside_the_file_come_along() -> None:
    """Ansible looks for them beside its source."""
    Path("host_vars").mkdir()
    Path("host_vars/anna.keller.yml").write_text("fleet_locale: fr\n")
    before = listing("staff.yml")
    adopt(Path("staff.yml"), Path("staff"))
    assert listing("staff") == before and before["_meta"]["hostvars"]["anna.keller"]["fleet_locale"] == "fr"


TWICE = (
    STAFF
    + "      vars: {x: y}\n    quiet:\n      hosts:\n        brian.walsh: {fleet_accounts: {linkedin: {profile: b}}}\n"
)
"""Ansible takes what comes last, in one file; in the folder that would be the other one."""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (TWICE, "Ansible would read 'brian.walsh' differently after the split"),
        (
            STAFF + "        brian.walsh:\n    dublin:\n      hosts:\n        brian.walsh: {x: y}\n",
            "variables in two places",
        ),
        ("- anna\n", "not a YAML inventory"),
        ("a: [\n", "not valid YAML"),
    ],
    ids=["twice", "two places", "list", "broken"],
)
def test_a_split_that_would_say_something_else_is_refused(text: str, sentence: str) -> None:
    """With the name; no folder is left behind."""
    Path("staff.yml").write_text(text)
    with pytest.raises(InputError, match=sentence):
        adopt(Path("staff.yml"), Path("staff"))
    assert sorted(path.name for path in Path().iterdir()) == ["home", "staff.import.yml", "staff.yml"]


def test_a_file_that_no_import_wrote_into_needs_no_split() -> None:
    """All of it is written by hand, as it is; and what is there is never written over."""
    Path("staff").mkdir()
    with pytest.raises(InputError, match="staff already exists; choose a new folder with --folder"):
        adopt(Path("staff.yml"), Path("staff"))
    Path("staff.import.yml").unlink()
    with pytest.raises(InputError, match=r"staff.yml: no import has written to it \(staff.import.yml not found\)"):
        adopt(Path("staff.yml"), Path("other"))
