"""`fleet attend --worker`: the screen is on another machine, reached over a real sshd; keys and log stay here."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fleet.audit import records as schema
from fleet.desk.private_profile import MEMORY
from tests.commands import FLEET, fleet
from tests.desk.screen import Screen, screen
from tests.desk.test_attend import (
    ALLOW,
    THANKS,
    agree_and_sign_in,
    attending,
    ended,
    lay_out,
    marker,
    personal,
    places_of,
    profiles,
)
from tests.playbook.helpers import processes, records, state, stored, wait_until
from tests.workers.sshd import SSHD, Sshd

pytestmark = [
    pytest.mark.xdist_group("desk"),
    pytest.mark.skipif(SSHD is None, reason="sshd is missing: install openssh-server"),
]
DESK = f"ssh://desk{FLEET}"


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Screen, Path]]:
    """A display that only the other machine knows, and that machine's home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    lay_out({"anna.keller": personal("anna.keller")})
    with screen() as display, tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        sshd = Sshd(Path(folder) / "s", ["desk"], variables=f"DISPLAY={display.display}")
        monkeypatch.setenv("PATH", f"{sshd.bin}:{os.environ['PATH']}")
        own = Path(folder) / "own"
        own.mkdir(mode=0o700)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(own))
        with sshd:
            yield display, sshd.homes["desk"]


def test_the_screen_is_on_another_machine_and_the_log_is_here(far: tuple[Screen, Path], tmp_path: Path) -> None:
    """Opted out there, recorded here with the desk's name; the session is never here, and then nowhere."""
    desk, home = far
    with attending("--worker", DESK) as process:
        agree_and_sign_in(desk)
        desk.wait_for(ALLOW)
        mine = [one.cmdline() for one in psutil.Process(process.pid).children(recursive=True)]
        assert not any("--remote-debugging-pipe" in command for command in mine)
        desk.choose(ALLOW, 1)
        desk.choose(THANKS, 1)
        code, results, said = ended(process)
    assert (code, results) == (0, [("opted_out", None)]), said
    assert "the screen asks: Allow?" in said
    assert stored()["anna.keller", "linkedin", "ai_training"] == ("out", 1)
    [intent] = [record for record in records() if record["event"] == schema.CONTROL_INTENDED]
    assert (intent["worker"], intent["attended"], intent["assurance"]) == ("desk", True, "desk")
    assert fleet("audit", "verify", "--rehearsal").returncode == 0
    assert profiles() == [] and list((state() / "sessions").iterdir()) == []
    wait_until(lambda: not processes(home))
    assert places_of(marker(), home, tmp_path, MEMORY) == []


def test_an_employee_sits_at_one_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two machines are refused before anything begins."""
    monkeypatch.chdir(tmp_path)
    lay_out({"anna.keller": personal("anna.keller")})
    refused = fleet("attend", "--yes", "--worker", "one", "--worker", "two")
    assert refused.returncode == 2 and "an employee sits at one desk" in " ".join(refused.stderr.split())
