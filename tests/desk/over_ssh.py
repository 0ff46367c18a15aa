"""A visit with `--worker`: the screen is on another machine, reached over a real sshd; keys and log stay here."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import psutil
import pytest

from fleet.audit import records as schema
from fleet.desk.private_profile import MEMORY
from tests.commands import FLEET
from tests.desk.attended import (
    ALLOW,
    THANKS,
    agree_and_sign_in,
    attending,
    ended,
    lay_out,
    marker,
    personal,
    places_of,
)
from tests.desk.screen import Screen
from tests.playbook.helpers import processes, records, stored, wait_until
from tests.workers.sshd import SSHD, Sshd

DESK = f"ssh://desk{FLEET}"


def on_another_machine(desk: Screen, folder: Path) -> None:
    """Opted out there, recorded here with the desk's name; the session is never here, and then nowhere."""
    if SSHD is None:
        pytest.skip("sshd is missing: install openssh-server")
    with tempfile.TemporaryDirectory(prefix="fleet-") as other, pytest.MonkeyPatch.context() as here:
        lay_out({"anna.keller": personal("anna.keller")})
        sshd = Sshd(Path(other) / "s", ["desk"], variables=f"DISPLAY={desk.display}")
        here.delenv("DISPLAY")
        here.setenv("PATH", f"{sshd.bin}:{os.environ['PATH']}")
        with sshd, attending("--worker", DESK) as process:
            agree_and_sign_in(desk)
            desk.wait_for(ALLOW)
            mine = [one.cmdline() for one in psutil.Process(process.pid).children(recursive=True)]
            assert not any("--remote-debugging-pipe" in command for command in mine)
            desk.choose(ALLOW, 1)
            desk.choose(THANKS, 1)
            code, results, said = ended(process)
            assert (code, results) == (0, [("opted_out", None)]), said
            assert "the screen asks: Allow?" in said
            home = sshd.homes["desk"]
            wait_until(lambda: not processes(home))
            assert places_of(marker(), home, folder, MEMORY) == []
    assert stored()["anna.keller", "linkedin", "ai_training"] == ("out", 1)
    [intent] = [record for record in records() if record["event"] == schema.CONTROL_INTENDED]
    assert (intent["worker"], intent["attended"], intent["assurance"]) == ("desk", True, "desk")
