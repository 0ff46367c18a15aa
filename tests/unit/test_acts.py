"""Acts on a state: each leaves a record, works beside a run that holds the log, and what is shut counts in any case."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyrage
import pytest

from fleet.agent.account_visit import Ground
from fleet.agent.breaker import Breaker
from fleet.agent.pacing import Pacing
from fleet.agent.recorder import Recorder
from fleet.agent.remote import RemoteVisitors
from fleet.agent.run import Run
from fleet.agent.server import Agent
from fleet.audit import records
from fleet.audit.keys import read_keys, read_signing_key
from fleet.audit.log import AuditLog, wait_until_free
from fleet.audit.pseudonyms import Subjects
from fleet.audit.run_state import RunState
from fleet.audit.segments import read_records
from fleet.audit.verify import Verdict, verify
from fleet.authority.attestations import Attestation, Attestations
from fleet.authority.blocklist import Blocklist
from fleet.authority.mandates import Mandate, Revocations
from fleet.errors import BusyError
from fleet.inventory.employee import Account, Employee
from fleet.model import Reading, outcome_of_refusal
from fleet.paths import StateDir, default_identity, default_log_key, default_state
from fleet.plan.plan import PlannedAccount
from fleet.sessions.storage_state import StorageState
from fleet.sessions.store import Opened, SessionStore
from fleet.state.create import make_state
from fleet.state.writer import Writer
from fleet.visit.visit import ControlResult, Ending, Journal, Order
from tests.commands import fleet
from tests.logs import STARTED, finish
from tests.unit.stopped_run import spec
from tests.visits import ORDER, gates_in

RUN = "20260315T120000Z-abcdef"


MANDATE = Mandate.model_validate(
    {
        "employee": "anna",
        "reference": "M-1",
        "services": ["linkedin", "Frei Text"],
        "granted_on": "2026-01-01",
        "expires_on": "2999-12-31",
    }
)


@pytest.fixture
def state() -> StateDir:
    state = StateDir(default_state())
    make_state(state, default_identity(), default_log_key())
    return state


async def beside(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command, while this process goes on being the agent."""
    return await asyncio.to_thread(fleet, *arguments)


def told(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def refused(done: subprocess.CompletedProcess[str], exit_code: int = 2) -> str:
    assert (done.returncode, done.stdout) == (exit_code, ""), done
    return " ".join(done.stderr.split())


def everything(state: StateDir) -> list[dict[str, Any]]:
    return list(read_records(state.audit.log))


def events(state: StateDir) -> list[str]:
    return [record["event"] for record in everything(state)]


def is_whole(state: StateDir) -> bool:
    return verify(state.audit, read_keys(state.audit.vkey)).verdict is Verdict.OK


def meet(state: StateDir, *employees: str) -> None:
    """Have a run have met them."""
    subjects = Subjects(state.audit.subjects)
    subjects.of(dict.fromkeys(employees))
    subjects.close()


class Under:
    """A run that is under way, on a real socket: it has planned anna and will visit nobody, for it has no browser."""

    def __init__(self, state: StateDir, folder: Path) -> None:
        self.socket = folder / "agent.sock"
        self._state = state
        self.is_open = asyncio.Event()

    async def open(self, _workers: RemoteVisitors) -> Run:
        state = self._state
        key = read_signing_key(state.audit, default_log_key())
        self.log = log = AuditLog(state.audit, f"run {RUN}", key, socket=self.socket)
        subjects = Subjects(state.audit.subjects)
        anna = Employee("anna", accounts={"linkedin": Account(profile="anna-k")}, mandate=MANDATE)
        planned = PlannedAccount(anna, "linkedin", ORDER.recipe, ("ai_training",))
        recorder = Recorder(log, RunState(RUN), subjects.of({"anna": None}))
        self.anna = recorder.subjects["anna"].pseudonym
        ground = Ground(
            run_id=RUN,
            check=False,
            recorder=recorder,
            pacing=Pacing(1, {}),
            # What is tested begins with a session that was opened: no age file is needed for that.
            sessions=cast("SessionStore", SimpleNamespace(open=lambda *_: Opened(StorageState(), ""))),
            identity=pyrage.x25519.Identity.generate(),
            gates=gates_in(state.root),
            evidence=state.evidence / RUN,
            breaker=Breaker(None),
        )
        of_state = replace(spec(state.root), run_id=RUN)
        run = Run(of_state, recorder, ground, {"anna": [planned]}, None, Writer(state, log, subjects))
        run._resources.callback(log.close)
        run._resources.callback(subjects.close)
        await recorder.write(records.RUN_STARTED, **STARTED)
        await recorder.plan(anna, [planned])
        self.run = run
        self.is_open.set()
        return run


@pytest.fixture
async def under(state: StateDir) -> AsyncIterator[Under]:
    folder = Path(tempfile.mkdtemp(prefix="acts-"))  # short: a socket's path may not be long
    under = Under(state, folder)
    agent = Agent(under.socket, under.open, lambda _path: None, belongs_to_play=False)
    serving = asyncio.create_task(agent.serve([]))
    await asyncio.wait_for(under.is_open.wait(), 10)
    yield under
    agent._end(None)
    await serving
    shutil.rmtree(folder, ignore_errors=True)


class TestAlone:
    def test_who_took_a_mandate_back_and_gave_it_again_is_in_the_log(self, state: StateDir) -> None:
        """With operator and reference, which the person's key alone can show; the log is whole."""
        meet(state, "anna")
        assert told(fleet("mandates", "revoke", "anna", "--reference", "LETTER-12")) == (
            f"The mandate of anna is revoked as of now, in the state directory {state.root}.\n"
        )
        [day] = Revocations(state.revocations).all().values()
        assert (
            told(fleet("mandates", "list")) == f"There are no mandates.\nRevoked: anna  {day.isoformat()}  LETTER-12\n"
        )
        assert told(fleet("mandates", "renew", "anna", "--reference", "M-2")) == (
            f"The mandate of anna in the inventory is valid again, in the state directory {state.root}.\n"
        )
        assert told(fleet("mandates", "list")) == "There are no mandates.\n"
        subjects = Subjects(state.audit.subjects)
        anna = subjects.of({"anna": None})["anna"]
        subjects.close()
        revoked, renewed = everything(state)
        assert (revoked["event"], renewed["event"]) == ("mandate.revoked", "mandate.renewed")
        assert {revoked["subject"], renewed["subject"]} == {anna.pseudonym}
        assert {revoked["operator"], renewed["operator"]} == {os.getuid()}
        assert revoked["reference_hmac"] == anna.hmac("reference", "LETTER-12")
        assert renewed["reference_hmac"] == anna.hmac("reference", "M-2")
        assert revoked["revoked_on"] == day.isoformat()
        assert is_whole(state) and b"LETTER-12" not in b"".join(path.read_bytes() for path in state.audit.log.iterdir())

    def test_a_service_is_stopped_and_started_in_the_log(self, state: StateDir) -> None:
        """And the catalog shows it meanwhile."""
        assert (
            told(fleet("services", "stop", "linkedin", "--reference", "OPS-311"))
            == f"linkedin is stopped as of now, in the state directory {state.root}.\n"
        )
        assert (
            told(fleet("services", "stop", "linkedin"))
            == f"linkedin was stopped already, in the state directory {state.root}.\n"
        )
        assert "(OPS-311): no run visits it." in fleet("services", "list").stderr
        assert (
            told(fleet("services", "start", "linkedin", "--reference", "OPS-312"))
            == f"Runs visit linkedin again, in the state directory {state.root}.\n"
        )
        assert fleet("services", "list").stderr == ""
        fields = [(each["event"], each["service"], each["reference"]) for each in everything(state)]
        assert fields == [("service.stopped", "linkedin", "OPS-311"), ("service.started", "linkedin", "OPS-312")]
        shown = " ".join(told(fleet("audit", "show")).split())
        assert "linkedin is stopped for all runs since" in shown and "reference OPS-312" in shown

    def test_what_was_never_shut_is_not_opened(self, state: StateDir) -> None:
        """Nor is a service stopped that does not exist: the right one would go on being visited."""
        assert "There is no revocation for anna" in refused(fleet("mandates", "renew", "anna", "--reference", "M"))
        assert "linkedin is not stopped" in refused(fleet("services", "start", "linkedin", "--reference", "M"))
        assert "no recipe for 'linkedn'" in refused(fleet("services", "stop", "linkedn"))
        assert "--reference" in fleet("mandates", "renew", "anna").stderr
        assert "1 to 200 characters" in refused(fleet("services", "stop", "linkedin", "--reference", "a\nb"))
        assert everything(state) == [] and Blocklist(state.stopped_services).all() == {}

    def test_a_revocation_counts_where_it_cannot_be_recorded_and_is_recorded_next(self, state: StateDir) -> None:
        """The command says so and ends with 1; the next writer tells the log, once."""
        meet(state, "anna")
        key = default_log_key()
        key.rename(key.with_suffix(".away"))
        done = fleet("mandates", "revoke", "anna", "--reference", "LETTER-12")
        assert (done.returncode, done.stdout) == (
            1,
            f"The mandate of anna is revoked as of now, in the state directory {state.root}.\n",
        )
        said = " ".join(done.stderr.split())
        assert said.startswith("Error: The mandate of anna is revoked, but it is not in the audit log yet:")
        assert "anna" in Revocations(state.revocations) and everything(state) == []
        key.with_suffix(".away").rename(key)
        told(fleet("mandates", "revoke", "anna"))
        told(fleet("mandates", "revoke", "anna"))
        assert events(state) == ["mandate.revoked"]

    def test_nothing_is_opened_that_cannot_be_recorded(self, state: StateDir) -> None:
        """Renewing and starting come after their record."""
        told(fleet("services", "stop", "linkedin"))
        default_log_key().unlink()
        assert "no signing key" in refused(fleet("services", "start", "linkedin", "--reference", "OPS"))
        assert "linkedin" in Blocklist(state.stopped_services)

    async def test_many_at_once_are_all_kept_and_recorded_once(self, state: StateDir) -> None:
        """Commands that find each other writing wait their turn, or find their own work done."""
        names = [f"e{number:02}" for number in range(8)]
        meet(state, *names)
        done = await asyncio.gather(*(beside("mandates", "revoke", name) for name in names))
        assert [each.returncode for each in done] == [0] * 8, done
        assert list(Revocations(state.revocations).all()) == names
        assert events(state) == ["mandate.revoked"] * 8 and is_whole(state)

    def test_what_an_older_version_or_a_hand_has_shut_is_recorded_without_a_name(self, state: StateDir) -> None:
        """Nobody knows whose act it was; it counts all the same."""
        (state.root / "revocations.yml").write_text("anna: '2026-03-01'\n")
        (state.stopped_services / "linkedin").touch()
        assert fleet("mandates", "revoke", "ben", "--unknown").returncode == 0
        found = {record["event"]: record for record in everything(state) if record["operator"] is None}
        assert found["mandate.revoked"]["revoked_on"] == "2026-03-01"
        assert found["service.stopped"]["service"] == "linkedin"
        assert not (state.root / "revocations.yml").exists()
        assert list(Revocations(state.revocations).all()) == ["anna", "ben"]


class TestBesideARun:
    async def test_each_command_has_its_record_at_once(self, state: StateDir, under: Under) -> None:
        """The agent writes it, among its own; a run that takes all day blocks nothing."""
        assert (await beside("audit", "checkpoint")).stdout.startswith("fleet-optout.invalid/")
        told(await beside("mandates", "revoke", "anna", "--reference", "LETTER-12"))
        assert (
            told(await beside("services", "stop", "linkedin"))
            == f"linkedin is stopped as of now, in the state directory {state.root}.\n"
        )
        told(await beside("services", "start", "linkedin", "--reference", "OPS-312"))
        told(await beside("mandates", "renew", "anna", "--reference", "M-2"))
        await finish(under.log, run=RUN, subject=under.anna)
        assert events(state)[2:] == [
            *("log.heartbeat", "mandate.revoked", "service.stopped", "service.started", "mandate.renewed"),
            "control.finished",
        ]
        assert [record["run"] for record in everything(state)][2:-1] == [None] * 5
        assert Revocations(state.revocations).all() == {} == Blocklist(state.stopped_services).all()

    async def test_what_is_under_way_is_not_erased(self, state: StateDir, under: Under) -> None:
        """The run is named; somebody else can be erased meanwhile."""
        meet(state, "ben")
        said = refused(await beside("audit", "erase", "anna"))
        assert said == f"Error: Run {RUN} has yet to finish with anna; wait until it has. Nobody was erased."
        assert (
            told(await beside("audit", "erase", "ben"))
            == f"ben is erased from the state directory {state.root}: 0 sessions, 0 screenshots.\n"
        )
        assert events(state)[2:] == ["subject.erased"]

    async def test_old_runs_can_be_pruned_and_the_run_goes_on(self, state: StateDir, under: Under) -> None:
        """Its own records stay, and those that come afterwards land in the same log."""
        await under.log.append(records.RUN_FINISHED, RUN, counts={}, stopped=None, exit_code=0)
        later = f"{RUN[:-1]}0"
        await under.log.append(records.RUN_STARTED, later, **STARTED)
        assert (
            told(await beside("audit", "prune", "--before", "2999-01-01"))
            == f"The log in {state.root} now begins with record 3.\n"
        )
        await finish(under.log, run=later, subject=under.anna)
        assert events(state) == ["run.started", "log.pruned", "control.finished"]
        under.log.sign()
        assert is_whole(state)

    async def test_the_key_is_not_rotated_under_a_run(self, state: StateDir, under: Under) -> None:
        """It signs with the one that it has; the run is named."""
        assert f"run {RUN} (process " in refused(await beside("audit", "rotate-key"))

    async def test_an_agent_takes_nothing_but_acts(self, state: StateDir, under: Under) -> None:
        """What it does not know, or what comes with more than belongs to it, is done in no part."""
        for act in (
            *("renew", None, {}, {"act": "forget"}, {"act": "checkpoint", "run": RUN}),
            *({"act": "erase", "employees": "anna"}, {"act": "start", "service": "../x", "reference": "x"}),
            {"act": "renew", "employee": "anna", "reference": "x\ny", "operator_claimed": None},
        ):
            reader, writer = await asyncio.open_unix_connection(under.socket)
            writer.write(json.dumps({"v": 1, "op": "act", "act": act}).encode() + b"\n")
            answer = json.loads(await reader.readline())
            writer.close()
            assert answer["error"].startswith(f"Run {RUN} does not know such an act"), act
        assert events(state) == ["run.started", "run.planned"]

    def test_a_run_that_hangs_is_named_and_what_is_shut_counts(self, state: StateDir) -> None:
        """Within seconds, exit code 1."""
        folder = Path(tempfile.mkdtemp(prefix="acts-"))
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(folder / "agent.sock"))
        listening.listen()  # nobody answers
        log = AuditLog(
            state.audit,
            f"run {RUN}",
            read_signing_key(state.audit, default_log_key()),
            socket=folder / "agent.sock",
        )
        began = time.monotonic()
        done = fleet("mandates", "revoke", "anna", "--unknown")
        assert time.monotonic() - began < 30
        assert done.returncode == 1 and f"run {RUN} (process {os.getpid()}) holds the audit log" in done.stderr
        assert "anna" in Revocations(state.revocations)
        log.close()
        listening.close()
        shutil.rmtree(folder)


class Visiting:
    """A Visitor that reads a control in and asks whether it may press; something happens in between."""

    name = None
    is_gone = False

    def __init__(self, meanwhile: Callable[[], Any]) -> None:
        self._meanwhile = meanwhile
        self.has_come = False

    async def visit(self, order: Order, journal: Journal, ending: Ending) -> None:
        self.has_come = True
        await asyncio.to_thread(self._meanwhile)
        reason = await journal.permit("ai_training")
        assert reason is not None
        await journal.finish(ControlResult("ai_training", outcome_of_refusal(reason), Reading.IN, Reading.IN, reason))


class TestAtOnce:
    @pytest.mark.parametrize(
        ("command", "end"),
        [
            (("services", "stop", "linkedin"), ("not_permitted", "service_stopped")),
            (("mandates", "revoke", "anna"), ("no_mandate", "mandate_revoked")),
        ],
        ids=["stopped", "revoked"],
    )
    async def test_what_is_shut_in_the_middle_of_a_visit_is_not_pressed(
        self, state: StateDir, under: Under, command: tuple[str, ...], end: tuple[str, str]
    ) -> None:
        """And the next run does not even begin one."""
        [result] = await under.run.visit("anna", Visiting(lambda: told(fleet(*command))))
        assert (result.outcome, result.reason) == end
        assert events(state)[3:] == ["control.finished"]  # after the record of the command

    async def test_what_is_closed_in_the_middle_of_a_visit_is_not_pressed(self, state: StateDir, under: Under) -> None:
        """And stays closed, although the control was read."""
        answers = Attestations(state.attestations)
        closed = Attestation(service="linkedin", control="ai_training", said="closed", attested_on=date(2026, 3, 15))
        [result] = await under.run.visit("anna", Visiting(lambda: answers.put("anna", closed)))
        assert (result.outcome, result.reason) == ("no_mandate", "closed")
        assert answers.of("anna") == (closed,)

    async def test_a_stopped_service_is_not_visited(self, state: StateDir, under: Under) -> None:
        """Not to read it either: nobody goes there."""
        told(await beside("services", "stop", "linkedin"))
        visitor = Visiting(lambda: None)
        [result] = await under.run.visit("anna", visitor)
        assert (result.outcome, result.reason, visitor.has_come) == ("not_permitted", "service_stopped", False)

    @pytest.mark.parametrize("folder", ["stopped", "revocations"])
    async def test_what_cannot_be_read_shuts(self, state: StateDir, under: Under, folder: str) -> None:
        """A link to nothing in the place of the folder; the reason says which."""
        place = state.root / folder
        place.rmdir()
        place.symlink_to(state.root / "gone")
        [result] = await under.run.visit("anna", Visiting(lambda: None))
        assert (result.outcome, result.reason) == {
            "stopped": ("not_permitted", "stops_unreadable"),
            "revocations": ("no_mandate", "revocations_unreadable"),
        }[folder]


class TestSecondRun:
    def test_it_ends_and_names_the_first(self, state: StateDir, tmp_path: Path) -> None:
        """Before anything is staged or started; a run that may wait says for whom."""
        (tmp_path / "staff.yml").write_text("all: {hosts: {anna: {}}}")
        key = read_signing_key(state.audit, default_log_key())
        log = AuditLog(state.audit, f"run {RUN}", key, socket=tmp_path / "agent.sock")
        first = f"run {RUN} (process {os.getpid()}) is writing to {state.root}"
        assert f"{first}; wait until it has ended." in refused(fleet("run", "-i", str(tmp_path / "staff.yml")))
        waited = refused(fleet("run", "-i", str(tmp_path / "staff.yml"), "--wait", "1"))
        assert waited.startswith(f"{first}; this run waits until it has ended. Error: {first};")
        assert "--wait soon: give a number of seconds" in refused(fleet("run", "--wait", "soon"))
        log.close()

    async def test_it_waits_for_the_first(self, state: StateDir) -> None:
        """As long as that takes; then it is told that time has passed."""
        log = AuditLog(state.audit, "run r1", read_signing_key(state.audit, default_log_key()), socket=Path("/x"))
        waiting = asyncio.create_task(asyncio.to_thread(wait_until_free, state.audit, 60.0))
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match=r"^run r1 \("):
            wait_until_free(state.audit, 0)
        log.close()
        await waiting
        assert wait_until_free(state.audit, 60.0) is False


class TestMet:
    async def test_a_mandate_is_recorded_when_it_is_new_or_changed(self, state: StateDir) -> None:
        """Once for each change, not again in each run; one that names somebody else is no mandate."""

        async def meet(mandate: Mandate) -> None:
            with Writer.opened(state, default_log_key(), "a test") as writer:
                people = [Employee("anna", mandate=mandate), Employee("ben", mandate=mandate), Employee("carla")]
                known = writer.subjects.of(dict.fromkeys(["anna", "ben", "carla"]))
                await Recorder(writer.log, RunState(RUN), known).meet(people, writer.subjects)

        for mandate in (MANDATE, MANDATE, MANDATE.model_copy(update={"services": ("wiki",)})):
            await meet(mandate)
        first, second = everything(state)
        subjects = Subjects(state.audit.subjects)
        anna = subjects.of({"anna": None})["anna"]
        subjects.close()
        fields = {name: value for name, value in first.items() if name not in records.COMMON}
        assert fields == {
            "subject": anna.pseudonym,
            "mandate_hmac": anna.hmac("mandate", "M-1"),
            "services": ["linkedin"],
            "granted_on": "2026-01-01",
            "expires_on": "2999-12-31",
            "revoked_on": None,
            "assurance": "claimed",
        }
        assert (second["event"], second["services"], second["run"]) == ("mandate.met", ["wiki"], RUN)

    async def test_somebody_who_was_erased_is_met_anew(self, state: StateDir) -> None:
        """What was remembered of the mandate goes with the person."""
        subjects = Subjects(state.audit.subjects)
        subjects.of({"anna": None})
        subjects.meet({"anna": "0"})
        subjects.lock()
        subjects.forget(["anna"])
        assert subjects.met() == {}
        subjects.close()
