"""The plan of a run before it starts: who, what, how long, and who is left alone for which reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fleet.authority.mandates import Mandate
from fleet.browser.network import Network
from fleet.errors import InputError
from fleet.inventory.employee import Account, Employee
from fleet.inventory.read import Inventory
from fleet.paths import REHEARSAL_RECIPES
from fleet.plan.forecast import Forecast, forecast
from fleet.plan.pace import Pace
from fleet.plan.plan import RunSpec
from fleet.recipes.catalog import load_catalog
from fleet.report.forecast import duration, print_forecast, span
from fleet.sessions.storage_state import StorageState
from fleet.sessions.store import SessionStore
from fleet.settings.hours import Hours
from fleet.settings.resolve import Settings
from fleet.settings.values import Pause
from fleet.state.create import make_state

LINKEDIN = load_catalog().recipes["linkedin"]
ON_THIS_MACHINE = Network(
    {f"{host}:443": "127.0.0.1:9" for host in ("www.linkedin.com", "static.licdn.com", "media.licdn.com")}
)


def mandate(employee: str, expires: date) -> Mandate:
    """A mandate for LinkedIn."""
    return Mandate(
        employee=employee, reference="M-1", services=("linkedin",), granted_on=date(2026, 1, 1), expires_on=expires
    )


def person(name: str, expires: date | None = date(2099, 1, 1)) -> Employee:
    """An employee at LinkedIn."""
    given = mandate(name, expires) if expires else None
    return Employee(name, accounts={"linkedin": Account(profile=name)}, mandate=given)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A state with sessions of four people."""
    settings = Settings(
        state=tmp_path / "state", identity=tmp_path / "identity", log_key=tmp_path / "key", sandbox=False
    )
    make_state(settings.state_dir, settings.identity, settings.log_key)
    for name in ("anna", "ben", "carla", "dora"):
        SessionStore(settings.state_dir).seal(name, LINKEDIN, StorageState(cookies=[], origins=[]))
    decided = {"linkedin": "board minutes 12"}
    return replace(settings, terms_accepted=decided, personal_sessions=decided)


NOON = datetime(2026, 3, 2, 12, 0)


def look(settings: Settings, *people: Employee, now: datetime = NOON) -> Forecast:
    spec = RunSpec("r1", False, Inventory(("staff.yml",), people, rehearsal=False, digest="0"), settings)
    return forecast(spec, load_catalog(settings.recipes), now)


class TestForecast:
    def test_live_visits_follow_one_another(self, settings: Settings) -> None:
        """Three visits of 12 s, two pauses of 15 to 25 s, and 8 s before the first."""
        seen = look(settings, person("anna"), person("ben"), person("carla"))
        [service] = seen.services
        assert (service.service, service.accounts, service.controls) == ("linkedin", 3, 3)
        assert service.pace == Pace(15, 25)
        assert service.seconds == (66.0, 86.0)
        assert seen.seconds == (74.0, 94.0)

    def test_the_pause_is_a_setting(self, settings: Settings) -> None:
        """Twice as long, for the careful."""
        seen = look(replace(settings, pause=Pause(shortest=60, longest=60)), person("anna"), person("ben"))
        assert seen.services[0].seconds == (84.0, 84.0)

    def test_a_service_may_have_a_pause_of_its_own(self, settings: Settings) -> None:
        """It counts in place of the one for all; fifteen seconds for the others."""
        pause = Pause.model_validate({"services": {"linkedin": {"shortest": 100, "longest": 200}}})
        seen = look(replace(settings, pause=pause), person("anna"), person("ben"), person("carla"))
        assert seen.services[0].seconds == (236.0, 436.0)

    def test_who_is_left_alone_costs_no_pause(self, settings: Settings) -> None:
        """One visit, of a thousand accounts: the others have no session."""
        seen = look(settings, person("anna"), *(person(f"new-{number}") for number in range(1000)))
        assert (seen.services[0].accounts, seen.seconds) == (1, (20.0, 20.0))

    def test_services_whose_terms_allow_automation_are_not_paced(self, settings: Settings, tmp_path: Path) -> None:
        """One's own: as many at a time as there are forks, until fleet.yml gives it pauses."""
        (tmp_path / "recipes").mkdir()
        text = (REHEARSAL_RECIPES / "intranet.yml").read_text().replace("service: intranet", "service: wiki")
        (tmp_path / "recipes" / "wiki.yml").write_text(text)
        settings = replace(settings, recipes=(tmp_path / "recipes",), forks=2)
        wiki = load_catalog([tmp_path / "recipes"]).recipes["wiki"]
        people = []
        for name in ("anna", "ben", "carla"):
            SessionStore(settings.state_dir).seal(name, wiki, StorageState(cookies=[], origins=[]))
            people.append(Employee(name, accounts={"wiki": Account(profile=name, owner="company")}))
        assert look(settings, *people).services[0].seconds == (24.0, 24.0)
        paced = Pause.model_validate({"services": {"wiki": {"shortest": 1, "longest": 2}}})
        assert look(replace(settings, pause=paced), *people).services[0].seconds == (38.0, 40.0)

    def test_hours_are_counted(self, settings: Settings) -> None:
        """A minute before six in the evening: the third visit is for the morning."""
        settings = replace(
            settings, hours={"linkedin": Hours.parse("08:00-18:00")}, pause=Pause(shortest=30, longest=30)
        )
        evening = datetime(2026, 3, 2, 17, 59)
        [service] = look(settings, person("anna"), person("ben"), person("carla"), now=evening).services
        assert service.seconds == (14 * 3600 + 96, 14 * 3600 + 96)

    def test_on_this_machine_forks_share_the_work(self, settings: Settings) -> None:
        """Three accounts, two at a time: two rounds."""
        local = replace(settings, network=ON_THIS_MACHINE, forks=2)
        [service] = look(local, person("anna"), person("ben"), person("carla")).services
        assert (service.pace, service.seconds) == (None, (24.0, 24.0))

    def test_who_is_left_alone_is_told_with_the_reason(self, settings: Settings) -> None:
        """Without mandate, with an expired one, and without a session; only the fourth is visited."""
        seen = look(settings, person("anna", None), person("ben", date(2026, 1, 2)), person("eve"), person("dora"))
        assert [(one.employee, one.outcome, one.reason) for one in seen.left_alone] == [
            ("anna", "no_mandate", "no_mandate_given"),
            ("ben", "no_mandate", "mandate_expired"),
            ("eve", "sign_in_needed", "no_session"),
        ]
        assert [visit.employee.name for visit in seen.visits] == ["dora"]

    def test_terms_that_nobody_accepted_leave_everybody_alone(self, settings: Settings) -> None:
        """And then it takes no time."""
        seen = look(replace(settings, terms_accepted={}), person("anna"))
        assert [(one.outcome, one.reason) for one in seen.left_alone] == [("not_permitted", "terms_forbid")]
        assert (seen.visits, seen.services, seen.seconds) == ((), (), (0.0, 0.0))

    def test_personal_sessions_that_nobody_decided_to_use_leave_everybody_alone(self, settings: Settings) -> None:
        """The terms alone do not permit it; on this machine nobody needs to decide."""
        undecided = replace(settings, personal_sessions={"intranet": "board minutes 13"})
        seen = look(undecided, person("anna"))
        assert [(one.outcome, one.reason) for one in seen.left_alone] == [("not_permitted", "personal_session")]
        assert look(replace(undecided, network=ON_THIS_MACHINE), person("anna")).left_alone == ()

    def test_what_a_run_would_refuse_is_refused(self, settings: Settings) -> None:
        """The breaker cannot be off for live services."""
        with pytest.raises(InputError, match="--breaker off works on loopback only"):
            look(replace(settings, breaker=None), person("anna"))

    @pytest.mark.parametrize(
        ("hours", "pause", "message"),
        [
            ({"linkedn": Hours.parse("08:00-18:00")}, {}, "hours: linkedn: no recipe"),
            ({}, {"linkedn": {"shortest": 9, "longest": 9}}, "pause: services: linkedn: no recipe"),
            ({}, {"linkedin": {"shortest": 1, "longest": 9}}, "linkedin: its terms do not allow automation, so shor"),
        ],
    )
    def test_paces_that_cannot_be_are_refused(
        self, settings: Settings, hours: dict[str, Hours], pause: dict[str, Any], message: str
    ) -> None:
        """A misspelled service would be visited at night; who forbids automation is not hurried."""
        with pytest.raises(InputError, match=message):
            look(replace(settings, hours=hours, pause=Pause.model_validate({"services": pause})), person("anna"))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (7170, "2 h 00 min"), (12_000, "3 h 20 min")],
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    """Seconds up to a minute and a half, minutes up to two hours."""
    assert duration(seconds) == said


def test_a_span_is_one_time_where_both_ends_are_said_alike() -> None:
    """`44 s`, and `5 min to 8 min`."""
    assert (span((44, 44.2)), span((300, 480))) == ("44 s", "5 min to 8 min")


def test_an_empty_plan_is_said_in_words(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """No empty tables, and no time that it would take."""
    settings = replace(settings, terms_accepted={})
    spec = RunSpec("r1", False, Inventory(("staff.yml",), (person("anna"),), rehearsal=False, digest="0"), settings)
    print_forecast(Console(), spec, forecast(spec, load_catalog()))
    said = capsys.readouterr().out
    assert "not permitted" in said and said.rstrip().endswith("No account would be visited.")
