"""`fleet status --expiring DAYS`: what ends soon, by the dates that the gates decide by."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet.audit import records
from fleet.authority.attestations import Attestation, Attestations
from fleet.authority.given import Given, GivenMandate, GivenMandates
from fleet.authority.in_force import MandateInForce, Mandates
from fleet.authority.instruction import Assurance
from fleet.authority.mandates import Mandate, Revocations
from fleet.authority.waivers import Waiver
from fleet.paths import REHEARSAL_RECIPES, StateDir, default_identity, default_log_key
from fleet.recipes.catalog import load_catalog
from fleet.sessions.storage_state import StorageState
from fleet.sessions.store import SessionStore
from fleet.state.create import make_state
from fleet.state.writer import Writer
from tests.commands import fleet
from tests.identity_provider import statement
from tests.logs import FINISHED, STARTED
from tests.receivers import webhook

TODAY = datetime.now(UTC).date()
SECRET = "AQED-marker-4711"
RECIPE = load_catalog().recipes["linkedin"]


def day(days: int) -> str:
    """The day so many days from today."""
    return (TODAY + timedelta(days=days)).isoformat()


def claimed(employee: str, days: int) -> dict[str, Any]:
    """The variables of somebody with an account, and a mandate that an administrator wrote down."""
    mandate = {"employee": employee, "reference": "M-1", "services": ["linkedin"], "granted_on": "2026-01-01"}
    return {"fleet_accounts": {"linkedin": {"profile": employee}}, "fleet_mandate": mandate | {"expires_on": day(days)}}


def given(employee: str, days: int, assurance: Assurance = Assurance.OIDC, **changed: Any) -> GivenMandate:
    """A mandate that the employee gave."""
    said = statement(employee, granted_on="2026-01-01", expires_on=day(days), **changed)
    return GivenMandate(statement=said, assurance=assurance, given_at=datetime.now(UTC), id_token="a.b.c", key={})


def attested(days_ago: int) -> Attestation:
    """What an employee said so many days ago."""
    said_on = TODAY - timedelta(days=days_ago)
    return Attestation(service="linkedin", control="ai_training", said="switched", attested_on=said_on)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateDir:
    """Nobody in particular: each test says who there is."""
    monkeypatch.chdir(tmp_path)
    state = StateDir(tmp_path / "state")
    make_state(state, default_identity(), default_log_key())
    write_inventory({"zoe": {}})
    return state


def write_inventory(hosts: dict[str, Any], **settings: Any) -> None:
    Path("staff.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    Path("fleet.yml").write_text(json.dumps({"inventory": "staff.yml", "state": "state"} | settings))


def expiring(days: int, *arguments: str) -> dict[str, Any]:
    """The answer in JSON; the exit code is 0."""
    done = fleet("status", "--expiring", str(days), "--output", "json", *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def found(days: int, *kinds: str) -> list[tuple[str, str | None, str]]:
    """Day, employee and description of what ends, of some kinds."""
    ending = expiring(days)["ending"]
    return [(one["ends_on"], one["employee"], one["what"]) for one in ending if one["kind"] in kinds]


class TestWhatEnds:
    def test_everything_is_listed_by_date_with_what_to_do(self, state: StateDir) -> None:
        """A mandate of each origin, a waiver, a statement, a session, terms and keys, in one table and one object."""
        waiver = {"service": "linkedin", "rationale": "r", "owner": "dpo", "expires_on": day(4)}
        write_inventory(
            {"anna": claimed("anna", 1), "ben": {"fleet_waivers": [waiver]}, "carl": {}, "dora": {}},
            terms_accepted={"linkedin": "RISK-7"},
        )
        GivenMandates(state.mandates).put(Given(employee="carl", mandates=(given("carl", 3),)))
        Attestations(state.attestations).put("dora", attested(175))
        seal("carl", datetime.now(UTC) + timedelta(days=2))
        for path in (default_log_key(), default_identity()):
            os.utime(path, (0, 0))
        review = date.fromisoformat(RECIPE.terms.reviewed_on) + timedelta(days=180)
        answer = expiring(36500)
        assert [(one["ends_on"], one["kind"], one["employee"], one["what"]) for one in answer["ending"]] == [
            ("1971-01-01", "key", None, "identity"),
            ("1971-01-01", "key", None, "log_key"),
            (day(1), "mandate", "anna", "claimed: linkedin"),
            (day(2), "session", "carl", "linkedin"),
            (day(3), "mandate", "carl", "oidc: linkedin.ai_training"),
            (day(4), "waiver", "ben", "linkedin"),
            (day(5), "attestation", "dora", "linkedin.ai_training"),
            (review.isoformat(), "terms_review", None, "linkedin"),
        ]
        counts = {"mandate": 2, "waiver": 1, "attestation": 1, "session": 1, "terms_review": 1, "key": 2}
        assert (answer["counts"], answer["days"], answer["today"]) == (counts, 36500, day(0))
        assert answer["ending"][2]["days_left"] == 1
        done = fleet("status", "--expiring", "36500")
        shown = " ".join(done.stdout.split())
        assert done.returncode == 0
        assert (
            "\ufffd" not in shown
            and f"{day(1)} mandate anna Ask the" in shown
            and "in 1 day claimed: linkedin" in shown
        )
        assert "2 mandates, 1 waiver, 1 attestation, 1 session, 1 terms review, 2 keys." in shown
        assert "Confirm what fleet.yml decides on them: terms_accepted RISK-7." in " ".join(
            one["next"] for one in answer["ending"]
        )
        assert SECRET not in done.stdout + json.dumps(answer)

    def test_where_nothing_ends_it_says_so(self, state: StateDir) -> None:
        """In words, and as an empty list."""
        done = fleet("status", "--expiring", "30")
        assert (done.returncode, done.stdout, done.stderr) == (0, "\nNothing ends within 30 days.\n\n", "")
        answer = expiring(30)
        assert (answer["ending"], answer["counts"], answer["exit_code"]) == ([], {}, 0)

    def test_the_last_day_counts_and_the_next_does_not(self, state: StateDir) -> None:
        """Today is day 0."""
        write_inventory({"anna": claimed("anna", 7), "ben": claimed("ben", 0), "carl": claimed("carl", -1)})
        assert [name for _, name, _ in found(7, "mandate")] == ["ben", "anna"]
        assert [name for _, name, _ in found(6, "mandate")] == ["ben"]
        assert [name for _, name, _ in found(0, "mandate")] == ["ben"]

    def test_a_mandate_that_another_one_follows_is_not_listed(self, state: StateDir) -> None:
        """Nobody is asked for what is there; a follower that does not count is none."""
        write_inventory({"anna": claimed("anna", 3), "ben": claimed("ben", 3), "carl": claimed("carl", 3)})
        store = GivenMandates(state.mandates)
        store.put(Given(employee="anna", mandates=(given("anna", 5), given("anna", 300))))
        store.put(Given(employee="ben", mandates=(given("ben", 300, Assurance.OIDC_SESSION),)))
        store.put(Given(employee="gone", mandates=(given("gone", 3),)))
        assert [name for _, name, _ in found(30, "mandate")] == ["ben", "carl"]

    def test_one_that_follows_for_a_part_is_not_enough(self, state: StateDir) -> None:
        """A mandate for a service covers all of its controls; each needs one on the day after."""
        Path("recipes").mkdir()
        shutil.copy(REHEARSAL_RECIPES / "intranet.yml", "recipes")
        variables = claimed("anna", 3)
        variables["fleet_mandate"]["services"] = ["intranet"]
        write_inventory({"anna": variables}, recipes=["recipes"])
        store, controls = GivenMandates(state.mandates), ["intranet.newsletter", "intranet.research"]
        for count, names in ((1, ["anna"]), (2, ["anna"]), (3, [])):
            of_portal = [*controls, "intranet.assistant"][:count]
            store.put(Given(employee="anna", mandates=(given("anna", 300, controls=of_portal),)))
            assert [name for _, name, _ in found(30, "mandate")] == names

    def test_what_does_not_count_does_not_end(self, state: StateDir) -> None:
        """A revoked mandate, a closed control, a stale statement, a session that is over, a waiver that was longer."""
        short = {
            "service": "linkedin",
            "control": "ai_training",
            "rationale": "r",
            "owner": "dpo",
            "expires_on": day(3),
        }
        waivers = [short, {"service": "linkedin", "rationale": "r", "owner": "dpo", "expires_on": day(300)}]
        write_inventory({"anna": claimed("anna", 3) | {"fleet_waivers": waivers}, "ben": {}})
        Revocations(state.revocations).add("anna", TODAY)
        closed = attested(175).model_copy(update={"said": "closed"})
        Attestations(state.attestations).put("anna", closed)
        Attestations(state.attestations).put("ben", attested(181))
        seal("anna", datetime.now(UTC) - timedelta(days=1))
        seal("ben", None)
        assert expiring(30)["ending"] == []

    def test_a_statement_is_not_needed_once_a_run_has_read_the_control_as_out(self, state: StateDir) -> None:
        """What was read is more than what was said."""
        write_inventory({"anna": {}, "ben": {}})
        for name in ("anna", "ben"):
            Attestations(state.attestations).put(name, attested(178))
        asyncio.run(read_as_out(state, "anna"))
        assert found(30, "attestation") == [(day(2), "ben", "linkedin.ai_training")]

    def test_without_an_inventory_all_of_the_state_is_meant(self, state: StateDir) -> None:
        """And every service of the catalog."""
        Path("fleet.yml").write_text("state: state\n")
        GivenMandates(state.mandates).put(Given(employee="carl", mandates=(given("carl", 3),)))
        assert found(30, "mandate") == [(day(3), "carl", "oidc: linkedin.ai_training")]
        assert [what for _, _, what in found(36500, "terms_review")] == ["linkedin"]


class TestOneSourceOfDates:
    """The day that is shown is the last one on which the gate lets something pass."""

    def test_of_mandates(self, state: StateDir) -> None:
        """Claimed or given."""
        write_inventory({"anna": claimed("anna", 3), "ben": {}})
        store = GivenMandates(state.mandates)
        store.put(Given(employee="ben", mandates=(given("ben", 4),)))
        mandates = Mandates(Revocations(state.revocations), store)
        mandate = Mandate.model_validate(claimed("anna", 3)["fleet_mandate"])
        for (ends_on, name, _), of_inventory in zip(found(30, "mandate"), (mandate, None), strict=True):
            last = date.fromisoformat(ends_on)
            days = (last, last + timedelta(days=1))
            at = [mandates.find(str(name), of_inventory, "linkedin", "ai_training", each) for each in days]
            assert [isinstance(one, MandateInForce) for one in at] == [True, False]

    def test_of_statements_and_waivers(self, state: StateDir) -> None:
        """With the organization's own number of days."""
        waiver = {"service": "linkedin", "rationale": "r", "owner": "dpo", "expires_on": day(4)}
        write_inventory({"anna": {"fleet_waivers": [waiver]}}, attestation={"linkedin": {"for_days": 20}})
        Attestations(state.attestations).put("anna", attested(15))
        [(until, _, _)] = found(30, "attestation")
        fresh = Attestations(state.attestations, {"linkedin": 20})
        last = date.fromisoformat(until)
        assert until == day(5)
        assert fresh.fresh("anna", "linkedin", "ai_training", last) is not None
        assert fresh.fresh("anna", "linkedin", "ai_training", last + timedelta(days=1)) is None
        [(until, _, _)] = found(30, "waiver")
        last, agreed = date.fromisoformat(until), Waiver.model_validate(waiver)
        assert agreed.covers("linkedin", "x", last) and not agreed.covers("linkedin", "x", last + timedelta(days=1))


class TestNotified:
    def test_what_ends_is_notified_in_counts(self, state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
        """Once anything does; no name goes out."""
        write_inventory({"anna": claimed("anna", 3)})
        with webhook() as hook:
            monkeypatch.setenv("SSL_CERT_FILE", hook.certificate)
            assert fleet("status", "--expiring", "2", "--notify", hook.url).returncode == 0
            assert fleet("status", "--expiring", "3", "--notify", hook.url).returncode == 0
        [notice] = hook.notices
        shown = ("event", "exit_code", "counts", "type", "title", "meaning")
        assert [notice[name] for name in shown] == [
            "ending.looked_for",
            0,
            {"mandate": 1},
            "success",
            "Fleet Opt-Out: what ends soon: something ends within 3 days",
            "something ends within 3 days",
        ]
        assert b"anna" not in hook.raw[0]

    def test_it_is_heard_where_nobody_can_be_told(self, state: StateDir) -> None:
        """Exit code 1; and one question at a time."""
        write_inventory({"anna": claimed("anna", 3)})
        done = fleet("status", "--expiring", "3", "--notify", "https://localhost:1/s3cret")
        assert done.returncode == 1 and "https://localhost:1/… was not notified" in done.stderr
        done = fleet("status", "--expiring", "3", "--drift")
        assert done.returncode == 2 and "give one of them" in done.stderr


def seal(employee: str, expires: datetime | None) -> None:
    """Store a session whose cookie says when it ends."""
    cookie = {"name": "li_at", "value": SECRET, "domain": ".www.linkedin.com"}
    cookie |= {"expires": expires.timestamp()} if expires else {}
    content = StorageState.model_validate({"cookies": [cookie], "origins": []})
    SessionStore(StateDir(Path("state").resolve())).seal(employee, RECIPE, content)


async def read_as_out(state: StateDir, employee: str) -> None:
    """A run that has read the employee's control."""
    with Writer.opened(state, default_log_key(), "run r1") as writer:
        subject = writer.subjects.of({employee: None})[employee].pseudonym
        await writer.log.append(records.RUN_STARTED, "r1", **STARTED)
        out = {"outcome": "already_opted_out", "before": "out", "after": "out", "read_back": False}
        await writer.log.append(records.CONTROL_FINISHED, "r1", **(FINISHED | out | {"subject": subject}))
        await writer.log.append(records.RUN_FINISHED, "r1", counts={}, stopped=None, exit_code=0)
