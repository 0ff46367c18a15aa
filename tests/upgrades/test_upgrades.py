"""State, log, inventory and settings of older versions: they verify, read and go on in this one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from fleet.rehearsal.account import RehearsalAccount
from fleet.rehearsal.process import Rehearsal, start_rehearsal
from tests import commands

pytestmark = pytest.mark.xdist_group("upgrades")

HERE = Path(__file__).parent
VERSIONS = ("b030b23",)


@pytest.fixture(params=VERSIONS)
def company(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of what a version left, private as it was; git keeps neither modes nor empty folders."""
    copy = tmp_path / "company"
    shutil.copytree(HERE / request.param, copy)
    for place in copy.rglob("*"):
        place.chmod(0o700 if place.is_dir() else 0o600)
    (copy / "state" / "runs").mkdir(mode=0o700, exist_ok=True)
    return copy


def fleet(company: Path, *arguments: str) -> CompletedProcess[str]:
    """A command in the folder of the inventory; its fleet.yml names state and keys."""
    return commands.fleet(*arguments, cwd=company / "people")


def log_of(company: Path) -> list[dict[str, Any]]:
    text = (company / "state" / "audit" / "log" / "000000000000.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def state_of(company: Path) -> tuple[str, ...]:
    return "--state", str(company / "state")


class TestReading:
    def test_the_log_verifies_as_it_was_left(self, company: Path) -> None:
        """Nothing but the three records of the killed run is unsigned, across the rotated key."""
        done = fleet(company, "audit", "verify", *state_of(company), "--output", "json")
        found = json.loads(done.stdout)
        assert (done.returncode, found["verdict"]) == (10, "unsigned_tail")
        assert (found["records"], found["signed"], found["checkpoints"]) == (46, 43, 7)

    def test_all_records_are_shown_and_exported(self, company: Path) -> None:
        """Shown are both kinds, in one list; exported are the real runs, or the rehearsals that share their log."""
        shown = json.loads(fleet(company, "audit", "show", *state_of(company), "--output", "json").stdout)["records"]
        assert len(shown) == 46 and [record.get("rehearsal") for record in shown].count(True) == 15
        lines = {
            format_: len(fleet(company, "audit", "export", *state_of(company), "--format", format_).stdout.splitlines())
            for format_ in ("jsonl", "csv", "ecs", "ocsf")
        }
        assert lines == {"jsonl": 31, "csv": 32, "ecs": 31, "ocsf": 31}

    def test_a_rehearsal_in_the_log_of_the_real_runs_counts_for_nothing(self, company: Path) -> None:
        """It opted three people out at a stand-in; of real accounts one is known to be out, and one was read in."""
        status = json.loads(fleet(company, "status", "-i", "staff.yml", "--output", "json").stdout)
        read = {row["employee"]: row["state"] for row in status["controls"]}
        assert read == {
            "anna.keller": "out",
            "ben.ito": "not_known",
            "carla.rossi": "out",
            "dora.lang": "not_known",
            "emil.novak": "not_known",
        }
        assert fleet(company, "audit", "receipt", "dora.lang").returncode == 0
        assert "switched it off" not in (company / "people" / "dora.lang.receipt.txt").read_text("utf-8")

    def test_sessions_revocations_and_settings_are_known(self, company: Path) -> None:
        """Who is signed in, who revoked and when, and each setting with its line."""
        sessions = fleet(company, "sessions", "list", *state_of(company)).stdout
        assert [name for name in ("anna.keller", "carla.rossi", "dora.lang") if name in sessions] == [
            "anna.keller",
            "carla.rossi",
            "dora.lang",
        ]
        mandates = fleet(company, "mandates", "list", *state_of(company)).stdout
        assert "carla.rossi" in mandates and "2026-11-29" in mandates and "anna.keller" not in mandates
        settings = json.loads(fleet(company, "config", "show", "-i", "staff.yml", "--output", "json").stdout)
        values = {one["key"]: one["value"] for one in settings["settings"]}
        assert values["terms_accepted"] == {"linkedin": "Board minutes 12"}
        assert values["breaker"]["challenges"] == 4
        assert (values["pause"]["shortest"], values["pause"]["longest"]) == (15, 30)


class TestGoingOn:
    @pytest.fixture
    def service(self) -> Iterator[Rehearsal]:
        """LinkedIn's stand-in, which knows the three who have accounts there."""
        accounts = [
            RehearsalAccount("anna.keller", "linkedin", "anna-keller", "Anna Keller", "fr", "already_out"),
            RehearsalAccount("carla.rossi", "linkedin", "carla-rossi", "Carla Rossi", "en", "switched_on"),
            RehearsalAccount("dora.lang", "linkedin", "dora-lang", "Dora Lang", "en", "switched_on"),
        ]
        with start_rehearsal(accounts) as rehearsal:
            yield rehearsal

    def test_a_run_goes_on_with_all_of_it(self, company: Path, service: Rehearsal) -> None:
        """The killed run is ended from its plan, old sessions open, the revocation counts, and the log verifies.

        The stand-in does not know anna's old session any more and says so: that is not the answer for one that does not
        open. Dora's is imported again.
        """
        (company / "people" / "session.json").write_text(json.dumps(service.storage_state("dora.lang", "linkedin")))
        imported = fleet(company, "sessions", "import", "-i", "staff.yml", "dora.lang", "linkedin", "session.json")
        assert imported.returncode == 0, imported.stderr
        ways = [part for host, at in service.resolve.items() for part in ("--resolve", f"{host}={at}")]
        ways += ["--trust-spki", service.spki, "--output", "json"]
        run = json.loads(fleet(company, "run", "-i", "staff.yml", *ways).stdout)
        assert run["errors"] == []
        assert {row["employee"]: (row["outcome"], row["reason"]) for row in run["results"]} == {
            "anna.keller": ("sign_in_needed", "signed_out"),
            "ben.ito": ("no_mandate", "no_mandate_given"),
            "carla.rossi": ("no_mandate", "mandate_revoked"),
            "dora.lang": ("opted_out", None),
            "emil.novak": ("waived", None),
        }
        log = log_of(company)
        assert {record["v"] for record in log[:46]} == {1} and {record["v"] for record in log[46:]} == {5}
        killed = [record for record in log if record["run"] == log[45]["run"]]
        assert [(one["event"], one.get("outcome")) for one in killed[-2:]] == [
            ("control.finished", "unknown"),
            ("run.finished", None),
        ]
        assert fleet(company, "audit", "verify", *state_of(company)).returncode == 0
