"""A visit at the desk, by a person's keys alone, and what it must not leave behind."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from fleet.desk.private_profile import MEMORY
from fleet.orphans import SIGN_IN
from fleet.paths import StateDir, is_held
from fleet.portal.mandate_text import mandate_text
from fleet.rehearsal.world import read_world
from fleet.settings.resolve import Given, resolve_settings
from fleet.state.appointments import Appointment, Appointments
from fleet.state.create import make_state
from tests.commands import FLEET
from tests.desk.screen import Screen
from tests.playbook.helpers import Process, processes, state, wait_until

AGREE, SIGNING_IN, READING, ALLOW = "Dürfen wir", "Melden Sie sich", "Ihre Einstellungen", "Diese Änderung"
AGAIN, OTHER, CHALLENGED, THANKS = "Sie sind noch nicht", "Jemand anderes", "LinkedIn verlangt", "Vielen Dank"
SIGN = "Unterschreiben Sie einen Antrag"
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
    """The cookie's value that the rehearsed service gives to Anna Keller: LinkedIn, if she is there."""
    world = read_world(state() / "rehearsal-world.json")
    service = "linkedin" if ("anna.keller", "linkedin") in world else "intranet"
    return str(world["anna.keller", service]["token"]).encode()


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
    """The folders of sign-ins that are left on this machine; those of living commands are in use."""
    return [path for path in MEMORY.iterdir() if SIGN_IN in path.name and not is_held(path)]


def sign_in_half(desk: Screen) -> None:
    """Sign in, and leave the window open."""
    agree(desk)
    desk.wait_for("Sign In|Sign in")
    desk.click(1000, 880)
    desk.sign_in("anna-keller", PAGE)


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
