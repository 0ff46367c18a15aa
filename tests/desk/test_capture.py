"""`fleet sessions capture`: a person signs in in a plain window, and nothing of it stays but the sealed session."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import sync_playwright

from fleet.browser.find_browser import find_browser, find_window_browser
from fleet.browser.network import Network
from fleet.desk.private_profile import MEMORY
from fleet.orphans import SIGN_IN
from fleet.paths import StateDir
from fleet.recipes.catalog import load_catalog
from fleet.rehearsal.process import RehearsalAccount, start_rehearsal
from fleet.rehearsal.world import read_world
from fleet.sessions.store import SessionStore, read_identity
from tests.commands import FLEET, fleet
from tests.conftest import ROOT
from tests.desk.screen import Screen, screen
from tests.inventories import at_linkedin
from tests.playbook.helpers import records, state, wait_until
from tests.sizes import cases

pytestmark = pytest.mark.xdist_group("desk")  # what is left in memory is looked for on the whole machine
OURS = {"fleet_accounts": {"intranet": {"profile": "press.office", "owner": "company"}}}
STAFF = {
    "all": {
        "vars": {"fleet_rehearsal": True},
        "hosts": {
            "press.office": OURS,
            "anna.keller": at_linkedin("anna.keller"),
            "brian.walsh": at_linkedin("brian.walsh"),
        },
    }
}
SETTINGS = "Privacy settings"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """A display, and a folder with the inventory; temporary files and everything else are in this test's folder."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    # Would have it write the keys of its connections, and be automated.
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    monkeypatch.setenv("CHROMIUM_FLAGS", "--remote-debugging-port=0")
    monkeypatch.chdir(tmp_path)
    Path("staff.json").write_text(json.dumps(STAFF), "utf-8")
    with screen() as display:
        monkeypatch.setenv("DISPLAY", display.display)
        yield display


@contextmanager
def capturing(employee: str, service: str) -> Iterator[subprocess.Popen[str]]:
    """A capture that runs; at the end it is killed if it still does."""
    command = [str(FLEET), "sessions", "capture", "-i", "staff.json", employee, service]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """The exit code of a capture, what it printed, and what it said."""
    said, told = process.communicate(timeout=90)
    return process.returncode, said, " ".join(told.split())


def browsers(process: subprocess.Popen[str]) -> dict[int, str]:
    """The command lines of the capture's processes that have the private profile, by process id."""
    found = {}
    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                line = " ".join(child.cmdline())
                if SIGN_IN in line and "--type=" not in line and "crashpad" not in line:
                    found[child.pid] = line
    return found


def token(employee: str, service: str) -> str:
    """The marker: the cookie's value that the rehearsed service gives to this account."""
    return str(read_world(state() / "rehearsal-world.json")[employee, service]["token"])


def sealed(employee: str, service: str) -> dict[str, float]:
    """The cookies of a stored session that are the marker, with their expiry."""
    places = StateDir(state())
    identity = read_identity(Path(os.environ["HOME"]) / ".config/fleet/rehearsal-identity.txt")
    opened = SessionStore(places).open(employee, load_catalog(rehearsal=True).recipes[service], identity)
    assert opened is not None
    marker = token(employee, service)
    return {cookie.name: cookie.expires for cookie in opened.state.cookies if cookie.value == marker}


def where(marker: bytes, *folders: Path) -> list[str]:
    """The files below these folders that hold a marker."""
    found = []
    for folder in folders:
        for path in folder.rglob("*"):
            with suppress(OSError):
                if path.is_file() and not path.is_symlink() and marker in path.read_bytes():
                    found.append(path.name)
    return found


def encrypted_cookies(process: subprocess.Popen[str], tmp_path: Path) -> list[bytes]:
    """What Chromium has written of cookies into the capture's private profile, as it wrote it."""
    [profile] = {found for line in browsers(process).values() for found in re.findall(r"--user-data-dir=(\S+)", line)}
    [database] = Path(profile).rglob("Cookies")
    copied = Path(shutil.copy(database, tmp_path / "copy.sqlite"))
    with closing(sqlite3.connect(copied)) as cookies:
        values = [bytes(value) for (value,) in cookies.execute("SELECT encrypted_value FROM cookies")]
    copied.unlink()
    return values


@dataclass(frozen=True)
class SignIn:
    """An account, what its owner enters, the page that they see then, and the session that is stored."""

    employee: str
    service: str
    name: str
    profile: str
    lands: str
    keep: bool
    cookies: dict[str, bool]
    """The stored cookies that carry the marker, and whether they last."""


OF_THE_COMPANY = SignIn(
    "press.office", "intranet", "People Portal", "press.office", SETTINGS, keep=False, cookies={"portal_session": False}
)
AT_LINKEDIN = SignIn(
    "anna.keller", "linkedin", "LinkedIn", "anna-keller", "Data for", keep=True, cookies={"li_at": True}
)


def signs_in(who: SignIn, desk: Screen, _folder: Path) -> None:
    """The form accepts it, as `navigator.webdriver` is false; the session is sealed, and nothing else is kept."""
    with capturing(who.employee, who.service) as process:
        desk.wait_for("Sign in")
        [window] = browsers(process).values()
        for switch in ("remote-debugging", "enable-automation", "headless", "test-type", "enable-logging"):
            assert switch not in window
        assert f"--user-data-dir={MEMORY}/{SIGN_IN}" in window
        children = psutil.Process(process.pid).children(recursive=True)
        assert not any("run-driver" in child.cmdline() for child in children)  # Playwright's
        desk.sign_in(who.profile, who.lands, keep=who.keep)
        desk.close_window()
        code, said, told = ended(process)
    assert (code, told) == (
        0,
        f"Sign in to {who.name} in the window of {find_window_browser().name}, then close the window.",
    )
    assert said == f"Sealed the session of {who.employee} at {who.name} in the state directory {state()}.\n"
    [record] = [one for one in records() if one["event"] == "session.captured"]
    assert (record["service"], record["operator"]) == (who.service, os.getuid())
    is_lasting = {name: expires > 1_800_000_000 for name, expires in sealed(who.employee, who.service).items()}
    assert is_lasting == who.cookies
    found = where(token(who.employee, who.service).encode(), MEMORY, Path("home"), Path("tmp"))
    assert found == ["rehearsal-world.json"]  # the service's own memory
    assert not Path("keys.log").exists()
    # Where a browser would store the memory of a process that crashed.
    assert not Path("home/.config/chromium").exists()


Happens = Callable[[Screen, subprocess.Popen[str]], None]


def another_person(desk: Screen, _process: subprocess.Popen[str]) -> None:
    desk.sign_in("brian-walsh", "Data for")
    desk.close_window()


def closed_early(desk: Screen, _process: subprocess.Popen[str]) -> None:
    desk.wait_for("Sign in")
    desk.close_window()


def killed_browser(desk: Screen, process: subprocess.Popen[str]) -> None:
    desk.wait_for("Sign in")
    for browser in browsers(process):
        os.kill(browser, signal.SIGKILL)


def interrupted(desk: Screen, process: subprocess.Popen[str]) -> None:
    desk.wait_for("Sign in")
    process.send_signal(signal.SIGINT)


def terminated(desk: Screen, process: subprocess.Popen[str]) -> None:
    desk.wait_for("Sign in")
    process.terminate()


def fails(happens: Happens, code: int, why: str, desk: Screen, _folder: Path) -> None:
    """It is said in a sentence; the session that was stored before is as it was, and the profile is gone."""
    with capturing("anna.keller", "linkedin") as process:
        happens(desk, process)
        ended_with, said, told = ended(process)
    assert (ended_with, said) == (code, "")
    browser = find_window_browser().name
    expected = f"Sign in to LinkedIn in the window of {browser}, then close the window. {why.format(browser=browser)}"
    assert told == expected.strip()
    assert [one for one in records() if one["event"] == "session.captured"] == []
    [before] = sealed("anna.keller", "linkedin").values()  # as the rehearsal made it
    assert before > 1_800_000_000
    assert where(token("anna.keller", "linkedin").encode(), MEMORY, Path("tmp")) == []


Kill = Callable[[Screen, subprocess.Popen[str], Path], list[bytes]]
"""Has a capture killed at some moment; returns what of the sign-in was found in memory before."""


def fleet_before_the_sign_in(desk: Screen, process: subprocess.Popen[str], _folder: Path) -> list[bytes]:
    desk.wait_for("Sign in")
    return killed(process)


def fleet_after_the_sign_in(desk: Screen, process: subprocess.Popen[str], _folder: Path) -> list[bytes]:
    desk.sign_in("press.office", SETTINGS)
    return killed(process)


def fleet_while_it_reads_the_profile(desk: Screen, process: subprocess.Popen[str], folder: Path) -> list[bytes]:
    """The window is closed, and a second browser has the profile with its cookies on tmpfs."""
    desk.sign_in("press.office", SETTINGS)
    desk.close_window()
    wait_until(lambda: any("debugging-pipe" in line for line in browsers(process).values()))
    encrypted = encrypted_cookies(process, folder)
    assert [where(one, MEMORY) for one in encrypted] == [["Cookies"]]
    return [*encrypted, *killed(process)]


def the_browser_that_reads_the_profile(desk: Screen, process: subprocess.Popen[str], _folder: Path) -> list[bytes]:
    desk.sign_in("press.office", SETTINGS)
    desk.close_window()
    wait_until(lambda: any("debugging-pipe" in line for line in browsers(process).values()))
    for browser in browsers(process):
        os.kill(browser, signal.SIGKILL)
    code, _, told = ended(process)
    assert code == 1
    assert "Nothing was stored; run 'fleet doctor'." in told
    return []


def killed(process: subprocess.Popen[str]) -> list[bytes]:
    """Kill a capture; its browsers end with it."""
    children = list(browsers(process))
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(psutil.pid_exists, children)), 10)
    return []


def is_killed(kill: Kill, desk: Screen, folder: Path) -> None:
    """After the next command, neither the marker nor what Chromium made of it is anywhere, in memory or on disk."""
    with capturing("press.office", "intranet") as process:
        markers = kill(desk, process, folder)
    markers.append(token("press.office", "intranet").encode())
    fleet("sessions", "list", "-i", "staff.json", "--rehearsal")
    for path in (folder / "home").rglob("rehearsal-world.*"):
        path.unlink()  # the service's own memory; it may have written it until it ended, too
    assert [where(marker, MEMORY, folder) for marker in markers] == [[]] * len(markers)


SCENES = {
    "a company's account": partial(signs_in, OF_THE_COMPANY),
    "at LinkedIn": partial(signs_in, AT_LINKEDIN),
    "another person": partial(
        fails,
        another_person,
        3,
        "Error: Someone other than anna.keller (anna-keller) signed in to LinkedIn. Nothing was stored.",
    ),
    "closed early": partial(
        fails,
        closed_early,
        3,
        "Error: Nobody signed in to LinkedIn before the window was closed; nothing was stored. Run again, and close "
        "the window once signed in.",
    ),
    "browser killed": partial(
        fails,
        killed_browser,
        1,
        "Error: {browser} was killed (signal 9), so its sign-in is incomplete; nothing was stored. Check the display "
        "and the browser with 'fleet doctor', then run again.",
    ),
    "interrupted": partial(fails, interrupted, 130, ""),
    "terminated": partial(fails, terminated, 143, ""),
    "killed before the sign-in": partial(is_killed, fleet_before_the_sign_in),
    "killed after the sign-in": partial(is_killed, fleet_after_the_sign_in),
    "killed while it reads the profile": partial(is_killed, fleet_while_it_reads_the_profile),
    "reading browser killed": partial(is_killed, the_browser_that_reads_the_profile),
}


@pytest.mark.parametrize("scene", cases(SCENES, ["a company's account"]))
def test_nothing_of_a_sign_in_stays_but_the_sealed_session(desk: Screen, tmp_path: Path, scene: str) -> None:
    """With a display and a person's keys: a sign-in that succeeds, that fails, and that is killed at any moment."""
    SCENES[scene](desk, tmp_path)


def test_the_same_form_refuses_an_automated_browser() -> None:
    """Else the form would prove nothing of the plain window."""
    who = RehearsalAccount("press.office", "intranet", "press.office", "Press Office", "en", "switched_on")
    with start_rehearsal([who]) as rehearsal, sync_playwright() as playwright:
        network = Network(dict(rehearsal.resolve), (rehearsal.spki,))
        browser = playwright.chromium.launch(
            executable_path=find_browser().path, args=network.arguments(rehearsal.resolve)
        )
        page = browser.new_page()
        page.goto("https://people.intranet.example/sign-in")
        page.fill("#username", "press.office")
        with page.expect_navigation() as navigation:
            page.press("#username", "Enter")
        assert navigation.value.status == 403
        assert page.inner_text("body") == "This browser or app may not be secure."
        browser.close()


def test_the_programs_are_installed_for_tests() -> None:
    """Where tests start from nothing, programs.sh installs what a display needs."""
    text = (ROOT / "tests/programs.sh").read_text("utf-8")
    assert all(f"command -v {name} >/dev/null" in text for name in ("Xvfb", "xdotool", "chromium"))
