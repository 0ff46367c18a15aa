"""What tests of the whole pipeline share: the log that our commands leave, and the processes that they start."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from fleet.audit import records as schema
from fleet.audit.pseudonyms import known_names
from fleet.rehearsal.world import read_world
from tests.commands import running
from tests.conftest import ROOT

BIN = Path(sys.executable).parent
EXAMPLE = str(ROOT / "inventory.example.yml")

EXAMPLE_COUNTS = {
    "already_opted_out": 1,
    "opted_out": 8,
    "not_offered": 3,
    "waived": 1,
    "no_mandate": 2,
    "sign_in_needed": 1,
    "challenged": 1,
    "wrong_account": 1,
    "page_changed": 1,
    "not_saved": 1,
}
"""How the example company's controls end in a first run."""

Entry = tuple[str, str, str]
"""Employee, service, control."""


@dataclass(frozen=True)
class ExampleRun:
    """What a first run of the example company left and told."""

    home: Path
    report: dict[str, Any]
    records: list[dict[str, Any]]
    notices: list[dict[str, Any]]
    letters: list[EmailMessage]
    sent: list[bytes]
    """The notices and letters as they arrived."""


def records(folder: Path | None = None) -> list[dict[str, Any]]:
    """All records of this test's log (in its state directory of rehearsals, or in `folder`), none before it is there.

    A line that is just being written is left out.
    """
    logs = sorted(((folder or state()) / "audit/log").glob("*.jsonl"))
    lines = "".join(log.read_text() for log in logs).splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def has_intent() -> bool:
    """True once a control is about to be pressed: the browser is in the middle of a visit."""
    return any(record["event"] == schema.CONTROL_INTENDED for record in records())


@dataclass(frozen=True)
class Process:
    """A living process of this test."""

    pid: int
    command: str

    @property
    def is_agent(self) -> bool:
        """True for the agent of a run."""
        return " agent --socket " in self.command or " agent --owner-fd " in self.command

    @property
    def is_browser(self) -> bool:
        """True for the browser's main process, and for the script that Debian starts it by."""
        return "--remote-debugging-pipe" in self.command and "--type=" not in self.command


def processes(*homes: Path) -> list[Process]:
    """Living processes that carry this test's HOME, or one of `homes`."""
    found, signs = [], [f"HOME={home}\0".encode() for home in homes or (os.environ["HOME"],)]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environ = (folder / "environ").read_bytes()
            if not any(sign in environ for sign in signs) or int(folder.name) == os.getpid():
                continue
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        found.append(Process(int(folder.name), command))
    forked = [each for home in homes or (Path(os.environ["HOME"]),) for each in running(str(home))]
    return [*found, *(Process(pid, command) for pid, command in forked)]


def nothing_runs() -> bool:
    """True if this test has left no process."""
    return processes() == []


def wait_until(condition: Callable[[], object], within: float = 120.0) -> None:
    """Wait on a condition with a deadline."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, processes()
        time.sleep(0.05)


def state() -> Path:
    """This test's state directory of rehearsals."""
    return Path(os.environ["HOME"]) / ".local/state/fleet/rehearsal"


def stored() -> dict[Entry, tuple[str, int]]:
    """What the service really has: the value, and how often a change arrived. It outlives the rehearsal."""
    accounts = read_world(state() / "rehearsal-world.json").values()
    return {
        (account["employee"], account["service"], control): (value, account["writes"][control])
        for account in accounts
        for control, value in account["controls"].items()
    }


def entries(event: str, run: str) -> list[Entry]:
    """Whom and what the records of one event are about, by employee."""
    names = known_names(state() / "audit" / "subjects.sqlite")
    found = [record for record in records() if (record["event"], record["run"]) == (event, run)]
    return [(names[record["subject"]], record["service"], record["control"]) for record in found]
