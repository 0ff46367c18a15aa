"""What holds for both directories: who becomes a host, in which groups, from the cache, and never trusted."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.directories import people, servers
from tests.directories.desks import Desk, not_told, told
from tests.sizes import cases

pytestmark = pytest.mark.xdist_group("directories")  # one server of each kind
STAFF = {f"person{number:02}" for number in range(24)}
MANDATE = {"employee": "person01", "reference": "M-1", "services": ["linkedin"]}
MANDATE |= {"granted_on": "2026-01-15", "expires_on": "2099-12-31"}
with_one_in_every_run = pytest.mark.parametrize("desk", cases(["scim", "ldap"], ["scim"]), indirect=True)
"""For what both plugins leave to the file that they share (playbooks/plugin_utils/fleet_people.py), and to fleet."""


def poison(cache: Path, old: str, new: str) -> None:
    """Change what Ansible has written there; since 2.19 that is JSON in JSON."""
    held = json.loads(cache.read_text())
    is_wrapped = isinstance(held, dict) and "__payload__" in held
    text = held["__payload__"] if is_wrapped else json.dumps(held)
    assert old in text
    changed = text.replace(old, new)
    cache.write_text(json.dumps({"__payload__": changed}) if is_wrapped else changed)


class TestPeople:
    def test_everybody_who_is_there_is_a_host_in_groups(self, desk: Desk) -> None:
        """All pages are read; who has left is none; what the attributes hold stands in the variables.

        Groups are by department, country and language, with names that Ansible takes.
        """
        listed = desk.ansible()
        hosts = listed["_meta"]["hostvars"]
        assert set(hosts) == STAFF
        assert hosts["person01"] == {
            "fleet_email": "person01@company.example",
            "fleet_locale": "de-CH",
            "department": "Research & Development",
            "country": "CH",
            "fleet_accounts": {"linkedin": {"profile": "profile-01"}},
        }
        assert "fleet_accounts" not in hosts["person00"], "who has no profile there has no account there"
        groups = {name: set(group.get("hosts", ())) for name, group in listed.items() if name != "_meta"}
        assert groups["department_Sales"] == {f"person{number:02}" for number in range(0, 24, 2)}
        assert groups["department_Research___Development"] == {f"person{number:02}" for number in range(1, 24, 2)}
        for group in ("country_FR", "language_fr"):
            assert groups[group] == {f"person{number:02}" for number in range(0, 24, 3)}

    @with_one_in_every_run
    def test_groups_of_one_s_own_are_made_as_by_any_plugin(self, desk: Desk) -> None:
        """keyed_groups, groups and compose; and who each person is at the identity provider."""
        listed = desk.ansible(
            keyed_groups=[{"key": "department", "prefix": "unit"}],
            groups={"alpine": "country == 'CH'"},
            compose={"shouting": "department | upper"},
            attributes={"subject": "uid" if desk.options["plugin"] == "fleet_ldap" else "userName"},
        )
        assert listed["_meta"]["hostvars"]["person01"]["fleet_subject"] == "person01"
        assert "person01" in listed["unit_Research___Development"]["hosts"]
        assert "person01" in listed["alpine"]["hosts"] and "person00" not in listed["alpine"]["hosts"]
        assert listed["_meta"]["hostvars"]["person00"]["shouting"] == "SALES"

    @with_one_in_every_run
    def test_mandates_come_from_a_second_inventory(self, desk: Desk) -> None:
        """Merged by name: a run that is rehearsed visits whoever has one, and says who has none."""
        second = desk.folder / "mandates.yml"
        hosts = {"person01": {"fleet_mandate": MANDATE}}
        second.write_text(yaml.safe_dump({"all": {"vars": {"fleet_rehearsal": True}, "hosts": hosts}}))
        sources = ("-i", str(desk.lay()), "-i", str(second))
        ran = desk.run("fleet", "run", *sources, "--check", "-l", "person01,person02", "--output", "json")
        outcomes = {one["employee"]: one["outcome"] for one in json.loads(ran.stdout)["results"]}
        assert outcomes == {"person01": "would_opt_out", "person02": "no_mandate"}, ran.stderr


class TestNeverTrusted:
    @pytest.fixture
    def evil(self, desk: Desk) -> Path:
        """A cache in which somebody's department is a template that would touch this file."""
        cache = desk.folder / "cache"
        desk.options |= {
            "cache": True,
            "cache_plugin": "ansible.builtin.jsonfile",
            "cache_connection": str(cache),
            "keyed_groups": [{"key": "department", "prefix": "unit"}, {"key": "fleet_email", "prefix": ""}],
            "compose": {"copied": "department", "joined": "department ~ country"},
        }
        desk.hosts()
        [file] = cache.iterdir()
        touched = desk.folder / "touched"
        poison(file, '"Sales"', json.dumps(people.EVIL % touched))
        return touched

    @with_one_in_every_run
    def test_a_template_in_the_cache_is_text(self, desk: Desk, evil: Path) -> None:
        """Neither groups nor expressions, nor a play that prints what it has, run it; fleet refuses it by name."""
        hosts = desk.hosts()
        assert "lookup('ansible.builtin.pipe'" in json.dumps(hosts["person00"])
        play = desk.folder / "play.yml"
        tasks = [{"ansible.builtin.debug": {"msg": "{{ department }} {{ copied }} {{ joined }}"}}]
        play.write_text(yaml.safe_dump([{"hosts": "person00", "gather_facts": False, "tasks": tasks}]))
        environ = {"ANSIBLE_INVENTORY_PLUGINS": str(ROOT / "playbooks" / "inventory_plugins")}
        desk.environ |= environ
        played = desk.run("ansible-playbook", "-i", str(desk.lay()), str(play))
        assert "lookup(" in played.stdout, played.stdout + played.stderr
        assert not evil.exists()

    def test_a_template_in_the_directory_is_text(self, scim: Desk, scim_server: servers.Directory) -> None:
        """Somebody calls their department so; what fleet itself reads is refused with the employee's name."""
        touched = scim.folder / "touched"
        [one] = servers.scim_request(scim_server, "/Users?filter=userName+eq+%22person05%22")["Resources"]
        person = people.everybody()[5] | {"department": people.EVIL % touched, "profile": people.EVIL % touched}
        try:
            servers.scim_request(scim_server, f"/Users/{one['id']}", people.scim_user(person), "PUT")
            listed = scim.ansible(keyed_groups=[{"key": "department"}], compose={"copied": "department"})
            assert "lookup(" in json.dumps(listed["_meta"]["hostvars"]["person05"])
            checked = scim.run("fleet", "inventory", "check", "-i", str(scim.lay()))
            assert checked.returncode == 2 and "person05: fleet_accounts" in " ".join(checked.stderr.split())
            assert not touched.exists()
        finally:
            servers.scim_request(scim_server, f"/Users/{one['id']}", people.scim_user(people.everybody()[5]), "PUT")

    @with_one_in_every_run
    def test_what_is_no_cache_of_ours_is_refused(self, desk: Desk, evil: Path) -> None:
        """A name that is no host's, a second one, a value that is no text: whoever can write there is not believed."""
        said = "the cache is invalid"
        [file] = (desk.folder / "cache").iterdir()
        before = file.read_text()
        for planted in ('"../person00"', '"person01"', "7", "null"):
            file.write_text(before)
            poison(file, '"person00"', planted)
            assert said in told([desk])[0], planted
        assert said in desk.refusal()

    def test_a_template_would_be_run_if_it_were_trusted(self, tmp_path: Path) -> None:
        """The plant works: in an inventory that Ansible trusts, the same text touches the file."""
        touched = tmp_path / "touched"
        hosts = {"person00": {"department": people.EVIL % touched}}
        (tmp_path / "trusted.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
        desk = Desk(tmp_path, {}, "")
        tasks = [{"ansible.builtin.debug": {"msg": "{{ department }}"}}]
        (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
        desk.run("ansible-playbook", "-i", "trusted.yml", "play.yml", "-c", "local")
        assert touched.exists()


class TestCache:
    @with_one_in_every_run
    def test_it_answers_when_the_directory_cannot(self, desk: Desk, tmp_path: Path) -> None:
        """As Ansible's cache does: with it nobody is asked, --flush-cache asks; other options are another question."""
        cached = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(tmp_path / "c")}
        assert set(desk.hosts(**cached)) == STAFF
        (tmp_path / "secret").unlink()  # whoever asks the directory now cannot
        assert set(desk.hosts(**cached)) == STAFF
        flushed = desk.run(
            *("ansible-inventory", "--playbook-dir", str(ROOT / "playbooks"), "-i", str(desk.lay(**cached))),
            *("--list", "--flush-cache"),
        )
        assert "secret cannot be read" in " ".join(flushed.stderr.split())
        assert "secret cannot be read" in desk.refusal(**cached, page_size=8)


SPOILED = {
    "chmod 644 secret": "secret is accessible to other users (mode 0644); run: chmod 600",
    "chmod 640 secret": "secret is accessible to other users (mode 0640); run: chmod 600",
    "mv secret real; ln -s real secret": "secret is a symbolic link; use the file that it points to.",
    "rm secret": "secret cannot be read (No such file or directory)",
    "rm secret; mkdir secret": "secret is not a regular file",
    "rm secret; mkfifo -m 600 secret": "secret is not a regular file",
    ": > secret": "secret must contain one line of text, the secret only.",
    "echo more >> secret": "secret must contain one line of text, the secret only.",
    "printf '\\377' > secret": "secret must contain one line of text, the secret only.",
}
"""What is done to the file of the secret, and what is told of it."""


class TestSecretFile:
    def spoil(self, desk: Desk, script: str) -> Desk:
        subprocess.run(["/bin/sh", "-c", script], cwd=desk.folder, check=True)
        return desk

    def test_it_must_be_private_and_hold_one_secret(self, desk: Desk) -> None:
        """Each with what is wrong; nothing is sent."""
        desks = [self.spoil(desk.another(str(number)), script) for number, script in enumerate(SPOILED)]
        assert not_told([*zip(desks, SPOILED.values(), strict=True)]) == []

    @with_one_in_every_run
    @pytest.mark.parametrize("script", cases(SPOILED, ["chmod 644 secret"]))
    def test_fleet_says_the_same(self, desk: Desk, script: str) -> None:
        """One sentence, exit code 2, and no secret in it."""
        assert SPOILED[script] in self.spoil(desk, script).refusal()


BAD = [
    ({"attributes": {"name": "department"}}, "24 of 24 people cannot be hosts"),
    ({"attributes": {"name": "nothing"}}, "no nothing to use as the name"),
    ({"attributes": {"nmae": "uid"}}, "attributes: 'nmae': unknown field; known fields: name, email"),
    ({"accounts": {"linkedin": {"name": "cn"}}}, "accounts.linkedin.profile: missing"),
    ({"accounts": ["linkedin"]}, "invalid"),
    ({"variables": {"fleet_mandate": "cn"}}, "variables: 'fleet_mandate': must be a plain name"),
    ({"compose": {"fleet_mandate": "1"}}, "compose: 'fleet_mandate': must be a plain name"),
    ({"tokenfile": "x"}, "unknown option 'tokenfile'"),
    ({"page_size": 0}, "page_size: must be at least 1"),
    ({"max_people": 10}, "raise max_people"),
]
"""Options that are changed, and what is told of them."""


class TestBadPeople:
    def changed(self, desk: Desk, options: dict[str, object]) -> dict[str, object]:
        """The same options as each directory names them."""
        if options.get("attributes") != {"name": "department"}:
            return options
        enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"
        return {"attributes": {"name": enterprise if desk.options["plugin"] == "fleet_scim" else "departmentNumber"}}

    def test_what_cannot_be_is_told(self, desk: Desk) -> None:
        """Nobody is a host then: a directory that hides somebody is worse than none."""
        expected = [
            (desk.another(str(number), **self.changed(desk, options)), said)
            for number, (options, said) in enumerate(BAD)
        ]
        assert not_told(expected) == []

    @with_one_in_every_run
    @pytest.mark.parametrize("bad", cases(BAD, BAD[:1]))
    def test_fleet_says_the_same(self, desk: Desk, bad: tuple[dict[str, object], str]) -> None:
        """One sentence, exit code 2, and no secret in it."""
        options, said = bad
        assert said in desk.refusal(**self.changed(desk, options))

    @with_one_in_every_run
    def test_those_who_cannot_be_hosts_may_be_left_out_with_a_warning(self, desk: Desk) -> None:
        """Only on demand; the rest are hosts, and each left out is named."""
        attribute = "nickName" if desk.options["plugin"] == "fleet_scim" else "companyLinkedin"
        changed = {"attributes": {"name": attribute}, "on_bad_person": "skip"}
        assert len(desk.hosts(**changed)) == 23
        checked = desk.run("fleet", "inventory", "check", "-i", str(desk.lay(**changed)))
        assert "1 of 24 people are left out" in " ".join(checked.stderr.split())

    def test_departments_that_share_a_group_are_told(self, scim: Desk, scim_server: servers.Directory) -> None:
        """`Research & Development` and `Research - Development` have one name in Ansible."""
        [one] = servers.scim_request(scim_server, "/Users?filter=userName+eq+%22person07%22")["Resources"]
        person = people.everybody()[7] | {"department": "Research - Development"}
        try:
            servers.scim_request(scim_server, f"/Users/{one['id']}", people.scim_user(person), "PUT")
            checked = scim.run("fleet", "inventory", "check", "-i", str(scim.lay()))
            assert "2 departments share the group department_Research___Development" in " ".join(checked.stderr.split())
        finally:
            servers.scim_request(scim_server, f"/Users/{one['id']}", people.scim_user(people.everybody()[7]), "PUT")


DOCUMENT = (ROOT / "docs" / "directories.md").read_text("utf-8")


def test_the_page_about_directories_does_what_it_says(scim: Desk, ldap: Desk) -> None:
    """Its two files, with the servers' places in them, and its commands; the plugins are found beside the play."""
    files = dict(re.findall(r"^`([\w.]+)`:\n\n```yaml\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL))
    assert set(files) == {"people.scim.yml", "people.ldap.yml"}
    secrets = {"people.scim.yml": ("token_file", servers.TOKEN), "people.ldap.yml": ("password_file", servers.PASSWORD)}
    hosts = {"person01": {"fleet_mandate": MANDATE}}
    (scim.folder / "mandates.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    (scim.folder / "playbooks").symlink_to(ROOT / "playbooks")
    for name, desk in (("people.scim.yml", scim), ("people.ldap.yml", ldap)):
        option, secret = secrets[name]
        shown = yaml.safe_load(files[name])
        assert shown.keys() | {"ca_file", "page_size", "filter"} == desk.options.keys() | {"filter"}, "other options"
        (scim.folder / shown[option]).write_text(f"{secret}\n")
        (scim.folder / shown[option]).chmod(0o600)
        own = {key: desk.options[key] for key in ("url", "ca_file", "base", "bind_dn") if key in desk.options}
        (scim.folder / name).write_text(yaml.safe_dump(shown | own))
    commands = re.findall(r"^ {4,6}((?:ansible|fleet).+)$", DOCUMENT, re.MULTILINE)
    commands.append(commands[-1].replace("scim", "ldap"))
    shown = ["|--@department_Sales:", "ca_file", *["24 employees, 23 accounts, 0 mistakes"] * 2, "25 employees"]
    for command, words in zip(commands, shown, strict=True):
        done = scim.run(*shlex.split(command))
        assert (done.returncode, words in done.stdout) == (0, True), (command, done.stdout, done.stderr)


@pytest.mark.parametrize("plugin", ["fleet_scim", "fleet_ldap"])
def test_the_manual_is_ansible_s(plugin: str, tmp_path: Path) -> None:
    """`ansible-doc` shows each option, and the example stands in the page about directories."""
    desk = Desk(tmp_path, {}, "")
    shown = desk.run("ansible-doc", "-t", "inventory", "--playbook-dir", str(ROOT / "playbooks"), plugin, "--json")
    manual = json.loads(shown.stdout)[plugin]
    assert {"url", "ca_file", "accounts", "cache", "keyed_groups"} <= set(manual["doc"]["options"])
    first, _, _ = manual["examples"].strip().partition("\n\n")
    assert yaml.safe_load(first)["plugin"] == plugin
