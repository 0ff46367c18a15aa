"""The machine's clock jumps in the middle of a run: the order of the log is kept, and the jump can be seen in it."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.commands import fleet
from tests.conftest import ROOT
from tests.playbook.helpers import BIN, has_intent, nothing_runs, records, wait_until
from tests.sizes import cases

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.mark.skipif(LIBRARY is None, reason="needs Debian's package faketime")
@pytest.mark.parametrize("jump", cases(["-1d", "+3d"], {"-1d"}))
def test_a_jump_changes_no_outcome_and_no_order(tmp_path: Path, jump: str) -> None:
    """A day back or three days on, for the agent alone: the same outcomes, records in order, a log that verifies.

    With libfaketime around the agent; the rest of the machine keeps its clock.
    """
    # Where libfaketime looks without being told: the agent keeps no variables that it does not know.
    offset, agent = Path(os.environ["HOME"]) / ".faketimerc", tmp_path / "fleet"
    offset.write_text("+0\n")
    agent.write_text(
        f'#!/bin/sh\nexec env LD_PRELOAD={LIBRARY} FAKETIME_NO_CACHE=1 DONT_FAKE_MONOTONIC=1 {BIN / "fleet"} "$@"\n'
    )
    agent.chmod(0o700)
    command = [str(BIN / "ansible-playbook"), "-i", "inventory.example.yml", "playbooks/optout.yml"]
    play = subprocess.Popen(
        [*command, "-l", "anna.keller,brian.walsh,chloe.martin,ciara.byrne"],
        cwd=ROOT,
        env=os.environ | {"FLEET_BIN": str(agent)},
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_until(has_intent)
    offset.write_text(f"{jump}\n")
    play.communicate(timeout=90)
    wait_until(nothing_runs)
    log = records()
    assert [record["seq"] for record in log] == list(range(len(log)))
    assert log[-1]["counts"] == {"already_opted_out": 1, "opted_out": 5, "no_mandate": 1}
    clock, steady = [datetime.fromisoformat(record["at"]) for record in log], [one["monotonic_ms"] for one in log]
    assert steady == sorted(steady)
    steps = [late - early for early, late in pairwise(clock)]
    jumps = [step for step in steps if abs(step) > timedelta(hours=1)]
    assert len(jumps) == 1
    assert round(jumps[0] / timedelta(days=1)) == {"-1d": -1, "+3d": 3}[jump]
    verified = fleet("audit", "verify", "--rehearsal")
    assert verified.returncode == 0
    assert ("set back before 1 record," in verified.stdout) is (jump == "-1d")
