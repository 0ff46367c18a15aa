"""`fleet sessions reseal`: every stored session encrypted again, to the recipients that the state lists now."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pyrage
import pytest
from typer.testing import CliRunner, Result

from fleet.audit.keys import read_signing_key
from fleet.audit.log import AuditLog, kept_free
from fleet.cli import app
from fleet.environment import PYTHON
from fleet.errors import BusyError, FleetError
from fleet.paths import StateDir
from fleet.recipes.catalog import load_catalog
from fleet.sessions.storage_state import StorageState
from fleet.sessions.store import SessionStore, new_identity, read_identity
from fleet.state.create import make_state
from tests.unit.test_sessions import storage_state

RECIPE = load_catalog().recipes["linkedin"]
PEOPLE = ("anna.keller", "brian.walsh")


@pytest.fixture
def state() -> StateDir:
    """The default state of this test's home, with two sessions."""
    home = Path(os.environ["HOME"])
    state = StateDir(home / ".local/state/fleet")
    make_state(state, home / ".config/fleet/identity.txt", home / ".config/fleet/log-key.pem")
    for name in PEOPLE:
        SessionStore(state).seal(name, RECIPE, storage_state())
    return state


@pytest.fixture
def old(state: StateDir) -> Path:
    """The identity that the sessions were sealed to."""
    return Path(os.environ["HOME"]) / ".config/fleet/identity.txt"


@pytest.fixture
def new(state: StateDir, tmp_path: Path) -> Path:
    """An identity whose public key is the second line of the recipients."""
    return second_recipient(state, tmp_path)


def second_recipient(state: StateDir, tmp_path: Path) -> Path:
    with state.recipients.open("a") as file:
        file.write(f"{new_identity(tmp_path / 'new.txt')}\n")
    return tmp_path / "new.txt"


def opens(identity: Path, sealed: Path) -> bool:
    """True if the identity opens the sealed file."""
    try:
        return bool(pyrage.decrypt(sealed.read_bytes(), [read_identity(identity)]))
    except pyrage.DecryptError:
        return False


def opened_by(identity: Path, state: StateDir) -> list[str]:
    """Whose sessions an identity opens."""
    return [one.employee for one in SessionStore(state).list() if opens(identity, _path(state, one.employee))]


def _path(state: StateDir, employee: str) -> Path:
    return state.sessions / f"{employee}.linkedin.age"


def reseal(*options: str) -> Result:
    return CliRunner().invoke(app, ["sessions", "reseal", *options])


def test_every_session_is_sealed_to_the_recipients_of_today(state: StateDir, old: Path, new: Path) -> None:
    """First to both, then to the new one alone; what is inside, and its times, stay."""
    before = list(SessionStore(state).list())
    assert opened_by(new, state) == []
    assert reseal().stdout == f"Resealed 2 sessions to 2 recipients in the state directory {state.root}.\n"
    assert opened_by(old, state) == opened_by(new, state) == list(PEOPLE)
    state.recipients.write_text(state.recipients.read_text().partition("\n")[2])
    said = reseal("--identity", str(new))
    assert (said.stdout, said.stderr) == (
        f"Resealed 2 sessions to 1 recipient in the state directory {state.root}.\n",
        "",
    )
    assert opened_by(old, state) == []
    for name in PEOPLE:
        opened = SessionStore(state).open(name, RECIPE, read_identity(new))
        assert opened is not None and opened.state == storage_state()
    assert list(SessionStore(state).list()) == before


def test_an_identity_that_locks_itself_out_is_told(state: StateDir, old: Path, new: Path) -> None:
    """Resealing with the old identity to the new recipient alone works, and says which key opens nothing now."""
    state.recipients.write_text(state.recipients.read_text().partition("\n")[2])
    assert f"{old} no longer opens them" in reseal().stderr
    assert (opened_by(old, state), opened_by(new, state)) == ([], list(PEOPLE))


def test_what_does_not_open_is_named_and_left_as_it_is(state: StateDir, new: Path) -> None:
    """A session of another identity stays what it was; the others are resealed, and the exit code says that one was
    not."""
    foreign = _path(state, "ciara.byrne")
    foreign.write_bytes(sealed := pyrage.encrypt(b"{}", [pyrage.x25519.Identity.generate().to_public()]))
    done = reseal()
    assert isinstance(done.exception, FleetError) and done.exception.exit_code == 2
    assert str(done.exception).splitlines()[1:] == [str(foreign)]
    assert "Resealed 2 sessions" in done.stdout
    assert foreign.read_bytes() == sealed
    assert opened_by(new, state) == list(PEOPLE)


def test_unreadable_recipients_are_refused_first(state: StateDir, old: Path) -> None:
    """A line that is no recipient ends the command before any session is touched."""
    before = {path: path.read_bytes() for path in state.sessions.glob("*.age")}
    state.recipients.write_text("age1nonsense\n")
    assert "recipients.txt" in str(reseal().exception)
    assert {path: path.read_bytes() for path in state.sessions.glob("*.age")} == before


async def test_it_waits_for_no_run_and_lets_none_begin(state: StateDir, old: Path, new: Path) -> None:
    """A visit would not seal back a session that was resealed under it: beside a run the command is refused, and a run
    that would begin meanwhile is told why not."""
    places = state.audit
    key = read_signing_key(places, old.with_name("log-key.pem"))
    log = AuditLog(places, "20261103T091500Z-1a2b3c", key, socket=Path("/run/agent"))
    refused = reseal().exception
    log.close()
    assert isinstance(refused, BusyError) and "20261103T091500Z-1a2b3c" in str(refused)
    assert opened_by(new, state) == []
    with kept_free(places, "fleet sessions reseal"), pytest.raises(BusyError, match="fleet sessions reseal"):
        AuditLog(places, "20261103T091500Z-4d5e6f", key)


def test_an_interruption_leaves_every_session_whole(state: StateDir, old: Path, tmp_path: Path) -> None:
    """Where a file cannot be written the command ends there: what came before is resealed, the rest still opens, and
    the same command again does all."""
    token = {"name": "li_at", "value": "x" * 16384, "domain": ".linkedin.com"}
    SessionStore(state).seal("brian.walsh", RECIPE, StorageState.model_validate({"cookies": [token]}))
    new = second_recipient(state, tmp_path)
    command = ["prlimit", "--fsize=8192", *PYTHON, "-m", "fleet", "sessions", "reseal"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{_path(state, 'brian.walsh')}: File too large" in " ".join(done.stderr.split())
    assert (opened_by(old, state), opened_by(new, state)) == (list(PEOPLE), ["anna.keller"])
    assert len(list(state.sessions.iterdir())) == 4
    assert reseal().exit_code == 0
    assert opened_by(new, state) == list(PEOPLE)
