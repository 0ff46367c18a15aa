"""What breaks in the middle of a run: the log's disk; and Ansible that lives elsewhere. (test_killed.py kills.)

Whatever breaks, the answers are compared with what the service really stored.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.audit import records as schema
from fleet.audit.keys import read_signing_key
from fleet.audit.log import AuditLog
from fleet.settings.resolve import Given, resolve_settings
from fleet.state.create import make_state
from tests.commands import fleet
from tests.conftest import ROOT
from tests.full_disk import NEEDS_ROOT, FullDisk, SizeLimit
from tests.playbook.helpers import (
    BIN,
    EXAMPLE,
    entries,
    has_intent,
    nothing_runs,
    processes,
    records,
    state,
    stored,
    wait_until,
)
from tests.sizes import FULL

pytestmark = pytest.mark.xdist_group("pipeline")

OUTCOMES = {
    "anna.keller": "opted_out",
    "brian.walsh": "already_opted_out",
    "chloe.martin": "opted_out",
    "ciara.byrne": "no_mandate",
    "emma.bernard": "sign_in_needed",
    "irene.russo": "not_saved",
    "marta.conti": "waived",
    "press.office": "opted_out",
}
"""How each employee ends when nothing breaks, at every service: those of the example who differ in what is recorded."""
RUN = ("run", "-i", EXAMPLE, "-l", ",".join(OUTCOMES), "--output", "json")
PLANNED = 13
"""How many controls are planned for them."""


def start() -> subprocess.Popen[str]:
    """A run that has come to its first intent."""
    run = subprocess.Popen([str(BIN / "fleet"), *RUN], stdout=subprocess.PIPE, text=True)
    wait_until(has_intent)
    return run


def report_of(run: subprocess.Popen[str], within: float = 90.0) -> dict[str, Any]:
    """The answer of a run that has ended, held against its log and against what the service stored."""
    try:
        output, _ = run.communicate(timeout=within)
    finally:
        run.kill()  # a run that hangs ends with its test
    report: dict[str, Any] = json.loads(output)
    assert run.returncode == report["exit_code"]
    rows = {(row["employee"], row["service"], row["control"]): row["outcome"] for row in report["results"]}
    assert len(rows) == len(report["results"]) == sum(report["counts"].values()) == PLANNED
    truth, intended = stored(), set(entries(schema.CONTROL_INTENDED, report["run_id"]))
    for entry, (value, writes) in truth.items():
        if rows[entry] in ("opted_out", "already_opted_out"):
            assert value == "out", entry
        assert writes <= 1, entry
        assert writes == 0 or entry in intended, entry
    return report


def ends_once(run_id: str) -> bool:
    """True if the log has exactly one end for each control that it planned."""
    ends = Counter(entries(schema.CONTROL_FINISHED, run_id))
    return len(ends) == PLANNED and set(ends.values()) == {1}


def check_that_the_next_run_works() -> None:
    """It reads what was left unknown before it does anything, and ends everybody as if nothing had broken."""
    before = stored()
    report = json.loads(fleet(*RUN).stdout)
    assert (report["exit_code"], report["errors"]) == (4, [])
    for row in report["results"]:
        entry, expected = (row["employee"], row["service"], row["control"]), OUTCOMES[row["employee"]]
        if expected == "opted_out":
            was_out = before[entry][0] == "out"
            assert row["outcome"] == ("already_opted_out" if was_out else "opted_out"), entry
            assert stored()[entry] == ("out", 1), entry
        else:
            assert row["outcome"] == expected, entry
    assert [record["seq"] for record in records()] == list(range(len(records())))
    assert [record["event"] for record in records()].count("run.finished") == 2


@pytest.fixture(
    params=[pytest.param(FullDisk, marks=[NEEDS_ROOT, FULL], id="full disk"), pytest.param(SizeLimit, id="size limit")]
)
def room(request: pytest.FixtureRequest) -> Iterator[FullDisk | SizeLimit]:
    """A state directory whose log's room can be taken."""
    for folder in (state(), state() / "audit"):
        folder.mkdir(parents=True, mode=0o700)
    room = request.param(state() / "audit")
    yield room
    room.remove()


class TestLogThatCannotBeWritten:
    def test_nothing_is_pressed_after_it_and_the_answers_say_so(self, room: FullDisk | SizeLimit) -> None:
        """Exit 1 and the sentence; what has no end in the log is not_run or unknown; with room again, all is well."""
        asyncio.run(long_log())
        run = start()
        [agent] = [process for process in processes() if process.is_agent]
        room.take(agent.pid)
        report = report_of(run, within=40)
        assert report["exit_code"] == 1
        [error] = [one["message"] for one in report["errors"]]
        assert "cannot be written (No space left" in error or "cannot be written (File too large" in error
        failed = {
            (row["employee"], row["service"], row["control"]): row["outcome"]
            for row in report["results"]
            if row["reason"] == "audit_failed"
        }
        intended = set(entries(schema.CONTROL_INTENDED, report["run_id"]))
        assert failed
        assert {entry for entry, outcome in failed.items() if outcome == "unknown"} == failed.keys() & intended
        assert set(failed.values()) <= {"unknown", "not_run"}
        assert all("audit log" in row["next"] for row in report["results"] if row["outcome"] == "not_run")
        wait_until(nothing_runs)
        room.give_back()
        check_that_the_next_run_works()
        assert ends_once(report["run_id"])


async def long_log() -> None:
    """Records of long ago: the log is longer than any other file of a run, so that a size limit hits the log alone."""
    settings = resolve_settings(Given()).of_kind(rehearsal=True)
    make_state(settings.state_dir, settings.identity, settings.log_key, rehearsal=True)
    log = AuditLog(settings.state_dir.audit, "a test", read_signing_key(settings.state_dir.audit, settings.log_key))
    recovered = {"bytes": 0, "sha256": "0" * 64, "unsigned": 0}
    await asyncio.gather(*(log.append(schema.LOG_RECOVERED, "", **recovered) for _ in range(200)))
    log.close()


@pytest.fixture(scope="session")
def ansible_alone(request: pytest.FixtureRequest) -> Path:
    """The programs of an environment with Ansible and nothing of ours; made once, kept where pytest keeps things."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    requirement = f"ansible-core=={importlib.metadata.version('ansible-core')}"
    place = request.config.cache.mkdir(f"{requirement}-python{python}")
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the tests run in several processes
        if not (place / "ready").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
            subprocess.run([place / "bin/pip", "install", "--quiet", requirement], check=True)
            (place / "ready").touch()
    return Path(place / "bin")


class TestAnsibleElsewhere:
    def play(self, ansible_alone: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """The example's play in check mode, by an Ansible that shares nothing with us but the checkout."""
        command = [ansible_alone / "ansible-playbook", "-i", "inventory.example.yml", "playbooks/optout.yml", "--check"]
        return subprocess.run(
            [*command, "-l", "anna.keller,brian.walsh"],
            cwd=ROOT,
            env={**os.environ, "PATH": os.defpath, **environment},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def test_the_play_finds_us_by_fleet_bin(self, ansible_alone: Path) -> None:
        """Two environments, one run, closed in the log when the play returns."""
        done = self.play(ansible_alone, FLEET_BIN=str(BIN / "fleet"))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "4 would_opt_out" in done.stdout
        assert records()[-1]["counts"] == {"already_opted_out": 1, "would_opt_out": 4}
        wait_until(nothing_runs)

    def test_without_us_the_play_says_what_to_install(self, ansible_alone: Path) -> None:
        """Every employee fails with the sentence; no state was made."""
        with tempfile.TemporaryDirectory() as runtime:
            done = self.play(ansible_alone, XDG_RUNTIME_DIR=runtime)
        assert done.returncode == 2
        said = " ".join((done.stdout + done.stderr).split())
        sentence = (
            "The command 'fleet' was not found. Install Fleet Opt-Out on this machine (pip install fleet-optout) "
            "and put it on PATH, or name it with FLEET_BIN."
        )
        assert said.count(sentence) >= 2
        assert not state().exists()
