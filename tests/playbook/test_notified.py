"""What a whole run tells others: counts that add up, and nothing of anybody. Real servers on this machine listen."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from junitparser import JUnitXml

from fleet.audit import records as schema
from tests.commands import fleet
from tests.conftest import ROOT
from tests.playbook.helpers import BIN, EXAMPLE, ExampleRun, entries, state, wait_until
from tests.receivers import Webhook
from tests.sizes import cases

pytestmark = pytest.mark.xdist_group("pipeline")


def personal() -> set[str]:
    """Whatever the example says of its people, and of the machine and its user, as far as it could tell of them."""

    def texts(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from texts(inner) if name not in ("services", "owner", "fleet_rehearsal_case") else ()
        elif isinstance(value, list):
            for inner in value:
                yield from texts(inner)
        elif isinstance(value, str):
            yield value

    hosts: dict[str, Any] = {}

    def gather(group: Any) -> None:
        hosts.update((group or {}).get("hosts") or {})
        for inner in ((group or {}).get("children") or {}).values():
            gather(inner)

    gather(yaml.safe_load((ROOT / "inventory.example.yml").read_text("utf-8"))["all"])
    assert len(hosts) == 13
    names = {part for name in hosts for part in (name, *name.split("."))}
    said = {text for variables in hosts.values() for text in texts(variables) if len(text) > 5}
    machine = {socket.gethostname(), os.environ["HOME"], str(ROOT), "inventory.example"}
    return names | said | machine


def found_in(raw: bytes) -> set[str]:
    """Personal values that a message holds."""
    text = raw.decode().lower()
    return {value for value in personal() if re.search(rf"\b{re.escape(value.lower())}\b", text)}


def test_a_planted_value_is_seen() -> None:
    """The search below finds a name, a part of one, an e-mail address and a profile."""
    planted = b"anna.keller, somebody Walsh, david.petit@company.example, clara"
    assert {"anna.keller", "keller", "walsh", "david.petit"} <= found_in(planted)
    assert any("@" in value for value in personal())


def test_a_run_tells_counts_that_add_up_and_nothing_of_anybody(
    example_run: ExampleRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Webhook and letter say what the report says; in the home folder there is nothing of it."""
    monkeypatch.setenv("HOME", str(example_run.home))  # which is not told either
    real = example_run.report
    assert real["errors"] == []
    [notice] = example_run.notices
    assert {name: notice[name] for name in ("event", "run_id", "check", "counts", "drifted", "exit_code", "type")} == {
        "event": "run.ended",
        "run_id": real["run_id"],
        "check": False,
        "counts": real["counts"],
        "drifted": 0,
        "exit_code": 5,
        "type": "warning",
    }
    # no_mandate 2, sign_in_needed, challenged, wrong_account, page_changed
    assert notice["not_looked_at"] == 6
    [letter] = example_run.letters
    assert (
        letter["Subject"]
        == notice["title"]
        == ("Fleet Opt-Out: the run has ended: at least one setting could not be read or set")
    )
    assert letter.get_content().replace("\r\n", "\n").rstrip("\n") == notice["message"]
    assert f"Run: {real['run_id']}\nMode: real\n" in notice["message"]
    assert [found_in(raw) for raw in example_run.sent] == [set(), set()]
    home = {path.relative_to(example_run.home).parts[:2] for path in example_run.home.rglob("*") if path.is_file()}
    assert home <= {(".local", "state"), (".config", "fleet"), (".ansible", "tmp")}


def test_what_a_service_switches_on_again_is_found_by_a_check_and_told(hook: Webhook) -> None:
    """Exit codes 0 and, after a check, 6: who and which since which run; a run that opts out again ends it."""
    run = ("run", "-i", EXAMPLE, "-l", "anna.keller", "--service", "linkedin", "--notify", hook.url, "--output", "json")
    drift = ("status", "--drift", "--rehearsal", "--notify", hook.url, "--output", "json")
    first = json.loads(fleet(*run).stdout)
    assert first["counts"] == {"opted_out": 1}
    assert fleet(*drift).returncode == 0
    world = state() / "rehearsal-world.json"
    again = world.read_text().replace('"ai_training": "out"', '"ai_training": "in"')
    assert again != world.read_text()
    world.write_text(again)
    second = json.loads(fleet(*run, "--check").stdout)
    assert (second["exit_code"], second["counts"]) == (4, {"would_opt_out": 1})
    assert entries(schema.CONTROL_INTENDED, second["run_id"]) == []
    done = fleet(*drift)
    told = json.loads(done.stdout)
    assert done.returncode == told["exit_code"] == 6
    [one] = told["drifted"]
    assert (one["employee"], one["service"], one["control"]) == ("anna.keller", "linkedin", "ai_training")
    assert (one["last_out"]["run"], one["found_in"]["run"]) == (first["run_id"], second["run_id"])
    assert json.loads(fleet(*run).stdout)["counts"] == {"opted_out": 1}
    assert fleet(*drift).returncode == 0
    assert [(notice["event"], notice["exit_code"], notice["drifted"]) for notice in hook.notices] == [
        ("run.ended", 0, 0),
        ("run.ended", 4, 1),
        ("drift.looked_for", 6, 1),
        ("run.ended", 0, 1),  # it was in again, and somebody should know, although it is out now
    ]
    assert {value for raw in hook.raw for value in found_in(raw)} == set()


@pytest.mark.parametrize("number", cases([signal.SIGINT, signal.SIGTERM], {signal.SIGINT}))
def test_a_run_that_is_interrupted_before_it_begins_is_told(
    hook: Webhook, tmp_path: Path, number: signal.Signals
) -> None:
    """While its inventory is still read: exit code 130, and what an earlier run has found is no longer in the file."""
    inventory, reading, junit = tmp_path / "staff.sh", tmp_path / "reading", tmp_path / "fleet.xml"
    inventory.write_text(f"#!/bin/sh\ntouch {reading}\nexec sleep 60\n")
    inventory.chmod(0o700)
    junit.write_text("<testsuites/>")
    command = [str(BIN / "fleet"), "run", "-i", str(inventory), "--junit", str(junit), "--notify", hook.url]
    run = subprocess.Popen([*command, "--output", "json"], stdout=subprocess.PIPE, text=True)
    wait_until(reading.exists)
    run.send_signal(number)
    report = json.loads(run.communicate(timeout=60)[0])
    sentence = "The run was interrupted before any account was visited; run it again."
    assert (run.returncode, report["results"]) == (130, [])
    assert [one["message"] for one in report["errors"]] == [sentence]
    [[case]] = JUnitXml.fromfile(str(junit))
    assert [(one.type, one.message) for one in case.result] == [("interrupted", sentence)]
    [notice] = hook.notices
    assert (notice["event"], notice["exit_code"], notice["type"]) == ("run.not_begun", 130, "failure")


def test_nothing_to_do_is_not_told(hook: Webhook) -> None:
    """Neither a run that plans nothing nor one that has nothing to go on with."""
    fleet("run", "-i", EXAMPLE, "-l", "brian.walsh", "--control", "research", "--notify", hook.url)
    done = fleet("run", "-i", EXAMPLE, "-l", "brian.walsh", "--resume", "--notify", hook.url)
    assert "Nothing to resume" in done.stderr
    assert hook.raw == []


def test_a_rehearsal_pages_nobody(hook: Webhook) -> None:
    """An address that may be elsewhere is refused before anything runs, and nobody hears of it."""
    done = fleet("run", "-i", EXAMPLE, "--notify", hook.url, "--notify", "https://hooks.example/s3cret")
    assert (done.returncode, done.stdout) == (2, "")
    said = " ".join(done.stderr.split())
    assert "a rehearsal sends nothing to other machines, and https://hooks.example/… may be on one" in said
    assert hook.raw == [] and not state().exists()
