"""Marked secrets go through every channel of a run, and are found nowhere, however it was started and ended."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import pytest
from cryptography.hazmat.primitives import serialization

from fleet.audit.records import RUN_FINISHED
from fleet.paths import StateDir
from fleet.recipes.catalog import load_catalog
from fleet.sessions.store import SessionStore, read_identity
from tests.conftest import ROOT
from tests.markers import Markers
from tests.playbook.helpers import nothing_runs, processes, records, wait_until
from tests.playbook.marked_service import CHANNELS, HOST, RECIPE, MarkedService
from tests.playbook.watched_place import Place, role_of
from tests.sizes import cases

pytestmark = pytest.mark.xdist_group("leaks")

MARKERS = Markers([*CHANNELS, "imported", "display", "email", "mandate", "name", "env", "vault"])
OUTCOMES = {
    "good": "opted_out",
    "fails": "not_saved",
    "other": "wrong_account",
    "moved": "page_changed",
    "over": "sign_in_needed",
    "code": "challenged",
    "asks": "not_saved",
    "silent": "error",
}
"""How each account's visit ends; the last one's by its time limit."""
FEW = ("good", "fails", "code")
CASES = (*OUTCOMES, "held")
AFTERWARDS_IN_EVERY_RUN = (
    "audit show --output json",
    "audit export --format ecs --with-names",
    "audit receipt EMPLOYEE",
    "audit prove 5 -o proof",
    "status",
    "report -o report.html",
    "doctor",
)
AFTERWARDS = (
    *AFTERWARDS_IN_EVERY_RUN,
    *("audit show", "audit export --format jsonl", "audit verify", "status --output json", "sessions list"),
    "inventory check",
)
KILLED = "browser and fleet killed"
TALKATIVE = {
    "DEBUG": "pw:*",
    "DEBUG_FILE": "{cwd}/playwright.log",
    "PWDEBUG": "console",
    "NODE_OPTIONS": "--tls-keylog={cwd}/node.keys --report-on-signal",
    "SELENIUM_REMOTE_URL": "http://127.0.0.1:9/",
    "SSLKEYLOGFILE": "{cwd}/tls.keys",
    "CHROME_LOG_FILE": "{cwd}/chrome.log",
    "PYTHONFAULTHANDLER": "1",
    "HTTPS_PROXY": "http://proxy:{env}@127.0.0.1:9",
    "FLEET_NOTE": "{env}",
    "VENDOR_TOKEN": "{env}",
    "ANSIBLE_VAULT_PASSWORD_FILE": "{given}/vault.txt",
    "ANSIBLE_LOG_PATH": "{cwd}/ansible.log",
    "ANSIBLE_KEEP_REMOTE_FILES": "1",
}
"""What a user's environment may hold that makes programs talk, and secrets of its own."""


def employee(case: str) -> str:
    """The employee whom the service treats so."""
    return f"{MARKERS.plain('name')}.{case}"


def hosts(service: MarkedService, cases: tuple[str, ...]) -> dict[str, object]:
    """An inventory's hosts: an employee for each case."""
    return {
        employee(case): {
            "fleet_email": f"{MARKERS.plain('email')}+{case}@company.example",
            "fleet_accounts": {"marked": {"profile": service.profile(case), "name": MARKERS["display"]}},
            "fleet_mandate": {
                "employee": employee(case),
                "reference": MARKERS["mandate"],
                "services": ["marked"],
                "granted_on": "2026-01-01",
                "expires_on": "2099-12-31",
            },
        }
        for case in cases
    }


class Stage:
    """The service, the place, and the sessions and keys in it."""

    def __init__(self, service: MarkedService) -> None:
        self.service = service
        self.place = Place(MARKERS)
        given = self.place.path / "given"
        (given / "recipes").mkdir()
        (given / "recipes" / "marked.yml").write_text(RECIPE)
        (given / "exports").mkdir()
        (given / "vault.txt").write_text(MARKERS["vault"])
        inventories = {"all": CASES, "most": tuple(OUTCOMES), "few": FEW, "held": ("held",)}
        for name, treated in inventories.items():
            inventory = {"all": {"hosts": hosts(service, treated)}}
            (given / f"{name}.yml").write_text(json.dumps(inventory, ensure_ascii=False), "utf-8")
        for case in CASES:
            export = given / "exports" / f"{employee(case)}.marked.json"
            export.write_text(json.dumps(service.storage_state(case), ensure_ascii=False), "utf-8")
        self.recipes = ("--recipes", str(given / "recipes"))
        self.do("init")
        self.do("sessions", "import", "-i", str(given / "all.yml"), *self.recipes, "--from", str(given / "exports"))
        keys = self.place.path / "home/.config/fleet"
        [identity] = re.findall(r"AGE-SECRET-KEY-1(\w+)", (keys / "identity.txt").read_text())
        pem = (keys / "log-key.pem").read_bytes()
        raw, private = serialization.Encoding.Raw, serialization.PrivateFormat.Raw
        key = serialization.load_pem_private_key(pem, None).private_bytes(raw, private, serialization.NoEncryption())
        MARKERS.watch("identity", identity.encode())
        MARKERS.watch("log key", key)

    def environment(self) -> dict[str, str]:
        """A talkative one."""
        places = {name: str(self.place.path / name) for name in ("cwd", "given")}
        talkative = {name: value.format(**places, env=MARKERS.plain("env")) for name, value in TALKATIVE.items()}
        return talkative | {"HOME": str(self.place.path / "home")}

    def do(self, *arguments: str) -> None:
        """One of our commands, to its end."""
        done = self.place.do("fleet", *arguments, **self.environment())
        assert done.returncode in (0, 3, 4, 5), done

    def run(self, inventory: str, *arguments: str) -> subprocess.Popen[bytes]:
        """`fleet run`, started."""
        reach = ("--resolve", f"{HOST}:443={self.service.address}", "--trust-spki", self.service.spki)
        path = self.place.path / "given" / f"{inventory}.yml"
        return self.place.start(
            "fleet", "run", "-i", str(path), *self.recipes, *reach, *arguments, **self.environment()
        )

    def play(self, inventory: str, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
        """The play without our command, started."""
        variables = {
            "optout_recipes": [self.recipes[1]],
            "optout_resolve": [f"{HOST}:443={self.service.address}"],
            "optout_trust_spki": [self.service.spki],
        }
        path, play = self.place.path / "given" / f"{inventory}.yml", ROOT / "playbooks/optout.yml"
        return self.place.start(
            *("ansible-playbook", "-i", str(path), str(play), "-e", json.dumps(variables), *arguments),
            **self.environment(),
            **more,
        )

    @cached_property
    def first_run(self) -> dict[str, Any]:
        """What `fleet run` says of everybody who is not held; whichever test needs it first starts it."""
        report: dict[str, Any] = json.loads(self.place.end(self.run("most", "--output", "json"), within=180).stdout)
        return report

    @cached_property
    def loud_play(self) -> subprocess.CompletedProcess[bytes]:
        """A plain ansible-playbook with -vvvv and every debugging switch, after `first_run`."""
        assert self.first_run
        return self.place.end(self.play("few", "-vvvv", ANSIBLE_DEBUG="1", PYTHONASYNCIODEBUG="1"))


@pytest.fixture(scope="module")
def module_stage() -> Iterator[Stage]:
    """One for all tests."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))  # so that dumps are written, unless the product forbids them
    with MarkedService(MARKERS) as service:
        stage = Stage(service)
        yield stage
        stage.place.remove()
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.fixture
def stage(module_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """What `processes` looks for is this stage's home."""
    monkeypatch.setenv("HOME", str(module_stage.place.path / "home"))
    module_stage.service.arrived.clear()
    module_stage.service.release.clear()
    yield module_stage
    module_stage.service.release.set()
    for process in processes():  # what a failed test has left must not fail the next one
        os.kill(process.pid, signal.SIGKILL)


def check_that_nothing_leaked(stage: Stage) -> None:
    """No marker stands where it may not, until now."""
    found = stage.place.findings()
    assert found == [], "\n".join(map(str, found))
    # Keys would hold no marker, but open recorded traffic; a small dump may have missed the marker.
    unwanted = [path.name for path in stage.place.path.rglob("*") if path.suffix in (".keys", ".dmp")]
    assert unwanted == []


def find(role: str) -> list[int]:
    """The run's living processes of one kind."""
    parents, commands = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            commands[int(folder.name)] = (folder / "cmdline").read_bytes()
    ours = {process.pid for process in processes()}

    def is_ours(pid: int) -> bool:
        # The title of a browser's helper lies over its environment, so it is known by those who started it.
        return pid in ours or (pid in parents and is_ours(parents[pid]))

    return [pid for pid, command in commands.items() if role_of(command) == role and is_ours(pid)]


def test_agents_are_told_apart() -> None:
    """By the folder of a run, which a play's own agent does not name."""
    assert role_of(b"python -m fleet agent --owner-fd 7") == "agent of a play"
    assert role_of(b"python -m fleet agent --socket /run/fleet/20261103T090000Z-1f/agent.sock") == "agent of fleet run"


class TestLeaks:
    """Of one state directory and one place, which is watched all the time."""

    def test_a_run_of_all_outcomes(self, stage: Stage) -> None:
        """Opted out, not saved, refused, never answered: nothing of it in files, in lists of processes, or said."""
        report = stage.first_run
        outcomes = {row["employee"]: row["outcome"] for row in report["results"]}
        assert outcomes == {employee(case): outcome for case, outcome in OUTCOMES.items()}, report
        assert [row["reason"] for row in report["results"] if row["employee"] == employee("silent")] == ["timeout"]
        check_that_nothing_leaked(stage)

    @pytest.mark.parametrize("command", cases(AFTERWARDS, AFTERWARDS_IN_EVERY_RUN))
    def test_what_shows_a_run_afterwards(self, stage: Stage, command: str) -> None:
        """Each command that reads what a run of all outcomes has left, in its words and its files."""
        assert stage.first_run
        staff = ("-i", str(stage.place.path / "given/most.yml"), *stage.recipes)
        reads_staff = command.startswith(("status", "inventory"))
        stage.do(*command.replace("EMPLOYEE", employee("good")).split(), *(staff if reads_staff else ()))
        check_that_nothing_leaked(stage)

    def test_a_play_that_tells_everything(self, stage: Stage) -> None:
        """It talks a lot, and of no secret."""
        assert stage.loud_play.returncode == 2
        assert stage.loud_play.stdout.count(b"done with get_vars()") > 3
        log = records(Path(os.environ["HOME"]) / ".local/state/fleet")  # this service is not rehearsed
        counts = [record["counts"] for record in log if record["event"] == RUN_FINISHED]
        assert {"already_opted_out": 1, "not_saved": 1, "challenged": 1} in counts
        stage.do("audit", "diff", stage.first_run["run_id"], "last")
        stage.do("audit", "diff", stage.first_run["run_id"], "last", "--output", "json")
        check_that_nothing_leaked(stage)

    def test_the_agent_aborts(self, stage: Stage) -> None:
        """After a renderer that has crashed; neither leaves a dump of its memory."""
        run = stage.run("held", "--output", "json")
        wait_until(stage.service.arrived.is_set)
        for role in ("fleet", "agent of fleet run", "driver", "browser", "renderer"):
            assert find(role), role
            for pid in find(role):
                limits = Path(f"/proc/{pid}/limits").read_text()
                [limit] = re.findall(r"Max core file size +(.*?) +bytes", limits)
                assert limit.split() in (["1", "1"], ["0", "0"]), (role, limit)
        for pid in find("renderer"):
            os.kill(pid, signal.SIGSEGV)
        [agent] = find("agent of fleet run")
        os.kill(agent, signal.SIGABRT)
        report = json.loads(stage.place.end(run).stdout)
        assert report["exit_code"] == 1
        check_that_nothing_leaked(stage)

    def test_a_program_that_is_not_ours_leaves_a_dump(self, stage: Stage, tmp_path: Path) -> None:
        """So it is the product that keeps the agent from leaving one, where the kernel writes dumps beside programs."""
        pattern = Path("/proc/sys/kernel/core_pattern").read_text()
        if pattern.startswith(("|", "/")) or resource.getrlimit(resource.RLIMIT_CORE)[0] == 0:
            pytest.skip("this machine writes no dumps beside programs")
        subprocess.run([sys.executable, "-c", "import os; os.abort()"], cwd=tmp_path, check=False)
        assert [path for path in tmp_path.iterdir() if path.is_file() and path.stat().st_size > 0]

    @pytest.mark.parametrize("end", cases([KILLED, "agent of a play killed", "Ctrl-C"], {KILLED}))
    def test_an_end_in_the_middle_of_a_visit(self, stage: Stage, end: str) -> None:
        """Killed, or told to end: what is left behind, the browser's folder among it, holds nothing."""
        run = stage.play("held", "-vvv") if "play" in end else stage.run("held")
        wait_until(stage.service.arrived.is_set)
        if end == KILLED:
            for pid in find("browser"):
                os.kill(pid, signal.SIGABRT)
            os.kill(run.pid, signal.SIGKILL)
        elif end == "Ctrl-C":
            os.kill(run.pid, signal.SIGINT)
        else:
            agents = find("agent of a play")  # and its child, which watches it
            [agent] = [pid for pid in agents if psutil.Process(pid).ppid() not in agents]
            os.kill(agent, signal.SIGKILL)
        stage.place.end(run)
        assert end != "Ctrl-C" or run.returncode == 130
        wait_until(nothing_runs)
        check_that_nothing_leaked(stage)

    def test_the_secrets_were_there(self, stage: Stage) -> None:
        """They went through the agent: the sealed session holds cookies, one of them rotated, and no storage."""
        assert stage.first_run
        home = stage.place.path / "home"
        store = SessionStore(StateDir(home / ".local/state/fleet"))
        recipe = load_catalog([Path(stage.recipes[1])]).recipes["marked"]
        opened = store.open(employee("good"), recipe, read_identity(home / ".config/fleet/identity.txt"))
        assert opened is not None
        content = json.dumps(opened.state.as_playwright()).encode()
        assert MARKERS.found_in(content) == {"cookie", "rotated"}

    @pytest.mark.parametrize(
        "where",
        [
            *(f"environment: {role} of fleet run" for role in ("agent", "ansible")),
            *(f"environment: {role}" for role in ("agent of a play", "driver", "browser", "renderer")),
            "command line: *--type=renderer*",
            "run/fleet/*/playwright_chromiumdev_profile-*/Default/Local Storage/leveldb/*.log",
            "run/fleet/play-*/employees.ini",
            "run/fleet/play-*/artifacts/*/command",
            *(f"home/.local/state/fleet/{files}" for files in ("runs/*.log", "evidence/*.png", "audit/log/*.jsonl")),
        ],
    )
    def test_it_was_looked_there(self, stage: Stage, where: str) -> None:
        """What was not searched could not be found."""
        assert stage.loud_play
        check_that_nothing_leaked(stage)  # searches what is on disk now
        assert stage.place.has_seen(where)
