"""`fleet audit`, `fleet status` and `fleet report` as people type them, on a log of two runs."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from fleet.audit import records
from fleet.audit.keys import read_signing_key
from fleet.audit.log import AuditLog
from fleet.audit.pseudonyms import Subjects, known_subjects
from fleet.audit.segments import Segment
from fleet.paths import StateDir, default_log_key
from fleet.state.create import make_state
from tests.commands import fleet
from tests.logs import FINISHED, INTENDED, STARTED
from tests.receivers import webhook
from tests.unit.test_commands import refusal

RUNS: dict[str, dict[str, dict[str, Any]]] = {
    "r1": {
        "anna.keller": {"outcome": "opted_out", "before": "in", "after": "out", "read_back": True},
        "brian.walsh": {"outcome": "already_opted_out", "before": "out", "after": "out", "read_back": False},
        "ciara.byrne": {"outcome": "no_mandate", "reason": "no_mandate_given", "before": None, "after": None},
    },
    "r2": {
        "anna.keller": {"outcome": "sign_in_needed", "reason": "no_session", "before": None, "after": None},
        "brian.walsh": {"outcome": "not_saved", "reason": "still_in", "before": "in", "after": "in"},
        "ciara.byrne": {"outcome": "no_mandate", "reason": "no_mandate_given", "before": None, "after": None},
    },
}
LOCALES = {"anna.keller": "de", "brian.walsh": "fr", "ciara.byrne": None}


async def write(state: StateDir, runs: dict[str, dict[str, dict[str, Any]]] = RUNS) -> None:
    """Both runs, or others."""
    store = Subjects(state.audit.subjects)
    subjects = store.of(LOCALES)
    store.close()
    for run, outcomes in runs.items():
        log = AuditLog(state.audit, run, read_signing_key(state.audit, default_log_key()))
        await log.append(records.RUN_STARTED, run, **STARTED)
        for name, seen in outcomes.items():
            whose = {"subject": subjects[name].pseudonym}
            planned = {"planned": [["linkedin", "ai_training"]], "authority": None, "mandate_hmac": None}
            await log.append(records.RUN_PLANNED, run, **whose, **planned)
            if seen["outcome"] in ("opted_out", "not_saved"):
                await log.append(records.CONTROL_INTENDED, run, **(INTENDED | whose | {"authority": "mandate"}))
            await log.append(records.CONTROL_FINISHED, run, **(FINISHED | whose | {"evidence": None} | seen))
        await log.append(records.RUN_FINISHED, run, counts={}, stopped=None, exit_code=5)
        log.close()


@pytest.fixture
def state() -> StateDir:
    """The default state directory of this test's home."""
    state = StateDir(Path.home() / ".local/state/fleet")
    make_state(state, Path.home() / ".config/fleet/identity.txt", default_log_key())
    asyncio.run(write(state))
    return state


def segment(state: StateDir) -> Path:
    return Segment(state.audit.log, 0).path


def told(*arguments: str, exit_code: int = 0) -> str:
    """What a command prints on stdout, on one line; nothing goes to stderr."""
    done = fleet(*arguments)
    assert (done.returncode, done.stderr) == (exit_code, ""), done
    return " ".join(done.stdout.split())


class TestVerify:
    def test_a_whole_log(self, state: StateDir) -> None:
        """What was checked, and what cannot be excluded."""
        said = told("audit", "verify")
        assert "Records 18, of which 18 signed" in said
        assert "OK: all records are present and match their signatures." in said
        assert "This does not rule out another history of the log" in said
        assert "The public key was read from the log's folder" in said

    def test_an_anchor_and_a_key_from_elsewhere_leave_no_doubt(self, state: StateDir, tmp_path: Path) -> None:
        """As far as the anchor reaches."""
        (tmp_path / "anchor").write_text(fleet("audit", "checkpoint").stdout)
        (tmp_path / "key").write_bytes(state.audit.vkey.read_bytes())
        said = told("audit", "verify", "--anchor", str(tmp_path / "anchor"), "--key", str(tmp_path / "key"))
        assert "Anchors 1, up to record 18" in said
        assert "This does not rule out" not in said and "log's folder" not in said

    @pytest.mark.parametrize(
        ("change", "exit_code", "verdict"),
        [
            (lambda content: content + b'{"v":1', 11, "torn_tail"),
            (lambda content: content.replace(b"not_saved", b"opted_out"), 15, "modified"),
            (lambda content: content[: content.rstrip(b"\n").rindex(b"\n") + 1], 14, "truncated"),
        ],
    )
    def test_the_exit_code_tells_what_is_the_matter(
        self, state: StateDir, change: Any, exit_code: int, verdict: str
    ) -> None:
        """As text and as one JSON object."""
        segment(state).write_bytes(change(segment(state).read_bytes()))
        assert verdict.upper().replace("_", " ") in told("audit", "verify", exit_code=exit_code)
        answer = json.loads(told("audit", "verify", "--output", "json", exit_code=exit_code))
        assert (answer["version"], answer["verdict"], answer["exit_code"]) == (2, verdict, exit_code)
        assert answer["findings"][0]["verdict"] == verdict

    def test_bad_input_is_said(self, state: StateDir, tmp_path: Path) -> None:
        """A key and an anchor that are none."""
        (tmp_path / "none").write_text("hello\n")
        assert "contains no checkpoint" in refusal("audit", "verify", "--anchor", str(tmp_path / "none"))
        assert "give the file log.vkey of the log" in refusal("audit", "verify", "--key", str(tmp_path / "none"))
        state.audit.vkey.unlink()
        assert "give the public key of the log with --key" in refusal("audit", "verify")


class TestShow:
    def test_records_can_be_chosen(self, state: StateDir) -> None:
        """By run, employee, outcome and time."""
        assert len(self.shown()) == 18
        assert {record["run"] for record in self.shown("--run", "last")} == {"r2"}
        assert [record["outcome"] for record in self.shown("--outcome", "opted_out")] == ["opted_out"]
        middle = self.shown()[9]["at"]
        assert len(self.shown("--since", middle)) == 9
        assert self.shown("--since", "2999-01-01") == []
        named = self.shown("--employee", "anna.keller", "--with-names")
        assert {record["employee"] for record in named} == {"anna.keller"} and len(named) == 5

    def shown(self, *choice: str) -> list[dict[str, Any]]:
        answer = json.loads(told("audit", "show", "--output", "json", *choice))
        assert answer["version"] == 2
        return list(answer["records"])

    def test_bad_filters_are_refused(self, state: StateDir) -> None:
        """With what would be right."""
        assert "give a day or a time" in refusal("audit", "show", "--since", "yesterday")
        assert "The log has no run 'r9'" in refusal("audit", "show", "--run", "r9")
        assert "The log has no records of 'nobody'" in refusal("audit", "show", "--employee", "nobody")

    def test_it_can_be_followed(self, state: StateDir) -> None:
        """What is written meanwhile comes too, each record as one line."""
        command = [str(Path(sys.executable).with_name("fleet")), "audit", "show", "--follow", "--output", "json"]
        following = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        watchdog = threading.Timer(30, following.kill)
        watchdog.start()
        try:
            assert following.stdout is not None
            seen = [json.loads(following.stdout.readline())["seq"] for _ in range(18)]
            assert seen == list(range(18))
            fleet("audit", "checkpoint")
            assert json.loads(following.stdout.readline())["event"] == "log.heartbeat"
            following.send_signal(signal.SIGINT)
            assert (following.stdout.read(), following.wait()) == ("", 130)  # no envelope behind the records
        finally:
            watchdog.cancel()
            following.kill()
            following.communicate()


class TestDiff:
    def test_what_differs_is_shown_by_control(self, state: StateDir) -> None:
        """The same is only counted."""
        answer = json.loads(told("audit", "diff", "r1", "last", "--with-names", "--output", "json"))
        assert answer["same"] == 1
        assert [(one["employee"], one["first"]["outcome"], one["second"]["outcome"]) for one in answer["changes"]] == [
            ("anna.keller", "opted_out", "sign_in_needed"),
            ("brian.walsh", "already_opted_out", "not_saved"),
        ]
        assert "2 differ, 1 are the same." in fleet("audit", "diff", "r1", "r2").stderr
        assert "The log has no run 'r9'" in refusal("audit", "diff", "r1", "r9")


class TestExport:
    def test_every_form_has_every_record(self, state: StateDir) -> None:
        """Pseudonymous, unless names are asked for."""
        assert len(fleet("audit", "export").stdout.splitlines()) == 18
        assert fleet("audit", "export").stdout.encode() == segment(state).read_bytes()
        assert len(list(csv.DictReader(io.StringIO(fleet("audit", "export", "--format", "csv").stdout)))) == 18
        for form in ("ocsf", "ecs"):
            lines = fleet("audit", "export", "--format", form, "--run", "r1").stdout.splitlines()
            assert len(lines) == 9 and "anna.keller" not in "".join(lines)
        assert "anna.keller" in fleet("audit", "export", "--format", "ecs", "--with-names").stdout


class TestProof:
    def test_a_proof_needs_the_text_and_the_key_alone(self, state: StateDir, tmp_path: Path) -> None:
        """Elsewhere, where there is no state."""
        told("audit", "prove", "3", "-o", str(tmp_path / "proof"))
        key = ["--key", str(tmp_path / "log.vkey")]
        (tmp_path / "log.vkey").write_bytes(state.audit.vkey.read_bytes())
        state.root.rename(tmp_path / "elsewhere")
        said = told("audit", "verify-proof", str(tmp_path / "proof"), *key)
        assert said.startswith("Proved: record 3 of the 18 that fleet-optout.invalid/")
        assert '"control.finished"' in said
        text = (tmp_path / "proof").read_text()
        (tmp_path / "proof").write_text(text.replace("index 3", "index 4"))
        assert "NOT PROVED" in told("audit", "verify-proof", str(tmp_path / "proof"), *key, exit_code=15)
        (tmp_path / "proof").write_text("hello")
        assert "contains no proof" in refusal("audit", "verify-proof", str(tmp_path / "proof"), *key)

    def test_a_record_that_is_not_there_has_none(self, state: StateDir) -> None:
        """The sentence says which there are."""
        assert "Record 18 is not among the 18 that are signed" in refusal("audit", "prove", "18")


class TestReceipt:
    def test_it_is_in_the_employee_s_language_and_proves_itself(self, state: StateDir, tmp_path: Path) -> None:
        """What was changed in the first run and what came after, each with its proof."""
        told("audit", "receipt", "anna.keller", "-o", str(tmp_path))
        text = (tmp_path / "anna.keller.receipt.txt").read_text()
        assert text.startswith("Beleg für anna.keller\n")
        assert "Wir haben sie ausgeschaltet, die Seite neu geladen und nachgelesen: aus" in text
        assert "Befugnis: Ihr eigener Auftrag." in text
        said = told("audit", "verify-proof", str(tmp_path / "anna.keller.receipt.txt"), "--key", str(state.audit.vkey))
        assert said.count("Proved: record") == 3
        page = (tmp_path / "anna.keller.receipt.html").read_text()
        assert '<html lang="de">' in page and "default-src &#39;none&#39;" in page

    def test_another_language_can_be_asked_for(self, state: StateDir, tmp_path: Path) -> None:
        """English where there is none."""
        told("audit", "receipt", "ciara.byrne", "-o", str(tmp_path))
        assert (tmp_path / "ciara.byrne.receipt.txt").read_text().startswith("Receipt for ciara.byrne")
        told("audit", "receipt", "ciara.byrne", "-o", str(tmp_path), "--language", "fr")
        assert (tmp_path / "ciara.byrne.receipt.txt").read_text().startswith("Reçu pour ciara.byrne")
        assert "The log has no records of 'nobody'" in refusal("audit", "receipt", "nobody")
        assert "available: en, fr, de, it" in refusal("audit", "receipt", "ciara.byrne", "--language", "tlh")


class TestUpkeep:
    def test_a_checkpoint_is_printed_and_an_anchor(self, state: StateDir) -> None:
        """The text of the newest."""
        printed = fleet("audit", "checkpoint").stdout
        assert printed == (state.audit.checkpoints / "000000000019").read_text()

    def test_a_rotated_key_goes_on(self, state: StateDir) -> None:
        """The printed key is the newest; the log verifies."""
        done = fleet("audit", "rotate-key")
        assert state.audit.vkey.read_text().splitlines()[-1] == done.stdout.strip()
        assert "Keep the first public key too" in done.stderr
        assert f"The log in {state.root} is signed with a new key." in " ".join(done.stderr.split())
        assert fleet("audit", "checkpoint").stderr.split() == f"Signed: the log in {state.root}.".split()
        assert "OK" in told("audit", "verify")

    def test_erasing_leaves_a_whole_log(self, state: StateDir) -> None:
        """And nothing of the name; what is printed does not lead from the log to the person, either."""
        said = told("audit", "erase", "anna.keller")
        assert said == f"anna.keller is erased from the state directory {state.root}: 0 sessions, 0 screenshots."
        assert "anna.keller" not in told("audit", "show")
        assert "OK" in told("audit", "verify")
        assert "There is no data about 'anna.keller'" in refusal("audit", "erase", "anna.keller")

    def test_pruning_leaves_a_whole_log(self, state: StateDir) -> None:
        """Nothing is old today; by tomorrow everything is."""
        today = time.strftime("%Y-%m-%d", time.gmtime())
        assert told("audit", "prune", "--before", today) == "No records are that old."
        assert told("audit", "prune", "--before", "2999-01-01") == f"The log in {state.root} now begins with record 18."
        assert "Records 19, of which 19 signed; of the first 18 only the hashes remain (pruned)" in told(
            "audit", "verify"
        )


class TestStatus:
    def test_only_what_was_read_is_claimed(self, state: StateDir) -> None:
        """anna's old reading stays; brian was found in again; ciara was never read."""
        answer = json.loads(told("status", "--output", "json"))
        states = {row["employee"]: (row["state"], row["has_drifted"]) for row in answer["controls"]}
        assert states == {
            "anna.keller": ("out", False),
            "brian.walsh": ("in", True),
            "ciara.byrne": ("not_known", False),
        }
        assert answer["fleet"]["out"] == 1 and answer["fleet"]["controls"] == 3
        assert [part["name"] for part in answer["languages"]] == ["de", "fr", "not stated"]
        assert "1 of 3 controls read out, 33 %" in told("status")

    def test_drift_has_an_exit_code_of_its_own(self, state: StateDir) -> None:
        """6; who and which since when; those who could not be looked at stand apart, and are counted."""
        said = told("status", "--drift", exit_code=6)
        drift, _, apart = said.partition("Not checked")
        assert (
            "1 control found opted in again after being read as opted out. 2 of 3 controls could not be checked since"
            in said
        )
        assert "brian.walsh" in drift and "r1" in drift and "r2" in drift
        assert "anna.keller" not in drift and "anna.keller" in apart and "brian.walsh" not in apart
        answer = json.loads(told("status", "--drift", "--output", "json", exit_code=6))
        assert answer["counts"] == {"controls": 3, "drifted": 1, "not_looked_at": 2}
        [brian] = answer["drifted"]
        assert (brian["employee"], brian["last_out"]["run"], brian["found_in"]["run"]) == ("brian.walsh", "r1", "r2")
        assert brian["last_out"]["at"] < brian["found_in"]["at"]
        assert {row["employee"]: (row["state"], row["last_outcome"]) for row in answer["not_looked_at"]} == {
            "anna.keller": ("out", "sign_in_needed"),
            "ciara.byrne": ("not_known", "no_mandate"),
        }

    def test_not_able_to_look_is_neither_drift_nor_its_absence(self, state: StateDir) -> None:
        """Exit code 0, and the sentence counts those of whom nothing is said; with nobody seen it claims none."""
        out = {"outcome": "already_opted_out", "before": "out", "after": "out", "read_back": False}
        challenged = {"outcome": "challenged", "reason": "captcha", "before": None, "after": None}
        asyncio.run(write(state, {"r3": {"brian.walsh": out}}))
        said = told("status", "--drift")
        assert (
            "No control that was read as opted out was found opted in again. 2 of 3 controls could not be checked since"
            in said
        )
        asyncio.run(write(state, {"r4": {"brian.walsh": challenged}}))
        said = told("status", "--drift")
        assert "It is unknown whether anything has drifted. 3 of 3 controls could not be checked since" in said

    def test_drift_is_notified_in_counts(self, state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where there is any, or where somebody could not be looked at; else nobody is told. No name goes out."""
        out = {"outcome": "already_opted_out", "before": "out", "after": "out", "read_back": False}
        with webhook() as hook:
            monkeypatch.setenv("SSL_CERT_FILE", hook.certificate)
            drift = ("status", "--drift", "--notify", hook.url)
            told(*drift, exit_code=6)
            asyncio.run(write(state, {"r3": {"brian.walsh": out}}))
            told(*drift)
            asyncio.run(write(state, {"r4": {"anna.keller": out, "ciara.byrne": out}}))
            told(*drift)
        shown = ("event", "exit_code", "drifted", "not_looked_at", "type", "run_id", "counts")
        assert [tuple(notice[name] for name in shown) for notice in hook.notices] == [
            ("drift.looked_for", 6, 1, 2, "warning", None, {}),
            ("drift.looked_for", 0, 0, 2, "warning", None, {}),
        ]
        assert not [raw for raw in hook.raw for name in LOCALES if name.encode() in raw]

    def test_drift_is_heard_where_nobody_can_be_told(self, state: StateDir) -> None:
        """The exit code stays 6; without drift it is 1. Without --drift nothing is notified."""
        nowhere = ("status", "--drift", "--notify", "https://localhost:1/s3cret", "--output", "json")
        done = fleet(*nowhere)
        answer = json.loads(done.stdout)
        assert done.returncode == answer["exit_code"] == 6
        assert "https://localhost:1/… was not notified" in answer["errors"][0]["message"]
        assert answer["errors"][0]["message"] in done.stderr
        out = {"outcome": "already_opted_out", "before": "out", "after": "out", "read_back": False}
        asyncio.run(write(state, {"r3": {"brian.walsh": out}}))
        assert fleet(*nowhere).returncode == 1
        assert "--notify works only with --drift" in refusal("status", "--notify", "https://localhost:1/")

    def test_an_inventory_adds_those_whom_no_run_has_met(self, state: StateDir, tmp_path: Path) -> None:
        """With their groups."""
        (tmp_path / "staff.yml").write_text(
            "dublin:\n  hosts:\n    new.person:\n      fleet_accounts: {linkedin: {profile: new-person}}\n"
            "    anna.keller:\n      fleet_accounts: {linkedin: {profile: anna-keller}}\n"
        )
        answer = json.loads(told("status", "-i", str(tmp_path / "staff.yml"), "--output", "json"))
        rows = {row["employee"]: row for row in answer["controls"]}
        assert {name: row["state"] for name, row in rows.items()} == {"new.person": "not_known", "anna.keller": "out"}
        assert rows["new.person"]["next"] == "Run: no run has covered this account yet."
        assert [(part["name"], part["out"]) for part in answer["groups"]] == [("dublin", 1)]


class TestReport:
    def test_it_is_one_private_file(self, state: StateDir, tmp_path: Path) -> None:
        """Of the newest run, or of the one that is named; its checkpoint is an anchor."""
        page = tmp_path / "report.html"
        assert told("report", "-o", str(page)) == str(page)
        assert page.stat().st_mode & 0o777 == 0o600
        assert "not saved" in page.read_text() and "http://" not in page.read_text().replace("http://www.w3.org", "")
        assert "Anchors 1, up to record 18" in told("audit", "verify", "--anchor", str(page))
        told("report", "r1", "-o", str(page), "--language", "de")
        assert '<html lang="de">' in page.read_text()
        assert "The log has no run 'r9'" in refusal("report", "r9")
        assert "cannot be written" in refusal("report", "-o", str(tmp_path / "missing" / "report.html"))


LABEL = "Do not use my data \N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}<b>[red]"


class TestLabel:
    """Of a control that is called otherwise than its recipe knows, its author is told the label."""

    @pytest.fixture
    def kept(self, state: StateDir) -> Path:
        """A third run, in which Anna's control had another label."""
        subject = known_subjects(state.audit.subjects)["anna.keller"]
        path = state.evidence / "r3" / f"{subject.pseudonym}.linkedin.ai_training.label.txt"
        path.parent.mkdir()
        path.write_text(LABEL, "utf-8")
        seen = {"outcome": "page_changed", "reason": "label", "label": subject.hmac("evidence", LABEL)}
        asyncio.run(write(state, {"r3": {"anna.keller": seen | {"before": None, "after": None, "read_back": False}}}))
        return path

    def test_it_is_shown_beside_its_record(self, kept: Path, tmp_path: Path) -> None:
        """By `audit show`, as text and as JSON, and in the report."""
        assert f"linkedin.ai_training, page_changed (label), label there: “{LABEL}”" in told("audit", "show")
        shown = json.loads(told("audit", "show", "--run", "r3", "--output", "json"))["records"]
        assert [record.get("label_text") for record in shown] == [None, None, LABEL, None]
        page = tmp_path / "report.html"
        fleet("report", "r3", "-o", str(page)).check_returncode()
        assert "Do not use my data «&lt;b&gt;[red]" in page.read_text("utf-8")

    def test_it_is_not_in_the_log(self, state: StateDir, kept: Path) -> None:
        """No text of a page is."""
        assert b"Do not use my data" not in segment(state).read_bytes()

    def test_another_text_in_its_place_is_not_shown(self, kept: Path) -> None:
        """Only what was recorded is."""
        kept.write_text("Use my data", "utf-8")
        said = told("audit", "show", "--run", "r3")
        assert "label no longer kept" in said and "Use my data" not in said

    def test_it_is_erased_with_its_person(self, kept: Path) -> None:
        """As their pictures are."""
        fleet("audit", "erase", "anna.keller").check_returncode()
        assert not kept.exists()
        assert "label no longer kept" in told("audit", "show", "--run", "r3")
