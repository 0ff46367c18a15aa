"""`attested`: the employee's own word, told apart from what was read, everywhere."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from junitparser import Failure, JUnitXml, Skipped

from fleet.agent.account_visit import AccountVisit
from fleet.audit.current_state import current_states
from fleet.audit.segments import read_records
from fleet.authority.attestations import Attestation, Attestations
from fleet.authority.given import GivenMandates
from fleet.authority.in_force import Mandates
from fleet.authority.mandates import Mandate, Revocations
from fleet.authority.waivers import Waiver
from fleet.errors import InputError
from fleet.inventory.employee import Account, Employee, Problem
from fleet.model import Outcome, Reason, Result, exit_code_of
from fleet.next_steps import next_step
from fleet.paths import StateDir, default_identity, default_log_key
from fleet.plan.gates import NO_SESSION, Gates, Refusal, attestations_of, today
from fleet.plan.plan import PlannedAccount
from fleet.recipes.catalog import load_catalog
from fleet.report.junit import junit
from fleet.report.status import Coverage, Row, next_steps
from fleet.run.run_report import RunReport
from fleet.settings.resolve import Given, configure
from fleet.state.acts import ACT, perform
from fleet.state.create import make_state
from fleet.state.writer import Writer
from tests.commands import fleet
from tests.inventories import at_linkedin
from tests.logs import FINISHED, open_log
from tests.unit.test_lost_worker import Desk, Proving

LINKEDIN = load_catalog().recipes["linkedin"]
SWITCHED = Attestation(service="linkedin", control="ai_training", said=Reason.SWITCHED, attested_on=date(2026, 3, 1))
NOW = datetime.now(UTC)
MANDATE = Mandate(
    employee="anna",
    reference="M-1",
    services=("linkedin",),
    granted_on=date(2026, 1, 1),
    expires_on=date(2099, 1, 1),
)


def said(days_ago: int = 0) -> Attestation:
    return SWITCHED.model_copy(update={"attested_on": today() - timedelta(days=days_ago)})


class TestStore:
    def test_the_last_statement_about_a_control_counts(self, tmp_path: Path) -> None:
        """Another control, and another person, keep their own; what is withdrawn is gone."""
        store, later = Attestations(tmp_path / "a"), SWITCHED.model_copy(update={"said": Reason.WAS_OFF})
        other = SWITCHED.model_copy(update={"control": "ads"})
        for employee, each in (("anna", SWITCHED), ("anna", other), ("anna", later), ("ben", SWITCHED)):
            store.put(employee, each)
        assert set(store.of("anna")) == {other, later} and store.of("ben") == (SWITCHED,)
        assert list(store.names()) == ["anna", "ben"]
        assert store.remove("anna", "linkedin", "ads") and not store.remove("anna", "linkedin", "ads")
        assert store.of("anna") == (later,)
        assert (tmp_path / "a" / "anna.json").stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            ("{", "is damaged"),
            ('{"employee": "ben", "attestations": []}', "names another employee"),
            ('{"employee": "anna", "attestations": [{"service": "linkedin"}]}', "is damaged"),
        ],
    )
    def test_what_cannot_be_read_counts_for_nothing(self, tmp_path: Path, content: str, complaint: str) -> None:
        """It is told where it is asked for, and a run claims nothing from it."""
        (tmp_path / "anna.json").write_text(content)
        with pytest.raises(InputError, match=complaint):
            Attestations(tmp_path).of("anna")
        assert gates(tmp_path).refusal(at(Employee("anna")), "ai_training", live=False) == Refusal(
            Outcome.NO_MANDATE, Reason.NO_MANDATE_GIVEN
        )

    def test_a_name_leads_nowhere_else(self, tmp_path: Path) -> None:
        """A path is not a name."""
        with pytest.raises(InputError, match="is not a safe name"):
            Attestations(tmp_path).of("../anna")


def at(employee: Employee, owner: str = "employee") -> PlannedAccount:
    account = Account.model_validate({"profile": "anna-k", "owner": owner})
    return PlannedAccount(replace(employee, accounts={"linkedin": account}), "linkedin", LINKEDIN, ("ai_training",))


def gates(folder: Path, **changed: Any) -> Gates:
    mandates = Mandates(Revocations(folder / "revocations"), GivenMandates(folder / "mandates"))
    return replace(Gates(mandates=mandates, stopped=(), attestations=Attestations(folder)), **changed)


class TestGates:
    @pytest.mark.parametrize(
        ("employee", "changed", "otherwise"),
        [
            (Employee("anna"), {}, Reason.NO_MANDATE_GIVEN),
            (Employee("anna", mandate=MANDATE), {}, Reason.MANDATE_REVOKED),
            (Employee("anna", mandate=MANDATE), {"stopped": ("linkedin",)}, Reason.SERVICE_STOPPED),
            (Employee("anna", mandate=MANDATE), {}, Reason.TERMS_FORBID),
            (Employee("anna", mandate=MANDATE), {"terms_accepted": ("linkedin",)}, Reason.PERSONAL_SESSION),
        ],
    )
    def test_it_takes_the_place_of_what_keeps_a_browser_away(
        self, tmp_path: Path, employee: Employee, changed: dict[str, Any], otherwise: Reason
    ) -> None:
        """No mandate, or no permission: what the employee said is the answer, with its day; without it the cause is."""
        if otherwise is Reason.MANDATE_REVOKED:
            Revocations(tmp_path / "revocations").add("anna", today())
        of_run = gates(tmp_path, **changed)
        refused = of_run.refusal(at(employee), "ai_training", live=True)
        assert refused is not None and refused.reason is otherwise
        Attestations(tmp_path).put("anna", said())
        assert of_run.refusal(at(employee), "ai_training", live=True) == Refusal(
            Outcome.ATTESTED, Reason.SWITCHED, today()
        )
        assert of_run.refusal(at(employee), "ads", live=True) != Refusal(Outcome.ATTESTED, Reason.SWITCHED, today())

    def test_it_takes_the_place_of_a_missing_session(self, tmp_path: Path) -> None:
        """Nobody can be visited without one."""
        account = at(Employee("anna", mandate=MANDATE))
        assert gates(tmp_path).or_attested(NO_SESSION, account, "ai_training").outcome is Outcome.SIGN_IN_NEEDED
        Attestations(tmp_path).put("anna", said())
        assert gates(tmp_path).or_attested(NO_SESSION, account, "ai_training").outcome is Outcome.ATTESTED

    def test_an_account_that_can_be_visited_is_visited(self, tmp_path: Path) -> None:
        """A reading is worth more than a word."""
        Attestations(tmp_path).put("anna", said())
        assert gates(tmp_path).refusal(at(Employee("anna", mandate=MANDATE)), "ai_training", live=False) is None

    def test_bad_data_and_waivers_stay_what_they_are(self, tmp_path: Path) -> None:
        """A mistake must be corrected, and an agreed exception is one."""
        Attestations(tmp_path).put("anna", said())
        mistaken = Employee("anna", problems=(Problem("anna", "fleet_email", "wrong", "staff.yml:3"),))
        waived = Employee(
            "anna",
            waivers=(Waiver(service="linkedin", rationale="r", owner="o", expires_on=today()),),
        )
        ends = [gates(tmp_path).refusal(at(one), "ai_training", live=False) for one in (mistaken, waived)]
        assert [one and one.outcome for one in ends] == [Outcome.ERROR, Outcome.WAIVED]

    @pytest.mark.parametrize(("days_ago", "is_fresh"), [(0, True), (180, True), (181, False), (-1, False)])
    def test_it_counts_for_180_days(self, tmp_path: Path, days_ago: int, is_fresh: bool) -> None:
        """The last day included; one of tomorrow is a mistake. fleet.yml may say otherwise."""
        Attestations(tmp_path).put("anna", said(days_ago))
        refused = gates(tmp_path).refusal(at(Employee("anna")), "ai_training", live=False)
        assert refused is not None and (refused.outcome is Outcome.ATTESTED) == is_fresh
        of_179 = gates(tmp_path, attestations=Attestations(tmp_path, {"linkedin": 179}))
        shorter = of_179.refusal(at(Employee("anna")), "ai_training", live=False)
        assert shorter is not None and (shorter.outcome is Outcome.ATTESTED) == (is_fresh and days_ago < 180)


RESULT = Result(
    "anna", "linkedin", "ai_training", Outcome.ATTESTED, reason=Reason.SWITCHED, attested_on=date(2026, 3, 1)
)
ACCEPTED = replace(RESULT, accepted_by="Board 12")


class TestWhatItCountsFor:
    def test_a_person_must_act_unless_the_organization_accepts_it(self) -> None:
        """Exit code 3; 0 with a decision in fleet.yml. Both have a next step."""
        assert [(one.exit_code, one.is_done) for one in (RESULT, ACCEPTED)] == [(3, False), (0, True)]
        assert (exit_code_of([RESULT]), exit_code_of([ACCEPTED])) == (3, 0)
        assert "accept anna's statement" in (next_step(RESULT) or "")
        assert "ask anna again when this statement expires" in (next_step(ACCEPTED) or "")

    def test_the_decision_is_for_this_outcome_alone(self) -> None:
        """It makes nothing else done."""
        assert replace(ACCEPTED, outcome=Outcome.NO_MANDATE).exit_code == 3

    def test_junit_fails_until_it_is_accepted_and_skips_then(self) -> None:
        """With the decision's reference: green is not said."""
        suite = JUnitXml.fromstring(junit(RunReport("r1", False, results=[RESULT, ACCEPTED])).encode())
        [cases] = [list(each) for each in suite]
        assert [type(case.result[0]) for case in cases] == [Failure, Skipped]
        assert "(accepted: Board 12)" in cases[1].result[0].message

    def test_the_setting_names_service_decision_and_days(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Days alone accept nothing; nonsense is refused with its line."""
        monkeypatch.chdir(tmp_path)
        Path("fleet.yml").write_text(
            "attestation: {linkedin: {accepted_by: Board 12, for_days: 90}, jira: {for_days: 7}}\n"
        )
        settings = configure(Given()).settings
        assert settings.accepted.attestations == {"linkedin": "Board 12"}
        assert attestations_of(settings).fresh_days == {"linkedin": 90, "jira": 7}
        Path("fleet.yml").write_text("attestation:\n  linkedin: {for_days: 0}\n")
        with pytest.raises(InputError, match=r"fleet.yml:2.*for_days"):
            configure(Given())


def ended(*visits: dict[str, Any]) -> Row:
    log = [
        FINISHED | {"event": "control.finished", "at": f"2026-01-0{day}T00:00:00.000000Z", "run": f"r{day}"} | visit
        for day, visit in enumerate(visits, start=1)
    ]
    [current] = current_states(log).values()
    return Row("anna", "linkedin", "ai_training", (), "en", current)


ATTESTED = {"outcome": "attested", "reason": "switched", "before": None, "after": None, "attested_on": "2026-01-02"}
OUT = {"outcome": "already_opted_out", "before": "out", "after": "out"}
IN = {"outcome": "would_opt_out", "before": "in", "after": "in"}


class TestStatus:
    def test_it_is_counted_apart(self) -> None:
        """Neither out nor unknown, with or without an older reading; no share of what was read."""
        coverage = Coverage("all", (ended(OUT, ATTESTED), ended(ATTESTED)))
        assert [coverage.count(state) for state in ("out", "attested", "not known")] == [0, 2, 0]
        assert coverage.share_out == 0

    def test_it_is_no_drift(self) -> None:
        """What was found in again, and then switched off by its owner, is settled until it is read."""
        row = ended(OUT, IN, ATTESTED)
        assert row.current is not None and not row.current.has_drifted and not row.current.could_not_look
        assert ended(OUT, IN, ATTESTED, IN).current.has_drifted  # type: ignore[union-attr]

    def test_a_later_reading_wins(self) -> None:
        """Either way."""
        assert [ended(ATTESTED, each).state for each in (OUT, IN)] == ["out", "in"]

    def test_who_must_act_is_named_until_it_is_accepted(self) -> None:
        """Then nobody must."""
        row = ended(ATTESTED)
        assert [step for _, step in next_steps([row])] == [next_step(RESULT)]
        assert list(next_steps([replace(row, accepted_by="Board 12")])) == []


@pytest.fixture
def state() -> StateDir:
    state = StateDir(Path.home() / ".local/state/fleet")
    make_state(state, default_identity(), default_log_key())
    return state


def act(state: StateDir, statement: Reason | None = Reason.SWITCHED) -> None:
    said_so = {
        "employee": "anna",
        "service": "linkedin",
        "control": "ai_training",
        "said": statement,
        "at": NOW.isoformat(),
        "assurance": "oidc_session",
    }
    given = {"act": "attest", "statements": [said_so], "operator_claimed": "ops"}

    async def perform_it() -> None:
        with Writer.opened(state, default_log_key(), "a test") as writer:
            await perform(ACT.validate_python(given), writer)

    asyncio.run(perform_it())


class TestAct:
    def test_it_is_recorded_before_it_counts(self, state: StateDir) -> None:
        """Pseudonym, control, what was said and when; withdrawing it is recorded too."""
        act(state)
        assert Attestations(state.attestations).of("anna") == (said().model_copy(update={"at": NOW}),)
        act(state, None)
        assert Attestations(state.attestations).of("anna") == ()
        first, second = (one for one in read_records(state.audit.log) if one["event"] == "control.attested")
        assert first["subject"] == second["subject"] and first["subject"].startswith("s_")
        assert (first["service"], first["control"], first["assurance"]) == ("linkedin", "ai_training", "oidc_session")
        assert (first["said"], second["said"], first["attested_on"]) == ("switched", None, today().isoformat())

    def test_whose_data_is_erased_has_attested_nothing(self, state: StateDir) -> None:
        """The file goes with the person's row and key."""
        act(state)
        assert fleet("audit", "erase", "anna").returncode == 0
        assert list(state.attestations.iterdir()) == []


class TestRun:
    def test_the_plan_has_it_in_place_of_what_is_missing(self, tmp_path: Path, state: StateDir) -> None:
        """Of a live run, which needs neither mandate nor session for it."""
        staff = tmp_path / "staff.yml"
        hosts = {name: {"fleet_accounts": at_linkedin(name)["fleet_accounts"]} for name in ("anna", "ben")}
        staff.write_text(json.dumps({"all": {"hosts": hosts}}))
        act(state)
        planned = json.loads(fleet("run", "-i", staff, "--plan", "--output", "json").stdout)["left_alone"]
        assert [(one["employee"], one["outcome"], one["reason"]) for one in planned] == [
            ("anna", "attested", "switched"),
            ("ben", "no_mandate", "no_mandate_given"),
        ]

    async def test_a_reading_takes_its_place(self, tmp_path: Path) -> None:
        """Whatever was read: from then on the page's word counts."""
        log = open_log(tmp_path / "audit")
        desk = Desk(log, tmp_path / "audit")
        store = desk.ground.gates.attestations
        store.put("anna", said())
        await desk.recorder.plan(desk.planned.employee, [desk.planned])
        await AccountVisit(desk.ground, desk.planned, LINKEDIN, Proving(), live=False).work()
        assert desk.ends() == [("opted_out", None, "rome")] and store.of("anna") == ()
        log.close()
