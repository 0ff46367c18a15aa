"""The private profile of a sign-in: in memory only, private, and wiped whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet.cli import app
from fleet.desk.private_profile import MEMORY, private_profile, require_memory, wipe_left_over
from fleet.errors import FleetError, InputError
from tests.commands import FLEET
from tests.conftest import OBEYING_MODES

HELD = """
import sys, time
from pathlib import Path
from fleet.desk.private_profile import private_profile
with private_profile(Path(sys.argv[1])) as profile:
    (profile.folder / "Default" / "Cookies").write_text("marker-4711")
    print(profile.root, flush=True)
    time.sleep(60)
"""
"""A sign-in that goes on."""
NOT_WIPED = """
import sys
from pathlib import Path
from fleet.desk import private_profile as module
module._WIPED_WITHIN = 0.2
try:
    with module.private_profile(Path(sys.argv[1])) as profile:
        print(profile.root)
        (profile.folder / "kept").write_text("x")
        profile.folder.chmod(0o500)
except module.FleetError as error:
    print(error)
try:
    module.wipe_left_over(Path(sys.argv[1]))
except module.FleetError as error:
    print(error)
"""
"""A profile whose content this user may not remove, and the next command."""


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where no other test's command wipes anything."""
    with tempfile.TemporaryDirectory(prefix="fleet-test-", dir=MEMORY) as folder:
        yield Path(folder)


def started(memory: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process with a private profile, and that profile's folder."""
    command = [sys.executable, "-c", HELD, str(memory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_profile_is_private_and_in_memory_and_wiped_at_the_end() -> None:
    """Its preferences keep session cookies, and no password; temporary files are in it meanwhile."""
    before = tempfile.gettempdir()
    with private_profile() as profile:
        assert profile.root.parent == MEMORY
        assert profile.root.stat().st_mode & 0o777 == 0o700
        preferences = json.loads((profile.folder / "Default" / "Preferences").read_text("utf-8"))
        assert preferences["session"] == {"restore_on_startup": 1}
        assert preferences["credentials_enable_service"] is False
        assert (tempfile.gettempdir(), os.environ["TMPDIR"]) == (str(profile.temporary), str(profile.temporary))
        profile.wipe()
        assert [path.name for path in profile.root.iterdir()] == ["tmp"]
    assert not profile.root.exists()
    assert (tempfile.gettempdir(), "TMPDIR" in os.environ) == (before, False)


@pytest.mark.parametrize(
    ("folder", "what"), [("/proc", "is on proc"), ("/nowhere", "does not exist")], ids=["no tmpfs", "no folder"]
)
def test_a_profile_is_refused_elsewhere_than_in_memory(folder: str, what: str) -> None:
    """A session never reaches a disk."""
    with pytest.raises(InputError) as refused, private_profile(Path(folder)):
        pass
    assert str(refused.value) == (
        f"{folder} {what}: a sign-in is kept in memory only; mount a tmpfs there and run again."
    )
    require_memory()


def test_any_command_wipes_what_a_killed_one_left_and_no_living_one() -> None:
    """SIGKILL of the command, while another one goes on and a browser of the killed one is left."""
    killed, left = started(MEMORY)
    living, kept = started(MEMORY)
    browser = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", f"--user-data-dir={left}/profile"])
    try:
        assert (left / "profile/Default/Cookies").read_text() == "marker-4711"
        killed.kill()
        killed.wait()
        subprocess.run([str(FLEET), "services", "schema"], check=True, stdout=subprocess.DEVNULL)
        assert not left.exists()
        assert browser.wait(10) == -9
        assert (kept / "profile/Default/Cookies").read_text() == "marker-4711"
    finally:
        for process in (living, killed, browser):
            process.kill()
            process.communicate()
    wipe_left_over()
    assert not kept.exists()


def test_a_profile_that_cannot_be_wiped_is_said(memory: Path) -> None:
    """With the folder's name, and what removes it; by the next command as well."""
    command = [*OBEYING_MODES, sys.executable, "-c", NOT_WIPED, str(memory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    root, *said = done.stdout.splitlines()
    (Path(root) / "profile").chmod(0o700)
    assert said == [f"{root} holds a sign-in and cannot be wiped; run: rm -rf {root}"] * 2


def test_a_command_goes_on_when_a_profile_cannot_be_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said on stderr, whatever the command is for."""

    def fails() -> None:
        raise FleetError("It cannot be wiped.")

    # A profile in the real place would be wiped by the commands of other tests.
    monkeypatch.setattr("fleet.cli.wipe_left_over", fails)
    done = CliRunner().invoke(app, ["services", "schema"])
    assert (done.exit_code, done.stderr) == (0, "Error: It cannot be wiped.\n")
    assert done.stdout.startswith("{")


def test_the_folders_of_other_users_are_left_alone(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even by root, whose sign-in it is not."""
    killed, left = started(memory)
    killed.kill()
    killed.communicate()
    with monkeypatch.context() as other:
        other.setattr("os.getuid", lambda: 4711)  # a second user would need root
        wipe_left_over(memory)
        assert left.exists()
    wipe_left_over(memory)
    assert not left.exists()
