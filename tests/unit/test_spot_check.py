"""Spot checks: who may be drawn and how, what is kept of it, and what the result says."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet.audit import records
from fleet.audit.pseudonyms import known_subjects
from fleet.audit.segments import read_records
from fleet.authority.attestations import Attestation, Attestations
from fleet.errors import InputError
from fleet.paths import StateDir, default_log_key
from fleet.plan.gates import today
from fleet.report.spot_check import LastSpotCheck, upper_bound
from fleet.state.appointments import Appointments
from fleet.state.spot_checks import Found, Invitation, Invitations, draw_people
from fleet.state.writer import Writer
from tests.commands import fleet
from tests.logs import FINISHED

NOW = datetime.now(UTC)
PEOPLE = ("anna", "ben", "carl", "dora")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateDir:
    """Four people in Germany who attested, one elsewhere, one without a sign-in, one who sent nothing but a form."""
    monkeypatch.chdir(tmp_path)
    countries = dict.fromkeys(PEOPLE, "DE") | {"eve": "US-CA", "finn": "DE", "gina": "DE", "hugo": "DE"}
    hosts: dict[str, dict[str, Any]] = {
        name: {
            "fleet_country": country,
            "fleet_accounts": {"linkedin": {"profile": f"{name}-k"}},
            **({} if name == "finn" else {"fleet_subject": name}),
        }
        for name, country in countries.items()
    }
    Path("staff.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    Path("fleet.yml").write_text("inventory: staff.yml\nstate: state\ninbox: inbox\ndesk: {countries: [DE]}\n")
    assert fleet("init").returncode == 0
    Path("inbox").mkdir()
    state = StateDir(tmp_path / "state")
    for name in (*PEOPLE, "eve", "finn"):
        say(state, name)
    say(state, "gina", said="sent")
    say(state, "hugo", days_ago=181)
    return state


def say(state: StateDir, name: str, said: Any = "switched", days_ago: int = 0) -> None:
    day = today() - timedelta(days=days_ago)
    answer = Attestation(service="linkedin", control="ai_training", said=said, attested_on=day)
    Attestations(state.attestations).put(name, answer)


def answer(name: str, *, is_coming: Any) -> str:
    """Write what somebody answers, as the portal does; returns the file's name."""
    act = {"v": 1, "act": "spot_check", "employee": name, "at": NOW.isoformat(), "is_coming": is_coming}
    file = f"spot_check-{secrets.token_hex(16)}.json"
    Path("inbox", file).write_text(json.dumps(act))
    return file


def ingest() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fleet("portal", "ingest", "--output", "json").stdout)
    return found


def visit(state: StateDir, name: str, before: str | None, **changed: Any) -> None:
    """Record that a run ended for somebody's setting, as a visit at the desk does."""

    async def write() -> None:
        with Writer.opened(state, default_log_key(), "a test") as writer:
            subject = writer.subjects.of({name: None})[name]
            fields = FINISHED | {"subject": subject.pseudonym, "before": before, "after": None} | changed
            await writer.log.append(records.CONTROL_FINISHED, "r1", **fields)
            writer.log.sign()

    asyncio.run(write())


def result() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fleet("status", "--output", "json").stdout)["spot_check"]
    return found


class TestDraw:
    def test_only_a_count_is_recorded(self, place: StateDir) -> None:
        """Among those who attested a setting, can sign in and are in a named country; the names are in no record."""
        done = fleet("spot-check", "draw", "4")
        assert done.returncode == 0, done
        assert done.stdout.startswith("Drew 4 of 4 people, in the state directory ")
        [record] = [one for one in read_records(place.audit.log) if one["event"].startswith("spot_check")]
        assert {name: value for name, value in record.items() if name in ("event", "drawn", "among")} == {
            "event": "spot_check.drawn",
            "drawn": 4,
            "among": 4,
        }
        assert list(Invitations(place.spot_checks).names()) == list(PEOPLE)
        assert known_subjects(place.audit.subjects) == {}
        assert not any(name in done.stdout for name in PEOPLE)

    def test_the_draw_cannot_be_repeated(self) -> None:
        """It takes the operating system's random numbers: a seed changes nothing."""
        names = [f"e{number}" for number in range(100)]
        drawn = []
        for _ in range(2):
            random.seed(1)
            drawn.append(draw_people(names, 20))
        assert drawn[0] != drawn[1]
        assert all(len(set(one)) == 20 and set(one) <= set(names) for one in drawn)

    def test_who_cannot_be_invited_is_not_drawn(self, place: StateDir) -> None:
        """Nothing is recorded then."""
        text = Path("fleet.yml").read_text()
        for count, countries, message in (
            ("5", "[DE]", "4 people can be drawn: those who attested a setting, can sign in to the portal"),
            ("1", "[]", "fleet.yml names no countries for the desk"),
            ("1", "[FR]", "0 people can be drawn"),
        ):
            Path("fleet.yml").write_text(text.replace("[DE]", countries))
            done = fleet("spot-check", "draw", count)
            assert (done.returncode, message in " ".join(done.stderr.split())) == (2, True), done
        assert list(read_records(place.audit.log)) == []

    def test_one_check_at_a_time(self, place: StateDir) -> None:
        """The second draw would mix the results of both."""
        assert fleet("spot-check", "draw", "2").returncode == 0
        done = fleet("spot-check", "draw", "2")
        assert "A spot check is open; end it first: fleet spot-check end" in done.stderr
        assert len(list(Invitations(place.spot_checks).names())) == 2


PORTAL = """\
portal_data: shown
mandate_texts: texts
portal:
  url: https://optout.example.com
  organization: Example AG
  contact: privacy@example.com
  sign_in: {issuer: https://sso.example.com, client_id: fleet}
"""


class TestPublished:
    def shown(self) -> dict[str, tuple[bool, bool, bool]]:
        """What the pages say: whether the invitation, the offer of an appointment, and an open one are shown."""
        assert fleet("portal", "publish").returncode == 0
        people = [json.loads(path.read_text()) for path in Path("shown/people").iterdir()]
        return {
            one["employee"]: (
                one["is_drawn"],
                one["may_ask_for_appointment"],
                one["asked_for_appointment_on"] is not None,
            )
            for one in people
        }

    def test_a_page_shows_what_is_open_for_its_person(self, place: StateDir) -> None:
        """The invitation until it is answered or over, and nothing of the desk where its countries end."""
        Path("texts").mkdir()
        Path("fleet.yml").write_text(Path("fleet.yml").read_text() + PORTAL)
        fleet("spot-check", "draw", "4")
        shown = self.shown()
        assert (shown["anna"], shown["gina"], shown["eve"]) == (
            (True, True, False),
            (False, True, False),
            (False, False, False),
        )
        answer("anna", is_coming=True)
        answer("ben", is_coming=False)
        ingest()
        invitations = Invitations(place.spot_checks)
        carl = invitations.of("carl")
        assert carl is not None
        invitations.put(carl.model_copy(update={"ends_on": today() - timedelta(days=1)}))
        shown = self.shown()
        assert [shown[name] for name in PEOPLE] == [
            (False, True, True),
            (False, True, False),
            (False, True, False),
            (True, True, False),
        ]
        Path("fleet.yml").write_text(Path("fleet.yml").read_text().replace("[DE]", "[FR]"))
        shown = self.shown()
        assert (shown["anna"], shown["dora"]) == ((False, False, True), (False, False, False))


class TestAnswers:
    def test_who_comes_has_an_appointment(self, place: StateDir) -> None:
        """Who declines leaves neither a file nor a record, as if they had not been drawn; ignoring writes nothing."""
        fleet("spot-check", "draw", "4")
        before = list(read_records(place.audit.log))
        answer("anna", is_coming=True)
        answer("ben", is_coming=False)
        assert ingest()["taken"] == {"spot_check": 2}
        assert [one.employee for one in Appointments(place.appointments).open()] == ["anna"]
        assert list(Invitations(place.spot_checks).names()) == ["anna", "carl", "dora"]
        assert list(place.portal.glob("*/*.json")) == []
        assert list(read_records(place.audit.log)) == before

    def test_what_the_portal_cannot_know_is_refused(self, place: StateDir) -> None:
        """Nobody comes who was not drawn, or whose country is no longer named; declining is never refused."""
        fleet("spot-check", "draw", "4")
        Path("fleet.yml").write_text(Path("fleet.yml").read_text().replace("[DE]", "[FR]"))
        wanted = {
            answer("anna", is_coming=True): "employee: the country of anna is not among desk.countries",
            answer("eve", is_coming=True): "employee: eve is not invited to a spot check",
            answer("zoe", is_coming=True): "employee: zoe is not in the inventory",
            answer("ben", is_coming=1): "spot_check.is_coming: must be true or false",
        }
        answer("zoe", is_coming=False)
        answer("ben", is_coming=False)
        found = ingest()
        assert {one["file"]: one["reason"] for one in found["refused"]} == wanted
        assert found["taken"] == {"spot_check": 2}
        assert Appointments(place.appointments).open() == []
        assert list(Invitations(place.spot_checks).names()) == ["anna", "carl", "dora"]

    def test_a_result_cannot_be_taken_back(self, place: StateDir) -> None:
        """Who withdraws before the visit did not come; afterwards, a portal that was taken over changes nothing."""
        fleet("spot-check", "draw", "4")
        for name in ("anna", "ben"):
            answer(name, is_coming=True)
        ingest()
        visit(place, "anna", "in")
        Appointments(place.appointments).close("anna")
        for name in ("anna", "ben"):
            act = {"v": 1, "act": "appointment", "employee": name, "is_wanted": False, "at": NOW.isoformat()}
            Path(f"inbox/appointment-{secrets.token_hex(16)}.json").write_text(json.dumps(act))
            answer(name, is_coming=False)
        answer("anna", is_coming=True)
        assert ingest()["taken"] == {"appointment": 2, "spot_check": 3}
        assert list(Invitations(place.spot_checks).names()) == ["anna", "carl", "dora"]
        assert (result()["checked"], result()["wrong"], result()["not_checked"]) == (1, 1, 3)

    def test_who_was_drawn_is_erased_with_their_data(self, place: StateDir) -> None:
        """An invitation is data about them."""
        fleet("spot-check", "draw", "4")
        assert fleet("audit", "erase", "anna").returncode == 0
        assert list(Invitations(place.spot_checks).names()) == ["ben", "carl", "dora"]


class TestResult:
    def test_what_was_found_first_counts(self, place: StateDir) -> None:
        """Read after they said that they are coming; not what the visit made of it, nor what could not be read."""
        assert result_before_the_first_draw() is None
        fleet("spot-check", "draw", "4")
        visit(place, "anna", "in")  # an earlier visit
        for name in ("anna", "ben", "carl"):
            answer(name, is_coming=True)
        ingest()
        visit(place, "anna", "out", outcome="already_opted_out")
        visit(place, "ben", "in", outcome="opted_out", after="out")
        visit(place, "ben", "out", outcome="already_opted_out")
        visit(place, "carl", None, outcome="challenged")
        visit(place, "carl", "in", control="other")
        visit(place, "dora", "in")  # drawn, and never answered
        found = result()
        assert {name: found[name] for name in ("among", "drawn", "checked", "wrong", "not_checked", "ended_on")} == {
            "among": 4,
            "drawn": 4,
            "checked": 2,
            "wrong": 1,
            "not_checked": 2,
            "ended_on": None,
        }
        assert (found["rate"], round(found["upper_bound_95"], 4)) == (0.5, 0.9747)
        shown = " ".join(fleet("status").stdout.split())
        assert (
            f"Spot check of {today()} (open): 4 of 4 people drawn, 2 checked, 1 wrong: 50.0%, at most 97.5% (95 %); "
            "2 did not come or could not be read."
        ) in shown

    def test_at_the_end_only_numbers_stay(self, place: StateDir) -> None:
        """The names are deleted, and the result stays in the log; an appointment that was asked for stays open."""
        fleet("spot-check", "draw", "3")
        first, second, _ = Invitations(place.spot_checks).names()
        answer(first, is_coming=True)
        answer(second, is_coming=True)
        ingest()
        visit(place, first, "out")
        Appointments(place.appointments).close(first)
        done = fleet("spot-check", "end")
        assert done.stdout == (
            f"Spot check of {today()} (ended on {today()}): 3 of 4 people drawn, 1 checked, 0 wrong: 0.0%, at most "
            "95.0% (95 %); 2 did not come or could not be read.\n"
        )
        assert list(place.spot_checks.iterdir()) == []
        assert [one.employee for one in Appointments(place.appointments).open()] == [second]
        visit(place, second, "in")
        found = result()
        assert (found["checked"], found["wrong"], found["ended_on"]) == (1, 0, today().isoformat())
        assert "No spot check is open." in fleet("spot-check", "end").stderr
        shown = " ".join(fleet("audit", "show").stdout.split())
        assert "3 of 4 employees drawn" in shown and "1 employee checked, 0 wrong" in shown

    def test_it_ends_by_itself(self, place: StateDir) -> None:
        """With the first ingest after the last day of the invitations: no name stays because the end was forgotten."""
        fleet("spot-check", "draw", "2", "--days", "1")
        assert ingest()["spot_check_ended"] is None
        invitations = Invitations(place.spot_checks)
        for one in invitations.all():
            invitations.put(one.model_copy(update={"ends_on": today() - timedelta(days=1)}))
        assert ingest()["spot_check_ended"].startswith(f"Spot check of {today()} (ended on {today()}): 2 of 4 people")
        assert list(invitations.names()) == []
        assert result()["ended_on"] == today().isoformat()

    def test_nobody_checked_says_nothing_about_the_rest(self) -> None:
        """There is no rate, and the bound is everything."""
        last = LastSpotCheck()
        drawn = {"event": "spot_check.drawn", "at": NOW.isoformat(), "among": 9, "drawn": 5}
        assert list(last.watch([drawn])) == [drawn]
        found = last.result(Found((), {}))
        assert found is not None
        assert (found.rate, found.upper_bound, found.not_checked) == (None, 1.0, 5)
        assert found.sentence.endswith("nobody checked yet; 5 did not come or could not be read.")

    @pytest.mark.parametrize(
        ("wrong", "checked", "bound"),
        [
            (0, 10, 0.2589),
            (1, 10, 0.3942),
            (2, 10, 0.5069),
            (9, 10, 0.9949),
            (0, 20, 0.1391),
            (3, 20, 0.3437),
            (0, 30, 0.0950),
            (0, 60, 0.0487),
            (1, 100, 0.0466),
            (5, 100, 0.1023),
            (0, 1, 0.9500),
            (0, 0, 1.0),
            (7, 7, 1.0),
        ],
    )
    def test_the_bound_is_that_of_the_tables(self, wrong: int, checked: int, bound: float) -> None:
        """One-sided Clopper–Pearson at 95 %: 0 wrong of 60 is below 5 %, as the rule of three has it."""
        assert round(upper_bound(wrong, checked), 4) == bound

    def test_the_bound_of_many_is_found_as_well(self) -> None:
        """The number of samples of 10,000 people is larger than any float."""
        assert round(upper_bound(100, 10_000), 5) == 0.0118

    def test_too_few_people_are_an_error(self) -> None:
        """Never fewer than asked for in silence."""
        with pytest.raises(InputError, match="1 people can be drawn"):
            draw_people(["anna"], 2)


def result_before_the_first_draw() -> dict[str, Any] | None:
    """Without a log there is no status yet; a statement makes one."""
    act = {"v": 1, "act": "attest", "employee": "dora", "service": "linkedin", "control": "ai_training"}
    act |= {"said": "switched", "at": NOW.isoformat()}
    Path(f"inbox/attest-{secrets.token_hex(16)}.json").write_text(json.dumps(act))
    ingest()
    return result()


def test_an_invitation_is_of_what_was_attested() -> None:
    """At least one setting."""
    with pytest.raises(ValueError, match="controls"):
        Invitation(employee="anna", controls=(), ends_on=today())
