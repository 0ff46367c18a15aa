"""Sessions: sealed with age, bound to their account, cleaned of what is foreign."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pyrage
import pytest

from fleet.catalogue import load_catalogue
from fleet.errors import InputError, SessionError
from fleet.paths import StateDir
from fleet.sessions import SessionStore, StorageState, new_identity, parse_storage_state, read_identity
from fleet.state import make_state

SECRET = "AQEDAR-marker-secret-4711"
RECIPE = load_catalogue().recipes["linkedin"]


def storage_state() -> StorageState:
    cookie = {"name": "li_at", "value": SECRET, "domain": ".www.linkedin.com", "path": "/", "expires": 4102444800.0}
    return StorageState.model_validate({"cookies": [cookie], "origins": []})


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    state = StateDir(tmp_path / "state")
    make_state(state, tmp_path / "keys" / "identity.txt", tmp_path / "keys" / "log-key.pem")
    return state


class TestSealing:
    def test_a_session_is_sealed_private_and_opens_with_the_identity_alone(
        self, state: StateDir, tmp_path: Path
    ) -> None:
        """The file is 0600, shows nothing of the session, and opens to the same state."""
        SessionStore(state).seal("anna", RECIPE, storage_state())
        path = state.sessions / "anna.linkedin.age"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_bytes().startswith(b"age-encryption.org/v1")
        for file in state.root.rglob("*"):
            assert not file.is_file() or SECRET.encode() not in file.read_bytes()
        opened = SessionStore(state).open("anna", "linkedin", read_identity(tmp_path / "keys" / "identity.txt"))
        assert opened is not None and opened.cookies[0].value == SECRET

    def test_another_identity_opens_nothing(self, state: StateDir, tmp_path: Path) -> None:
        """A wrong identity is a SessionError with the reason that the log records."""
        SessionStore(state).seal("anna", RECIPE, storage_state())
        with pytest.raises(SessionError) as caught:
            SessionStore(state).open("anna", "linkedin", pyrage.x25519.Identity.generate())
        assert caught.value.reason == "session_unreadable"
        assert SECRET not in str(caught.value)

    def test_a_session_renamed_to_a_colleague_opens_nothing(self, state: StateDir, tmp_path: Path) -> None:
        """The sealed text names its account, so swapping files swaps nobody."""
        SessionStore(state).seal("anna", RECIPE, storage_state())
        shutil.copy(state.sessions / "anna.linkedin.age", state.sessions / "bob.linkedin.age")
        with pytest.raises(SessionError, match="another account"):
            SessionStore(state).open("bob", "linkedin", read_identity(tmp_path / "keys" / "identity.txt"))

    def test_the_list_needs_no_identity(self, state: StateDir) -> None:
        """Age and expiry are known without opening; a name with dots keeps them."""
        SessionStore(state).seal("anna.keller", RECIPE, storage_state())
        [info] = SessionStore(state).list()
        assert (info.employee, info.service, info.expires_at, info.is_expired) == (
            "anna.keller",
            "linkedin",
            4102444800.0,
            False,
        )

    def test_removing_leaves_nothing(self, state: StateDir) -> None:
        """Both files go; removing again says that there was none."""
        store = SessionStore(state)
        store.seal("anna", RECIPE, storage_state())
        assert store.remove("anna", "linkedin") is True
        assert list(state.sessions.iterdir()) == []
        assert store.remove("anna", "linkedin") is False


class TestInit:
    def test_the_identity_is_kept_when_init_runs_again(self, tmp_path: Path) -> None:
        """A second init changes nothing: sessions would be lost with the identity."""
        first = new_identity(tmp_path / "id.txt")
        assert new_identity(tmp_path / "id.txt") == first
        assert stat.S_IMODE((tmp_path / "id.txt").stat().st_mode) == 0o600

    def test_the_identity_may_not_lie_in_the_state(self, tmp_path: Path) -> None:
        """One copied folder must not hold both the sealed and what opens it."""
        with pytest.raises(InputError, match="keep the identity apart"):
            make_state(StateDir(tmp_path / "state"), tmp_path / "state" / "identity.txt", tmp_path / "key.pem")

    def test_an_open_state_directory_is_refused(self, state: StateDir) -> None:
        """Wide permissions are refused with the command that mends them."""
        state.root.chmod(0o755)
        with pytest.raises(InputError, match=f"chmod 700 {state.root}"):
            state.check()


class TestImport:
    def test_foreign_cookies_and_origins_are_left_out(self) -> None:
        """Only the service's own domains are kept; what is left out is named, never shown."""
        content = {
            "cookies": [
                {"name": "li_at", "value": SECRET, "domain": ".linkedin.com"},
                {"name": "sid", "value": "x", "domain": ".bank.example"},
                {"name": "sid", "value": "x", "domain": "notlinkedin.com"},
            ],
            "origins": [{"origin": "https://mail.example", "localStorage": [{"name": "a", "value": "b"}]}],
        }
        kept, foreign = parse_storage_state(json.dumps(content).encode(), "a.json").own_part(RECIPE)
        assert [cookie.domain for cookie in kept.cookies] == [".linkedin.com"]
        assert kept.origins == []
        assert foreign == ["bank.example", "https://mail.example", "notlinkedin.com"]

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"[]",
            b"{}",
            b"\xff\xfe",
            b'{"cookies": 1}',
            b'{"cookies": [{"name": "a"}]}',
            b"[" * 100_000,
            b'{"a": 1}',
        ],
    )
    def test_what_is_no_storage_state_is_refused_in_a_sentence(self, data: bytes) -> None:
        """The sentence names the file and shows nothing of what is in it."""
        with pytest.raises(InputError, match=r"a\.json is not"):
            parse_storage_state(data, "a.json")

    def test_the_expiry_is_that_of_the_cookie_that_signs_in(self) -> None:
        """Not of some tracking cookie that outlives it."""
        cookies = [
            {"name": "li_at", "value": "x", "domain": ".linkedin.com", "expires": 2000000000},
            {"name": "bcookie", "value": "x", "domain": ".linkedin.com", "expires": 3000000000},
        ]
        assert StorageState.model_validate({"cookies": cookies}).expires_at(RECIPE) == 2000000000
