"""`fleet doctor`: checks every prerequisite and shows how to fix what is missing."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from subprocess import DEVNULL, PIPE

from pydantic import TypeAdapter
from rich.table import Column
from rich.text import Text

from fleet import __version__
from fleet.audit.keys import read_signing_key
from fleet.browser.engine import Engine
from fleet.browser.find_browser import BrowserProgram, find_browser, find_window_browser
from fleet.browser.liveness import BrowserGone
from fleet.browser.network import Network
from fleet.commands.options import BESIDE, IDENTITY, LOG_KEY, OUTPUT, STATE, WORKERS, Output, screen, settings_of
from fleet.desk.browser_policies import require_no_obstacle
from fleet.desk.plain_window import require_display
from fleet.desk.private_profile import private_profile
from fleet.environment import play_environment
from fleet.errors import FleetError, WorkerError
from fleet.model import EXIT_OK, EXIT_TOOL_FAILED
from fleet.orphans import WORKER, held_folder
from fleet.paths import ansible_content, runtime_dir
from fleet.recipes.catalog import load_catalog
from fleet.recipes.recipe import ANY_COOKIES
from fleet.report.envelope import Answer
from fleet.report.table import plain
from fleet.report.translations import visible
from fleet.sessions.store import read_identity
from fleet.settings.resolve import Settings
from fleet.ssh import WHERE_TO_INSTALL, Connection, WorkerAddress


@dataclass(frozen=True)
class Check:
    """One prerequisite. `ok` is None for a note that blocks nothing."""

    name: str
    ok: bool | None
    found: str
    fix: str = ""


NEWEST_TESTED_ANSIBLE = (2, 21)
"""The newest ansible-core tested in the workflow's matrix."""
LOOKS_WITHIN = 120.0
"""Seconds for all checks of a worker, which start a browser."""
_CHECKS = TypeAdapter(list[Check])


def doctor(
    inventory: BESIDE = None,
    worker: WORKERS = None,
    state: STATE = None,
    identity: IDENTITY = None,
    log_key: LOG_KEY = None,
    output: OUTPUT = Output.TEXT,
) -> Answer:
    """Check every prerequisite, here and on workers, and show how to fix what is missing.

    Checks the workers from --worker or fleet.yml. Exit code 1 if anything is missing.
    """
    settings = settings_of(inventory, state=state, identity=identity, log_key=log_key, workers=worker)
    checks = [*_checks(settings), *(check for address in settings.workers for check in _worker_checks(address))]
    is_missing = any(check.ok is False for check in checks)
    fields = {"checks": [asdict(check) for check in checks]}
    return Answer(fields, partial(_print, checks), EXIT_TOOL_FAILED if is_missing else EXIT_OK)


def _print(checks: list[Check]) -> None:
    table = plain("", Column("Prerequisite", no_wrap=True), "Found, and how to fix it")
    marks = {True: Text("ok", "green"), False: Text("missing", "red"), None: Text("note", "yellow")}
    for check in checks:
        table.add_row(marks[check.ok], check.name, Text("\n".join(filter(None, (check.found, check.fix)))))
    screen().print(table)


def machine_checks(*, has_browser: bool = True) -> Iterator[Check]:
    """Yield what a machine needs to visit accounts; without a browser, to have workers visit them."""
    is_new = sys.version_info >= (3, 11)
    yield Check("Python 3.11 or newer", is_new, platform.python_version(), "" if is_new else "install a newer Python")
    pidfd = hasattr(os, "pidfd_open")
    yield Check("Linux 5.3 (pidfd)", pidfd, platform.system(), "" if pidfd else "run on Linux 5.3 or newer")
    for package in ("ansible-core", "ansible-runner", "playwright"):
        yield _package(package)
    yield from _untested_ansible(_package("ansible-core").found)
    yield _ansible()
    if has_browser:
        yield _try("Browser", _browser, "run: fleet browser install")
        if os.geteuid() != 0:
            yield _try("Sandbox", lambda: asyncio.run(_sandbox()))
        else:
            yield Check("Ordinary user", None, "root: no sandbox, rehearsals only", "run live as an ordinary user")
        yield _desk()
    yield _try("Runtime folder", lambda: str(runtime_dir()))


def _worker_checks(address: WorkerAddress) -> Iterator[Check]:
    """Yield the same for a worker, and whether it is reachable."""
    name = f"Worker {address.name}"
    with held_folder(runtime_dir(), WORKER) as folder, closing(Connection(address, folder / "w")) as connection:
        try:
            connection.open()
            process, complaints = connection.start("worker", "check", stdin=DEVNULL, stdout=PIPE)
        except WorkerError as error:
            yield Check(name, False, "not usable", str(error))
            return
        try:
            said, _ = process.communicate(timeout=LOOKS_WITHIN)
            told = json.loads(said)
            is_same = told["version"] == __version__
            fix = "" if is_same else f"install {__version__} there, as it is here"
            yield Check(f"{name}: Fleet Opt-Out", is_same, visible(str(told["version"]))[:40], fix)
            if is_same:
                for check in _CHECKS.validate_python(told["checks"]):
                    yield replace(check, name=f"{name}: {visible(check.name)}", found=visible(check.found))
        except subprocess.TimeoutExpired:
            process.kill()
            yield Check(name, False, f"no answer within {LOOKS_WITHIN:.0f} s", "check what keeps that machine busy")
        except (ValueError, KeyError, TypeError):
            words = complaints.sentence() or "Its answer is not the expected JSON."
            yield Check(name, False, words, WHERE_TO_INSTALL)


def _checks(settings: Settings) -> Iterator[Check]:
    yield from machine_checks(has_browser=not settings.workers)
    yield _try("Recipes", lambda: f"{len(load_catalog(settings.recipes).recipes)} services")
    yield _try("State directory", lambda: _state(settings))
    yield _try("Identity", lambda: (read_identity(settings.identity), str(settings.identity))[1])
    yield _try("Signing key", lambda: _signing_key(settings))
    for name, path in (("Identity", settings.identity), ("Signing key", settings.log_key)):
        if path.resolve().parent == settings.state.resolve().parent:
            apart = "keep them on different disks, so that one copy does not hold both"
            yield Check(f"{name} apart from state", None, "they share a folder", apart)


def _package(name: str) -> Check:
    try:
        return Check(name, True, version(name))
    except PackageNotFoundError:
        return Check(name, False, "not installed", f"run: {sys.executable} -m pip install {name}")


def _untested_ansible(found: str) -> Iterator[Check]:
    """Yield a note if ansible-core is newer than the newest tested one."""
    release = re.match(r"(\d+)\.(\d+)", found)
    if release is not None and tuple(map(int, release.groups())) > NEWEST_TESTED_ANSIBLE:
        tested = ".".join(map(str, NEWEST_TESTED_ANSIBLE))
        fix = f"if a run fails, run: {sys.executable} -m pip install 'ansible-core=={tested}.*'"
        yield Check("ansible-core, tested", None, f"{found} is newer than {tested}, the newest tested", fix)


def _ansible() -> Check:
    playbook = ansible_content() / "playbooks" / "optout.yml"
    if importlib.util.find_spec("ansible") is None or not playbook.is_file():
        return Check("Playbook", False, str(playbook), "install fleet-optout again; its playbook is missing")
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "--syntax-check", "-i", "x,", str(playbook)]
    with tempfile.TemporaryDirectory() as folder:
        environment = play_environment(Path(folder))
        done = subprocess.run(command, capture_output=True, check=False, env=environment, cwd=folder)
    fix = "" if done.returncode == 0 else "run it by hand: " + " ".join(command)
    return Check("Playbook", done.returncode == 0, str(playbook), fix)


def _browser() -> str:
    program = find_browser()
    return f"{program.name}: {program.version()} ({program.path})"


async def _sandbox() -> str:
    engine = Engine(find_browser(), Network(), sandbox=True)
    try:
        # Chromium refuses to start if it is told to use a sandbox that does not work.
        await engine.refused_selectors(frozenset(), [])
    except BrowserGone:
        raise FleetError(
            "the browser does not start in its sandbox; allow user namespaces "
            "(sysctl kernel.unprivileged_userns_clone=1, on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0)"
        ) from None
    finally:
        await engine.stop()
    return "the browser starts in it"


def _desk() -> Check:
    """Return whether people can sign in at this machine; a note if not, since runs do not need it."""
    try:
        require_display()
        return Check("Sign-in window", True, asyncio.run(_window(find_window_browser())))
    except FleetError as error:
        return Check("Sign-in window", None, "nobody can sign in at this machine", str(error))


async def _window(program: BrowserProgram) -> str:
    require_no_obstacle(program)
    with private_profile() as profile:
        engine = Engine(program, Network(), sandbox=os.geteuid() != 0)
        try:
            await engine.profile_state(profile.folder, (), ANY_COOKIES)
        except BrowserGone:
            raise FleetError(f"{program.name} cannot be driven on a private profile; see its chrome://policy") from None
        finally:
            await engine.stop()
    return f"{program.name} ({program.path}), on a private profile in memory"


def _state(settings: Settings) -> str:
    settings.state_dir.check()
    return str(settings.state)


def _signing_key(settings: Settings) -> str:
    return f"{settings.log_key} ({read_signing_key(settings.state_dir.audit, settings.log_key).verifier.name})"


def _try(name: str, look: Callable[[], str], fix: str = "") -> Check:
    try:
        return Check(name, True, look())
    except FleetError as error:
        return Check(name, False, "not usable", fix or str(error))
