"""Runs whose visits are done on other machines: real sshd, real Ansible Runner, real browsers there, and none here."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fleet.audit import records as schema
from fleet.paths import runtime_dir
from tests.commands import FLEET, fleet
from tests.inventories import at_linkedin
from tests.playbook.helpers import (
    BIN,
    EXAMPLE,
    EXAMPLE_COUNTS,
    has_intent,
    nothing_runs,
    processes,
    records,
    state,
    stored,
    wait_until,
)
from tests.sizes import FULL, cases, sizes
from tests.workers.line import Line
from tests.workers.sshd import SSHD, Sshd

pytestmark = [
    pytest.mark.xdist_group("workers"),
    pytest.mark.skipif(SSHD is None, reason="sshd is missing: install openssh-server"),
]
PARIS, ROME = f"ssh://paris{FLEET}", f"ssh://rome{FLEET}"
HELD = {"held.proof": "slow_proof", "held.page": "slow_page_long"}
"""Employee to the case that holds a visit in the middle: after the press, and before it."""
FEW = ("anna.keller,emma.bernard,irene.russo", {"opted_out": 4, "sign_in_needed": 1, "not_saved": 1})
"""A few of the example company, and how their controls end."""


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """Two workers, `paris` and `rome`, and a runtime folder of the test's own here."""
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder, Sshd(Path(folder) / "s", ["paris", "rome"]) as sshd:
        monkeypatch.setenv("PATH", f"{sshd.bin}:{os.environ['PATH']}")
        own = Path(folder) / "own"
        own.mkdir(mode=0o700)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(own))
        yield sshd


def at(home: Path) -> list[psutil.Process]:
    """Processes of one of the machines."""
    return [psutil.Process(process.pid) for process in processes(home) if psutil.pid_exists(process.pid)]


def serving(home: Path) -> psutil.Process:
    """The worker itself on one of the machines."""
    return next(process for process in at(home) if process.cmdline()[-2:] == ["worker", "serve"])


def nothing_is_left(machines: Sshd) -> bool:
    """True if no process of a run is left here or there, and no folder."""
    folders = [path for home in machines.homes.values() for path in (home / "fleet").glob("*")]
    running = processes(*machines.homes.values(), Path(os.environ["HOME"]))
    return not (running or folders or list(runtime_dir().iterdir()))


def cookie_found_at(home: Path) -> list[Path | psutil.Process]:
    """Files on one of the machines, and processes there, that hold or show the cookie of the session that is held."""
    accounts = json.loads((state() / "rehearsal-world.json").read_text())["accounts"]
    [cookie] = [account["token"] for account in accounts if account["employee"] == "held.proof"]
    held = [path for path in home.rglob("*") if path.is_file() and cookie.encode() in path.read_bytes()]
    told = [process for process in at(home) if cookie in " ".join([*process.cmdline(), *process.environ().values()])]
    return [*held, *told]


def visited_at() -> Counter[str | None]:
    """How many accounts' controls ended at each worker; None where no browser was needed."""
    return Counter(record["worker"] for record in records() if record["event"] == schema.CONTROL_FINISHED)


def staff(tmp_path: Path, cases: dict[str, str]) -> str:
    """An inventory of employees at LinkedIn, each with the rehearsal's case."""
    hosts = {name: at_linkedin(name, name.replace(".", "-"), case) for name, case in cases.items()}
    path = tmp_path / "staff.yml"
    path.write_text(json.dumps({"all": {"vars": {"fleet_rehearsal": True}, "hosts": hosts}}))
    return str(path)


def start(inventory: str, *options: str) -> subprocess.Popen[str]:
    """A run in the background, once a control is about to be pressed."""
    command = [str(FLEET), "run", "-i", inventory, "--output", "json", *options]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: has_intent() or run.poll() is not None)
    return run


def ends(report: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    """Employee to outcome and reason."""
    return {row["employee"]: (row["outcome"], row["reason"]) for row in report["results"]}


class TestRun:
    def test_two_workers_do_what_one_machine_does(self, machines: Sshd) -> None:
        """The outcomes of the example company, each record with its worker, no browser here, nothing left anywhere."""
        run = start(EXAMPLE, "--worker", PARIS, "--worker", ROME)
        assert not any(process.is_browser for process in processes())
        report = json.loads(run.communicate(timeout=180)[0])
        assert (report["errors"], report["exit_code"]) == ([], 5)
        assert report["counts"] == EXAMPLE_COUNTS
        where = visited_at()
        assert set(where) == {"paris", "rome", None}
        assert where[None] == 3  # a waiver, and two without a mandate: nobody was visited
        pressed = [record for record in records() if record["event"] == schema.CONTROL_INTENDED]
        assert len(pressed) == 9 and {record["worker"] for record in pressed} <= {"paris", "rome"}
        assert all((state() / "evidence" / report["run_id"]).glob("*.before.png"))
        wait_until(lambda: nothing_is_left(machines))
        assert fleet("audit", "verify", "--rehearsal").returncode == 0
        shown = fleet("audit", "show", "--rehearsal", "--run", "last", "--outcome", "opted_out").stdout
        assert "at paris" in shown or "at rome" in shown

    def test_workers_of_the_settings_file_do_a_check_which_changes_nothing(
        self, machines: Sshd, tmp_path: Path
    ) -> None:
        """`fleet config show` tells from where; a play without `fleet run` would visit from here, so it is refused."""
        inventory = staff(tmp_path, {"one": "switched_on"})
        (tmp_path / "fleet.yml").write_text(f"workers:\n  - {PARIS}\n")
        shown = json.loads(fleet("config", "show", "-i", inventory, "--output", "json").stdout)
        workers = next(one for one in shown["settings"] if one["key"] == "workers")
        assert workers["value"] == [PARIS]
        assert (workers["from"]["kind"], workers["from"]["line"]) == ("file", 1)
        above = fleet("config", "show", "-i", inventory, "--worker", ROME, "--output", "json").stdout
        assert next(one["value"] for one in json.loads(above)["settings"] if one["key"] == "workers") == [ROME]
        report = json.loads(fleet("run", "-i", inventory, "--check", "--output", "json").stdout)
        assert (report["errors"], report["counts"]) == ([], {"would_opt_out": 1})
        assert visited_at() == {"paris": 1} and not has_intent()
        play = [str(BIN / "ansible-playbook"), "-i", inventory, "playbooks/optout.yml"]
        refused = subprocess.run(play, capture_output=True, text=True, check=False)
        assert refused.returncode != 0
        assert "names workers, which only 'fleet run' uses" in refused.stdout
        assert visited_at() == {"paris": 1}

    def test_doctor_looks_there_as_well(self, machines: Sshd) -> None:
        """Each worker's prerequisites by name; one that is not there is missing, with ssh's own words."""
        fleet("init")
        assert fleet("doctor", "--worker", PARIS).returncode == 0
        done = subprocess.run(
            [FLEET, "doctor", "--worker", PARIS, "--worker", "ssh://rome/nowhere/fleet", "--worker", "milan"],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"COLUMNS": "200"},
        )
        said = " ".join(done.stdout.split())
        assert done.returncode == 1
        assert "ok Worker paris: Browser" in said and "ok Worker paris: Fleet Opt-Out" in said
        assert "missing Worker rome bash: line 1: /nowhere/fleet: No such file or directory" in said
        assert "missing Worker milan" in said and "Could not resolve hostname milan" in said
        wait_until(lambda: nothing_is_left(machines))


class TestRefused:
    @pytest.mark.parametrize(
        ("worker", "message"),
        [
            pytest.param("milan", "Worker milan is unreachable: ssh: Could not resolve hostname milan", marks=FULL),
            ("ssh://paris/nowhere/fleet", "/nowhere/fleet: No such file or directory. Install Fleet Opt-Out there"),
            pytest.param(
                "ssh://paris/bin/echo",
                "Worker paris cannot be used: it does not speak as it should. 'fleet doctor",
                marks=FULL,
            ),
            pytest.param(
                "ssh://paris/bin/true",
                "Worker paris cannot be used: it is gone. 'fleet doctor --worker …' tells",
                marks=FULL,
            ),
        ],
    )
    def test_a_worker_that_cannot_be_had(self, machines: Sshd, worker: str, message: str) -> None:
        """One sentence, and nothing touched: no run is in the log, also where another worker is in order."""
        done = fleet("run", "-i", EXAMPLE, "--worker", worker, "--worker", ROME)
        assert (done.returncode, done.stdout) == (1, "")
        assert message in " ".join(done.stderr.split())
        assert records() == []
        wait_until(lambda: nothing_is_left(machines))

    def test_ctrl_c_does_not_wait_for_a_machine_that_does_not_answer(self, tmp_path: Path) -> None:
        """While it is being connected: exit code 130, no run is in the log, and a job's file is not a green one."""
        junit = tmp_path / "fleet.xml"
        with socket.create_server(("127.0.0.1", 0)) as silent:
            worker = f"ssh://127.0.0.1:{silent.getsockname()[1]}"
            command = [FLEET, "run", "-i", EXAMPLE, "--worker", worker, "--output", "json", "--junit", str(junit)]
            run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            silent.settimeout(60)
            connection, _ = silent.accept()
            with connection:
                run.send_signal(signal.SIGINT)
                output, _ = run.communicate(timeout=25)
        report = json.loads(output)
        assert report["exit_code"] == 130
        assert [one["message"] for one in report["errors"]] == [
            "The run was interrupted before any account was visited; run it again."
        ]
        assert 'type="interrupted"' in junit.read_text()
        assert records() == []
        wait_until(nothing_runs)

    def test_an_unknown_machine_is_not_trusted(self, machines: Sshd) -> None:
        """A host key that is not known ends it, also where the user's own settings let it pass."""
        (machines.bin.parent / "known_hosts").write_text("")
        done = fleet("run", "-i", EXAMPLE, "--worker", PARIS)
        assert done.returncode == 1
        assert "Host key verification failed. Try by hand: ssh paris true" in " ".join(done.stderr.split())
        assert records() == []

    def test_another_version_there(self, machines: Sshd, tmp_path: Path) -> None:
        """Both versions are named."""
        there = tmp_path / "old" / "fleet"
        there.parent.mkdir()
        there.write_text(
            f"#!{BIN}/python\nimport fleet\nfleet.__version__ = '0.0.9'\nfrom fleet.cli import main\nmain()\n"
        )
        there.chmod(0o755)
        done = fleet("run", "-i", EXAMPLE, "--worker", f"ssh://paris{there}")
        assert done.returncode == 1
        assert "Worker paris: it has Fleet Opt-Out 0.0.9, and 0.1.0 is here; install the same on both." in " ".join(
            done.stderr.split()
        )
        assert records() == []

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ("-oProxyCommand=x", "is not a worker address; write [USER@]HOST"),
            ("paris:22", "is not a worker address; write [USER@]HOST"),
            ("ssh://paris/a b", "is not a worker address; write [USER@]HOST"),
            ("ssh://paris:99999", "is not a worker address; write [USER@]HOST"),
            ("rome", "--worker: rome is named twice; name each worker once."),
        ],
    )
    def test_what_is_no_worker(self, option: str, message: str) -> None:
        """Exit code 2, before anything is started."""
        done = fleet("run", "-i", EXAMPLE, "--worker", "rome", f"--worker={option}")
        assert done.returncode == 2
        assert message in " ".join(done.stderr.split())


def test_a_rehearsal_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where sshd forbids to forward, the stand-in services cannot be reached from there."""
    with Sshd(tmp_path / "s", ["paris"], options="AllowTcpForwarding no") as machines:
        monkeypatch.setenv("PATH", f"{machines.bin}:{os.environ['PATH']}")
        done = fleet("run", "-i", EXAMPLE, "--worker", PARIS)
    assert done.returncode == 1
    assert "Worker paris does not let 127.0.0.1:" in " ".join(done.stderr.split())
    assert records() == []


class TestLost:
    @pytest.mark.parametrize("number", cases([signal.SIGKILL, signal.SIGTERM], {signal.SIGKILL}))
    def test_a_worker_that_is_lost_leaves_the_rest_to_the_other(
        self, machines: Sshd, tmp_path: Path, number: signal.Signals
    ) -> None:
        """What it had pressed is unknown, what it had begun an error; the rest is visited by the other."""
        rest = {f"rest.{n}": "already_out" for n in range(3)}
        inventory = staff(tmp_path, HELD | rest)
        run = start(inventory, "--worker", PARIS, "--worker", ROME, "--forks", "2")
        [pressed_at] = {record["worker"] for record in records() if record["event"] == schema.CONTROL_INTENDED}
        serving(machines.homes[pressed_at]).send_signal(number)
        output, _ = run.communicate(timeout=180)
        report = json.loads(output)
        assert report["exit_code"] == 1
        [error] = [one["message"] for one in report["errors"]]
        assert error.startswith(f"Worker {pressed_at}: ") and "Accounts it had not started go to" in error
        found = ends(report)
        assert found["held.proof"] == ("unknown", "worker_lost")
        assert found["held.page"][0] in ("error", "opted_out")
        assert {name: found[name][0] for name in rest} == dict.fromkeys(rest, "already_opted_out")
        assert all(writes <= 1 for _, writes in stored().values())
        wait_until(lambda: nothing_is_left(machines))

    def test_the_last_worker_takes_the_run_with_it(self, machines: Sshd, tmp_path: Path) -> None:
        """Everybody has an end; who was never reached is `not_run`."""
        inventory = staff(tmp_path, {"held.proof": "slow_proof"} | {"later": "already_out"})
        run = start(inventory, "--worker", PARIS, "--forks", "1")
        serving(machines.homes["paris"]).kill()
        report = json.loads(run.communicate(timeout=180)[0])
        assert report["exit_code"] == 1
        assert Counter(ends(report).values()) == {("unknown", "worker_lost"): 1, ("not_run", "play_ended"): 1}
        wait_until(lambda: nothing_is_left(machines))

    @pytest.mark.parametrize("number", cases([signal.SIGINT, signal.SIGKILL], {signal.SIGINT}))
    def test_nothing_is_left_of_a_run_that_ends_here(
        self, machines: Sshd, tmp_path: Path, number: signal.Signals
    ) -> None:
        """Ctrl-C and SIGKILL of `fleet run`: worker, play, browser and ssh are gone, here and there.

        Until then no file there, no command line and no environment holds the cookie of the session that is used.
        """
        inventory = staff(tmp_path, HELD)
        run = start(inventory, "--worker", PARIS)
        assert cookie_found_at(machines.homes["paris"]) == []
        assert any("--remote-debugging-pipe" in " ".join(process.cmdline()) for process in at(machines.homes["paris"]))
        run.send_signal(number)
        output, _ = run.communicate(timeout=60)
        wait_until(lambda: nothing_is_left(machines))
        if number is signal.SIGINT:
            report = json.loads(output)
            assert report["exit_code"] == 130
            assert ends(report)["held.proof"] == ("unknown", "interrupted")

    def test_a_worker_that_hangs_is_given_up(self, machines: Sshd, tmp_path: Path) -> None:
        """SIGSTOP of the worker: it is not waited for without end."""
        run = start(staff(tmp_path, HELD), "--worker", PARIS)
        hung = serving(machines.homes["paris"])
        hung.send_signal(signal.SIGSTOP)
        try:
            report = json.loads(run.communicate(timeout=240)[0])
        finally:
            hung.send_signal(signal.SIGCONT)
        assert report["exit_code"] == 1
        assert ends(report)["held.proof"] == ("unknown", "worker_lost")
        wait_until(lambda: nothing_is_left(machines))


class TestFarAway:
    @pytest.mark.parametrize("company", sizes(small=FEW, full=("all", EXAMPLE_COUNTS)))
    def test_a_long_line_changes_no_outcome(self, machines: Sshd, company: tuple[str, dict[str, int]]) -> None:
        """A worker on another continent, a quarter of a second away and back: all accounts end as on one machine."""
        who, counts = company
        with Line(machines.ports["paris"], delay=0.125) as line:
            machines.reach({"paris": line.port})
            report = json.loads(fleet("run", "-i", EXAMPLE, "-l", who, "--worker", PARIS, "--output", "json").stdout)
        assert (report["errors"], report["counts"]) == ([], counts)
        wait_until(lambda: nothing_is_left(machines))

    def test_a_line_that_goes_dead_leaves_nobody_waiting(self, machines: Sshd, tmp_path: Path) -> None:
        """No side is told: each gives up by itself, the rest is visited by the other, nothing is left anywhere."""
        inventory = staff(tmp_path, {"held.proof": "slow_proof"} | {f"rest.{n}": "already_out" for n in range(2)})
        with Line(machines.ports["paris"]) as to_paris, Line(machines.ports["rome"]) as to_rome:
            lines = {"paris": to_paris, "rome": to_rome}
            machines.reach({name: line.port for name, line in lines.items()})
            run = start(inventory, "--worker", PARIS, "--worker", ROME, "--forks", "1")
            [cut] = {record["worker"] for record in records() if record["event"] == schema.CONTROL_INTENDED}
            lines[cut].cut()
            report = json.loads(run.communicate(timeout=240)[0])
            wait_until(lambda: nothing_is_left(machines))
        assert report["exit_code"] == 1
        [error] = [one["message"] for one in report["errors"]]
        assert error.startswith(f"Worker {cut}: ")
        found = ends(report)
        assert found.pop("held.proof") == ("unknown", "worker_lost")
        assert {outcome for outcome, _ in found.values()} == {"already_opted_out"}
