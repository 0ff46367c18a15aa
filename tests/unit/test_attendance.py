"""Who is attended at the desk, what the employee may agree to there, and what a desk may report."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet.agent.desk_mandate import ask_for_mandate
from fleet.agent.desk_signing import have_signed
from fleet.agent.worker_protocol import Ordered, dump_result
from fleet.audit.pseudonyms import Subjects
from fleet.authority.attestations import Attestation, Attestations
from fleet.authority.blocklist import Blocklist
from fleet.authority.given import Given, GivenMandate, GivenMandates
from fleet.authority.in_force import MandateInForce, Mandates
from fleet.authority.instruction import Assurance
from fleet.authority.mandates import Revocations
from fleet.desk.agreement import Agreed, Agreement
from fleet.desk.signing import Signing
from fleet.errors import InputError
from fleet.inventory.employee import Account, Employee
from fleet.inventory.read import Inventory
from fleet.model import Outcome, Reading, Reason
from fleet.plan.attendance import Invited, Why, queue_of, require_attended
from fleet.plan.gates import Gates, Refusal
from fleet.plan.plan import PlannedAccount, RunSpec
from fleet.recipes.catalog import Catalog, load_catalog
from fleet.settings.resolve import Settings
from fleet.settings.values import ApprovedText, Desk, MandatePolicy
from fleet.state.employee_acts import Attest
from fleet.state.spot_checks import Invitation
from fleet.visit.visit import ControlResult, Ending
from tests.logs import STARTED, finish, open_log
from tests.unit.test_requests import RECIPE
from tests.visits import ORDER

CATALOG = load_catalog(rehearsal=True)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
NOBODY = Invited({}, {})
AI = "ai_training"


def coming(name: str, at: datetime = MARCH) -> Invitation:
    """The invitation to a spot check of somebody who comes."""
    controls = ("linkedin.ai_training",)
    return Invitation(employee=name, controls=controls, ends_on=date(2999, 1, 1), coming_at=at)


def at(service: str, name: str, country: str | None = None, **account: Any) -> Employee:
    """An employee with one account."""
    return Employee(name, accounts={service: Account(**({"profile": "someone"} | account))}, country=country)


def spec_of(folder: Path, *employees: Employee, countries: tuple[str, ...] = ("DE",)) -> RunSpec:
    """A run of rehearsal over these."""
    settings = Settings(folder, folder / "i", folder / "k", desk=Desk(countries=countries))
    inventory = Inventory(("staff.yml",), employees, rehearsal=True, digest="0")
    return RunSpec("r2", False, inventory, settings)


def attended(spec: RunSpec, invited: Invited) -> list[tuple[str, Why]]:
    return [(one.employee, one.why) for one in queue_of(spec, CATALOG, invited).attended]


class TestQueue:
    def test_accounts_of_the_organization_need_no_country_and_no_appointment(self, tmp_path: Path) -> None:
        """A personal account next to them is left out."""
        spec = spec_of(tmp_path, at("intranet", "anna"), at("linkedin", "bob", "DE"))
        assert attended(spec, NOBODY) == [("anna", Why.COMPANY)]

    def test_appointments_come_first_in_the_order_of_asking(self, tmp_path: Path) -> None:
        """Then those whom a spot check invites; accounts of the organization last."""
        people = [at("intranet", "anna"), *(at("linkedin", name, "DE-BY") for name in ("bob", "carl", "dora"))]
        invited = Invited({"bob": MARCH + timedelta(1), "carl": MARCH}, {"dora": coming("dora")})
        assert attended(spec_of(tmp_path, *people), invited) == [
            *(("carl", Why.APPOINTMENT), ("bob", Why.APPOINTMENT)),
            *(("dora", Why.SPOT_CHECK), ("anna", Why.COMPANY)),
        ]

    @pytest.mark.parametrize(
        ("country", "named", "words"),
        [
            ("US-CA", ("DE",), "does not cover fleet_country US-CA"),
            ("US-CA", ("US-NY",), "does not cover fleet_country US-CA"),
            ("DE", (), "does not cover fleet_country DE"),
            (None, ("DE",), "does not cover an employee without fleet_country"),
        ],
    )
    def test_a_personal_account_is_refused_in_a_country_that_is_not_named(
        self, tmp_path: Path, country: str | None, named: tuple[str, ...], words: str
    ) -> None:
        """With the reason, also where they asked for an appointment."""
        spec = spec_of(tmp_path, at("linkedin", "anna", country), countries=named)
        queue = queue_of(spec, CATALOG, Invited({"anna": MARCH}, {}))
        assert queue.attended == () and words in queue.refused["anna"]
        with pytest.raises(InputError, match=words):
            require_attended(queue, "anna")

    @pytest.mark.parametrize(("last", "found"), [("challenged", [("anna", Why.CHALLENGED)]), ("error", [])])
    def test_who_was_challenged_last_is_attended(self, tmp_path: Path, last: str, found: list[tuple[str, Why]]) -> None:
        """By the log; any other end is left to the next run."""
        spec = spec_of(tmp_path, at("linkedin", "anna", "DE"))
        subject = ended(spec, "anna", last)
        assert subject and attended(spec, NOBODY) == found

    def test_what_is_done_is_not_attended_again_but_for_a_spot_check(self, tmp_path: Path) -> None:
        """So the same command goes on with the next employee."""
        spec = spec_of(tmp_path, at("linkedin", "anna", "DE"))
        ended(spec, "anna", "opted_out")
        assert attended(spec, Invited({"anna": MARCH}, {})) == []
        later = coming("anna", datetime.now(UTC) + timedelta(1))
        assert attended(spec, Invited({}, {"anna": later})) == [("anna", Why.SPOT_CHECK)]
        assert attended(spec, Invited({}, {"anna": coming("anna")})) == []  # read since they said that they come


class TestRequests:
    """Forms and letters, which an employee signs at the desk."""

    def test_who_has_not_sent_it_is_attended(self, tmp_path: Path) -> None:
        """Whoever asked for an appointment, where the country is named; nobody for what the organization signs."""
        spec, catalog = spec_of(tmp_path, at("forum", "anna", "DE"), at("forum", "bob", "US-CA")), catalog_of(tmp_path)
        spec = replace(spec, settings=replace(spec.settings, controls=("objection", "notice")))
        asked = Invited({"anna": MARCH, "bob": MARCH}, {})
        queue = queue_of(spec, catalog, asked)
        assert [(one.employee, sorted(one.only)) for one in queue.attended] == [
            ("anna", [("anna", "forum", "objection")])
        ]
        assert "does not cover fleet_country US-CA" in queue.refused["bob"]
        said = Attestation(service="forum", control="objection", said="sent", attested_on=date.today())
        Attestations(spec.settings.state_dir.attestations).put("anna", said)
        assert queue_of(spec, catalog, asked).attended == ()

    @pytest.mark.parametrize(("country", "is_sent"), [("DE", True), ("DE", False), ("US-CA", True)])
    async def test_their_word_is_taken_in_before_they_go_on(self, tmp_path: Path, country: str, is_sent: bool) -> None:
        """Only their word, only for what they sign, and nobody is asked in a country that is not named."""
        recipe, happened = catalog_of(tmp_path).recipes["forum"], list[str]()

        class Desk:
            async def sign(self, signing: Signing) -> bool:
                happened.append(f"sign {signing.name}")
                return is_sent

            async def thank(self, signing: Signing, *, is_sent: bool) -> None:
                happened.append(f"thank {is_sent}")

        async def take_in(act: Attest) -> None:
            [one] = act.statements
            happened.append(f"record {one.employee} {one.control} {one.said} {one.assurance}")

        account = PlannedAccount(at("forum", "anna", country), "forum", recipe, ("posts", "objection", "notice"))
        await have_signed([account], Desk(), gates_in(tmp_path), None, take_in)
        if country == "US-CA":
            assert happened == []
        elif is_sent:
            assert happened == ["sign objection", "record anna objection sent desk", "thank True"]
        else:
            assert happened == ["sign objection", "thank False"]


def catalog_of(folder: Path) -> Catalog:
    """The recipes, with one that has a form and a letter."""
    (folder / "recipes").mkdir()
    (folder / "recipes" / "forum.yml").write_text(RECIPE)
    return load_catalog([folder / "recipes"], rehearsal=True)


def ended(spec: RunSpec, name: str, outcome: str) -> str:
    """Record how a run of rehearsal ended this employee's control; return their pseudonym."""
    places = spec.settings.state_dir.audit
    places.root.mkdir(mode=0o700)
    subjects = Subjects(places.subjects)
    subject = subjects.of({name: None})[name].pseudonym
    subjects.close()

    async def write() -> None:
        log = open_log(places.root)
        await log.append("run.started", "r1", **(STARTED | {"rehearsal": True}))
        await finish(log, AI, run="r1", subject=subject, outcome=outcome)
        log.close()

    asyncio.run(write())
    return subject


def gates_in(folder: Path, *, countries: tuple[str, ...] = ("DE",)) -> Gates:
    """Gates of the desk; the terms of LinkedIn are accepted."""
    return Gates(
        mandates=Mandates(Revocations(folder / "revocations"), GivenMandates(folder / "mandates")),
        stopped=Blocklist(folder / "stopped"),
        attestations=Attestations(folder / "attestations"),
        terms_accepted={"linkedin"},
        attended=True,
        countries=countries,
    )


def planned(employee: Employee) -> PlannedAccount:
    return PlannedAccount(employee, "linkedin", CATALOG.recipes["linkedin"], (AI,))


class TestGates:
    def test_at_the_desk_the_country_decides_and_no_stored_session_does(self, tmp_path: Path) -> None:
        """Before anything is asked; a mandate is missing only where the country is named."""
        refused = gates_in(tmp_path).refusal(planned(at("linkedin", "anna", "US-CA")), AI, live=True)
        assert refused == Refusal(Outcome.NOT_PERMITTED, Reason.COUNTRY)
        refused = gates_in(tmp_path).refusal(planned(at("linkedin", "anna", "DE")), AI, live=True)
        assert refused == Refusal(Outcome.NO_MANDATE, Reason.NO_MANDATE_GIVEN)

    def test_the_terms_of_a_service_hold_at_the_desk_too(self, tmp_path: Path) -> None:
        """The visit is automated, whoever signs in."""
        gates = replace(gates_in(tmp_path), terms_accepted=frozenset())
        assert gates.forbidden(at("linkedin", "anna", "DE"), CATALOG.recipes["linkedin"], live=True) is (
            Reason.TERMS_FORBID
        )


class Employees:
    """Stands in for the desk's screen: a real one needs a browser. Gives one answer after the other."""

    def __init__(self, *answers: Agreed | None) -> None:
        self._answers = list(answers)
        self.asked: list[Agreement] = []

    async def agree(self, agreement: Agreement) -> Agreed | None:
        self.asked.append(agreement)
        return self._answers.pop(0)


TEXT = "I mandate Example AG.\n"
YES = Agreed(("linkedin.ai_training",), {"linkedin": "https://www.linkedin.com/in/anna-keller-4b1a2/"})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with an approved English text."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "mandate.en.txt").write_text(TEXT)
    approved = ApprovedText(version="3", sha256=hashlib.sha256(TEXT.encode()).hexdigest())
    desk = Desk(countries=("DE",), texts={"en": approved}, mandate_days=30)
    return Settings(tmp_path, tmp_path / "i", tmp_path / "k", desk=desk, mandate_texts=tmp_path / "texts")


def ask(screen: Employees, settings: Settings, employee: Employee) -> Any:
    accounts = [planned(employee)]
    return asyncio.run(ask_for_mandate(accounts, screen, gates_in(settings.state), settings, frozenset(), None))


class TestMandate:
    def test_an_agreement_becomes_a_mandate_of_the_desk(self, settings: Settings, tmp_path: Path) -> None:
        """For the text by its digest, with the profile that the employee entered; nobody signed it."""
        screen = Employees(YES)
        given = ask(screen, settings, at("linkedin", "anna", "DE", profile=None))
        mandate, instruction = given.mandate, given.mandate.instruction
        assert (mandate.assurance, mandate.id_token, given.issuer, given.text) == (Assurance.DESK, None, None, TEXT)
        assert instruction.controls == ("linkedin.ai_training",)
        assert instruction.profiles == {"linkedin": "anna-keller-4b1a2"}
        assert instruction.text.sha256 == hashlib.sha256(TEXT.encode()).hexdigest()
        assert (instruction.expires_on - instruction.granted_on).days == 30
        assert screen.asked[0].text == TEXT and screen.asked[0].choices[0].profile is None
        gates = gates_in(tmp_path)
        gates.mandates.given.put(Given(employee="anna", mandates=(mandate,)))
        found = gates.authority(at("linkedin", "anna", "DE"), "linkedin", AI)
        assert found == MandateInForce(mandate.reference, Assurance.DESK, "anna-keller-4b1a2")
        asked_again = Employees()
        assert ask(asked_again, settings, at("linkedin", "anna", "DE")) is None and asked_again.asked == []

    def test_an_address_that_is_no_profile_is_asked_for_again(self, settings: Settings) -> None:
        """And marked, until they enter one or end it."""
        screen = Employees(replace(YES, profiles={"linkedin": "https://example.com/me"}), YES)
        given = ask(screen, settings, at("linkedin", "anna", "DE", profile=None))
        assert given.mandate.instruction.profiles == {"linkedin": "anna-keller-4b1a2"}
        assert [one.choices[0].is_wrong for one in screen.asked] == [False, True]

    def test_nothing_else_than_was_asked_is_taken_in(self, settings: Settings) -> None:
        """A screen on another machine may answer anything."""
        assert ask(Employees(Agreed(("intranet.newsletter",), {})), settings, at("linkedin", "anna", "DE")) is None
        assert ask(Employees(None), settings, at("linkedin", "anna", "DE")) is None

    @pytest.mark.parametrize(
        ("employee", "policy"),
        [
            (at("linkedin", "anna", "US-CA"), MandatePolicy()),
            (at("linkedin", "anna", "DE"), MandatePolicy(assurance=Assurance.OIDC)),
        ],
    )
    def test_nobody_is_asked_for_what_would_not_count(
        self, settings: Settings, employee: Employee, policy: MandatePolicy
    ) -> None:
        """Where the country is not named, or fleet.yml requires more than a mandate of the desk."""
        screen = Employees()
        assert ask(screen, replace(settings, mandates=policy), employee) is None and screen.asked == []

    def test_a_text_that_was_changed_since_it_was_approved_is_not_shown(self, settings: Settings) -> None:
        """Not by one byte."""
        assert settings.mandate_texts is not None
        (settings.mandate_texts / "mandate.en.txt").write_text(TEXT + ".")
        with pytest.raises(InputError, match="is not the text that fleet"):
            ask(Employees(YES), settings, at("linkedin", "anna", "DE"))

    def test_only_a_mandate_of_the_desk_is_without_a_token(self) -> None:
        """A file that was edited does not become one."""
        fields = {"statement": "{}", "given_at": datetime.now(UTC), "assurance": Assurance.OIDC}
        with pytest.raises(ValueError, match=r"id_token|statement"):
            GivenMandate.model_validate(fields)


class _Silent:
    """Stands in for the agent's journal, which needs a run."""

    async def permit(self, control: str) -> Reason | None:
        return None

    async def intend(self, control: str, before: Reading, picture: bytes) -> None:
        pass

    async def finish(self, finding: ControlResult) -> None:
        pass


@pytest.mark.parametrize(("is_attended", "is_taken"), [(True, True), (False, False)])
def test_only_a_desk_may_report_that_the_employee_did_not_allow_it(is_attended: bool, is_taken: bool) -> None:
    """Any other worker is not trusted any more."""
    ordered = Ordered(replace(ORDER, attended=is_attended), _Silent(), Ending())
    told = dump_result(ControlResult(AI, Outcome.NO_MANDATE, Reading.IN, Reading.IN, Reason.NOT_ALLOWED))
    work = ordered.finish(told, {"rotated_state": None, "retry_after": None})
    if is_taken:
        assert asyncio.run(work) == {}
    else:
        with pytest.raises(ValueError, match="an end that this visit cannot have"):
            asyncio.run(work)
