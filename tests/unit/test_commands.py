"""The verbs that need no page, as a person types them: what they print, their exit codes, what they leave."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.commands.run import _notified
from fleet.notify.send import Notifier
from fleet.paths import CATALOG
from fleet.run.run_report import RunReport
from tests.commands import FLEET, fleet
from tests.conftest import OBEYING_MODES, ROOT
from tests.receivers import Webhook, webhook

AFTER_READING = pytest.mark.usefixtures("same_inventories")
"""For all but what is told of the inventory itself."""
STAFF = """
all:
  hosts:
    anna.keller:
      fleet_email: anna.keller@company.example
      fleet_accounts: {linkedin: {profile: anna-keller}}
      fleet_mandate: {employee: anna.keller, reference: M-1, services: [linkedin], granted_on: 2026-01-01,
        expires_on: 2099-12-31}
    bob.stone:
      fleet_accounts: {linkedin: {profile: bob-stone}}
"""


def refusal(*arguments: str, by: tuple[str, ...] = ()) -> str:
    """The sentence of a refused command, on one line: exit code 2, nothing on stdout, no traceback."""
    command = [*by, FLEET, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False) if by else fleet(*arguments)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("Error: ")
    return " ".join(done.stderr.split())


def cookie(name: str, domain: str, expires: float = -1) -> dict[str, object]:
    return {"name": name, "value": "s3cret", "domain": domain, "path": "/", "expires": expires}


@pytest.fixture
def staff(tmp_path: Path) -> str:
    path = tmp_path / "staff.yml"
    path.write_text(STAFF, "utf-8")
    return str(path)


class TestCatalog:
    def test_each_recipe_is_read_once_in_a_run(self, staff: str) -> None:
        """Inventory, selection and forecast are given the same recipes: none of them reads the files again."""
        counting = (
            "import sys\nopened = []\n"
            "sys.addaudithook(lambda event, args: event == 'open' and opened.append(str(args[0])))\n"
            "from fleet.cli import main\n"
            "try:\n    main()\n"
            "finally:\n    print(sum(path.endswith('services/linkedin.yml') for path in opened))\n"
        )
        command = [sys.executable, "-P", "-c", counting, "run", "--plan", "--new", "-i", staff, "--output", "json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        planned, times = done.stdout.splitlines()
        assert ("linkedin" in planned, times) == (True, "1"), done


class TestInit:
    def test_a_folder_of_other_things_is_left_alone(self, tmp_path: Path) -> None:
        """A mistyped --state must not fill somebody's home; a folder with only a rehearsal or a demo in it is ours."""
        folder = tmp_path / "folder"
        (folder / "letters").mkdir(parents=True)
        folder.chmod(0o700)
        assert "holds other things; choose an empty or new folder" in refusal("init", "--state", str(folder))
        assert [path.name for path in folder.iterdir()] == ["letters"]
        (folder / "letters").rename(folder / "rehearsal")
        (folder / "demo").mkdir()
        assert fleet("init", "--state", str(folder)).returncode == 0

    def test_state_and_identity_are_private_and_apart(self) -> None:
        """Folders 0700, files 0600, the identity outside the state; a second time keeps both."""
        first = fleet("init")
        home = Path(os.environ["HOME"])
        state, identity = home / ".local/state/fleet", home / ".config/fleet/identity.txt"
        assert first.returncode == 0
        assert [oct(path.stat().st_mode & 0o777) for path in (state, state / "sessions", identity)] == [
            "0o700",
            "0o700",
            "0o600",
        ]
        before = identity.read_bytes()
        assert fleet("init").stdout == first.stdout
        assert identity.read_bytes() == before

    def test_an_identity_inside_the_state_is_refused(self, tmp_path: Path) -> None:
        """What opens the sessions must not lie beside them; nothing is made."""
        state = tmp_path / "state"
        assert "keep the identity apart" in refusal("init", "--state", str(state), "--identity", str(state / "id.txt"))
        assert not state.exists()

    def test_wide_permissions_are_refused_with_the_mend(self, tmp_path: Path) -> None:
        """A state directory that others may enter is not used."""
        state, identity = tmp_path / "state", tmp_path / "identity.txt"
        fleet("init", "--state", str(state), "--identity", str(identity))
        state.chmod(0o755)
        assert f"run: chmod 700 {state}" in refusal("sessions", "list", "--state", str(state))

    def test_doctor_names_what_is_missing_and_the_mend(self) -> None:
        """Exit code 1 before `fleet init`, 0 after it."""
        before, _, after = fleet("doctor"), fleet("init"), fleet("doctor")
        assert (before.returncode, after.returncode) == (1, 0), after.stdout
        assert "run: fleet init" in " ".join(before.stdout.split())


@AFTER_READING
class TestSessions:
    def test_a_session_is_sealed_listed_and_removed(self, staff: str, tmp_path: Path) -> None:
        """Only the service's own cookies are kept, nothing readable is left, and its expiry is shown."""
        fleet("init")
        file = tmp_path / "anna.json"
        in_a_year = time.time() + 365 * 86400
        cookies = [cookie("li_at", ".linkedin.com", in_a_year), cookie("other", ".shop.example")]
        file.write_text(json.dumps({"cookies": cookies, "origins": []}))
        imported = fleet("sessions", "import", "-i", staff, "anna.keller", "linkedin", str(file))
        assert imported.returncode == 0, imported.stderr
        assert "left out data of shop.example" in " ".join(imported.stderr.split())
        assert imported.stdout == (
            "Sealed the session of anna.keller at LinkedIn, which live runs do not use until fleet.yml has "
            f"personal_sessions: {{linkedin: REFERENCE}}. Delete {file}: it is not encrypted.\n"
        )
        Path(staff).with_name("fleet.yml").write_text("personal_sessions: {linkedin: DPO-7}\n")
        again = fleet("sessions", "import", "-i", staff, "anna.keller", "linkedin", str(file))
        assert again.stdout == f"Sealed the session of anna.keller at LinkedIn. Delete {file}: it is not encrypted.\n"
        [sealed] = Path(os.environ["HOME"]).rglob("*.age")
        assert sealed.name == "anna.keller.linkedin.age"
        assert oct(sealed.stat().st_mode & 0o777) == "0o600"
        state = Path(os.environ["HOME"]) / ".local/state/fleet"
        kept = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
        assert b"s3cret" not in kept
        listing = fleet("sessions", "list").stdout
        assert time.strftime("%Y-%m-%d", time.gmtime(in_a_year)) in listing
        assert fleet("sessions", "remove", "anna.keller", "linkedin").returncode == 0
        assert "No sessions yet" in fleet("sessions", "list").stdout
        assert "There is no session of anna.keller" in refusal("sessions", "remove", "anna.keller", "linkedin")

    def test_a_folder_is_imported_as_far_as_it_can_be(self, staff: str, tmp_path: Path) -> None:
        """--from takes EMPLOYEE.SERVICE.json; every file that is not imported is named, exit code 2."""
        fleet("init")
        folder = tmp_path / "exports"
        folder.mkdir()
        good = json.dumps({"cookies": [cookie("li_at", ".linkedin.com")], "origins": []})
        (folder / "anna.keller.linkedin.json").write_text(good)
        (folder / "carl.linkedin.json").write_text(good)
        (folder / "bob.stone.linkedin.JSON").write_text("not json")
        (folder / "notes.md").write_text("x")
        (folder / ".DS_Store").write_text("x")
        done = fleet("sessions", "import", "-i", staff, "--from", str(folder))
        said = " ".join(done.stderr.split())
        assert done.returncode == 2
        assert "1 of 4 imported" in said
        assert "'carl' is not an employee" in said
        assert "bob.stone.linkedin.JSON is not a session" in said
        assert "notes.md: the file name does not identify an account; rename it to EMPLOYEE.SERVICE.json." in said
        assert ".DS_Store was skipped" in said
        assert "anna.keller" in fleet("sessions", "list").stdout

    def test_a_session_of_another_service_is_refused(self, staff: str, tmp_path: Path) -> None:
        """Cookies of other domains alone are no session of this one; nothing is sealed."""
        fleet("init")
        file = tmp_path / "wrong.json"
        file.write_text(json.dumps({"cookies": [cookie("a", "shop.example")], "origins": []}))
        said = refusal("sessions", "import", "-i", staff, "anna.keller", "linkedin", str(file))
        assert "contains nothing of linkedin.com" in said
        assert list(Path(os.environ["HOME"]).rglob("*.age")) == []

    def test_an_expired_session_does_not_replace_a_good_one(self, staff: str, tmp_path: Path) -> None:
        """What is over already is refused; the sealed session stays as it was."""
        fleet("init")
        file = tmp_path / "anna.json"
        file.write_text(json.dumps({"cookies": [cookie("li_at", ".linkedin.com", time.time() + 86400)], "origins": []}))
        assert fleet("sessions", "import", "-i", staff, "anna.keller", "linkedin", str(file)).returncode == 0
        [sealed] = Path(os.environ["HOME"]).rglob("*.age")
        before = sealed.read_bytes()
        file.write_text(json.dumps({"cookies": [cookie("li_at", ".linkedin.com", time.time() - 86400)], "origins": []}))
        said = refusal("sessions", "import", "-i", staff, "anna.keller", "linkedin", str(file))
        assert "cookies.0 'li_at': has expired; sign in to LinkedIn and export it again." in said
        assert sealed.read_bytes() == before

    def test_an_import_says_what_was_left_out(self, staff: str, tmp_path: Path) -> None:
        """Storage that the recipe does not name, and cookies that are over; a cookies.txt is as good as any."""
        fleet("init")
        file = tmp_path / "anna.txt"
        file.write_text(
            "# Netscape HTTP Cookie File\n"
            "#HttpOnly_.linkedin.com\tTRUE\t/\tTRUE\t1999999999\tli_at\ts3cret\n"
            ".linkedin.com\tTRUE\t/\tTRUE\t1000000000\told\tx\n"
        )
        done = fleet("sessions", "import", "-i", staff, "anna.keller", "linkedin", str(file))
        assert done.returncode == 0, done.stderr
        assert "left out expired cookies: old." in " ".join(done.stderr.split())
        state = {
            "cookies": [cookie("li_at", ".linkedin.com")],
            "origins": [{"origin": "https://www.linkedin.com", "localStorage": [{"name": "a", "value": "b"}]}],
        }
        file.write_text(json.dumps(state))
        done = fleet("sessions", "import", "-i", staff, "anna.keller", "linkedin", str(file))
        assert "left out storage that the recipe of LinkedIn does not name." in " ".join(done.stderr.split())


class TestInventoryCheck:
    def test_the_example_is_without_mistakes(self) -> None:
        """What people copy from is right."""
        done = fleet("inventory", "check", "-i", str(ROOT / "inventory.example.yml"))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("13 employees, 14 accounts, 0 mistakes")

    def test_each_mistake_has_file_line_employee_and_field(self, tmp_path: Path) -> None:
        """One line for each, all of them at once."""
        (tmp_path / "staff.yml").write_text(
            "all:\n"
            "  vars:\n"
            "    fleet_mandate: {employee: dan}\n"
            "  hosts:\n"
            "    anna:\n"
            "      fleet_accounts: {myspace: {profile: a}}\n"
            "    bob:\n"
            "      fleet_accounts: {linkedin: {login: bob}}\n"
            "    'carl/../x':\n"
            "      fleet_accounts: {linkedin: {profile: carl-c}}\n"
            "    dan:\n"
            '      fleet_email: \'{{ lookup("pipe", "id") }}\'\n'
            "      fleet_accounts: {linkedin: {profile: dan-d}}\n"
            "      fleet_mandate: {employee: dan, reference: M, services: [intranet], granted_on: 2026-1-1,\n"
            "        expires_on: 2027-01-01}\n",
            "utf-8",
        )
        done = fleet("inventory", "check", "-i", "staff.yml", cwd=tmp_path)
        assert done.returncode == 2
        for start in (
            "staff.yml:3: fleet_mandate: is set on group 'all' and has no effect",
            "staff.yml:6: anna: fleet_accounts.myspace: unknown service",
            "staff.yml:8: bob: fleet_accounts.linkedin.login: unknown key",
            "carl/../x: inventory_hostname: not a valid name",
            "staff.yml:12: dan: fleet_email: contains a Jinja template",
            "staff.yml:14: dan: fleet_mandate.granted_on: not a date",
        ):
            assert start in done.stderr, start

    def test_a_date_that_is_none_is_named_where_yaml_itself_fails(self, staff: str) -> None:
        """Ansible cannot read such a file at all, and says neither line nor field."""
        Path(staff).write_text(Path(staff).read_text().replace("2026-01-01", "2026-13-01"))
        said = refusal("inventory", "check", "-i", staff)
        assert "staff.yml:7: anna.keller.fleet_mandate.granted_on: 2026-13-01 is not a date (month must be" in said

    def test_a_mandate_that_misses_a_service_is_named(self, staff: str) -> None:
        """It stops nobody in a run, but is seen before one."""
        text = Path(staff).read_text().replace("services: [linkedin]", "services: [intranet]")
        Path(staff).write_text(text)
        done = fleet("inventory", "check", "-i", staff)
        assert done.returncode == 2
        assert "anna.keller: fleet_mandate.services: does not include linkedin" in done.stderr


class TestFilesThatCannotBeRead:
    def test_a_folder_that_is_closed_to_this_user_is_named(self, tmp_path: Path) -> None:
        """It is not known to hold nothing: neither an inventory nor a fleet.yml in it is passed over."""
        closed = tmp_path / "closed"
        closed.mkdir()
        (closed / "staff.yml").write_text(STAFF)
        closed.chmod(0)
        for command in (("run", "--plan"), ("config", "show"), ("inventory", "check")):
            said = refusal(*command, "-i", str(closed / "staff.yml"), by=OBEYING_MODES)
            assert f"{closed}/staff.yml cannot be accessed (Permission denied); let this user enter" in said
        closed.chmod(0o700)

    def test_ansibles_own_causes_are_told(self, staff: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An inventory that may not be read, and a home that Ansible may not write to."""
        Path(staff).chmod(0)
        said = refusal("inventory", "check", "-i", staff, by=OBEYING_MODES)
        assert f"{staff} cannot be read (Permission denied)" in said
        Path(staff).chmod(0o600)
        home = tmp_path / "home-for-reading"
        home.mkdir(mode=0o500)
        monkeypatch.setenv("HOME", str(home))
        said = refusal("inventory", "check", "-i", staff, by=OBEYING_MODES)
        assert f"Ansible cannot write to {home}/.ansible/tmp; fix its permissions, or set ANSIBLE" in said

    def test_a_settings_file_that_is_none_is_not_passed_over(self, staff: str) -> None:
        """A link that leads nowhere, and a pipe: what it should say would be missing without a word."""
        file = Path(staff).with_name("fleet.yml")
        file.symlink_to("missing.yml")
        assert "fleet.yml cannot be read: No such file" in refusal("config", "show", "-i", staff)
        file.unlink()
        os.mkfifo(file)
        assert "fleet.yml cannot be read: not a regular file" in refusal("config", "show", "-i", staff)

    def test_an_empty_limit_is_not_everybody(self, staff: str) -> None:
        """As of a variable that is not set."""
        assert "--limit is empty, which would select everyone" in refusal("run", "-i", staff, "-l", "", "--plan")

    def test_a_rehearsal_is_asked_of_its_own_state(self) -> None:
        """The log of the real runs knows nobody of it."""
        assert "is marked fleet_rehearsal, but this is the state of live runs; add --rehearsal" in refusal(
            "status", "-i", str(ROOT / "inventory.example.yml")
        )


@AFTER_READING
class TestOutputs:
    def test_what_is_no_file_is_not_replaced_by_one(self, staff: str, tmp_path: Path) -> None:
        """A pipe and a folder are left as they are, before anybody is visited."""
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        for place in (str(pipe), str(tmp_path), ""):
            assert "is not a file that can be replaced" in refusal("run", "-i", staff, "--junit", place)
        assert pipe.is_fifo()

    def test_a_link_stays_one(self, staff: str, tmp_path: Path) -> None:
        """What it leads to is written."""
        file, link = tmp_path / "fleet.xml", tmp_path / "latest.xml"
        file.write_text("<testsuites/>")
        link.symlink_to(file)
        refusal("run", "-i", staff, "-l", "nobody", "--junit", str(link))
        assert link.is_symlink() and 'type="bad_input"' in file.read_text()


@AFTER_READING
class TestServices:
    def test_a_recipe_with_an_unknown_key_is_named_with_its_line(self, tmp_path: Path) -> None:
        """`fleet services check` and `fleet run` refuse it in the same words."""
        text = (CATALOG / "linkedin.yml").read_text("utf-8").replace("service: linkedin", "service: wiki")
        (tmp_path / "wiki.yml").write_text(text.replace("    kind: switch", "    kind: switch\n    script: x"), "utf-8")
        line = text.splitlines().index("    kind: switch") + 2
        said = f"wiki.yml:{line}: controls.ai_training.script: unknown key"
        assert said in refusal("services", "check", "--recipes", str(tmp_path))
        example = str(ROOT / "inventory.example.yml")
        assert said in refusal("run", "-i", example, "--recipes", str(tmp_path))

    def test_a_selector_that_is_no_css_is_named_with_its_key(self, tmp_path: Path) -> None:
        """The browser itself is asked, only the wrong recipe is named, and a run with it leaves no record."""
        text = (CATALOG / "linkedin.yml").read_text("utf-8").replace("service: linkedin", "service: wiki")
        css = """'input[aria-labelledby="allowDataForGenerativeAI"]'"""
        assert text.count(css) == 1
        text = text.replace(css, "'input[name='")
        (tmp_path / "recipes").mkdir()
        (tmp_path / "recipes/wiki.yml").write_text(text, "utf-8")
        said = refusal("services", "check", "--recipes", str(tmp_path / "recipes"))
        assert "wiki.yml: controls.ai_training.find.css: input[name= is no CSS selector" in said
        assert "linkedin.yml" not in said
        fleet("init")
        staff = tmp_path / "staff.yml"
        staff.write_text(STAFF.replace("linkedin", "wiki"), "utf-8")
        loopback = ("--resolve", "www.linkedin.com:443=127.0.0.1:9")
        said = refusal("run", "-i", str(staff), "--recipes", str(tmp_path / "recipes"), *loopback)
        assert "wiki.yml: controls.ai_training.find.css: input[name= is no CSS selector" in said
        assert [log.read_bytes() for log in Path(os.environ["HOME"]).rglob("*.jsonl")] == [b""]

    def test_the_list_shows_names_and_terms(self) -> None:
        """LinkedIn's setting is in it, with what its terms say, and that nobody has seen it live."""
        [line] = [line for line in fleet("services", "list").stdout.splitlines() if "linkedin.ai_training" in line]
        assert line.split()[-3:] == ["forbidden", "not", "yet"]


@AFTER_READING
class TestSettings:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("forks: many\n", "fleet.yml:1: forks"),
            ("statte: x\n", "fleet.yml:1: statte: unknown key"),
            ("sandbox: false\n", "sandbox: false needs accepted_by"),
            ("resolve: ['a.example:443=8.8.8.8:1']\n", "not a loopback address"),
            ("hours: {linkedin: 8-18}\n", "fleet.yml:1: hours.linkedin: must be HH:MM-HH:MM, such as 08:00-18:00"),
            ("pause: {services: {linkedin: {shortest: 9, longest: 8}}}\n", "longest must not be below shortest"),
        ],
    )
    def test_a_wrong_fleet_yml_is_named_with_its_line(self, staff: str, text: str, message: str) -> None:
        """The file beside the inventory is read strictly."""
        Path(staff).with_name("fleet.yml").write_text(text)
        assert message in refusal("run", "-i", staff)

    def test_a_live_run_as_root_is_refused(self, staff: str) -> None:
        """Without Chromium's sandbox nothing live is visited; an ordinary user gets further, to the terms."""
        fleet("init")
        done = fleet("run", "-i", staff, "--check", "--output", "json")
        report = json.loads(done.stdout)
        if os.geteuid() == 0:
            assert (done.returncode, report["results"]) == (2, [])
            assert "A live run as root is refused" in report["errors"][0]["message"]
        else:
            # LinkedIn's terms forbid automation: without terms_accepted no browser leaves this machine.
            assert report["counts"] == {"not_permitted": 1, "no_mandate": 1}


@AFTER_READING
class TestPlan:
    SETTINGS = (
        "terms_accepted: {linkedin: board minutes 12}\npersonal_sessions: {linkedin: works council 7}\n"
        "hours: {linkedin: 08:00-18:00}\n"
    )

    def test_it_starts_nothing_and_so_needs_nothing(self, staff: str) -> None:
        """Neither an ordinary user, nor a state, a key or a browser: what a run needs beside is said."""
        Path(staff).with_name("fleet.yml").write_text(self.SETTINGS)
        done = fleet("run", "-i", staff, "--plan")
        said, home = " ".join(done.stdout.split()), Path(os.environ["HOME"])
        assert done.returncode == 0, done
        assert "anna.keller linkedin.ai_training sign in needed" in said
        assert f"There is no state directory at {home}/.local/state/fleet; run: fleet init" in said
        assert f"There is no age identity at {home}/.config/fleet/identity.txt; 'fleet init' creates one." in said
        assert not (home / ".local/state/fleet").exists()

    def test_it_says_the_pace_of_each_service(
        self, staff: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A session, and one visit: in its hours, with its pauses; for a pipeline as JSON."""
        monkeypatch.setenv("COLUMNS", "200")
        Path(staff).with_name("fleet.yml").write_text(self.SETTINGS)
        fleet("init")
        (tmp_path / "anna.json").write_text(json.dumps({"cookies": [cookie("li_at", ".www.linkedin.com")]}))
        fleet("sessions", "import", "-i", staff, "anna.keller", "linkedin", str(tmp_path / "anna.json"))
        done = fleet("run", "-i", staff, "--plan")
        assert done.returncode == 0, done
        assert "live: one at a time, 15 to 25 s apart, begun 08:00-18:00 only" in " ".join(done.stdout.split())
        told = json.loads(fleet("run", "-i", staff, "--plan", "--output", "json").stdout)
        assert [(one["pause"], one["hours"]) for one in told["services"]] == [
            ({"shortest": 15.0, "longest": 25.0}, "08:00-18:00")
        ]
        assert told["lacking"] == ([] if os.geteuid() else [told["lacking"][0]])


def test_where_nobody_is_told_the_log_is_not_read_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notice counts drift, from all readings since ever; a run that notifies nobody ends without that."""
    report = RunReport("r1", check=False, started_at="2026-01-01T00:00:00Z", errors=["The agent ended."])
    # What is not read leaves no trace that could be looked at.
    monkeypatch.setattr("fleet.commands.run.run_notice", lambda *_, **__: pytest.fail("the log was read"))
    assert _notified(Notifier(), report, None) is report


class TestAgentThatDies:
    @pytest.mark.parametrize(
        ("dies", "how"),
        [
            (
                "raise ImportError('libffi.so.8: cannot open shared object file')",
                "exit code 1: ImportError: libffi.so.8",
            ),
            ("os.kill(os.getpid(), 9)", "signal 9"),
        ],
    )
    def test_before_its_first_word_is_an_error_with_a_sentence(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies: str, how: str
    ) -> None:
        """A broken installation, or no memory: the plan is larger than a pipe, and nobody ever reads it."""
        hosts = "".join(f"    e{number}: {{fleet_email: e{number}@company.example}}\n" for number in range(500))
        (tmp_path / "staff.yml").write_text(f"all:\n  hosts:\n{hosts}")
        # Python runs this as it starts, in the agent alone.
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(
            f"import os, sys\nif 'agent' in sys.orig_argv:\n    try:\n        {dies}\n"
            "    except ImportError as error:\n"
            "        print(f'ImportError: {error}', file=sys.stderr, flush=True)\n        os._exit(1)\n"
        )
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]))
        fleet("init")
        done = fleet("run", "-i", str(tmp_path / "staff.yml"), "--junit", str(tmp_path / "junit.xml"))
        said = f"The agent ended before anybody was visited ({how}"
        assert done.returncode == 1, done
        assert said in " ".join(done.stderr.split()) and "'fleet doctor' tells what is missing" in done.stderr
        assert said in (tmp_path / "junit.xml").read_text()

    def test_a_pager_that_was_closed_needs_no_word(self, tmp_path: Path) -> None:
        """Its reader has seen enough; another pipe that breaks is no pager."""
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb") as output:
            listed = [FLEET, "services", "schema"]
            done = subprocess.run(listed, stdout=output, stderr=subprocess.PIPE, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("words", "at", "offered"),
    [
        ("fleet s", 1, ["status", "sessions", "services", "spot-check"]),
        ("fleet audit v", 2, ["verify", "verify-proof"]),
        ("fleet run --no", 2, ["--notify", "--notify-file"]),
        ("fleet ag", 1, []),
    ],
)
def test_the_shell_completes_verbs_and_options(
    words: str, at: int, offered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `fleet --install-completion` sets it up; hidden verbs are not offered."""
    for name, value in {"_FLEET_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(at)}.items():
        monkeypatch.setenv(name, value)
    assert fleet().stdout.split() == offered


class TestConfigShow:
    def test_it_tells_each_setting_and_where_from(self, staff: str) -> None:
        """As a table with the file's lines, and as JSON; no secret is in either, and nothing is made."""
        file = Path(staff).with_name("fleet.yml")
        secrets = "https://hooks.example/s3cret, slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
        file.write_text(f"forks: 3\nnotify: [{secrets}]\nnotify_file: notify.txt\nproxy_credentials: proxy.txt\n")
        for name in ("notify.txt", "proxy.txt"):
            file.with_name(name).write_text("robot:s3cret")  # mode 0644, and no address: it is not opened
        show = ("config", "show", "-i", "staff.yml", "--service", "linkedin")
        said = fleet(*show, cwd=file.parent)
        assert (said.returncode, said.stderr) == (0, "")
        rows = {line.split()[0]: line.split()[1:] for line in said.stdout.splitlines() if line.strip()}
        assert rows["forks"] == ["3", "fleet.yml:1"]
        assert rows["services"] == ["linkedin", "--service"]
        assert rows["state"] == ["~/.local/state/fleet", "default"]
        assert rows["slack://…"] == []
        told = json.loads(fleet(*show, "--output", "json", cwd=file.parent).stdout)
        settings = {one["key"]: (one["value"], one["from"]) for one in told["settings"]}
        assert told["file"] == str(file)
        in_file = {"kind": "file", "name": str(file)}
        assert settings["notify"] == (["https://hooks.example/…", "slack://…"], in_file | {"line": 2})
        assert settings["notify_file"] == (str(file.with_name("notify.txt")), in_file | {"line": 3})
        assert settings["services"] == (["linkedin"], {"kind": "option", "name": "--service", "line": None})
        assert not {"s3cret", "T1JJ3T3L2"} & set(re.split(r"\W", said.stdout + json.dumps(told)))
        assert list(Path.home().iterdir()) == []

    def test_it_says_which_file_is_used(self, staff: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Or where one would be looked for."""
        assert "there is no" in fleet("config", "show", "-i", staff).stdout
        assert "there is no fleet.yml" in fleet("config", "show", cwd=Path(staff).parent).stdout
        other = Path(staff).with_name("other.yml")
        other.write_text("forks: 4\n")
        monkeypatch.setenv("FLEET_CONFIG", str(other))
        assert "other.yml (FLEET_CONFIG names it)" in fleet("config", "show", "-i", staff).stdout

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            (("--forks", "99"), "--forks: must be 64 or less"),
            (("--notify", "https://robot:s3cret@hooks.example/"), "--notify: other users could read the password here"),
            (("--resolve", "a.example:443=8.8.8.8:1"), "not a loopback address"),
        ],
    )
    def test_what_a_run_would_refuse_is_refused(self, staff: str, option: tuple[str, str], message: str) -> None:
        """In the same words."""
        said = refusal("config", "show", "-i", staff, *option)
        assert message in said and "s3cret" not in said
        assert said == refusal("run", "-i", staff, *option)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("resolve: [x]", "x: write it as HOST:PORT=ADDR:PORT"),
            ("trust_spki: [x]", "x: not the base64 SHA-256 of a public key"),
            ("proxy: http://ann:s3cret@proxy:1", "leave user and password out"),
            ("state: ~nobody-here/x", "no such user on this machine"),
            ("forks: true", "forks: must be a whole number"),
            ('forks: "4"', "forks: must be a whole number"),
            ("forks: 99", "forks: must be 64 or less"),
            ("breaker: {visits: 0}", "breaker.visits: must be 1 or more"),
        ],
    )
    def test_a_mistake_in_the_file_is_told_with_its_line(self, staff: str, line: str, message: str) -> None:
        """Not by an option that nobody has given."""
        Path(staff).with_name("fleet.yml").write_text(f"version: 1\n{line}\n")
        said = refusal("config", "show", "-i", staff)
        assert f"fleet.yml:2: {message}" in said or f"fleet.yml:2: {line.split()[-1]}: {message}" in said
        assert "s3cret" not in said


@AFTER_READING
class TestNotify:
    @pytest.fixture
    def hook(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
        with webhook() as hook:
            monkeypatch.setenv("SSL_CERT_FILE", hook.certificate)
            yield hook

    def test_a_run_that_could_not_begin_is_told(self, staff: str, hook: Webhook) -> None:
        """Somebody waits for it; the sentence, which may quote the inventory, stays here."""
        said = refusal("run", "-i", staff, "-l", "nobody", "--notify", hook.url)
        assert "nobody" in said
        [notice] = hook.notices
        assert (notice["event"], notice["exit_code"], notice["type"]) == ("run.not_begun", 2, "failure")
        assert (notice["run_id"], notice["counts"], notice["drifted"], notice["not_looked_at"]) == (
            None,
            {},
            None,
            None,
        )
        assert b"nobody" not in hook.raw[0] and staff.encode() not in hook.raw[0]

    def test_a_plan_tells_nobody(self, staff: str, hook: Webhook) -> None:
        """It is for the one who asked."""
        fleet("run", "-i", staff, "--plan", "--notify", hook.url)
        fleet("run", "-i", staff, "--plan", "-l", "nobody", "--notify", hook.url)
        assert hook.raw == []

    def test_one_that_cannot_be_told_is_an_error_of_the_tool(self, staff: str) -> None:
        """Said on stderr and in the JSON object, without what is secret; the exit code is 1."""
        secret = Path(staff).with_name("notify.txt")
        secret.write_text("https://robot:s3cretT0ken@localhost:1/s3cretT0ken\n")
        secret.chmod(0o600)
        arguments = ("run", "-i", staff, "-l", "nobody", "--notify-file", str(secret), "--output", "json")
        done = fleet(*arguments)
        assert done.returncode == 1
        report = json.loads(done.stdout)
        assert report["exit_code"] == 1 and "nobody" in report["errors"][0]["message"]
        told = f"{secret}:1: https://localhost:1/… was not notified: it refused the connection; check that it is up."
        assert [one["message"] for one in report["errors"][1:]] == [told]
        assert f"Error: {told}" in done.stderr
        assert "s3cretT0ken" not in done.stdout + done.stderr


class TestAuditShow:
    def test_filters_choose_and_what_is_not_there_is_said(self) -> None:
        """A run of somebody without a mandate is in the log; an unknown run, employee or empty log is refused."""
        fleet("init")
        assert "There is no audit log" in refusal("audit", "show", "--rehearsal")
        done = fleet("run", "-i", str(ROOT / "inventory.example.yml"), "-l", "ciara.byrne")
        assert done.returncode == 3, done.stderr
        shown = fleet("audit", "show", "--rehearsal", "--run", "last", "--outcome", "no_mandate", "--with-names").stdout
        assert "ciara.byrne" in shown
        assert "no_mandate_given" in shown
        assert "run.started" not in shown
        assert "The log has no run 'nope'" in refusal("audit", "show", "--rehearsal", "--run", "nope")
        assert "no records of 'dora'" in refusal("audit", "show", "--rehearsal", "--employee", "dora")


@AFTER_READING
class TestMandates:
    def test_a_name_that_nobody_has_is_refused(self, staff: str) -> None:
        """A mistyped name must not leave anybody believing that a mandate is over; nothing is changed."""
        fleet("init")
        for given in ((), ("-i", staff)):
            said = refusal("mandates", "revoke", "ana.keller", *given)
            assert "'ana.keller' is not in the log of" in said and "nothing was revoked" in said
            assert "--unknown" in said and ("staff.yml" in said) is bool(given)
        assert fleet("mandates", "list").stdout == "There are no mandates.\n"

    def test_a_name_of_the_inventory_is_revoked_in_the_state_that_is_named(self, staff: str) -> None:
        """No run need have met her."""
        fleet("init")
        done = fleet("mandates", "revoke", "anna.keller", "-i", staff)
        state = Path.home() / ".local/state/fleet"
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"The mandate of anna.keller is revoked as of now, in the state directory {state}.\n"
        assert "anna.keller" in fleet("mandates", "list").stdout
        assert str(state) in fleet("mandates", "renew", "anna.keller", "--reference", "M-2").stdout

    def test_what_is_unknown_is_revoked_where_that_is_meant(self, staff: str) -> None:
        """Also where the inventory cannot be read: then a mandate must be over all the same."""
        fleet("init")
        Path(staff).write_text("all: [")
        said = refusal("mandates", "revoke", "anna.keller", "-i", staff)
        assert "Nothing was revoked; --unknown revokes without checking the name." in said
        assert fleet("mandates", "revoke", "anna.keller", "-i", staff, "--unknown").returncode == 0
        assert "anna.keller" in fleet("mandates", "list").stdout
