"""Inventories: read by Ansible itself, authority taken from the employee's own variables alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from fleet.authority.mandates import Mandate, Revocations
from fleet.authority.waivers import Waiver
from fleet.errors import InputError
from fleet.inventory.employee import Employee
from fleet.inventory.read import Inventory, gaps_in_mandates, read_inventory
from fleet.model import Reason
from fleet.paths import REHEARSAL_RECIPES
from fleet.recipes.catalog import load_catalog

SERVICES = load_catalog([REHEARSAL_RECIPES]).recipes
GOOD = """
all:
  children:
    lyon:
      vars: {fleet_locale: fr}
      hosts:
        anna:
          fleet_email: anna@company.example
          fleet_accounts: {linkedin: {profile: anna-k}}
          fleet_mandate: {employee: anna, reference: M1, services: [linkedin], granted_on: 2026-01-01,
            expires_on: 2027-01-01}
        bob:
          fleet_locale: de
          fleet_accounts: {intranet: {profile: bob-b, owner: company}}
"""


def read(tmp_path: Path, text: str, limit: str | None = None, name: str = "staff.yml") -> Inventory:
    (tmp_path / name).write_text(text, "utf-8")
    return read_inventory([name], lambda _: SERVICES, limit, cwd=tmp_path)


def employee(inventory: Inventory, name: str) -> Employee:
    return next(one for one in inventory.employees if one.name == name)


class TestReading:
    def test_employees_come_with_accounts_mandate_and_their_groups_language(self, tmp_path: Path) -> None:
        """A good inventory is read whole; a host's own locale wins over its group's."""
        inventory = read(tmp_path, GOOD)
        anna, bob = employee(inventory, "anna"), employee(inventory, "bob")
        assert (anna.locale, bob.locale) == ("fr", "de")
        assert anna.accounts["linkedin"].profile == "anna-k"
        assert anna.mandate is not None and anna.mandate.reference == "M1"
        assert bob.accounts["intranet"].owner == "company" and bob.mandate is None
        assert list(inventory.all_problems()) == []
        assert inventory.rehearsal is False

    def test_limit_is_ansibles(self, tmp_path: Path) -> None:
        """-l takes Ansible's patterns."""
        assert [one.name for one in read(tmp_path, GOOD, "lyon:!bob").employees] == ["anna"]

    def test_ini_scripts_and_folders_are_inventories_too(self, tmp_path: Path) -> None:
        """Whatever Ansible reads, this reads: INI with host_vars, and an executable script."""
        folder = tmp_path / "site"
        (folder / "host_vars").mkdir(parents=True)
        (folder / "hosts").write_text("[staff]\ncarla\n", "utf-8")
        (folder / "host_vars" / "carla.yml").write_text("fleet_accounts: {linkedin: {profile: carla-c}}\n", "utf-8")
        script = tmp_path / "people.sh"
        listing = {"staff": {"hosts": ["dora"]}, "_meta": {"hostvars": {"dora": {"fleet_locale": "nl"}}}}
        script.write_text(f"#!/bin/sh\necho '{json.dumps(listing)}'\n", "utf-8")
        script.chmod(0o755)
        inventory = read_inventory([str(folder), str(script)], lambda _: SERVICES)
        assert employee(inventory, "carla").accounts["linkedin"].profile == "carla-c"
        assert employee(inventory, "dora").locale == "nl"

    def test_a_rehearsal_mark_anywhere_marks_the_whole_inventory(self, tmp_path: Path) -> None:
        """One host marked is enough: better to rehearse too much than to act for real by mistake."""
        marked = GOOD.replace("        bob:\n", "        bob:\n          fleet_rehearsal: true\n")
        assert read(tmp_path, marked).rehearsal is True

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("all:\n  hosts:\n    anna: {a: 1, a: 2}\n", r"staff\.yml:3: ([Ff]ound .*duplicate .*\ba\b)"),
            ("all:\n  hosts: [\n", r"staff\.yml:[23]: .+; fix the YAML\."),
            ("", "no employees"),
        ],
    )
    def test_a_file_that_cannot_be_read_is_an_error(self, tmp_path: Path, text: str, message: str) -> None:
        """Broken, duplicate and empty inventories stop with file and line, where Ansible alone goes on."""
        with pytest.raises(InputError) as caught:
            read(tmp_path, text)
        assert re.search(message, str(caught.value)), caught.value

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            (
                "staff.yml",
                "all:\n  children:\n    no: {hosts: {anna: }}\n",
                "staff.yml cannot be read by Ansible: Unable to add group False: Invalid empty/false group name",
            ),
            (
                "staff.yml",
                "all:\n  hosts:\n    00123:\n",
                "staff.yml cannot be read by Ansible: Host pattern 83 must be a string. Enclose integers/floats in",
            ),
            (
                "hosts",
                "[lyon:childs]\nanna\n",
                r"hosts(:1)? cannot be read by Ansible: Section \[lyon:childs\] has unknown type: childs",
            ),
        ],
    )
    def test_the_cause_that_ansible_told_is_told(self, tmp_path: Path, name: str, text: str, message: str) -> None:
        """Of several plugins that tried, the one whose file it is says why it could not be read."""
        with pytest.raises(InputError) as caught:
            read(tmp_path, text, name=name)
        assert re.search(message, str(caught.value)), caught.value

    def test_a_key_that_ansible_skips_is_told(self, tmp_path: Path) -> None:
        """A typing error in a group would lose all its people without a word; other warnings of Ansible are remarks."""
        inventory = read(tmp_path, GOOD.replace("    lyon:\n", "    lyon:\n      childern: {rhone: }\n"))
        assert [warning.partition(" in group")[0] for warning in inventory.warnings] == [
            "Skipping unexpected key (childern)"
        ]
        inventory = read(tmp_path, GOOD.replace("    lyon:\n", "    my-team: {hosts: {my-team: }}\n    lyon:\n"))
        assert inventory.warnings == ()
        assert inventory.remarks == ("Found both group and host with same name: my-team",)

    @pytest.mark.parametrize("limit", ["anna,typo", "all:!typo", "typo"])
    def test_a_limit_that_matches_nobody_is_an_error(self, tmp_path: Path, limit: str) -> None:
        """Somebody would be left out, or not be left out, for a typing error that nobody was told of."""
        with pytest.raises(InputError, match=f"--limit {limit}: typo matches no employee in staff.yml; fix the name"):
            read(tmp_path, GOOD, limit)

    def test_a_vault_password_that_nobody_can_type_is_asked_for_in_vain(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a terminal Ansible's question ends at once, with a sentence; other passwords are not asked for."""
        monkeypatch.setenv("ANSIBLE_ASK_PASS", "1")
        monkeypatch.setenv("ANSIBLE_BECOME_ASK_PASS", "1")
        assert len(read(tmp_path, GOOD).employees) == 2
        monkeypatch.setenv("ANSIBLE_ASK_VAULT_PASS", "1")
        command = ["setsid", "-w", sys.executable, "-P", "-m", "fleet", "inventory", "check", "-i", "staff.yml"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.PIPE, check=False)
        assert (done.returncode, done.stderr) == (
            2,
            "Error: Ansible needs a vault password, but there is no terminal to enter it; "
            "set ANSIBLE_VAULT_PASSWORD_FILE.\n",
        )

    @pytest.mark.parametrize("locale", ["C", "POSIX", "xx_YY.UTF-8"])
    def test_no_locale_keeps_an_inventory_from_being_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locale: str
    ) -> None:
        """Ansible itself refuses a locale that is not UTF-8 or not installed, as cron and containers have it."""
        monkeypatch.setenv("LC_ALL", locale)
        inventory = read(tmp_path, GOOD.replace("profile: anna-k", "profile: anna-k, name: Ànna"))
        assert employee(inventory, "anna").accounts["linkedin"].name == "Ànna"

    def test_the_settings_of_the_callers_ansible_count(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An ansible.cfg in the working directory chooses plugins and vault passwords, as for ansible-playbook."""
        (tmp_path / "ansible.cfg").write_text("[inventory]\nenable_plugins = ini\n", "utf-8")
        with pytest.raises(InputError, match="cannot be read by Ansible"):
            read(tmp_path, GOOD)

    def test_a_script_imports_what_lies_beside_it_and_not_what_lies_in_the_working_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the caller has written is run as ever; a stray module of anybody's is not."""
        (tmp_path / "json.py").write_text("raise SystemExit('a stray module was run')\n", "utf-8")
        (tmp_path / "scripts").mkdir()
        (tmp_path / "scripts" / "helper.py").write_text("PEOPLE = ['dora']\n", "utf-8")
        script = tmp_path / "scripts" / "people.py"
        script.write_text(
            f"#!{sys.executable}\nimport json, helper\n"
            "print(json.dumps({'staff': {'hosts': helper.PEOPLE}, '_meta': {'hostvars': {}}}))\n",
            "utf-8",
        )
        script.chmod(0o755)
        monkeypatch.chdir(tmp_path)
        assert [one.name for one in read_inventory(["scripts/people.py"], lambda _: SERVICES).employees] == ["dora"]

    def test_a_missing_file_is_an_error(self, tmp_path: Path) -> None:
        """Ansible itself exits 0 on a path that does not exist."""
        with pytest.raises(InputError, match="inventory not found"):
            read_inventory(["nowhere.yml"], lambda _: SERVICES, cwd=tmp_path)


class TestAuthority:
    def test_a_mandate_of_everybody_opens_nothing(self, tmp_path: Path) -> None:
        """A line in all: vars: is no mandate, not even for the one it names; the mistake is told."""
        mandate = "{employee: bob, reference: M, services: [linkedin], granted_on: 2026-01-01, expires_on: 2027-01-01}"
        variables = f"    fleet_mandate: {mandate}\n    fleet_accounts: {{linkedin: {{profile: anna-x}}}}\n"
        text = f"all:\n  vars:\n{variables}  hosts:\n    bob:\n"
        inventory = read(tmp_path, text)
        assert employee(inventory, "bob").mandate is None
        assert employee(inventory, "bob").accounts == {}
        assert [str(problem).partition(" is set on group")[0] for problem in inventory.problems] == [
            "staff.yml:4: fleet_accounts:",
            "staff.yml:3: fleet_mandate:",
        ]

    def test_group_vars_files_open_nothing_either(self, tmp_path: Path) -> None:
        """The same beside the inventory, in group_vars/all.yml."""
        (tmp_path / "group_vars").mkdir()
        (tmp_path / "group_vars" / "all.yml").write_text("fleet_mandate: {employee: bob}\n", "utf-8")
        inventory = read(tmp_path, "all:\n  hosts:\n    bob:\n")
        assert employee(inventory, "bob").mandate is None
        assert "group_vars/all.yml:1" in str(inventory.problems[0])

    def test_the_company_owns_no_account_that_is_personal_by_the_terms(self, tmp_path: Path) -> None:
        """`owner: company` at LinkedIn opens nothing and is told with file and line; at the intranet it counts."""
        accounts = "{linkedin: {profile: press, owner: company}, intranet: {profile: press, owner: company}}"
        press = employee(read(tmp_path, f"all:\n  hosts:\n    press:\n      fleet_accounts: {accounts}\n"), "press")
        assert list(press.accounts) == ["intranet"]
        assert [str(problem) for problem in press.problems] == [
            "staff.yml:4: press: fleet_accounts.linkedin.owner: by LinkedIn's terms, accounts belong to their members; "
            "remove owner, and add a mandate."
        ]
        assert press.problem_for("linkedin") is not None and press.problem_for("intranet") is None

    @pytest.mark.parametrize(
        ("change", "day", "reason"),
        [
            ({}, date(2026, 6, 1), None),
            ({}, date(2026, 1, 1), None),
            ({}, date(2026, 12, 31), None),
            ({}, date(2027, 1, 1), Reason.MANDATE_EXPIRED),
            ({}, date(2025, 12, 31), Reason.MANDATE_NOT_YET_VALID),
            ({"employee": "bob"}, date(2026, 6, 1), Reason.MANDATE_OF_ANOTHER),
            ({"employee": "{{ inventory_hostname }}"}, date(2026, 6, 1), Reason.MANDATE_OF_ANOTHER),
            ({"services": ["intranet"]}, date(2026, 6, 1), Reason.MANDATE_MISSES_SERVICE),
            ({"revoked_on": "2026-05-31"}, date(2026, 6, 1), Reason.MANDATE_REVOKED),
        ],
    )
    def test_a_mandate_opens_one_service_for_one_person_between_two_dates(
        self, change: dict[str, object], day: date, reason: Reason | None
    ) -> None:
        """Each way in which a mandate can fail has its own reason; both dates are inclusive."""
        fields = {"employee": "anna", "reference": "M", "services": ["linkedin"]}
        dates = {"granted_on": "2026-01-01", "expires_on": "2026-12-31"}
        mandate = Mandate.model_validate({**fields, **dates, **change})
        assert mandate.refusal("anna", "linkedin", day) is reason

    def test_a_revocation_wins_and_its_first_day_stays(self, tmp_path: Path) -> None:
        """Revoking is kept in the state; revoking again does not move the day, renewing forgets it."""
        revocations = Revocations(tmp_path / "revocations")
        assert revocations.add("anna", date(2026, 3, 1)) is True
        assert revocations.add("anna", date(2026, 4, 1)) is False
        assert revocations.all() == {"anna": date(2026, 3, 1)}
        assert "anna" in revocations and "ben" not in revocations
        revocations.remove("anna")
        assert revocations.all() == {}

    def test_a_waiver_ends_after_its_last_day(self) -> None:
        """In force on the expiry day, not on the next; without a control it covers all of the service."""
        waiver = Waiver.model_validate(
            {"service": "linkedin", "rationale": "pilot", "owner": "dpo", "expires_on": "2026-06-30"}
        )
        assert waiver.covers("linkedin", "ai_training", date(2026, 6, 30)) is True
        assert waiver.covers("linkedin", "ai_training", date(2026, 7, 1)) is False
        assert waiver.covers("intranet", "newsletter", date(2026, 6, 1)) is False


class TestLostAccounts:
    """Ansible lets the last of several places win, and says nothing of the others."""

    INI = """
[dublin]
anna fleet_accounts='{"linkedin": {"profile": "anna-k"}}'
bob fleet_accounts='{"linkedin": {"profile": "bob-b"}}'
[lyon]
anna fleet_accounts='{"linkedin": {"profile": "somebody-else"}}'
"""

    def test_an_account_that_another_place_replaces_is_named(self, tmp_path: Path) -> None:
        """In one INI file; in two YAML files; in the folder host_vars. With its file and line, if accounts differ."""
        inventory = read(tmp_path, self.INI, name="hosts")
        assert inventory.warnings == (
            "hosts:3: anna: fleet_accounts.linkedin: anna-k is ignored: another entry sets other accounts for anna; "
            "keep one.",
        )
        (tmp_path / "more.yml").write_text("all: {hosts: {bob: {fleet_accounts: {intranet: {profile: robert}}}}}\n")
        (tmp_path / "staff.yml").write_text(GOOD)
        [warning] = read_inventory(["staff.yml", "more.yml"], lambda _: SERVICES, cwd=tmp_path).warnings
        assert warning.startswith("staff.yml:14: bob: fleet_accounts.intranet: bob-b is ignored")
        (tmp_path / "host_vars").mkdir()
        (tmp_path / "host_vars" / "anna.yml").write_text("fleet_accounts: {intranet: {profile: anna-k}}\n")
        [warning] = read(tmp_path, GOOD).warnings
        assert warning.startswith("staff.yml:9: anna: fleet_accounts.linkedin: anna-k is ignored")

    def test_the_same_account_twice_is_no_loss(self, tmp_path: Path) -> None:
        """As is an inventory that is given twice, and a comment that speaks of accounts."""
        same = self.INI.replace("somebody-else", "anna-k") + "# fleet_accounts= stands above\n"
        assert read(tmp_path, same, name="hosts").warnings == ()


MISTAKES = {
    "fleet_accounts: {myspace: {profile: x}}": "fleet_accounts.myspace: unknown service",
    "fleet_accounts: {linkedin: {}, x: {}}": "fleet_accounts.x: unknown service",
    "fleet_accounts: {linkedin: {profile: me}}": (
        "fleet_accounts.linkedin.profile: identifies no one at LinkedIn; copy it from"
    ),
    "fleet_accounts: {linkedin: {profile: 12}}": "fleet_accounts.linkedin.profile: must be text",
    "fleet_accounts: {linkedin: {profile: 'a/../b'}}": (
        "fleet_accounts.linkedin.profile: contains characters that are not allowed"
    ),
    "fleet_accounts: [linkedin]": "fleet_accounts: must map services to accounts",
    "fleet_country: UK": "fleet_country: not a country code such as FR or US-CA (ISO 3166)",
    "fleet_country: NO": "fleet_country: not a country code such as FR or US-CA (ISO 3166); in YAML, put it in quotes",
    "fleet_email: eve": "fleet_email: not an e-mail address",
    "fleet_email: \"{{ lookup('pipe', 'id') }}\"": "fleet_email: contains a Jinja template",
    "fleet_locale: no": "fleet_locale: not a language",
    "fleet_mandat: {}": "fleet_mandat: unknown variable",
    "fleet_mandate: {employee: eve}": "fleet_mandate.reference: missing",
    (
        "fleet_mandate: {employee: eve, reference: M, services: [linkedin], "
        "granted_on: 01.02.2026, expires_on: 2027-01-01}"
    ): "fleet_mandate.granted_on: not a date; write it as YYYY-MM-DD",
    "fleet_waivers: [{service: linkedin}]": "fleet_waivers.0.rationale: missing",
}
"""A line of a host, and what is told of it."""


class TestMistakes:
    def test_a_mistake_names_file_line_employee_and_field_and_stays_with_its_employee(self, tmp_path: Path) -> None:
        """Each bad line is told in full, and the colleague beside it is read as ever."""
        hosts = "".join(f"    eve{number}:\n      {line}\n" for number, line in enumerate(MISTAKES))
        text = f"all:\n  hosts:\n{hosts}    bob: {{fleet_accounts: {{linkedin: {{profile: bob-b}}}}}}\n"
        inventory = read(tmp_path, text)
        told = list(map(str, inventory.all_problems()))
        for number, message in enumerate(MISTAKES.values()):
            where = f"staff.yml:{4 + 2 * number}: eve{number}: "
            assert any(one.startswith(where + message) for one in told), (where + message, told)
        assert employee(inventory, "bob").problems == ()

    def test_a_name_that_is_no_safe_file_name_is_refused(self, tmp_path: Path) -> None:
        """Names end in file names and in a generated inventory: no slashes, blanks or leading dots."""
        inventory = read(tmp_path, "all:\n  hosts:\n    '../etc':\n    '.hidden':\n    'a b':\n    fine.name@x:\n")
        assert {one.name: one.is_name_safe for one in inventory.employees} == {
            "../etc": False,
            ".hidden": False,
            "a b": False,
            "fine.name@x": True,
        }

    def test_gaps_in_mandates_are_named_before_a_run(self, tmp_path: Path) -> None:
        """A mandate that misses a service or names somebody else is found by `fleet inventory check`."""
        text = GOOD.replace("services: [linkedin]", "services: [intranet]").replace("employee: anna", "employee: ann")
        found = [str(gap) for gap in gaps_in_mandates(read(tmp_path, text))]
        assert any("names ann, so it has no effect for anna" in gap for gap in found)
        assert any("does not include linkedin" in gap for gap in found)
