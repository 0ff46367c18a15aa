"""How gently live services are visited, what costs a pause, and what a 429 changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from fleet.agent.account_visit import AccountVisit, Ground
from fleet.agent.breaker import Breaker
from fleet.agent.pacing import Pacing
from fleet.agent.recorder import Recorder
from fleet.audit.log import AuditLog
from fleet.audit.pseudonyms import Subject
from fleet.audit.run_state import RunState
from fleet.authority.mandates import Mandate, Revocations
from fleet.browser.traffic import seconds_of
from fleet.inventory.employee import Account, Employee
from fleet.model import Outcome, Reason
from fleet.paths import StateDir
from fleet.plan.pace import Pace
from fleet.plan.plan import PlannedAccount
from fleet.sessions.store import SessionStore, StorageState, read_identity
from fleet.settings.hours import Hours
from fleet.settings.values import BreakerLimits
from fleet.state.create import make_state
from fleet.visit.visit import ControlResult, Ending, Journal, Order
from tests.logs import lines
from tests.loops import run_jumping
from tests.visits import ORDER, gates_in

PAUSE = Pace(10, 10)


async def begins(pacing: Pacing, *services: str, lasting: float = 0, is_visited: bool = True) -> list[float]:
    """When visits that last so long began, in seconds from now; all are asked for at once."""
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def visit(service: str) -> float:
        async with pacing.turn(service) as turn:
            turn.is_spent = is_visited
            began = loop.time() - start
            await asyncio.sleep(lasting)
            return began

    return list(await asyncio.gather(*(visit(service) for service in services)))


class TestPauses:
    def test_live_visits_to_a_service_keep_their_distance(self) -> None:
        """Each begins a pause after the end of the one before."""

        async def work() -> None:
            assert await begins(Pacing(8, {"linkedin": PAUSE}), *["linkedin"] * 3, lasting=2) == [0, 12, 24]

        run_jumping(work())

    def test_services_do_not_wait_for_each_other(self) -> None:
        """Their pauses are their own."""

        async def work() -> None:
            pacing = Pacing(8, {"linkedin": PAUSE, "jira": Pace(3, 3)})
            assert await begins(pacing, "linkedin", "jira", "linkedin", "jira") == [0, 0, 10, 3]

        run_jumping(work())

    def test_loopback_is_limited_by_forks_alone(self) -> None:
        """It has no pace at all."""

        async def work() -> None:
            assert await begins(Pacing(2, {}), *["linkedin"] * 4, lasting=2) == [0, 0, 2, 2]

        run_jumping(work())

    def test_a_live_service_without_pauses_is_visited_side_by_side(self) -> None:
        """One's own: its terms allow automation."""

        async def work() -> None:
            assert await begins(Pacing(8, {"jira": Pace(0, 0)}), *["jira"] * 3, lasting=2) == [0, 0, 0]

        run_jumping(work())

    def test_a_turn_that_visited_nobody_costs_nothing(self) -> None:
        """The next begins at once."""

        async def work() -> None:
            assert await begins(Pacing(8, {"linkedin": PAUSE}), *["linkedin"] * 3, is_visited=False) == [0, 0, 0]

        run_jumping(work())

    def test_nobody_waits_where_nobody_would_be_visited(self) -> None:
        """A circuit that opened lets everybody through, to be told so."""

        async def work() -> None:
            assert await begins(Pacing(8, {"linkedin": PAUSE}, lambda _: True), *["linkedin"] * 3) == [0, 0, 0]

        run_jumping(work())


class TestHours:
    def test_visits_begin_within_the_hours(self) -> None:
        """Two fit before six in the evening, the third waits until eight in the morning; other services do not wait."""

        async def work() -> None:
            loop = asyncio.get_running_loop()
            evening = datetime(2026, 3, 2, 17, 59, 45)
            paces = {"linkedin": Pace(10, 10, Hours.parse("08:00-18:00")), "jira": PAUSE}
            pacing = Pacing(8, paces, now=lambda: evening + timedelta(seconds=loop.time()))
            assert await begins(pacing, *["linkedin"] * 3, *["jira"] * 3) == [0, 10, 14 * 3600 + 15, 0, 10, 20]

        run_jumping(work())

    def test_a_circuit_that_opens_ends_the_wait_for_the_hours(self) -> None:
        """Looked at each minute."""

        async def work() -> None:
            loop = asyncio.get_running_loop()
            night = datetime(2026, 3, 2, 23, 0)
            paces = {"linkedin": Pace(10, 10, Hours.parse("08:00-18:00"))}
            pacing = Pacing(8, paces, lambda _: loop.time() > 90, lambda: night + timedelta(seconds=loop.time()))
            assert await begins(pacing, "linkedin") == [120]

        run_jumping(work())

    @pytest.mark.parametrize(
        ("hours", "now", "seconds"),
        [
            ("08:00-18:00", datetime(2026, 3, 2, 7, 59), 60),
            ("08:00-18:00", datetime(2026, 3, 2, 8, 0), 0),
            ("08:00-18:00", datetime(2026, 3, 2, 17, 59, 59), 0),
            ("08:00-18:00", datetime(2026, 3, 2, 18, 0), 14 * 3600),
            ("22:00-06:00", datetime(2026, 3, 2, 5, 59), 0),
            ("22:00-06:00", datetime(2026, 3, 2, 6, 0), 16 * 3600),
            ("22:00-06:00", datetime(2026, 3, 2, 23, 0), 0),
            ("18:00-24:00", datetime(2026, 3, 2, 23, 59), 0),
        ],
    )
    def test_how_long_until_they_begin(self, hours: str, now: datetime, seconds: float) -> None:
        """Through midnight, too."""
        assert Hours.parse(hours).opens_in(now) == seconds

    @pytest.mark.parametrize(
        ("now", "visits", "takes"),
        [
            (datetime(2026, 3, 2, 9, 0), 3600, 3600),
            (datetime(2026, 3, 2, 6, 0), 3600, 3 * 3600),
            (datetime(2026, 3, 2, 17, 0), 2 * 3600, 16 * 3600),
            (datetime(2026, 3, 2, 8, 0), 21 * 3600, 49 * 3600),
        ],
    )
    def test_how_long_visits_take_within_them(self, now: datetime, visits: float, takes: float) -> None:
        """With the nights in between: ten hours a day."""
        assert Hours.parse("08:00-18:00").takes(visits, now) == takes

    @pytest.mark.parametrize(
        "text", ["8:00-18:00", "08:00", "08:00-25:00", "08:60-09:00", "24:00-08:00", "09:00-09:00"]
    )
    def test_what_are_no_hours_is_refused(self, text: str) -> None:
        """A typing error must not open the night."""
        with pytest.raises(ValueError, match=r"must (be|start)"):
            Hours.parse(text)


class Visiting:
    """A Visitor whose visits take two seconds and find what `outcome` says."""

    name = None
    is_gone = False

    def __init__(
        self, outcome: Outcome, retry_after: float | None = None, meanwhile: Callable[[str], object] = lambda _: None
    ) -> None:
        self._finding = ControlResult("ai_training", outcome, reason=Reason.ADDRESS)
        self._retry_after = retry_after
        self._meanwhile = meanwhile
        self.began: list[float] = []

    async def visit(self, order: Order, journal: Journal, ending: Ending) -> None:
        self.began.append(asyncio.get_running_loop().time())
        self._meanwhile(order.profile)
        await asyncio.sleep(2)
        ending.retry_after = self._retry_after
        await journal.finish(self._finding)


PEOPLE = ("anna", "ben", "carla", "dora", "eve")


class Fleet:
    """Five people at LinkedIn, all asked for at once: an agent's run without browser and socket."""

    def __init__(self, folder: Path, *, with_session: tuple[str, ...] = PEOPLE) -> None:
        self.state = StateDir(folder / "state")
        make_state(self.state, folder / "identity", folder / "key")
        self.store = SessionStore(self.state)
        for name in with_session:
            self.store.seal(name, ORDER.recipe, StorageState())
        self._identity = read_identity(folder / "identity")

    def ground(self, log: AuditLog) -> Ground:
        """What the visits stand on, with pauses of 20 s and a circuit that opens after three."""
        breaker = Breaker(BreakerLimits())
        return Ground(
            run_id="r1",
            check=False,
            recorder=Recorder(log, RunState("r1"), {name: Subject(f"s_{name}", bytes(32)) for name in PEOPLE}),
            pacing=Pacing(8, {"linkedin": Pace(20, 20)}, breaker.is_open),
            sessions=self.store,
            identity=self._identity,
            gates=gates_in(self.state.root, "linkedin"),
            evidence=self.state.evidence,
            breaker=breaker,
        )

    async def visit(self, ground: Ground, visitor: Visiting, *people: str) -> float:
        """Seconds that the visits to these people took, one asked for after the other."""
        start = asyncio.get_running_loop().time()
        visits = []
        for name in people:
            visits.append(
                asyncio.create_task(AccountVisit(ground, planned(name), ORDER.recipe, visitor, live=True).work())
            )
            await asyncio.sleep(0)
        await asyncio.gather(*visits)
        return asyncio.get_running_loop().time() - start


def planned(name: str) -> PlannedAccount:
    """One employee's account, with a mandate."""
    mandate = Mandate(
        employee=name,
        reference="M-1",
        services=("linkedin",),
        granted_on=date(2026, 1, 1),
        expires_on=date(2099, 1, 1),
    )
    employee = Employee(name, accounts={"linkedin": Account(profile=name)}, mandate=mandate)
    return PlannedAccount(employee, "linkedin", ORDER.recipe, ("ai_training",))


def ends(folder: Path) -> dict[str, tuple[str, str | None]]:
    """Outcome and reason of each person in the log."""
    return {
        record["subject"].removeprefix("s_"): (record["outcome"], record["reason"])
        for record in lines(folder)
        if record["event"] == "control.finished"
    }


class TestWhoIsNotVisited:
    def test_costs_no_pause_without_a_session(self, log: AuditLog, folder: Path, tmp_path: Path) -> None:
        """Nineteen of twenty have none on the first day: a pause for each would take the night."""
        fleet, visitor = Fleet(tmp_path, with_session=()), Visiting(Outcome.OPTED_OUT)
        assert run_jumping(fleet.visit(fleet.ground(log), visitor, *PEOPLE)) == 0
        assert (visitor.began, set(ends(folder).values())) == ([], {("sign_in_needed", "no_session")})

    def test_costs_no_pause_with_a_session_that_does_not_open(
        self, log: AuditLog, folder: Path, tmp_path: Path
    ) -> None:
        """Neither for them, nor for those who are visited: one pause between two visits."""
        fleet, visitor = Fleet(tmp_path), Visiting(Outcome.OPTED_OUT)
        for name in ("anna", "carla", "dora"):
            (fleet.state.sessions / f"{name}.linkedin.age").write_bytes(b"age")
        assert run_jumping(fleet.visit(fleet.ground(log), visitor, *PEOPLE)) == 24
        assert {name for name, end in ends(folder).items() if end == ("error", "session_unreadable")} == {
            "anna",
            "carla",
            "dora",
        }

    def test_costs_no_pause_once_the_circuit_is_open(self, log: AuditLog, folder: Path, tmp_path: Path) -> None:
        """Three visits and the pauses between them; those who were waiting are told at once."""
        fleet, visitor = Fleet(tmp_path), Visiting(Outcome.PAGE_CHANGED)
        assert run_jumping(fleet.visit(fleet.ground(log), visitor, *PEOPLE)) == 46
        assert [*ends(folder).values()].count(("not_run", "circuit_open")) == 2

    def test_does_not_wait_out_the_break_of_a_service_that_is_left_alone(
        self, log: AuditLog, folder: Path, tmp_path: Path
    ) -> None:
        """More than a quarter of an hour is asked for: nobody waits for its end."""
        fleet, visitor = Fleet(tmp_path), Visiting(Outcome.ERROR, retry_after=901)
        assert run_jumping(fleet.visit(fleet.ground(log), visitor, *PEOPLE)) == 2
        assert [*ends(folder).values()].count(("not_run", "circuit_open")) == 4

    def test_is_not_visited_who_revoked_while_waiting(self, log: AuditLog, folder: Path, tmp_path: Path) -> None:
        """Mandate and session are asked for again when the turn comes."""
        fleet = Fleet(tmp_path)

        def change_their_minds(visited: str) -> None:
            # Sessions are opened in threads: whichever is open first has the first turn.
            one, other = sorted({"anna", "ben", "carla"} - {visited})
            Revocations(fleet.state.revocations).add(one, date(2026, 3, 2))
            fleet.store.remove(other, "linkedin")

        visitor = Visiting(Outcome.OPTED_OUT, meanwhile=change_their_minds)
        assert run_jumping(fleet.visit(fleet.ground(log), visitor, "anna", "ben", "carla")) == 22
        assert len(visitor.began) == 1
        assert sorted(ends(folder).values()) == [
            ("no_mandate", "mandate_revoked"),
            ("opted_out", "address"),
            ("sign_in_needed", "no_session"),
        ]


class TestSlowness:
    def test_a_429_doubles_the_pauses(self) -> None:
        """Of that service only."""

        async def work() -> None:
            pacing = Pacing(8, {"linkedin": PAUSE, "jira": PAUSE})
            assert pacing.slow_down("linkedin", 0)
            assert await begins(pacing, "linkedin", "linkedin", "jira", "jira") == [0, 20, 0, 10]
            assert pacing.slow_down("linkedin", 0)
            assert await begins(pacing, "linkedin", "linkedin") == [20, 60]

        run_jumping(work())

    def test_good_visits_make_them_shorter_again(self) -> None:
        """Half after five in a row, and never shorter than they are in good times."""

        async def work() -> None:
            pacing = Pacing(8, {"linkedin": PAUSE})
            pacing.slow_down("linkedin", 0)
            pacing.slow_down("linkedin", 0)
            for _ in range(4):
                pacing.went_well("linkedin")
            assert await begins(pacing, "linkedin", "linkedin") == [0, 40]
            pacing.went_well("linkedin")
            assert await begins(pacing, "linkedin", "linkedin") == [40, 60]
            for _ in range(50):
                pacing.went_well("linkedin")
            assert await begins(pacing, "linkedin", "linkedin") == [20, 30]

        run_jumping(work())

    def test_a_visit_that_went_well_is_heard_of(self, log: AuditLog, tmp_path: Path) -> None:
        """Five of them take back one 429."""
        fleet, visitor = Fleet(tmp_path), Visiting(Outcome.OPTED_OUT)

        async def work() -> None:
            ground = fleet.ground(log)
            ground.pacing.slow_down("linkedin", 0)
            await fleet.visit(ground, visitor, *PEOPLE)
            assert await begins(ground.pacing, "linkedin", "linkedin") == [20, 40]

        run_jumping(work())
        assert visitor.began == [0, 42, 84, 126, 168]

    def test_a_service_without_pauses_gets_some(self) -> None:
        """Two seconds, one account at a time, until five visits went well."""

        async def work() -> None:
            pacing = Pacing(8, {"jira": Pace(0, 0)})
            pacing.slow_down("jira", 30)
            assert await begins(pacing, *["jira"] * 3, lasting=1) == [30, 33, 36]
            for _ in range(5):
                pacing.went_well("jira")
            assert await begins(pacing, *["jira"] * 3, lasting=1) == [2, 2, 2]

        run_jumping(work())

    def test_nobody_is_visited_before_the_service_said_so(self) -> None:
        """Retry-After counts from the answer."""

        async def work() -> None:
            pacing = Pacing(8, {"linkedin": PAUSE})
            assert pacing.slow_down("linkedin", 500)
            assert await begins(pacing, "linkedin") == [500]

        run_jumping(work())

    def test_a_break_that_nobody_waits_for_is_told(self) -> None:
        """More than a quarter of an hour: the service is left alone for the rest of the run."""

        async def work() -> None:
            assert not Pacing(8, {"linkedin": PAUSE}).slow_down("linkedin", 901)

        run_jumping(work())


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120), (" 7 ", 7), ("", 0), ("soon", 0), ("-5", 0), ("1e9", 0), ("9" * 5000, 999999999)],
)
def test_retry_after_is_read_as_seconds(header: str, seconds: float) -> None:
    """Anything that is neither a number nor a date asks for no time in particular."""
    assert seconds_of(header) == seconds


def test_retry_after_may_be_a_date() -> None:
    """One that has passed asks for nothing."""
    now = datetime.now(UTC)
    assert 55 < seconds_of(format_datetime(now + timedelta(minutes=1), usegmt=True)) <= 60
    assert seconds_of(format_datetime(now - timedelta(minutes=1), usegmt=True)) == 0
