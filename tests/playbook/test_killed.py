"""Whatever is killed or stopped, at every step: nothing false is claimed, nothing is left, and the next run goes on.

Five employees stand at five steps at once, held there by a service that takes its time: who is signed in is asked, the
page is loaded, the control is waited for, the change is saved, the proof is loaded. A sixth waits for a turn.
"""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from fleet.audit import records as schema
from fleet.paths import runtime_dir
from tests.commands import fleet
from tests.inventories import at_linkedin
from tests.playbook.helpers import BIN, Entry, entries, processes, records, stored, wait_until
from tests.sizes import FULL, cases

STEPS = {
    "identity": "slow_identity",
    "page": "slow_page_long",
    "waiting": "dead_long",
    "saving": "save_slow_long",
    "proof": "slow_proof",
    "later": "already_out",
}
"""Employee (the step that each is held at) to the rehearsal's case."""
KEYS: dict[str, Entry] = {name: (name, "linkedin", "ai_training") for name in STEPS}


@pytest.fixture(autouse=True)
def own_runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A runtime folder of the test's own, to see what is left in it; its path must be short."""
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield


@pytest.fixture
def staff(tmp_path: Path) -> str:
    """The inventory of the six."""
    hosts = {name: at_linkedin(name, f"profile-{name}", case) for name, case in STEPS.items()}
    path = tmp_path / "staff.yml"
    path.write_text(json.dumps({"all": {"vars": {"fleet_rehearsal": True}, "hosts": hosts}}))
    return str(path)


def start(staff: str) -> subprocess.Popen[str]:
    """A run in which everybody stands at their step."""
    command = [str(BIN / "fleet"), "run", "-i", staff, "--forks", "5", "--output", "json"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    wait_until(everybody_stands)
    return run


def everybody_stands() -> bool:
    """True once `saving` and `proof` were pressed, and the latter is saved."""
    log = records()
    runs = [record["run"] for record in log if record["event"] == schema.RUN_STARTED]
    if not runs:
        return False
    pressed = set(entries(schema.CONTROL_INTENDED, runs[-1]))
    return {KEYS["saving"], KEYS["proof"]} <= pressed and stored()[KEYS["proof"]] == ("out", 1)


def of_run() -> list[psutil.Process]:
    """All processes of this test, renderers too (their environment does not tell, their parents do)."""
    found = {process.pid for process in processes()}
    if not found:
        return []
    everybody, parents = {process.pid: process for process in psutil.process_iter()}, {}
    for process in everybody.values():
        with suppress(psutil.Error):
            parents[process.pid] = process.ppid()
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return [everybody[pid] for pid in found if pid in everybody]


def running(*words: str) -> list[psutil.Process]:
    """Those whose command line has all the words."""
    found = []
    for process in of_run():
        try:
            command = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if all(word in command for word in words):
            found.append(process)
    return found


VICTIMS: dict[str, Callable[[], list[psutil.Process]]] = {
    "browser": lambda: [one for one in running("--remote-debugging-pipe") if "--type=" not in " ".join(one.cmdline())],
    "renderers": lambda: running("--type=renderer"),
    "driver": lambda: running("run-driver"),
    "agent": lambda: running(" agent --socket "),
    "ansible-playbook": lambda: running("ansible-playbook", "optout.yml"),
    "fleet": lambda: running("fleet run -i"),
}


def strike(victim: str, number: signal.Signals) -> None:
    """Send a signal to what is to be hit."""
    hit = VICTIMS[victim]()
    assert hit, victim
    for process in hit:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def nothing_is_left() -> bool:
    """True if no process of the test runs, and no private folder (profile, socket, play) is there any more."""
    return of_run() == [] and list(runtime_dir().iterdir()) == []


def check_the_end(run: subprocess.Popen[str], within: float, *, reports: bool = True) -> dict[str, Any]:
    """Wait for the end of a run; every planned control has exactly one, none of them claims too much.

    Returns what `fleet run` printed; empty where nobody is left who `reports`.
    """
    try:
        output, _ = run.communicate(timeout=within)
    finally:
        run.kill()
    wait_until(nothing_is_left)
    run_id = next(record["run"] for record in records() if record["event"] == schema.RUN_STARTED)
    intended = set(entries(schema.CONTROL_INTENDED, run_id))
    truth = stored()
    assert [record["run"] for record in records() if record["event"] == schema.RUN_FINISHED] == [run_id]
    assert Counter(entries(schema.CONTROL_FINISHED, run_id)) == Counter(dict.fromkeys(KEYS.values(), 1))
    ends = dict(
        zip(
            entries(schema.CONTROL_FINISHED, run_id),
            (record["outcome"] for record in records() if record["event"] == schema.CONTROL_FINISHED),
            strict=True,
        )
    )
    for entry, outcome in ends.items():
        value, writes = truth[entry]
        assert outcome not in ("opted_out", "already_opted_out") or value == "out", entry
        assert writes <= (entry in intended), entry
        # An intent has an end that says what became of it, or says that it is not known.
        assert not (entry in intended and outcome in ("not_run", "error")), (entry, outcome)
    if not reports:
        assert output == ""
        return {}
    report: dict[str, Any] = json.loads(output)
    told = {(row["employee"], row["service"], row["control"]): row["outcome"] for row in report["results"]}
    assert told == ends
    return report


def check_that_a_new_browser_did_the_rest(report: dict[str, Any]) -> None:
    """Everybody is out; of a change that was under way, nothing may have been stored yet when it was read back."""
    assert report["errors"] == []
    ends = {row["employee"]: (row["outcome"], row["reason"]) for row in report["results"]}
    assert ends.pop("saving") in (("opted_out", None), ("not_saved", "browser_crashed"))
    assert ends.pop("later") == ("already_opted_out", None)
    assert set(ends.values()) == {("opted_out", None)}, ends


def check_that_the_next_run_goes_on(staff: str, *, resume: bool) -> None:
    """It reads first: nobody is pressed who is out already, and in the end all are out, each by one change."""
    before, seen = stored(), len(records())
    arguments = ["--resume"] if resume else []
    report = json.loads(fleet("run", "-i", staff, *arguments, "--output", "json").stdout)
    assert (report["errors"], report["exit_code"]) == ([], 0)
    pressed = {record["subject"] for record in records()[seen:] if record["event"] == schema.CONTROL_INTENDED}
    for row in report["results"]:
        entry = (row["employee"], row["service"], row["control"])
        assert row["outcome"] == ("already_opted_out" if before[entry][0] == "out" else "opted_out"), entry
    assert len(pressed) == sum(row["outcome"] == "opted_out" for row in report["results"])
    assert {entry: value for entry, (value, _) in stored().items()} == dict.fromkeys(KEYS.values(), "out")
    assert all(writes <= 1 for _, writes in stored().values())
    wait_until(nothing_is_left)


class TestKilled:
    @pytest.mark.parametrize("victim", cases(VICTIMS, {"agent"}))
    def test_at_every_step_of_an_account(self, staff: str, victim: str) -> None:
        """SIGKILL of any part: no false claim, an end for every intent, no process, no profile left, and it goes on."""
        run = start(staff)
        strike(victim, signal.SIGKILL)
        report = check_the_end(run, 90, reports=victim != "fleet")
        if victim == "agent":
            sentence = "The agent ended before the run did; what it did is in the audit log."
            assert ([one["message"] for one in report["errors"]], report["exit_code"]) == ([sentence], 1)
            cut_off = {row["employee"]: row["outcome"] for row in report["results"] if row["reason"] == "agent_ended"}
            # Pressed and not read back is not known; whoever was not pressed was not reached.
            assert (cut_off["saving"], cut_off["proof"], cut_off["page"]) == ("unknown", "unknown", "not_run")
        if victim in ("browser", "renderers", "driver"):
            check_that_a_new_browser_did_the_rest(report)
        check_that_the_next_run_goes_on(staff, resume=victim in ("agent", "ansible-playbook", "fleet"))


class TestStopped:
    @pytest.mark.parametrize("victim", cases(["browser", "renderers", "driver"], {"browser"}))
    def test_a_browser_that_hangs_is_replaced(self, staff: str, victim: str) -> None:
        """SIGSTOP: after 20 s without an answer it is killed, and a new one does the rest; nobody is pressed twice."""
        run = start(staff)
        strike(victim, signal.SIGSTOP)
        report = check_the_end(run, 150)
        check_that_a_new_browser_did_the_rest(report)

    @pytest.mark.parametrize(
        ("victim", "said"),
        [
            ("agent", "The agent did not answer for 30 s, so it was killed."),
            pytest.param("ansible-playbook", "Ansible asked for nobody for 60 s, so its play was ended.", marks=FULL),
        ],
    )
    def test_what_hangs_for_good_ends_the_run(self, staff: str, victim: str, said: str) -> None:
        """SIGSTOP of the agent or of Ansible: it is killed, and the run ends with the sentence."""
        run = start(staff)
        strike(victim, signal.SIGSTOP)
        report = check_the_end(run, 150)
        assert said in [one["message"] for one in report["errors"]] and report["exit_code"] == 1

    def test_a_run_that_was_put_to_sleep_goes_on_when_it_is_woken(self, staff: str) -> None:
        """SIGSTOP of `fleet` is what Ctrl-Z does: a pause, not a fault."""
        run = start(staff)
        run.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 5)
        run.send_signal(signal.SIGCONT)
        report = check_the_end(run, 90)
        assert (report["errors"], report["exit_code"]) == ([], 0)
