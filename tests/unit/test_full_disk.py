"""A disk without room: each command says so in a sentence, and nothing that was there is lost."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.agent.diagnostics import DiagnosticsFile
from fleet.authority.attestations import Attestation, Attestations
from fleet.errors import told
from fleet.paths import StateDir, default_log_key
from fleet.plan.gates import today
from fleet.state.create import make_state
from tests.commands import fleet
from tests.full_disk import NEEDS_ROOT, FullDisk
from tests.unit.test_audit_commands import write

STAFF: dict[str, dict[str, Any]] = {
    "all": {
        "vars": {"fleet_rehearsal": True},
        "hosts": {
            name: {
                "fleet_email": f"{name}@company.example",
                "fleet_accounts": {"linkedin": {"profile": name.replace(".", "-")}},
            }
            for name in ("anna.keller", "brian.walsh")
        },
    }
}
SESSION = {
    "cookies": [
        {
            "name": "li_at",
            "value": "x",
            "domain": ".www.linkedin.com",
            "path": "/",
            "expires": 4102444800,
            "httpOnly": True,
            "secure": True,
            "sameSite": "None",
        }
    ],
    "origins": [],
}
REVOKED = {"v": 1, "act": "revoke", "employee": "brian.walsh", "at": "2026-11-01T10:00:00Z"}
SENT = f"id,written_at,employee,kind,controls\n{'a' * 32},2026-11-01T10:00:00Z,anna.keller,first,linkedin.ai_training\n"
WRITING = {
    "init": ("init", "--state", "other"),
    "sessions import": ("sessions", "import", "-i", "real.yml", "anna.keller", "linkedin", "session.json"),
    "mandates revoke": ("mandates", "revoke", "brian.walsh"),
    "mandates renew": ("mandates", "renew", "anna.keller", "--reference", "M2"),
    "services stop": ("services", "stop", "linkedin", "--reference", "T1"),
    "services submitted": ("services", "submitted", "linkedin", "--confirmation", "session.json"),
    "spot-check draw": ("spot-check", "draw", "1", "-i", "real.yml"),
    "portal ingest": ("portal", "ingest", "-i", "real.yml"),
    "notices write": ("notices", "write", "-i", "real.yml", "-o", "out", "--contact", "c", "--organization", "o"),
    "notices sent": ("notices", "sent", "sent.csv"),
    "inventory import": ("inventory", "import", "people.csv", "-i", "new.yml", "--yes"),
    "inventory rename": ("inventory", "rename", "anna.keller", "anna.wyss", "-i", "real.yml"),
    "report": ("report",),
    "receipt": ("audit", "receipt", "anna.keller", "-o", "."),
    "prove": ("audit", "prove", "3", "-o", "proof"),
    "checkpoint": ("audit", "checkpoint"),
    "rotate-key": ("audit", "rotate-key"),
    "erase": ("audit", "erase", "anna.keller"),
    "people show": ("people", "show", "anna.keller", "-o", "anna", "-i", "real.yml"),
    "prune": ("audit", "prune", "--before", "2999-01-01"),
    "run": ("run", "-i", "staff.yml"),
}
"""Every command that writes; those that only remove need no room."""


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FullDisk]:
    """Home and working directory on a disk of their own, with a state and a log that is in use."""
    place = tmp_path / "disk"
    disk = FullDisk(place)
    try:
        home = place / "home"
        home.mkdir(mode=0o700)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.chdir(place)
        state = StateDir(home / ".local/state/fleet")
        make_state(state, home / ".config/fleet/identity.txt", default_log_key())
        asyncio.run(write(state))
        (place / "staff.yml").write_text(json.dumps(STAFF))
        invited = {"fleet_country": "DE", "fleet_subject": "7d0c"}
        hosts = STAFF["all"]["hosts"] | {"anna.keller": STAFF["all"]["hosts"]["anna.keller"] | invited}
        (place / "real.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
        said = Attestation(service="linkedin", control="ai_training", said="switched", attested_on=today())
        Attestations(state.attestations).put("anna.keller", said)
        (place / "session.json").write_text(json.dumps(SESSION))
        (place / "fleet.yml").write_text("inbox: inbox\ndesk: {countries: [DE]}\n")
        (place / "inbox").mkdir()
        (place / "inbox" / f"revoke-{'a' * 32}.json").write_text(json.dumps(REVOKED))
        (place / "sent.csv").write_text(SENT)
        (place / "people.csv").write_text("Name,E-mail\nanna.keller,anna.keller@company.example\n")
        yield disk
    finally:
        monkeypatch.undo()
        disk.remove()


@NEEDS_ROOT
@pytest.mark.parametrize("verb", WRITING)
def test_each_command_says_in_a_sentence_that_the_disk_is_full(
    disk: FullDisk, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One error, no traceback, exit 1 or 2; and afterwards the log is whole."""
    monkeypatch.setenv("ANSIBLE_HOME", str(Path.cwd().parent / "ansible"))  # what Ansible says of its folder, it says
    disk.take()
    done = fleet(*WRITING[verb])
    disk.give_back()
    assert done.returncode in (1, 2), done
    assert "Traceback" not in done.stderr + done.stdout, done
    assert done.stderr.count("Error: ") == 1 and "No space left on device" in done.stderr, done
    assert "OK: all records are present" in " ".join(fleet("audit", "verify").stdout.split())


def test_what_nothing_else_has_a_word_for_names_place_cause_and_fix() -> None:
    """The sentence of the last resort, for whatever the system refuses."""
    assert told(OSError(28, "No space left on device", "/state/x")) == (
        "/state/x: No space left on device; free space there and run again."
    )
    assert told(OSError(5, "Input/output error")) == "Input/output error; check the disk."
    assert told(TimeoutError()) == "TimeoutError; fix that and run again."


def test_diagnostics_that_cannot_be_written_end_nothing() -> None:
    """A full disk is what they would tell of."""
    with Path("/dev/full").open("wb") as full:
        assert DiagnosticsFile(full.fileno()).write("a line\n") == 7
    read, written = os.pipe()
    DiagnosticsFile(written).write("half \ud800\n")
    assert os.read(read, 100) == b"half \\ud800\n"
    os.close(read)
    os.close(written)
