"""Sign-ins that do not begin: no window opens, and a sentence says why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fleet.browser.find_browser import BrowserProgram
from fleet.desk.browser_policies import require_no_obstacle
from fleet.errors import InputError
from tests.commands import fleet
from tests.confinement.namespace import full_browser
from tests.conftest import ROOT
from tests.inventories import at_linkedin
from tests.sizes import cases

CHROMIUM = BrowserProgram(Path("/usr/bin/chromium"), "Chromium")
OF_NOBODY = {"fleet_accounts": {"linkedin": {"profile": "anna-keller"}}}
TERMS = "terms_accepted: {linkedin: R-1}\n"
POLICIES = {
    "automation": ('{"RemoteDebuggingAllowed": false}', "RemoteDebuggingAllowed forbids automation"),
    "developer tools": ('{"DeveloperToolsAvailability": 2}', "DeveloperToolsAvailability forbids automation"),
    "browser sign-in": ('{"BrowserSignin":2}', "BrowserSignin demands a sign-in to the browser itself"),
}
START = """
import asyncio, sys
from pathlib import Path
from fleet.browser import chromium, profile_state
from fleet.browser.engine import Engine
from fleet.browser.find_browser import BrowserProgram
from fleet.browser.liveness import BrowserGone
from fleet.browser.network import Network
from fleet.desk.private_profile import private_profile
from fleet.recipes.recipe import ANY_COOKIES

async def starts():
    chromium.START_WITHIN = 8.0  # an answer takes 2 s, if there is one
    with private_profile() as profile:
        engine = Engine(BrowserProgram(Path(sys.argv[1]), ""), Network(), sandbox=False)
        try:
            print(await engine.profile_state(profile.folder, (), ANY_COOKIES))
        except BrowserGone as gone:
            print(gone)
        finally:
            await engine.stop()

asyncio.run(starts())
"""


def staff(host: dict[str, Any], config: str = "", **more: object) -> None:
    """Write an inventory with Anna alone, and its fleet.yml, if it has one."""
    Path("staff.json").write_text(json.dumps({"all": {"hosts": {"anna.keller": host}, **more}}), "utf-8")
    if config:
        Path("fleet.yml").write_text(config, "utf-8")


@pytest.fixture(autouse=True)
def without_display(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, without a display."""
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def capture(service: str = "linkedin") -> tuple[int, str]:
    """The exit code of a capture of Anna's session, and what was said."""
    done = fleet("sessions", "capture", "-i", "staff.json", "anna.keller", service)
    assert done.stdout == ""
    return done.returncode, " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("host", "config", "why"),
    [
        (
            at_linkedin("anna.keller"),
            "",
            "Administrator: accept the risk in fleet.yml (terms_accepted), or ask anna.keller to opt out in person.",
        ),
        (
            at_linkedin("anna.keller"),
            TERMS,
            "Ask anna.keller to opt out in person, or allow personal sessions for LinkedIn in fleet.yml "
            "(personal_sessions).",
        ),
        (
            OF_NOBODY,
            f"{TERMS}personal_sessions: {{linkedin: R-2}}\n",
            "Ask anna.keller for a mandate and add it as fleet_mandate.",
        ),
    ],
    ids=["terms", "personal session", "no mandate"],
)
def test_an_account_that_may_not_be_opened_is_refused(host: dict[str, Any], config: str, why: str) -> None:
    """By the same gates as in a run, before anything else is asked of the machine."""
    staff(host, config)
    assert fleet("init").returncode == 0
    assert capture() == (2, f"Error: anna.keller's account at LinkedIn may not be opened. {why}")


def test_a_company_s_account_at_a_personal_service_is_refused() -> None:
    """By LinkedIn's terms an account is the member's, whoever owns it according to the inventory."""
    staff({"fleet_accounts": {"linkedin": {"profile": "anna-keller", "owner": "company"}}})
    assert fleet("init").returncode == 0
    assert capture() == (
        2,
        "Error: anna.keller's data is invalid; 'fleet inventory check' shows the file and field.",
    )


@pytest.mark.parametrize(
    ("service", "why"),
    [
        ("wiki", "There is no recipe for 'wiki'; known services: linkedin, intranet."),
        ("intranet", "anna.keller has no account at intranet in staff.json."),
        (
            "linkedin",
            "There is no display here (DISPLAY and WAYLAND_DISPLAY are not set), so no window can open; run this on a "
            "desktop.",
        ),
    ],
)
def test_what_a_sign_in_needs_is_said(service: str, why: str) -> None:
    """A recipe, an account, and a display."""
    staff(at_linkedin("anna.keller"), vars={"fleet_rehearsal": True})
    assert capture(service) == (2, f"Error: {why}")


class TestPolicies:
    @pytest.mark.parametrize(
        ("text", "what"),
        [
            *POLICIES.values(),
            ('{\n // why\n "DiskCacheDir": "/var/c",}', "DiskCacheDir keeps pages of a private profile on a disk"),
        ],
    )
    def test_one_that_forbids_a_sign_in_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, what: str
    ) -> None:
        """With its file, and what to do."""
        monkeypatch.setattr("fleet.desk.browser_policies._CHROMIUM", (tmp_path,))  # the machine's own stay as they are
        file = tmp_path / "company.json"
        file.write_text(text)
        with pytest.raises(InputError) as refused:
            require_no_obstacle(CHROMIUM)
        assert str(refused.value) == (
            f"{file}: the policy {what}; exempt this machine from it, or name another browser with FLEET_BROWSER."
        )

    def test_others_are_no_obstacle(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nor are other values, comments, and another browser's policies."""
        monkeypatch.setattr("fleet.desk.browser_policies._CHROMIUM", (tmp_path,))
        monkeypatch.setattr("fleet.desk.browser_policies._CHROME", (tmp_path / "chrome",))
        monkeypatch.setattr("fleet.desk.browser_policies._EDGE", (tmp_path / "edge",))
        for name in ("chrome", "edge"):
            (tmp_path / name).mkdir()
        (tmp_path / "company.json").write_text(
            '{"RemoteDebuggingAllowed": true, "BrowserSignin": 1, "HomepageLocation": "https://company.example"}\n'
            '// "DeveloperToolsAvailability": 2'
        )
        require_no_obstacle(CHROMIUM)
        (tmp_path / "chrome" / "company.json").write_text('{"BrowserSignin": 2}')
        require_no_obstacle(CHROMIUM)
        require_no_obstacle(BrowserProgram(Path("/usr/bin/microsoft-edge-stable"), "Microsoft Edge"))
        with pytest.raises(InputError):
            require_no_obstacle(BrowserProgram(Path("/usr/bin/google-chrome"), "Google Chrome"))

    @pytest.mark.parametrize("policy", cases(["none", *POLICIES], ["none"]))
    def test_the_browser_really_obeys_it(self, tmp_path: Path, policy: str) -> None:
        """Chromium with the policy where Debian has it, in a mount namespace, so that the machine's own stay."""
        if os.geteuid() != 0:
            pytest.skip("needs root: a mount over /etc/chromium")
        browser = full_browser()
        if browser != "chromium":
            pytest.skip("needs Debian's Chromium (Debian: chromium)")
        managed = tmp_path / "policies" / "managed"
        managed.mkdir(parents=True)
        (managed / "company.json").write_text(POLICIES[policy][0] if policy in POLICIES else "{}")
        script = tmp_path / "start.py"
        script.write_text(START)
        command = f"mount --bind {tmp_path} /etc/chromium && exec {sys.executable} {script} /usr/bin/chromium"
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
        )
        answer = "{'cookies': [], 'origins': []}"
        assert done.stdout.strip() == (
            answer if policy == "none" else "the browser does not start on it, perhaps by a policy"
        )
