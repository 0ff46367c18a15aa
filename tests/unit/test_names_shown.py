"""Who showed employees by name, and who did what else, is in the log: the system's user, and the name claimed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fleet.audit import records
from fleet.audit.pseudonyms import known_subjects
from fleet.audit.segments import read_records
from fleet.commands.names_shown import record_names_shown
from fleet.errors import AuditError
from fleet.paths import StateDir, default_log_key
from fleet.settings.resolve import Given, resolve_settings
from fleet.state.acts import ACT
from tests.commands import fleet
from tests.conftest import ROOT
from tests.full_disk import NEEDS_ROOT
from tests.unit.test_audit_commands import state, told
from tests.unit.test_commands import refusal

__all__ = ["state"]

NAMES = ("anna.keller", "brian.walsh", "ciara.byrne")
STAFF = {name: {"fleet_accounts": {"linkedin": {"profile": name}}} for name in (*NAMES, "dora.new")}


@pytest.fixture(autouse=True)
def _operator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Somebody came here with sudo."""
    monkeypatch.setenv("SUDO_USER", "ops")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "staff.yml").write_text(json.dumps({"all": {"hosts": STAFF}}))


def shown(place: StateDir) -> list[dict[str, Any]]:
    """The records that names were shown, without what all records have."""
    found = (one for one in read_records(place.audit.log) if one["event"] == "names.shown")
    return [{name: value for name, value in one.items() if name not in records.COMMON} for one in found]


def pseudonym(place: StateDir, name: str) -> str:
    return known_subjects(place.audit.subjects)[name].pseudonym


class TestShown:
    @pytest.mark.parametrize(
        ("command", "people"),
        [
            ("audit show --with-names", 3),
            ("audit show --with-names --output json", 3),
            ("audit show --with-names --outcome not_saved", 1),
            ("audit export --with-names --format csv", 3),
            ("audit diff r1 r2 --with-names", 2),
            ("report -o page.html", 3),
            ("status", 3),
            ("status --output json", 3),
            ("status --drift", 3),
            ("status -i staff.yml --output json", 3),
            ("notices write -i staff.yml -o mail --contact it@example.com --organization Example", 2),
        ],
    )
    def test_names_beside_the_log_are_recorded(self, state: StateDir, command: str, people: int) -> None:
        """By whom, with which command, and of how many employees; whom no run has met does not count."""
        done = fleet(*command.split())
        assert done.returncode in (0, 6), done.stderr
        name = " ".join(command.split()[: 1 if command.startswith(("report", "status")) else 2])
        assert shown(state) == [
            {"operator": os.getuid(), "operator_claimed": "ops", "command": name, "subject": None, "people": people}
        ]

    @pytest.mark.parametrize("command", ["audit show", "audit export", "audit receipt"])
    def test_whose_pseudonym_was_looked_for_is_recorded(self, state: StateDir, command: str) -> None:
        """Also where the output has pseudonyms only: all its records are this person's."""
        option = [] if command == "audit receipt" else ["--employee"]
        done = fleet(*command.split(), *option, "anna.keller")
        assert done.returncode == 0, done.stderr
        assert option == [] or "anna.keller" not in done.stdout
        assert shown(state) == [
            {
                "operator": os.getuid(),
                "operator_claimed": "ops",
                "command": command,
                "subject": pseudonym(state, "anna.keller"),
                "people": 1,
            }
        ]

    @pytest.mark.parametrize(
        "command",
        [
            "audit show",
            "audit show --output json",
            *(f"audit export --format {form}" for form in ("jsonl", "csv", "ecs", "ocsf")),
            "audit diff r1 r2",
            "audit diff r1 r2 --output json",
            "audit verify",
            "report --counts -i staff.yml -o counts.html",
        ],
    )
    def test_without_names_nothing_is_recorded(self, state: StateDir, command: str) -> None:
        """And no name is shown."""
        before = len(list(read_records(state.audit.log)))
        done = fleet(*command.split())
        assert done.returncode == 0, done.stderr
        pages = [path.read_text() for path in Path().glob("*.html")]
        assert not any(name in text for name in NAMES for text in (done.stdout, done.stderr, *pages))
        assert len(list(read_records(state.audit.log))) == before

    def test_the_record_is_there_before_the_names(self, state: StateDir) -> None:
        """What is shown includes it only if it was written first: `--follow` shows it as the last of the past."""
        said = json.loads(fleet("audit", "show", "--with-names", "--output", "json").stdout)
        again = json.loads(fleet("audit", "show", "--output", "json").stdout)
        assert len(again["records"]) == len(said["records"]) + 1 and again["records"][-1]["event"] == "names.shown"
        text = " ".join(fleet("audit", "show").stdout.split())
        assert f"names.shown fleet audit show, 3 employees, operator uid {os.getuid()}, claims to be ops" in text

    def test_every_command_that_reads_names_beside_the_log_records_it(self) -> None:
        """But for those that show nobody's: they look up one name, count, or write each person's own page."""
        show_nobody = {"mandates.py", "spot_check.py", "portal/publish.py"}
        folder = ROOT / "fleet/commands"
        sources = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.py")}
        reading = {name for name, text in sources.items() if re.search(r"\bknown_(names|subjects)\(", text)}
        recording = {
            name for name, text in sources.items() if re.search(r"^ +record_names_shown\(", text, re.MULTILINE)
        }
        assert reading - show_nobody == recording


class TestCannotBeRecorded:
    def test_a_copy_without_the_key_can_be_reviewed(self, state: StateDir, tmp_path: Path) -> None:
        """With the names, and with a sentence that this is not recorded; the copy stays as it was."""
        copy = StateDir(tmp_path / "copy")
        shutil.copytree(state.root, copy.root)
        before = {path: path.read_bytes() for path in copy.root.rglob("*") if path.is_file()}
        for command in ("audit show --with-names", "audit receipt anna.keller", "status", "report"):
            done = fleet(*command.split(), "--state", copy.root, "--log-key", tmp_path / "none.pem")
            assert done.returncode == 0, done.stderr
            why = f"There is no signing key at {tmp_path}/none.pem"
            assert f"Not recorded in the log that names are shown: {why}" in " ".join(done.stderr.split())
        assert {path: path.read_bytes() for path in copy.root.rglob("*") if path.is_file()} == before

    @NEEDS_ROOT
    def test_a_copy_that_may_not_be_written_can_be_reviewed(self, state: StateDir, tmp_path: Path) -> None:
        """On a medium that cannot be written: with the names, and with a sentence that this is not recorded."""
        place = tmp_path / "medium"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "tmpfs", str(place)], check=True)
        try:
            shutil.copytree(state.root, place / "copy")
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
            why = f"{place}/copy/audit is not writable."
            for command in (
                "audit show --with-names",
                "audit export --with-names",
                "status",
                "audit diff r1 r2 --with-names",
            ):
                done = fleet(*command.split(), "--state", place / "copy")
                assert done.returncode == 0 and "anna.keller" in done.stdout, done.stderr
                assert f"Not recorded in the log that names are shown: {why}" in " ".join(done.stderr.split())
            for command in ("report", "audit receipt anna.keller", "people show anna.keller -o out"):
                done = fleet(*command.split(), "--state", place / "copy")
                assert done.returncode == 0 and why in " ".join(done.stderr.split())
            assert "OK" in told("audit", "verify", "--state", str(place / "copy"))
            assert "is not writable" in refusal("audit", "erase", "anna.keller", "--state", str(place / "copy"))
        finally:
            subprocess.run(["umount", str(place)], check=True)

    @pytest.mark.skipif(os.getuid() == 0, reason="no mode keeps root from writing")
    def test_a_copy_of_another_mode_can_be_reviewed(self, state: StateDir) -> None:
        """One that its reader may not write."""
        for path in (*state.root.rglob("*"), state.root):
            path.chmod(0o500 if path.is_dir() else 0o400)
        done = fleet("audit", "show", "--with-names")
        assert done.returncode == 0 and "anna.keller" in done.stdout and "is not writable" in done.stderr

    def test_a_log_that_can_be_written_but_fails_shows_nothing(
        self, state: StateDir, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A record that is refused, by a changed log: pseudonyms and the verification are still there."""
        path = state.audit.log / "000000000000.jsonl"
        path.write_bytes(path.read_bytes().replace(b"still_in", b"still_on"))
        done = fleet("audit", "export", "--with-names")
        assert (done.returncode, done.stdout) == (1, "")
        assert fleet("audit", "verify").returncode == 15
        with pytest.raises(AuditError):
            record_names_shown(resolve_settings(Given()), "audit show", 1)


class TestOperator:
    def test_every_act_says_who_did_it(self) -> None:
        """The fields are those of `run.started`, in every event that somebody makes happen."""
        of_a_run = {"run.planned", "control.intended", "control.finished", "run.finished", "mandate.met"}
        for event, fields in records.FIELDS.items():
            assert ({"operator", "operator_claimed"} <= fields.keys()) == (event not in of_a_run | {"log.recovered"}), (
                event
            )

    def test_an_agent_is_told_who_claims_to_act(self) -> None:
        """It does not take its own environment's word: every act but settling names the operator."""
        schema = ACT.json_schema()
        without = {
            name
            for name, one in schema["$defs"].items()
            if "act" in one.get("properties", {}) and "operator_claimed" not in one.get("required", [])
        }
        assert without == {"Settle"}

    def test_commands_record_the_operator(self, state: StateDir) -> None:
        """The uid of the system, and what sudo says beside it."""
        for command in (
            "audit prune --before 2999-01-01",
            "audit checkpoint",
            "audit rotate-key",
            "audit erase anna.keller",
        ):
            done = fleet(*command.split())
            assert done.returncode == 0, done.stderr
        found = {one["event"]: (one["operator"], one["operator_claimed"]) for one in read_records(state.audit.log)}
        assert found == dict.fromkeys(
            ("log.heartbeat", "log.key_rotated", "log.pruned", "subject.erased"), (os.getuid(), "ops")
        ), found

    def test_a_long_claim_is_cut(self, state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name of AWX that no record could hold stops no act."""
        monkeypatch.setenv("AWX_USER_NAME", "x" * 5000)
        assert fleet("audit", "checkpoint").returncode == 0
        assert list(read_records(state.audit.log))[-1]["operator_claimed"] == "x" * 200
        assert default_log_key().exists()
