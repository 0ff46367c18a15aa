"""Sessions: sealed with age, bound to their account, cleaned of what is foreign."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from fleet.errors import InputError, SessionError
from fleet.paths import StateDir
from fleet.recipes.catalog import load_catalog
from fleet.recipes.recipe import Recipe
from fleet.sessions.convert import read_session
from fleet.sessions.storage_state import MAX_BYTES, StorageState
from fleet.sessions.store import SessionStore, new_identity, read_identity
from fleet.state.create import make_state

SECRET = "AQEDAR-marker-secret-4711"
RECIPE = load_catalog().recipes["linkedin"]


def storage_state() -> StorageState:
    cookie = {"name": "li_at", "value": SECRET, "domain": ".www.linkedin.com", "path": "/", "expires": 4102444800.0}
    return StorageState.model_validate({"cookies": [cookie], "origins": []})


def naming(**names: list[str]) -> Recipe:
    """A recipe that names more of a session."""
    return Recipe.model_validate(RECIPE.model_dump() | names)


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
        opened = SessionStore(state).open("anna", RECIPE, read_identity(tmp_path / "keys" / "identity.txt"))
        assert opened is not None and opened.state.cookies[0].value == SECRET

    def test_another_identity_opens_nothing(self, state: StateDir, tmp_path: Path) -> None:
        """A wrong identity is a SessionError with the reason that the log records."""
        SessionStore(state).seal("anna", RECIPE, storage_state())
        with pytest.raises(SessionError) as caught:
            SessionStore(state).open("anna", RECIPE, pyrage.x25519.Identity.generate())
        assert caught.value.reason == "session_unreadable"
        assert SECRET not in str(caught.value)

    def test_a_session_renamed_to_a_colleague_opens_nothing(self, state: StateDir, tmp_path: Path) -> None:
        """The sealed text names its account, so swapping files swaps nobody."""
        SessionStore(state).seal("anna", RECIPE, storage_state())
        shutil.copy(state.sessions / "anna.linkedin.age", state.sessions / "bob.linkedin.age")
        with pytest.raises(SessionError, match="another account"):
            SessionStore(state).open("bob", RECIPE, read_identity(tmp_path / "keys" / "identity.txt"))

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

    def test_what_is_sealed_can_be_opened_whatever_its_letters(self, state: StateDir, tmp_path: Path) -> None:
        """The largest session that an import takes, in letters of which JSON in ASCII would make six bytes each."""
        recipe = naming(session_local_storage=["token"])
        token = {"name": "token", "value": "é" * (MAX_BYTES // 2 - 500)}
        origins = [{"origin": "https://www.linkedin.com", "localStorage": [token]}]
        state_ = storage_state().model_dump(by_alias=True) | {"origins": origins}
        data = json.dumps(state_, ensure_ascii=False).encode()
        assert MAX_BYTES - 1000 < len(data) <= MAX_BYTES
        SessionStore(state).seal("anna", recipe, read_session(data, "anna.json", recipe).state)
        opened = SessionStore(state).open("anna", recipe, read_identity(tmp_path / "keys" / "identity.txt"))
        assert opened is not None and opened.state.origins[0].local_storage[0].value == token["value"]


STORED = {
    "cookies": [{"name": "li_at", "value": SECRET, "domain": ".linkedin.com"}],
    "origins": [
        {
            "origin": "https://www.linkedin.com",
            "localStorage": [{"name": "token", "value": "t"}, {"name": "settings", "value": "off"}],
            "indexedDB": [
                {"name": "auth", "version": 1, "stores": []},
                {"name": "cache", "version": 1, "stores": []},
            ],
        }
    ],
}


class TestWhatASessionIs:
    def test_storage_that_no_recipe_names_is_not_kept(self, state: StateDir, tmp_path: Path) -> None:
        """A page may keep its settings there, and show them instead of what the service says."""
        SessionStore(state).seal("anna", RECIPE, StorageState.model_validate(STORED))
        opened = SessionStore(state).open("anna", RECIPE, read_identity(tmp_path / "keys" / "identity.txt"))
        assert opened is not None
        assert ([cookie.name for cookie in opened.state.cookies], opened.state.origins) == (["li_at"], [])

    def test_what_the_recipe_names_is_kept(self, state: StateDir, tmp_path: Path) -> None:
        """Keys of local storage and databases by their names, and none beside them."""
        recipe = naming(session_local_storage=["token"], session_databases=["auth"])
        SessionStore(state).seal("anna", recipe, StorageState.model_validate(STORED))
        opened = SessionStore(state).open("anna", recipe, read_identity(tmp_path / "keys" / "identity.txt"))
        assert opened is not None
        [origin] = opened.state.as_playwright()["origins"]
        assert origin == {
            "origin": "https://www.linkedin.com",
            "localStorage": [{"name": "token", "value": "t"}],
            "indexedDB": [{"name": "auth", "version": 1, "stores": []}],
        }

    def test_an_older_session_is_opened_without_the_rest(self, state: StateDir, tmp_path: Path) -> None:
        """Earlier versions sealed all that a page had stored."""
        sealed = {"employee": "anna", "service": "linkedin", "storage_state": STORED}
        recipients = [pyrage.x25519.Recipient.from_str(line) for line in state.recipients.read_text().split()]
        (state.sessions / "anna.linkedin.age").write_bytes(pyrage.encrypt(json.dumps(sealed).encode(), recipients))
        opened = SessionStore(state).open("anna", RECIPE, read_identity(tmp_path / "keys" / "identity.txt"))
        assert opened is not None and opened.state.origins == []

    def test_a_visit_leaves_what_makes_up_the_session(self) -> None:
        """Named cookies as the service left them; others as they came where scripts can write them; no new ones."""

        def cookies(**values: str) -> StorageState:
            return StorageState.model_validate(
                {
                    "cookies": [
                        {"name": name, "value": value, "domain": ".linkedin.com", "httpOnly": name.startswith("h_")}
                        for name, value in values.items()
                    ]
                }
            )

        left = cookies(li_at="rotated", lang="off", h_device="new", settings="off", h_new="x")
        given = cookies(li_at="old", lang="en", h_device="old", gone="x")
        kept = left.left_by_visit(RECIPE, given)
        assert {cookie.name: cookie.value for cookie in kept.cookies} == {
            "li_at": "rotated",
            "lang": "en",
            "h_device": "new",
        }


class TestSealedBack:
    """What a visit left is sealed over the very session that it began with, and over nothing else."""

    @pytest.mark.parametrize(
        ("meanwhile", "after"),
        [
            (lambda _: None, "rotated"),
            (lambda store: store.seal("anna", RECIPE, valued("imported")), "imported"),
            (lambda store: store.seal("anna", RECIPE, valued("old")), "old"),
            (lambda store: store.remove("anna", "linkedin"), None),
        ],
        ids=["nothing", "imported", "imported again", "removed"],
    )
    def test_what_was_done_meanwhile_stays(
        self, state: StateDir, tmp_path: Path, meanwhile: Callable[[SessionStore], object], after: str | None
    ) -> None:
        """An import during a visit is not lost, and what was removed does not come back."""
        identity, store = read_identity(tmp_path / "keys" / "identity.txt"), SessionStore(state)
        store.seal("anna", RECIPE, valued("old"))
        opened = store.open("anna", RECIPE, identity)
        assert opened is not None
        meanwhile(SessionStore(state))
        assert store.seal_back("anna", RECIPE, opened, valued("rotated")) is (after == "rotated")
        now = store.open("anna", RECIPE, identity)
        assert (now.state.cookies[0].value if now else None) == after

    def test_what_is_unchanged_is_not_opened_again(self, state: StateDir, tmp_path: Path) -> None:
        """A visit asks twice, before its turn and in it; what was imported or removed between them counts."""
        identity, store = read_identity(tmp_path / "keys" / "identity.txt"), SessionStore(state)
        store.seal("anna", RECIPE, valued("old"))
        opened = store.open("anna", RECIPE, identity)
        assert store.open("anna", RECIPE, identity, opened) is opened
        store.seal("anna", RECIPE, valued("imported"))
        now = store.open("anna", RECIPE, identity, opened)
        assert now is not None and now.state.cookies[0].value == "imported"
        store.remove("anna", "linkedin")
        assert store.open("anna", RECIPE, identity, opened) is None


def valued(value: str) -> StorageState:
    return StorageState.model_validate({"cookies": [{"name": "li_at", "value": value, "domain": ".linkedin.com"}]})


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


class TestExpiry:
    def test_the_expiry_is_that_of_the_cookie_that_signs_in(self) -> None:
        """Not of some tracking cookie that outlives it."""
        cookies = [
            {"name": "li_at", "value": "x", "domain": ".linkedin.com", "expires": 2000000000},
            {"name": "bcookie", "value": "x", "domain": ".linkedin.com", "expires": 3000000000},
        ]
        assert StorageState.model_validate({"cookies": cookies}).expires_at(RECIPE) == 2000000000
