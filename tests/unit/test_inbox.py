"""The portal's inbox: it takes away at once, and gives nothing that was not checked and recorded."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet.audit.segments import read_records
from fleet.authority import inbox as inbox_module
from fleet.authority.attestations import Attestations
from fleet.authority.former_names import FormerNames
from fleet.authority.inbox import ACT, Inbox, WithInbox
from fleet.authority.mandates import Revocations
from fleet.errors import InputError
from fleet.paths import StateDir
from fleet.plan.gates import gates_of
from fleet.settings.resolve import Given, configure
from fleet.state.appointments import Appointment, Appointments
from tests.commands import fleet
from tests.conftest import OBEYING_MODES
from tests.inventories import at_linkedin
from tests.sizes import sizes

pytestmark = pytest.mark.usefixtures("same_inventories")  # what employees sent is the subject
NOW = datetime.now(UTC)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an inventory, an inbox and a state; the inbox is returned."""
    monkeypatch.chdir(tmp_path)
    hosts = {
        name: {"fleet_accounts": at_linkedin(name)["fleet_accounts"], "fleet_country": country}
        for name, country in {"anna": "DE-BY", "ben": "US-CA"}.items()
    }
    Path("staff.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    Path("fleet.yml").write_text("inventory: staff.yml\nstate: state\ninbox: inbox\ndesk: {countries: [DE, US-NY]}\n")
    assert fleet("init").returncode == 0
    Path("inbox").mkdir()
    return tmp_path / "inbox"


def said(**changed: Any) -> dict[str, Any]:
    given = {"v": 1, "act": "attest", "employee": "anna", "service": "linkedin", "control": "ai_training"}
    return given | {"said": "switched", "at": NOW.isoformat()} | changed


def revoked(employee: str = "anna") -> dict[str, Any]:
    return {"v": 1, "act": "revoke", "employee": employee, "at": NOW.isoformat()}


def asked(employee: str = "anna", *, is_wanted: Any = True, **changed: Any) -> dict[str, Any]:
    given = {"v": 1, "act": "appointment", "employee": employee, "is_wanted": is_wanted, "at": NOW.isoformat()}
    return given | changed


def put(place: Path, act: dict[str, Any] | str, name: str | None = None) -> str:
    """Write one file, as the portal does; returns its name."""
    kind = act["act"] if isinstance(act, dict) else "attest"
    name = name or f"{kind}-{secrets.token_hex(16)}.json"
    (place / name).write_text(act if isinstance(act, str) else json.dumps(act))
    return name


def state_of(place: Path) -> StateDir:
    return StateDir(place.parent / "state")


def ingest(exit_code: int = 0) -> dict[str, Any]:
    done = fleet("portal", "ingest", "--output", "json")
    assert done.returncode == exit_code, done
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


WRONG: list[tuple[Any, str]] = [
    ("{", "Invalid JSON"),
    (said(v=2), "attest.v: must be 1"),
    (said(act="grant"), "grant"),
    (said(act="mandate"), "mandate.statement: missing"),
    (said(act="close", control="ads", said=None), "close.said: unknown key"),
    (said(extra=1), "attest.extra: unknown key"),
    (said(said="opted_out"), "attest.said: must be 'switched', 'was_off' or 'sent'"),
    (said(employee="../anna"), "attest.employee: contains characters that are not allowed here"),
    (said(employee="zoe"), "employee: zoe is not in the inventory"),
    (said(control="ads"), "control: no recipe has linkedin.ads"),
    (said(service="myspace"), "control: no recipe has myspace.ai_training"),
    (said(at=(NOW + timedelta(hours=1)).isoformat()), "is in the future"),
    (said(at=(NOW - timedelta(days=31)).isoformat()), "is more than 30 days ago"),
    (said(at="2026-11-01T10:00:00"), "attest.at:"),
    (said(note="x" * 20_000), "is larger than 16 KiB"),
]
"""What a file says, and why it is refused."""


class TestIngest:
    def test_what_employees_say_counts_once_it_is_recorded(self, place: Path) -> None:
        """The last statement by time counts, whatever the names of the files; each is kept."""
        earlier = (NOW - timedelta(days=1)).isoformat()
        names = [
            put(place, said(said="was_off"), "attest-00000000000000000000000000000000.json"),
            put(place, said(said="switched", at=earlier)),
            put(place, said(employee="ben")),
        ]
        assert ingest()["taken"] == {"attest": 3}
        state = state_of(place)
        assert [one.said for one in Attestations(state.attestations).of("anna")] == ["was_off"]
        assert [one.said for one in Attestations(state.attestations).of("ben")] == ["switched"]
        assert sorted(path.name for path in (state.portal / "done").iterdir()) == sorted(names)
        assert list(place.iterdir()) == [] and ingest()["taken"] == {}
        events = [one["said"] for one in read_records(state.audit.log) if one["event"] == "control.attested"]
        assert sorted(events) == ["switched", "switched", "was_off"]
        shown = " ".join(fleet("audit", "show", "--employee", "ben").stdout.split())
        assert f"linkedin.ai_training, switched on {NOW:%Y-%m-%d}, says the employee (oidc_session)" in shown

    def test_a_statement_can_be_withdrawn(self, place: Path) -> None:
        """With null."""
        put(place, said(at=(NOW - timedelta(hours=1)).isoformat()))
        put(place, said(said=None))
        assert ingest()["taken"] == {"attest": 2}
        assert Attestations(state_of(place).attestations).of("anna") == ()

    def test_of_what_was_closed_no_file_is_kept(self, place: Path) -> None:
        """Nobody can look up later who answered so, and who did not answer."""
        put(place, {name: value for name, value in said(act="close").items() if name != "said"})
        assert ingest()["taken"] == {"close": 1}
        state = state_of(place)
        assert [one.said for one in Attestations(state.attestations).of("anna")] == ["closed"]
        assert list(state.portal.glob("*/*.json")) == []

    def test_a_revocation_becomes_the_states_own(self, place: Path) -> None:
        """It counts before, and after; and it is recorded."""
        put(place, revoked())
        assert ingest()["taken"] == {"revoke": 1}
        assert "anna" in Revocations(state_of(place).revocations)
        assert [one["event"] for one in read_records(state_of(place).audit.log)] == ["mandate.revoked"]

    def test_what_is_wrong_is_refused_with_the_reason(self, place: Path) -> None:
        """Nothing counts, nothing is recorded, each file is kept with its reason, and the next is taken in."""
        wanted = {put(place, act, f"attest-{secrets.token_hex(16)}.json"): reason for act, reason in WRONG}
        put(place, said(employee="ben"), f"attest-{'f' * 32}.json")
        answer = ingest(2)
        refused = {one["file"]: one["reason"] for one in answer["refused"]}
        assert refused.keys() == wanted.keys()
        assert [(reason, refused[name]) for name, reason in wanted.items() if reason not in refused[name]] == []
        assert answer["taken"] == {"attest": 1}
        assert list(Attestations(state_of(place).attestations).names()) == ["ben"]
        kept = {
            path.name: json.loads(path.read_text())["refusal"]
            for path in (state_of(place).portal / "refused").iterdir()
        }
        assert kept == refused
        assert list(place.iterdir()) == []

    @pytest.mark.parametrize(
        ("plant", "reason"),
        [
            (lambda path: os.mkfifo(path), "is not a regular file"),
            (lambda path: path.symlink_to("/etc/passwd"), "cannot be read"),
            (lambda path: path.symlink_to("/dev/zero"), "cannot be read"),
            (lambda path: path.mkdir(), "is not a regular file"),
            (lambda path: os.link(_secret(path), path), "has a second name elsewhere"),
            (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 2**30), "is larger than 16 KiB"),
        ],
        ids=["pipe", "link", "device", "folder", "hard link", "1 GB"],
    )
    def test_nothing_else_is_followed_or_waited_for(
        self, place: Path, plant: Callable[[Path], object], reason: str
    ) -> None:
        """It goes; what it led to stays."""
        plant(place / f"attest-{'a' * 32}.json")
        [refused] = ingest(2)["refused"]
        assert reason in refused["reason"]
        assert list(place.iterdir()) == []

    def test_strange_names_are_refused_by_a_digest(self, place: Path) -> None:
        """No name of theirs becomes one of ours."""
        os.close(os.open(os.fsencode(place) + b"/attest-\xff\n.json", os.O_CREAT))
        [refused] = ingest(2)["refused"]
        assert refused["reason"] == "its name is not one that the portal gives"
        [kept] = (state_of(place).portal / "refused").iterdir()
        assert len(kept.name) == 37

    def test_two_at_once_do_not_take_the_same(self, place: Path) -> None:
        """The second says so and does nothing."""
        put(place, said())
        holder = subprocess.Popen(
            ["flock", str(_made(state_of(place).portal)), "sh", "-c", "echo; read wait"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert holder.stdout is not None
        holder.stdout.readline()
        assert "Another 'fleet portal ingest' is at work" in fleet("portal", "ingest").stderr
        holder.communicate(b"\n")
        assert ingest()["taken"] == {"attest": 1}

    def test_a_revocation_is_never_refused(self, place: Path) -> None:
        """Neither for its date nor for its name: the mandate would count again."""
        ahead, old = ({"at": (NOW + timedelta(days=days)).isoformat()} for days in (400, -400))
        names = ["e1", "e2", "e3", "e4", "e5"]
        put(place, revoked("e1") | ahead)
        put(place, revoked("e2") | old)
        put(place, revoked("e3"), "revoke-anna.json")
        put(place, revoked("e4"), f"attest-{'a' * 32}.json")
        put(place, revoked("e5"), "note.txt")
        assert ingest()["taken"] == {"revoke": 5}
        times = [Revocations(state_of(place).revocations).revoked_at(name) for name in names]
        assert all(one is not None and one <= datetime.now(UTC) for one in times)

    def test_of_too_many_files_the_first_are_taken_in(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Revocations first; so what shut the inbox can be taken away by the command that it names."""
        monkeypatch.setattr(inbox_module, "MAX_FILES", 3)  # the real one takes a while to fill
        for act in (said(), said(employee="ben"), said(), revoked("ben")):
            put(place, act)
        first = [one.act.act for one in Inbox(place).arrived() if one.act is not None]
        assert first == ["revoke", "attest", "attest"]

    @pytest.mark.parametrize("count", sizes(600, 10_000))
    def test_thousands_of_files_are_taken_in(self, place: Path, count: int) -> None:
        """Generated ones: half of them nonsense."""
        for number in range(count):
            put(place, said(employee="anna" if number % 2 else "nobody"))
        answer = ingest(2)
        assert (answer["taken"], len(answer["refused"])) == ({"attest": count // 2}, count // 2)
        assert list(place.iterdir()) == []

    def test_without_an_inbox_it_says_what_to_add(self, place: Path) -> None:
        """To fleet.yml."""
        Path("fleet.yml").write_text("inventory: staff.yml\nstate: state\n")
        assert "fleet.yml names no inbox; add inbox: FOLDER" in fleet("portal", "ingest").stderr

    def test_the_published_schema_is_that_of_the_code(self) -> None:
        """For whoever writes such files."""
        assert json.loads(fleet("portal", "schema").stdout) == ACT.json_schema()

    def test_who_was_in_no_run_is_erased_as_well(self, place: Path) -> None:
        """Somebody of whom there is nothing but an act that was refused, or that they revoked."""
        put(place, said(employee="zoe"))
        put(place, revoked("yan"))
        ingest(2)
        assert [fleet("audit", "erase", name).returncode for name in ("zoe", "yan")] == [0, 0]
        assert list(state_of(place).portal.glob("*/*.json")) == []
        assert "yan" in Revocations(state_of(place).revocations)

    def test_whose_data_is_erased_has_no_act_left(self, place: Path) -> None:
        """Neither taken in nor refused; others keep theirs."""
        for act in (said(), said(employee="ben"), said(control="ads")):
            put(place, act)
        ingest(2)
        assert fleet("audit", "erase", "anna").returncode == 0
        kept = [path.read_text() for path in state_of(place).portal.glob("*/*.json")]
        assert len(kept) == 1 and "ben" in kept[0]


def _secret(path: Path) -> Path:
    file = path.parent.parent / "secret"
    file.write_text("s3cret")
    return file


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


class TestAppointments:
    def test_who_asked_first_is_first_until_they_withdraw_it(self, place: Path) -> None:
        """Asking again changes nothing; no file of it is kept, and the log has no record."""
        Path("fleet.yml").write_text(Path("fleet.yml").read_text().replace("US-NY", "US"))
        hours = {name: (NOW - timedelta(hours=ago)).isoformat() for name, ago in {"ben": 3, "anna": 2}.items()}
        for name, at in hours.items():
            put(place, asked(name, at=at))
        put(place, asked("ben"))
        assert ingest()["taken"] == {"appointment": 3}
        appointments = Appointments(state_of(place).appointments)
        assert [(one.employee, one.asked_at.isoformat()) for one in appointments.open()] == list(hours.items())
        put(place, asked("ben", is_wanted=False))
        assert ingest()["taken"] == {"appointment": 1}
        assert [one.employee for one in appointments.open()] == ["anna"]
        assert list(state_of(place).portal.glob("*/*.json")) == []
        assert list(read_records(state_of(place).audit.log)) == []

    def test_an_attended_visit_closes_it(self, tmp_path: Path) -> None:
        """Once: a second one finds nothing to close."""
        appointments = Appointments(tmp_path)
        appointments.put(Appointment(employee="anna", asked_at=NOW))
        assert [appointments.close("anna"), appointments.close("anna")] == [True, False]
        assert appointments.open() == []

    def test_outside_the_named_countries_it_is_refused(self, place: Path) -> None:
        """By the inventory's country, whatever the portal wrote; withdrawing is never refused."""
        wanted = {
            put(place, asked("ben")): "employee: the country of ben is not among desk.countries",
            put(place, asked("zoe")): "employee: zoe is not in the inventory",
            put(place, asked(is_wanted="yes")): "appointment.is_wanted: must be true or false",
            put(place, asked(service="linkedin")): "appointment.service: unknown key; remove it or fix its spelling",
        }
        for name in ("ben", "zoe"):
            put(place, asked(name, is_wanted=False))
        answer = ingest(2)
        assert {one["file"]: one["reason"] for one in answer["refused"]} == wanted
        assert answer["taken"] == {"appointment": 2}
        assert Appointments(state_of(place).appointments).open() == []

    def test_it_is_erased_with_its_person(self, place: Path) -> None:
        """Also of somebody of whom there is nothing else."""
        put(place, asked())
        put(place, said(employee="ben"))
        ingest()
        assert fleet("audit", "erase", "anna").returncode == 0
        assert Appointments(state_of(place).appointments).open() == []


class TestRevocationsCountAtOnce:
    def test_before_anything_is_ingested(self, place: Path) -> None:
        """For runs, and for their plan; another person's is not theirs."""
        settings = configure(Given()).settings
        gates = gates_of(settings, Revocations(settings.state_dir.revocations), ())
        revoked_at = gates.mandates.revocations.revoked_at
        assert revoked_at("anna") is None
        name = put(place, revoked())
        assert revoked_at("anna") is not None and revoked_at("ben") is None
        (place / name).unlink()
        assert revoked_at("anna") is None

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda place: place.rename(place.with_name("elsewhere")),
            lambda place: os.mkfifo(place / f"revoke-{'a' * 32}.json"),
            lambda place: put(place, "{", f"revoke-{'a' * 32}.json"),
            lambda place: (place / f"revoke-{'a' * 32}.json").symlink_to("/nowhere"),
            lambda place: [put(place, said()) for _ in range(4)],
        ],
        ids=["gone", "pipe", "damaged", "link", "too many"],
    )
    def test_an_inbox_that_cannot_be_read_shuts(
        self, place: Path, spoil: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No mandate counts then, and the sentence says what to do."""
        monkeypatch.setattr(inbox_module, "MAX_FILES", 3)  # the real one takes a while to fill
        revoked_ones = WithInbox(
            Revocations(place.parent / "revocations"), Inbox(place), FormerNames(place.parent / "former-names")
        )
        assert revoked_ones.revoked_at("anna") is None
        spoil(place)
        with pytest.raises(InputError, match=r"check inbox in fleet\.yml|run: fleet portal ingest"):
            revoked_ones.revoked_at("anna")

    @pytest.mark.skipif(not OBEYING_MODES, reason="needs root, to become somebody else")
    def test_no_right_to_read_shuts(self, place: Path) -> None:
        """As it does for an agent of another user."""
        place.chmod(0)
        script = (
            "import sys; from pathlib import Path; from fleet.authority.inbox import Inbox, WithInbox;"
            "from fleet.authority.mandates import Revocations;"
            "from fleet.authority.former_names import FormerNames; none = Path('none');"
            "print(WithInbox(Revocations(none), Inbox(Path(sys.argv[1])), FormerNames(none)).revoked_at('anna'))"
        )
        command = [*OBEYING_MODES, sys.executable, "-c", script, str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "InputError" in done.stderr and done.stdout == ""
