"""The whole pipeline against a site that nobody here wrote: real command, Ansible Runner, Chromium and Wagtail.

Whether it did what it says is read in Wagtail's own database, not on its pages.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.contract.wagtail.harness import WagtailSite, install, make_users
from tests.sizes import sizes

FLEET = Path(sys.executable).parent / "fleet"
RECIPES = ROOT / "tests" / "contract" / "wagtail" / "recipes"
INSTALLATION = ROOT / ".venv" / "wagtail"  # kept between runs, and gone with `make clean`
pytestmark = pytest.mark.xdist_group("wagtail")

SESSION_OF = {"somebody.else": "user02", "no.mandate": "user02"}
ACCOUNT_OF = {"somebody.else": "user01", "no.mandate": "user02", "no.session": "user03"}
"""Three more employees, group `stopped`: all of these accounts are ticked, and none of them may be touched."""

Preferences = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Size:
    """How many are offered the checkbox, who of them have unticked it before, and how many are not offered it.

    The first seven have a language each; the second reads from right to left.
    """

    moderators: int
    opted_out: tuple[int, ...]
    editors: int
    checked: str
    """Who is visited in check mode: an editor, one who has unticked it, and others."""

    @property
    def ticked(self) -> list[str]:
        """Whose checkbox is ticked when the site starts."""
        return [f"user{number:02}" for number in range(1, self.moderators + 1) if number not in self.opted_out]


SMALL = Size(4, (4,), 1, "user03:user04:editor01")
FULL = Size(20, (5, 10, 15, 20), 2, "user0*:editor01")


@dataclass(frozen=True)
class Run:
    """What one `fleet run` said, and what was in the site's database after it."""

    exit_code: int
    report: dict[str, Any]
    preferences: Preferences
    saves: dict[str, int]

    @property
    def outcomes(self) -> dict[str, tuple[str, str | None]]:
        """Outcome and reason by employee."""
        return {row["employee"]: (row["outcome"], row["reason"]) for row in self.report["results"]}


@dataclass(frozen=True)
class Story:
    """What happened to one fresh site of a size, in this order."""

    size: Size
    untouched: Preferences
    stopped: Run
    check: Run
    first: Run
    second: Run


class Company:
    """Employees of the site's users, with an inventory, a state directory and an identity in a folder of their own."""

    def __init__(self, site: WagtailSite, folder: Path) -> None:
        self._site = site
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("FLEET_", "XDG_", "ANSIBLE_"))
        }
        # Where browsers are looked for does not move with the home.
        browsers = {"PLAYWRIGHT_BROWSERS_PATH": str(Path.home() / ".cache" / "ms-playwright")}
        chosen = {"FLEET_BROWSER": os.environ.get("FLEET_BROWSER", "")}
        self._environment = browsers | kept | chosen | {"HOME": str(folder)}
        self.state, self.identity = folder / "state", folder / "keys" / "identity.txt"
        self._inventory, exported = folder / "inventory.yml", folder / "exported"
        self._inventory.write_text(yaml.safe_dump(self._employees()), "utf-8")
        self.storage_states = {name: site.storage_state(user) for name, user in site.users.items()}
        exported.mkdir(mode=0o700)
        for employee, user in ({name: name for name in site.users} | SESSION_OF).items():
            (exported / f"{employee}.wagtail.json").write_text(json.dumps(self.storage_states[user]), "utf-8")
        self._fleet("init", "--state", self.state, "--identity", self.identity).check_returncode()
        places = ("-i", self._inventory, "--recipes", RECIPES, "--state", self.state)
        self._fleet("sessions", "import", *places, "--from", exported).check_returncode()

    def _employees(self) -> dict[str, Any]:
        today, hosts = datetime.now(UTC), {}
        for employee, name in ({name: name for name in self._site.users} | ACCOUNT_OF).items():
            user = self._site.users[name]
            hosts[employee] = {
                "fleet_email": user.email,
                "fleet_locale": user.language,
                "fleet_accounts": {"wagtail": {"profile": user.email}},
                "fleet_mandate": {
                    "employee": employee,
                    "reference": f"HR-2026-{employee}",
                    "services": ["wagtail"],
                    "granted_on": f"{today - timedelta(days=1):%Y-%m-%d}",
                    "expires_on": f"{today + timedelta(days=2):%Y-%m-%d}",
                },
            }
        del hosts["no.mandate"]["fleet_mandate"]
        stopped = {name: hosts.pop(name) for name in ACCOUNT_OF}
        return {"all": {"children": {"staff": {"hosts": hosts}, "stopped": {"hosts": stopped}}}}

    def run(self, *arguments: str) -> Run:
        """`fleet run` with all that leads to this site."""
        places = ("-i", self._inventory, "--recipes", RECIPES, "--state", self.state, "--identity", self.identity)
        network = ("--resolve", f"{self._site.host}:443={self._site.address}", "--trust-spki", self._site.spki)
        done = self._fleet("run", *places, *network, "--output", "json", *arguments)
        return Run(done.returncode, json.loads(done.stdout), self._site.all_preferences(), self._site.saves())

    def _fleet(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [FLEET, *arguments]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=240, env=self._environment)


@pytest.fixture(scope="module", params=sizes(SMALL, FULL))
def size(request: pytest.FixtureRequest) -> Size:
    found: Size = request.param
    return found


@pytest.fixture(scope="module")
def site(size: Size, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WagtailSite]:
    """Wagtail with its users."""
    users = make_users(size.moderators, size.opted_out, size.editors)
    with WagtailSite(install(INSTALLATION), tmp_path_factory.mktemp("wagtail") / "site", users) as running:
        yield running


@pytest.fixture(scope="module")
def company(site: WagtailSite, tmp_path_factory: pytest.TempPathFactory) -> Company:
    return Company(site, tmp_path_factory.mktemp("company"))


@pytest.fixture(scope="module")
def story(size: Size, site: WagtailSite, company: Company) -> Story:
    return Story(
        size,
        untouched=site.all_preferences(),
        stopped=company.run("--limit", "stopped"),
        check=company.run("--limit", size.checked, "--check"),
        first=company.run("--limit", "staff"),
        second=company.run("--limit", "staff"),
    )


class TestRun:
    def test_check_mode_says_what_a_run_will_do_and_changes_nothing(self, story: Story) -> None:
        """`--check` finds all who are still in, exits 4, and the database is as it was."""
        counts = {"already_opted_out": 1, "would_opt_out": 1 if story.size == SMALL else 8, "not_offered": 1}
        assert (story.check.report["errors"], story.check.report["counts"]) == ([], counts), story.check.outcomes
        assert story.check.exit_code == 4
        assert (story.check.preferences, story.check.saves) == (story.untouched, {})

    def test_a_run_opts_out_whoever_is_in(self, story: Story) -> None:
        """They are opted out in their languages, others were out, or are not offered it, and all is done."""
        size = story.size
        counts = {"already_opted_out": len(size.opted_out), "opted_out": len(size.ticked), "not_offered": size.editors}
        assert (story.first.report["errors"], story.first.report["counts"]) == ([], counts), story.first.outcomes
        assert story.first.exit_code == story.first.report["exit_code"] == 0
        assert (
            sorted(who for who, (outcome, _) in story.first.outcomes.items() if outcome == "opted_out") == size.ticked
        )

    def test_a_run_changes_those_checkboxes_and_nothing_else(self, story: Story) -> None:
        """The database differs in one column of those people, and each of them was saved once."""
        changes = {
            (who, column): (before, story.first.preferences[who][column])
            for who, columns in story.check.preferences.items()
            for column, before in columns.items()
            if story.first.preferences[who][column] != before
        }
        assert changes == {(who, "submitted_notifications"): (1, 0) for who in story.size.ticked}
        assert story.first.saves == dict.fromkeys(story.size.ticked, 1)

    def test_a_second_run_changes_nothing(self, story: Story) -> None:
        """Run again, all are read out, and nobody's settings are saved again."""
        counts = {"already_opted_out": story.size.moderators, "not_offered": story.size.editors}
        assert (story.second.report["errors"], story.second.report["counts"]) == ([], counts), story.second.outcomes
        assert story.second.exit_code == 0
        assert (story.second.preferences, story.second.saves) == (story.first.preferences, story.first.saves)


class TestWhoIsLeftAlone:
    def test_each_is_told_why(self, story: Story) -> None:
        """Somebody else's session, no mandate and no session are three different answers; people must act: exit 3."""
        assert story.stopped.outcomes == {
            "somebody.else": ("wrong_account", None),
            "no.mandate": ("no_mandate", "no_mandate_given"),
            "no.session": ("sign_in_needed", "no_session"),
        }
        assert (story.stopped.exit_code, story.stopped.report["errors"]) == (3, [])

    def test_nothing_of_theirs_is_changed(self, story: Story) -> None:
        """Neither the account that was meant, nor the one that was signed in, nor anybody's."""
        assert (story.stopped.preferences, story.stopped.saves) == (story.untouched, {})


class TestAuditLog:
    def test_it_adds_up(self, story: Story, company: Company) -> None:
        """Four runs; one intent for each save; one end for each that was planned.

        Each mandate is met once, by the first run that has its employee.
        """
        size = story.size
        staff = size.moderators + size.editors
        planned = len(ACCOUNT_OF) + len(story.check.outcomes) + staff + staff
        [log] = company.state.glob("audit/log/*.jsonl")
        events = Counter(json.loads(line)["event"] for line in log.read_text("utf-8").splitlines())
        assert events == {
            "run.started": 4,
            "run.planned": planned,
            "mandate.met": staff + 2,
            "control.intended": len(size.ticked),
            "control.finished": planned,
            "run.finished": 4,
        }

    def test_it_names_nobody(self, story: Story, company: Company, site: WagtailSite) -> None:
        """No name, no e-mail address, no mandate and no cookie of anybody is in any line."""
        personal = {*ACCOUNT_OF, "HR-2026-"} | set(cookies_of(company))
        for user in site.users.values():
            personal |= {user.username, user.email, user.first_name, user.last_name, user.password}
        [log] = company.state.glob("audit/log/*.jsonl")
        lines = log.read_text("utf-8").casefold()
        assert "wagtail" in lines
        assert [value for value in sorted(personal) if value.casefold() in lines] == []

    def test_no_session_lies_open_in_the_state(self, story: Story, company: Company) -> None:
        """The value of no cookie is in any file of the state directory, whatever the file is for."""
        files = [path for path in company.state.rglob("*") if path.is_file()]
        sessions = story.size.moderators + story.size.editors + len(SESSION_OF)
        assert len([path for path in files if path.suffix == ".age"]) == sessions
        contents = b"\0".join(path.read_bytes() for path in files)
        assert [cookie for cookie in cookies_of(company) if cookie.encode() in contents] == []


def cookies_of(company: Company) -> list[str]:
    """The values of all cookies that were handed over."""
    return [cookie["value"] for state in company.storage_states.values() for cookie in state["cookies"]]
