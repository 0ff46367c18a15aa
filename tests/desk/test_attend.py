"""`fleet attend`: employees sit at a display, sign in themselves, and answer what the screen asks."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from fleet.audit import records as schema
from fleet.authority.given import GivenMandates
from fleet.desk.private_profile import MEMORY
from fleet.orphans import SIGN_IN
from fleet.paths import StateDir, runtime_dir
from fleet.portal.mandate_text import mandate_text
from fleet.rehearsal.world import read_world
from fleet.settings.resolve import Given, resolve_settings
from fleet.state.appointments import Appointment, Appointments
from fleet.state.create import make_state
from tests.commands import FLEET, fleet
from tests.desk.screen import Screen, screen
from tests.playbook.helpers import Process, processes, records, state, stored, wait_until
from tests.sizes import FULL, cases

pytestmark = pytest.mark.xdist_group("desk")

AGREE, SIGNING_IN, READING, ALLOW = "Dürfen wir", "Melden Sie sich", "Ihre Einstellungen", "Diese Änderung"
AGAIN, OTHER, CHALLENGED, THANKS = "Sie sind noch nicht", "Jemand anderes", "LinkedIn verlangt", "Vielen Dank"
"""What the screen's window is called, in the employee's language."""
PAGE = "Daten zur Verbesserung"


def personal(name: str, case: str = "switched_on") -> dict[str, Any]:
    """Somebody with a personal account and no mandate."""
    return {
        "fleet_locale": "de",
        "fleet_country": "DE",
        "fleet_accounts": {"linkedin": {"profile": name.replace(".", "-"), "name": name.title()}},
        "fleet_rehearsal_case": {"linkedin": case},
    }


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """A display, a folder with inventory and settings, and open appointments of two people."""
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.chdir(tmp_path)
    lay_out({"anna.keller": personal("anna.keller"), "brian.walsh": personal("brian.walsh")})
    with screen() as display:
        monkeypatch.setenv("DISPLAY", display.display)
        yield display


def lay_out(hosts: dict[str, Any]) -> None:
    """Write the inventory, an approved text, and an open appointment of each of these."""
    Path("staff.json").write_text(json.dumps({"all": {"vars": {"fleet_rehearsal": True}, "hosts": hosts}}))
    Path("texts").mkdir(exist_ok=True)
    text = mandate_text("de", "Example AG", "privacy@example.com")
    Path("texts/mandate.de.txt").write_text(text)
    approved = {"de": {"version": "1", "sha256": hashlib.sha256(text.encode()).hexdigest()}}
    settings = {"mandate_texts": "texts", "desk": {"countries": ["DE"], "texts": approved}}
    Path("fleet.yml").write_text(json.dumps({"inventory": "staff.json", **settings}))
    found = resolve_settings(Given(inventory=("staff.json",))).of_kind(rehearsal=True)
    make_state(found.state_dir, found.identity, found.log_key, rehearsal=True)
    for name in hosts:
        appointments().put(Appointment(employee=name, asked_at=datetime.now(UTC)))


def appointments() -> Appointments:
    return Appointments(StateDir(state()).appointments)


@contextmanager
def attending(*options: str) -> Iterator[subprocess.Popen[str]]:
    """`fleet attend` for Anna Keller, killed at the end if it still runs."""
    command = [str(FLEET), "attend", "--yes", "-l", "anna.keller", "--output", "json", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, list[tuple[str, str | None]], str]:
    """The exit code, how each control ended, and what was said to the operator."""
    told, said = process.communicate(timeout=120)
    report = json.loads(told)
    results = [(one["outcome"], one["reason"]) for run in report["runs"] for one in run["results"]]
    return process.returncode, results, " ".join(said.split())


def agree(desk: Screen) -> None:
    """Tick the one setting, and agree; keys that were lost are pressed again."""
    desk.wait_for(AGREE)

    def is_agreed() -> bool:
        desk.click(60, 125)
        desk.press("Tab", "space", "Tab", "Tab", "Return")
        try:
            wait_until(lambda: not desk.shows(AGREE), 10)
        except AssertionError:
            return False
        return True

    wait_until(is_agreed, 60)


def agree_and_sign_in(desk: Screen, profile: str = "anna-keller") -> None:
    """Tick the one setting, agree, and sign in."""
    agree(desk)
    sign_in(desk, profile)


def sign_in(desk: Screen, profile: str = "anna-keller") -> None:
    """Sign in in the plain window, and close it."""
    desk.wait_for(SIGNING_IN)
    desk.wait_for("Sign in|Sign In")
    desk.click(1000, 880)
    desk.sign_in(profile, PAGE)
    desk.close_window()


def marker() -> bytes:
    """The cookie's value that the rehearsed service gives to Anna Keller."""
    return str(read_world(state() / "rehearsal-world.json")["anna.keller", "linkedin"]["token"]).encode()


def places_of(sign: bytes, *folders: Path) -> list[Path]:
    """Files below these folders that hold the sign, but for the rehearsal's own truth."""
    found = []
    for folder in folders:
        # os.walk passes over folders that vanish meanwhile.
        for path in (Path(root) / name for root, _, names in os.walk(folder) for name in names):
            with suppress(OSError):
                if path.is_file() and "rehearsal-world" not in path.name and sign in path.read_bytes():
                    found.append(path)
    return found


def running() -> list[Process]:
    """Processes of this test, but for the display."""
    return [process for process in processes() if not process.command.startswith("Xvfb")]


def profiles() -> list[Path]:
    """The folders of sign-ins on this machine."""
    return [path for path in MEMORY.iterdir() if SIGN_IN in path.name]


class TestVisit:
    def test_who_agrees_signs_in_and_allows_is_opted_out_and_nothing_is_kept(
        self, desk: Screen, tmp_path: Path
    ) -> None:
        """With a mandate of the desk, records that say so, and a receipt; no session, no cookie, no profile is left."""
        with attending("--receipts", str(tmp_path)) as process:
            agree_and_sign_in(desk)
            desk.wait_for(ALLOW)
            assert stored()["anna.keller", "linkedin", "ai_training"] == ("in", 0)
            desk.click(900, 300)  # into the service's window, which hears nothing
            desk.press("Tab", "space")
            desk.choose(ALLOW, 1)
            desk.choose(THANKS, 1)
            code, results, said = ended(process)
        assert (code, results) == (0, [("opted_out", None)]), said
        assert "LinkedIn: the screen asks: Allow?" in said
        assert stored()["anna.keller", "linkedin", "ai_training"] == ("out", 1)
        by_event = {record["event"]: record for record in records()}
        assert by_event[schema.RUN_STARTED]["attended"] is True
        intent, end = by_event[schema.CONTROL_INTENDED], by_event[schema.CONTROL_FINISHED]
        assert (intent["attended"], intent["assurance"], end["attended"]) == (True, "desk", True)
        [given] = GivenMandates(StateDir(state()).mandates).of("anna.keller").mandates
        assert by_event[schema.MANDATE_GIVEN]["text_sha256"] == given.instruction.text.sha256
        receipt = (tmp_path / "anna.keller.receipt.txt").read_text()
        assert "Ihr eigener Auftrag, persönlich vor Ort erteilt" in receipt  # codespell:ignore
        assert appointments().of("anna.keller") is None and appointments().of("brian.walsh") is not None
        assert profiles() == [] and list((state() / "sessions").iterdir()) == []
        wait_until(lambda: running() == [])
        assert places_of(marker(), MEMORY, tmp_path, runtime_dir()) == []
        assert fleet("audit", "verify", "--rehearsal").returncode == 0
        left = json.loads(fleet("attend", "--list", "--output", "json").stdout)
        assert [one["employee"] for one in left["attended"]] == ["brian.walsh"]


def decline(desk: Screen) -> None:
    """Sign in, and leave the setting as it is."""
    agree_and_sign_in(desk)
    desk.choose(ALLOW, 2)
    desk.choose(THANKS, 1)


def not_agree(desk: Screen) -> None:
    """Agree to nothing."""
    desk.wait_for(AGREE)
    desk.click(60, 125)
    desk.press("Tab", "Tab", "Tab", "Tab", "Return")


def close_early(desk: Screen) -> None:
    """Close the window without signing in, try again, close it again, and end there."""
    agree(desk)
    desk.wait_for("Sign In|Sign in")
    desk.click(1000, 880)
    desk.close_window()
    desk.choose(AGAIN, 1)
    desk.wait_for("Sign In|Sign in")
    desk.click(1000, 880)
    desk.close_window()
    desk.choose(AGAIN, 2)
    desk.choose(THANKS, 1)


def end_while_signing_in(desk: Screen) -> None:
    """End the visit on the screen; the open window is closed."""
    agree(desk)
    desk.wait_for("Sign In|Sign in")
    desk.choose(SIGNING_IN, 1)


def close_the_visit(desk: Screen) -> None:
    """Close the service's window while the screen asks."""
    agree_and_sign_in(desk)
    desk.wait_for(READING)
    desk.wait_for(PAGE)
    desk.click(900, 12)
    desk.close_window()


def other_to_the_end(desk: Screen) -> None:
    """Somebody else's account is signed in, twice."""
    agree_and_sign_in(desk)
    desk.choose(OTHER, 1)
    sign_in(desk)
    desk.choose(OTHER, 2)
    desk.choose(THANKS, 1)


Acts = Callable[[Screen], None]
WAYS: dict[str, tuple[Acts, tuple[str, str | None]]] = {
    "decline": (decline, ("no_mandate", "not_allowed")),
    "not_agree": (not_agree, ("no_mandate", "no_mandate_given")),
    "close_early": (close_early, ("sign_in_needed", "no_session")),
    "close_the_visit": (close_the_visit, ("no_mandate", "not_allowed")),
    "end_while_signing_in": (end_while_signing_in, ("no_mandate", "not_allowed")),
    "other_to_the_end": (other_to_the_end, ("wrong_account", None)),
}


@pytest.mark.parametrize("way", cases(WAYS, ["other_to_the_end"]))
def test_what_the_employee_decides_is_what_happens(desk: Screen, way: str) -> None:
    """Nothing is touched, stored or left without their yes, and another person's account is not read."""
    acts, expected = WAYS[way]
    if acts is other_to_the_end:
        lay_out({"anna.keller": personal("anna.keller", "other_person")})
    with attending() as process:
        acts(desk)
        code, results, said = ended(process)
    assert (code, results) == (3, [expected]), said
    assert stored()["anna.keller", "linkedin", "ai_training"] == ("in", 0)
    assert profiles() == [] and list((state() / "sessions").iterdir()) == []


@pytest.mark.parametrize("case", [pytest.param("challenge_code", marks=FULL), "switched_on"])
def test_a_challenge_is_left_to_the_person(desk: Screen, case: str) -> None:
    """They answer it in the service's window, press Continue, and the visit goes on; without one nothing is asked."""
    lay_out({"anna.keller": personal("anna.keller", case)})
    with attending("--check") as process:
        agree(desk)
        desk.wait_for("Sign In|Sign in")
        desk.click(1000, 880)
        desk.sign_in("anna-keller", "Security Verification" if case == "challenge_code" else PAGE)
        desk.close_window()
        if case == "challenge_code":
            desk.wait_for(CHALLENGED)
            desk.click(800, 300)
            desk.press("Tab")
            desk._do("type", "--delay", "20", "123456")
            desk.press("Return")
            desk.wait_for(PAGE)
            desk.choose(CHALLENGED, 1)
        desk.choose(THANKS, 1)
        code, results, said = ended(process)
    assert (code, results) == (4, [("would_opt_out", None)]), said
    assert ("asks for the person" in said) is (case == "challenge_code")


def agent_of(process: subprocess.Popen[str]) -> psutil.Process:
    """The agent of a run."""
    return next(one for one in psutil.Process(process.pid).children(recursive=True) if "agent" in one.cmdline())


def own_browser(process: subprocess.Popen[str]) -> psutil.Process:
    """The browser that shows the visit."""
    return next(
        one
        for one in psutil.Process(process.pid).children(recursive=True)
        if "--remote-debugging-pipe" in one.cmdline() and not any("--type=" in word for word in one.cmdline())
    )


def plain_browser(process: subprocess.Popen[str]) -> psutil.Process:
    """The plain window in which the person signs in."""
    return next(
        one
        for one in psutil.Process(process.pid).children(recursive=True)
        if any(SIGN_IN in word for word in one.cmdline()) and not any("--type=" in word for word in one.cmdline())
    )


def itself(process: subprocess.Popen[str]) -> psutil.Process:
    """`fleet attend`."""
    return psutil.Process(process.pid)


KILLED = {
    "fleet while signing in": (itself, SIGNING_IN),
    "agent while signing in": (agent_of, SIGNING_IN),
    "window while signing in": (plain_browser, SIGNING_IN),
    "fleet while asking": (itself, ALLOW),
    "agent while asking": (agent_of, ALLOW),
    "browser while asking": (own_browser, ALLOW),
}


@pytest.mark.parametrize("killed", cases(KILLED, ["agent while signing in"]))
def test_whatever_is_killed_the_next_command_leaves_nothing(desk: Screen, tmp_path: Path, killed: str) -> None:
    """No process, no profile, no cookie, and an audit log that verifies; nothing was changed at the service."""
    victim, moment = KILLED[killed]
    with attending() as process:
        agree_and_sign_in(desk) if moment == ALLOW else sign_in_half(desk)
        desk.wait_for(moment)
        victim(process).send_signal(signal.SIGKILL)
        if victim in (itself, agent_of):
            process.wait(90)
        else:
            process.terminate()
            process.wait(90)
    assert fleet("attend", "--list").returncode == 0
    fleet("attend", "--yes", "-l", "anna.keller", env={**os.environ, "DISPLAY": ""})
    wait_until(lambda: running() == [] and profiles() == [])
    assert places_of(marker(), MEMORY, tmp_path, runtime_dir()) == []
    assert list((state() / "sessions").iterdir()) == []
    assert stored()["anna.keller", "linkedin", "ai_training"] == ("in", 0)
    assert fleet("audit", "verify", "--rehearsal").returncode == 0


def sign_in_half(desk: Screen) -> None:
    """Sign in, and leave the window open."""
    agree(desk)
    desk.wait_for("Sign In|Sign in")
    desk.click(1000, 880)
    desk.sign_in("anna-keller", PAGE)


class TestRefused:
    def test_without_a_display_nothing_begins(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Exit code 2, a sentence, and no run in the log."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        lay_out({"anna.keller": personal("anna.keller")})
        refused = fleet("attend", "--yes")
        assert refused.returncode == 2 and "There is no display here" in " ".join(refused.stderr.split())
        assert not any(record["event"] == schema.RUN_STARTED for record in records())

    def test_without_a_terminal_nobody_is_asked_whether_the_employee_is_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A script must say --yes."""
        monkeypatch.chdir(tmp_path)
        lay_out({"anna.keller": personal("anna.keller")})
        refused = fleet("attend")
        assert refused.returncode == 2 and "add --yes" in " ".join(refused.stderr.split())
