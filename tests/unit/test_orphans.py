"""What killed runs leave in the runtime folder, and what is not theirs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from fleet.orphans import AGENT, PLAY, WORKER, held_folder, hold, reap, sweep
from tests.hr_import.test_adopt import REMEMBERED
from tests.playbook.helpers import BIN, wait_until

HOUR_AGO = time.time() - 3600


def folder(runtime: Path, name: str, *, is_old: bool = True) -> Path:
    """A folder of that name with something in it."""
    made = runtime / name
    made.mkdir(mode=0o700)
    (made / "profile").write_text("kept")
    if is_old:
        os.utime(made, (HOUR_AGO, HOUR_AGO))
    return made


class TestSweep:
    def test_what_nobody_holds_is_removed(self, tmp_path: Path) -> None:
        """The folders of an agent, of an agent without `fleet run`, and of a play, however young."""
        for name in ("20260101T000000Z-0a1b2c", ".agent-x1y2z3", ".play-x1y2z3", ".worker-x1y2z3"):
            folder(tmp_path, name)
        folder(tmp_path, "play-x1y2z3", is_old=False)
        folder(tmp_path, "agent-x1y2z3", is_old=False)
        sweep(tmp_path)
        assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == []

    @pytest.mark.parametrize("prefix", [AGENT, PLAY, WORKER])
    def test_a_folder_is_not_swept_away_before_it_is_held(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
    ) -> None:
        """Another agent may sweep between the two steps of a play's beginning."""
        # No test can stop a process there, so the sweep is put there.
        monkeypatch.setattr("fleet.orphans.hold", lambda made: (sweep(tmp_path), hold(made))[1])
        with held_folder(tmp_path, prefix) as made:
            sweep(tmp_path)
            assert made.is_dir() and made.name.startswith(prefix)
        assert not made.exists()

    def test_what_is_held_or_just_begins_stays(self, tmp_path: Path) -> None:
        """A living run, a living play, and an agent that is being started."""
        held = [hold(folder(tmp_path, name)) for name in ("20260101T000000Z-0a1b2c", "play-x1y2z3")]
        folder(tmp_path, "20260101T000001Z-0a1b2c", is_old=False)
        sweep(tmp_path)
        assert len([path for path in tmp_path.iterdir() if path.name != "home"]) == 3
        for descriptor in held:
            os.close(descriptor)

    def test_what_is_not_ours_stays(self, tmp_path: Path) -> None:
        """Other names, files, and links that lead elsewhere."""
        folder(tmp_path, "somebody-else-s")
        (tmp_path / "play-file").write_text("kept")
        elsewhere = folder(tmp_path, "elsewhere")
        (tmp_path / "play-link").symlink_to(elsewhere)
        sweep(tmp_path)
        assert (elsewhere / "profile").read_text() == "kept"
        assert {"somebody-else-s", "play-file", "play-link"} <= {path.name for path in tmp_path.iterdir()}


def test_processes_that_name_the_folder_are_killed_and_no_others(tmp_path: Path) -> None:
    """One whose argument is a file in it ends; one of a folder whose name only begins alike goes on."""
    made = folder(tmp_path, "play-1")
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    ours, other = (subprocess.Popen([*sleep, argument]) for argument in (f"{made}/employees.ini", f"--file={made}0/x"))
    try:
        reap(made)
        assert ours.wait(10) == -9
        assert other.poll() is None
        assert not made.exists()
    finally:
        other.kill()
        other.wait()


SLOW = """
from pathlib import Path
from time import sleep
from ansible.plugins.inventory import BaseInventoryPlugin

class InventoryModule(BaseInventoryPlugin):
    NAME = "slow"

    def verify_file(self, path):
        Path({marker!r}).touch()
        sleep(60)
"""
"""An inventory plugin that holds whoever reads an inventory."""


def test_a_command_that_is_ended_leaves_no_copy_of_the_staff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM while Ansible reads what `inventory adopt` is to split: nothing is written, and nothing is left."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "slow.py").write_text(SLOW.format(marker=str(tmp_path / "reading")))
    monkeypatch.setenv("ANSIBLE_INVENTORY_PLUGINS", str(tmp_path / "plugins"))
    monkeypatch.setenv("ANSIBLE_INVENTORY_ENABLED", "slow, yaml")
    (tmp_path / "staff.yml").write_text("all: {hosts: {anna.keller: {fleet_email: anna.keller@company.example}}}\n")
    (tmp_path / "staff.import.yml").write_text(REMEMBERED)
    command = [str(BIN / "fleet"), "inventory", "adopt", "-i", "staff.yml"]
    with tempfile.TemporaryDirectory(prefix="fleet-") as runtime:  # short enough for sockets
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        monkeypatch.setenv("TMPDIR", runtime)
        adopting = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until((tmp_path / "reading").exists)
        adopting.terminate()
        assert adopting.wait(30) == 143
        assert [path for path in Path(runtime).rglob("*") if path.is_file()] == []
    assert {path.name for path in tmp_path.iterdir()} == {"plugins", "staff.yml", "staff.import.yml", "reading", "home"}
