"""The whole pipeline: real Ansible Runner, real agent, real browser; a rehearsal stands at the far end."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from fleet.audit import records as schema
from fleet.authority.attestations import Attestation, Attestations
from fleet.paths import StateDir, default_identity, default_log_key
from fleet.plan.gates import today
from fleet.state.create import make_state
from tests.commands import fleet
from tests.conftest import ROOT
from tests.inventories import at_linkedin
from tests.playbook.helpers import (
    BIN,
    EXAMPLE,
    EXAMPLE_COUNTS,
    ExampleRun,
    entries,
    has_intent,
    nothing_runs,
    processes,
    records,
    state,
    stored,
    wait_until,
)
from tests.receivers import Webhook
from tests.sizes import cases, sizes

pytestmark = pytest.mark.xdist_group("pipeline")


class TestFleetRun:
    def test_a_run_proves_what_it_says_and_a_second_changes_nothing(
        self, example_run: ExampleRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One JSON object; the outcomes of the example company; the log adds up; running again finds it all out."""
        first = example_run.report
        assert first["errors"] == []
        assert first["exit_code"] == 5
        assert first["counts"] == EXAMPLE_COUNTS
        assert all(
            row["next"]
            for row in first["results"]
            if row["outcome"] not in ("opted_out", "already_opted_out", "waived")
        )
        written = example_run.records
        assert [record["seq"] for record in written] == list(range(len(written)))
        events = Counter(str(record["event"]) for record in written)
        assert events["run.planned"] == 13
        assert events["control.finished"] == 20
        assert events["control.intended"] == 9
        assert written[-1]["counts"] == first["counts"]
        assert "anna" not in json.dumps(written)
        monkeypatch.setenv("HOME", str(example_run.home))
        again = json.loads(fleet("run", "-i", EXAMPLE, "-l", "anna.keller", "--output", "json").stdout)
        assert (again["exit_code"], again["counts"]) == (0, {"already_opted_out": 4})

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["-i", "nowhere.yml"], "inventory not found"),
            ([], "No inventory given"),
            (["-i", EXAMPLE, "--service", "myspace"], "--service myspace: no recipe"),
            (["-i", EXAMPLE, "--resolve", "a.example:443=10.0.0.1:1"], "not a loopback address"),
            (["-i", EXAMPLE, "--proxy", "http://ann:secret@proxy:3128"], "leave user and password out"),
            (["-i", EXAMPLE, "--recipes", "/nowhere"], "is not a folder of recipes"),
            (["-i", EXAMPLE, "-l", "nobody"], "nobody matches no employee in"),
        ],
    )
    def test_bad_input_is_one_sentence_and_exit_2(self, arguments: list[str], message: str) -> None:
        """No traceback, nothing on stdout, nothing made; the same inside the JSON object."""
        done = fleet("run", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert message in " ".join(done.stderr.split()) and "Traceback" not in done.stderr
        report = json.loads(fleet("run", *arguments, "--output", "json").stdout)
        assert report["exit_code"] == 2 and message in report["errors"][0]["message"]

    def test_a_service_that_challenges_is_left_alone(self, tmp_path: Path) -> None:
        """After three the rest are not even opened; the next run begins with them, and `--breaker off` visits all."""
        staff = tmp_path / "staff.yml"
        accounts = {
            f"person.{number}": at_linkedin(
                f"person.{number}", f"person-{number}", "challenge_captcha" if number < 4 else "already_out"
            )
            for number in range(5)
        }
        staff.write_text(json.dumps({"all": {"vars": {"fleet_rehearsal": True}, "hosts": accounts}}))
        run = ("run", "-i", str(staff), "--forks", "1", "--output", "json")
        first = json.loads(fleet(*run).stdout)
        assert first["counts"] == {"challenged": 3, "not_run": 2}
        left = [row for row in first["results"] if row["outcome"] == "not_run"]
        assert [(row["employee"], row["reason"]) for row in left] == [
            (f"person.{number}", "circuit_open") for number in (3, 4)
        ]
        assert "Resolve the problem at LinkedIn before running again" in left[0]["next"]
        second = json.loads(fleet(*run, "--breaker", "off").stdout)
        assert second["counts"] == {"already_opted_out": 1, "challenged": 4}
        visited = [employee for employee, _, _ in entries(schema.CONTROL_FINISHED, second["run_id"])]
        assert visited == [f"person.{number}" for number in (3, 4, 0, 1, 2)]

    def test_what_employees_say_is_told_apart_from_what_was_read(self, tmp_path: Path) -> None:
        """In answer, JUnit and status; a reading takes its place, a decision in fleet.yml makes it done."""
        staff = tmp_path / "staff.yml"
        hosts = {name: at_linkedin(name, case="switched_on") for name in ("anna", "ben")}
        del hosts["anna"]["fleet_mandate"]
        staff.write_text(json.dumps({"all": {"vars": {"fleet_rehearsal": True}, "hosts": hosts}}))
        keys = (path.with_name(f"rehearsal-{path.name}") for path in (default_identity(), default_log_key()))
        make_state(StateDir(state()), *keys, rehearsal=True)
        for name in hosts:
            said = {"service": "linkedin", "control": "ai_training", "said": "switched", "attested_on": f"{today()}"}
            Attestations(state() / "attestations").put(name, Attestation.model_validate(said))
        run = ("run", "-i", str(staff), "--output", "json", "--junit", str(tmp_path / "junit.xml"))
        first = json.loads(fleet(*run).stdout)
        assert (first["exit_code"], first["counts"]) == (3, {"opted_out": 1, "attested": 1})
        assert [row["attested_on"] for row in first["results"]] == [f"{today()}", None]
        assert 'failures="1"' in (tmp_path / "junit.xml").read_text()
        shown = json.loads(fleet("status", "--rehearsal", "-i", str(staff), "--output", "json").stdout)
        assert [(row["employee"], row["state"]) for row in shown["controls"]] == [("anna", "attested"), ("ben", "out")]
        (tmp_path / "fleet.yml").write_text("attestation: {linkedin: {accepted_by: Board 12}}\n")
        second = json.loads(fleet(*run).stdout)
        assert (second["exit_code"], second["counts"]) == (0, {"already_opted_out": 1, "attested": 1})
        assert 'skipped="1"' in (tmp_path / "junit.xml").read_text()
        [started, again] = [one for one in records() if one["event"] == "run.started"]
        assert (started["attestations_accepted"], again["attestations_accepted"]) == ({}, {"linkedin": "Board 12"})
        assert [one["exit_code"] for one in records() if one["event"] == "run.finished"] == [3, 0]

    def test_a_plan_is_told_and_nothing_is_touched(self) -> None:
        """Who, what and how long, as text and as JSON; not even a state directory is made."""
        done = fleet("run", "-i", EXAMPLE, "--plan")
        assert done.returncode == 0
        assert "anna.keller" in done.stdout and "no mandate" in done.stdout and "Nothing was touched." in done.stdout
        told = json.loads(fleet("run", "-i", EXAMPLE, "--plan", "--output", "json").stdout)
        assert len(told["visits"]) == 17
        assert [row["outcome"] for row in told["left_alone"]] == ["no_mandate", "no_mandate", "waived"]
        assert told["seconds"] == [32, 32]
        assert not state().exists() and nothing_runs()

    @pytest.mark.parametrize("who", sizes(small="anna.keller,brian.walsh,irene.russo", full="all"))
    def test_ctrl_c_is_recorded_and_told_and_a_later_run_goes_on(self, hook: Webhook, who: str) -> None:
        """Exit 130, every planned control ended in the log, nothing left running; `--resume` does the rest, no more."""
        company = ("run", "-i", EXAMPLE, "-l", who)
        run = subprocess.Popen(
            [str(BIN / "fleet"), *company, "--notify", hook.url, "--output", "json"], stdout=subprocess.PIPE, text=True
        )
        wait_until(has_intent)
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=60)
        report = json.loads(output)
        assert run.returncode == report["exit_code"] == 130
        assert report["errors"] == []
        assert sum(report["counts"].values()) == (20 if who == "all" else 6)
        assert records()[-1]["stopped"] == "interrupted"
        [notice] = hook.notices
        assert (notice["event"], notice["exit_code"], notice["type"]) == ("run.ended", 130, "failure")
        assert notice["counts"] == report["counts"]
        wait_until(nothing_runs)
        left = {key(row) for row in report["results"] if row["outcome"] in ("not_run", "unknown")}
        resumed = json.loads(fleet(*company, "--resume", "--output", "json").stdout)
        assert {key(row) for row in resumed["results"]} == left != set()
        assert not {"not_run", "unknown"} & set(resumed["counts"])
        # Who is out was switched once; what a service did not keep may have been tried again.
        assert all(writes <= 1 for value, writes in stored().values() if value == "out")


def key(row: dict[str, str]) -> tuple[str, str, str]:
    """Whom and what a row is about."""
    return row["employee"], row["service"], row["control"]


class TestPlainPlay:
    def play(self, *arguments: str) -> subprocess.Popen[str]:
        command = [str(BIN / "ansible-playbook"), "-i", "inventory.example.yml", "playbooks/optout.yml", *arguments]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def test_the_log_is_closed_when_the_play_returns(self) -> None:
        """`ansible-playbook --check` without our command: the agent starts itself, and its run has ended in the log."""
        play = self.play("--check", "-l", "anna.keller,brian.walsh")
        output, _ = play.communicate(timeout=90)
        assert play.returncode == 0, output
        assert records()[-1]["event"] == "run.finished"
        assert records()[-1]["counts"] == {"already_opted_out": 1, "would_opt_out": 4}
        wait_until(nothing_runs)

    def test_only_what_is_new_is_visited(self) -> None:
        """The options that choose are variables of the role, too; nobody is visited a second time."""
        who = ("-l", "anna.keller,brian.walsh", "-e", "optout_new=true")
        for said, controls in (("4 opted_out", 5), ("nothing planned", 0)):
            play = self.play(*who)
            output, _ = play.communicate(timeout=300)
            assert play.returncode == 0 and said in output, output
            assert [one["controls"] for one in records() if one["event"] == "run.started"][-1] == controls

    @pytest.mark.parametrize(
        "number", cases([signal.SIGINT, signal.SIGTERM, signal.SIGKILL], {signal.SIGINT, signal.SIGKILL})
    )
    def test_a_play_that_is_stopped_leaves_nothing_behind(self, number: signal.Signals) -> None:
        """Interrupted, terminated or killed: agent and browser are gone 2 s later, and the run is closed in the log."""
        play = self.play()
        wait_until(has_intent)
        play.send_signal(number)
        play.wait(10)
        left = ("fleet agent", "chrom", "headless", "fleet.rehearsal")
        wait_until(lambda: not [one for one in processes() if any(name in one.command for name in left)], 4)
        assert records()[-1]["event"] == "run.finished"
        assert records()[-1]["stopped"] == "interrupted"
