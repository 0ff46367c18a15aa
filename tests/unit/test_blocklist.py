"""Revoked mandates and stopped services: none is lost, and whatever cannot be read shuts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from fleet.authority.blocklist import Blocklist
from fleet.authority.given import GivenMandates
from fleet.authority.in_force import MandateInForce, Mandates
from fleet.authority.mandates import Mandate, Revocations
from fleet.errors import InputError
from fleet.inventory.employee import Account, Employee
from fleet.model import Reason
from fleet.paths import StateDir
from fleet.plan.gates import is_shut
from fleet.state.create import make_state
from tests.conftest import OBEYING_MODES, ROOT

DAY = date(2026, 3, 1)
MANDATE = Mandate(
    employee="anna", reference="M", services=("linkedin",), granted_on=date(2026, 1, 1), expires_on=date(2999, 1, 1)
)
ANNA = Employee("anna", accounts={"linkedin": Account(profile="anna-k")}, mandate=MANDATE)


def lacking(revocations: Revocations) -> Reason | None:
    """Why Anna's account at LinkedIn may not be visited."""
    mandates = Mandates(revocations, GivenMandates(revocations.folder.parent / "mandates"))
    found = mandates.find("anna", MANDATE, "linkedin", "ai_training", DAY)
    return None if isinstance(found, MandateInForce) else found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "revocations"


def dangling(folder: Path) -> None:
    folder.symlink_to(folder.parent / "gone")


def file(folder: Path) -> None:
    folder.write_text("")


def older_dangling(folder: Path) -> None:
    folder.with_suffix(".yml").symlink_to(folder.parent / "gone")


def older_damaged(folder: Path) -> None:
    folder.with_suffix(".yml").write_text("anna\n")


def older_folder(folder: Path) -> None:
    folder.with_suffix(".yml").mkdir()


class TestWhatCannotBeRead:
    def test_a_name_is_open_where_nothing_was_ever_shut(self, folder: Path) -> None:
        """The mandate counts as long as nothing is there."""
        assert lacking(Revocations(folder)) is None
        assert is_shut("linkedin", Blocklist(folder)) is None

    @pytest.mark.parametrize("plant", [dangling, file, older_dangling, older_damaged, older_folder])
    def test_what_stands_in_the_place_of_the_revocations_opens_nothing(
        self, folder: Path, plant: Callable[[Path], None]
    ) -> None:
        """Everybody counts as revoked, for a reason of its own."""
        plant(folder)
        assert lacking(Revocations(folder)) is Reason.REVOCATIONS_UNREADABLE

    @pytest.mark.parametrize("plant", [dangling, file])
    def test_what_stands_in_the_place_of_the_stops_opens_no_service(
        self, folder: Path, plant: Callable[[Path], None]
    ) -> None:
        """Every service counts as stopped."""
        plant(folder)
        assert is_shut("linkedin", Blocklist(folder)) is Reason.STOPS_UNREADABLE

    @pytest.mark.parametrize("plant", [os.mkfifo, Path.mkdir, Path.touch, dangling])
    def test_whatever_has_the_name_of_an_employee_revokes(self, folder: Path, plant: Callable[[Path], None]) -> None:
        """A pipe, a folder, an empty file, a link to nothing: only a missing file opens."""
        revocations = Revocations(folder)
        revocations.prepare()
        plant(folder / "anna")
        assert lacking(revocations) is Reason.MANDATE_REVOKED
        assert list(revocations.all()) == ["anna"]

    def test_a_folder_that_goes_away_in_a_run_shuts(self, folder: Path) -> None:
        """A run has made it, so its absence is no answer."""
        revocations = Revocations(folder)
        revocations.prepare()
        folder.rmdir()
        assert lacking(revocations) is Reason.REVOCATIONS_UNREADABLE

    def test_a_folder_that_may_not_be_entered_shuts(self, folder: Path) -> None:
        """No right to look is not the same as nothing there."""
        folder.mkdir(mode=0)
        code = (
            "import sys; from pathlib import Path; from fleet.authority.mandates import Revocations\n"
            "try: print('anna' in Revocations(Path(sys.argv[1])))\n"
            "except Exception as error: print(error)"
        )
        asked = [*OBEYING_MODES, sys.executable, "-c", code, str(folder)]
        said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout
        folder.chmod(0o700)
        assert said == f"{folder}/anna cannot be accessed (Permission denied); let this user enter its folder.\n"


class TestOlderVersions:
    def test_a_list_of_an_older_version_counts_and_is_taken_over(self, folder: Path) -> None:
        """Before and after; renewing one leaves the others revoked."""
        older = folder.with_suffix(".yml")
        older.write_text("anna: '2026-03-01'\nben: '2026-04-01'\n")
        assert Revocations(folder).all() == {"anna": DAY, "ben": date(2026, 4, 1)}
        assert "anna" in Revocations(folder)
        revocations = Revocations(folder)
        revocations.prepare()
        assert not older.exists()
        assert revocations.all() == {"anna": DAY, "ben": date(2026, 4, 1)}
        revocations.remove("ben")
        assert "anna" in revocations and "ben" not in revocations

    def test_its_first_day_stays(self, folder: Path) -> None:
        """Whoever revoked under an older version and revokes again has revoked on the first day."""
        folder.with_suffix(".yml").write_text("anna: '2026-03-01'\n")
        revocations = Revocations(folder)
        revocations.add("anna", date(2026, 5, 1))
        assert revocations.all() == {"anna": DAY}


class TestMany:
    def test_a_hundred_at_once_are_all_kept(self, folder: Path) -> None:
        """Nobody overwrites anybody."""
        names = [f"e{number:03}" for number in range(100)]
        with ThreadPoolExecutor(20) as pool:
            assert all(pool.map(lambda name: Revocations(folder).add(name, DAY), names))
        assert list(Revocations(folder).all()) == names

    def test_one_is_looked_up_without_reading_the_others(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also in the list of an older version, which is read once as long as nobody changes it."""
        older = folder.with_suffix(".yml")
        older.write_text("".join(f"e{number}: '2026-03-01'\n" for number in range(5000)))
        revocations = Revocations(folder)
        assert "e4999" in revocations
        # A counter: that nothing is read again cannot be seen from outside.
        monkeypatch.setattr("fleet.authority.mandates.read_yaml", lambda path: pytest.fail("read again"))
        assert "e0" in revocations and "anna" not in revocations
        os.utime(older, (1, 1))
        with pytest.raises(pytest.fail.Exception):
            assert "e0" in revocations


class TestNames:
    @pytest.mark.parametrize("name", ["../anna", ".anna", "a/b", "", "a" * 101])
    def test_only_names_of_employees_are_kept(self, folder: Path, name: str) -> None:
        """Nothing leads out of the folder."""
        with pytest.raises(InputError, match="not a safe name"):
            Revocations(folder).add(name, DAY)
        assert not folder.exists()

    def test_a_file_says_who_when_and_on_what(self, folder: Path) -> None:
        """For people who look there."""
        Revocations(folder).add("anna", DAY, reference="LETTER-12", operator=1000, operator_claimed="ops")
        written = json.loads((folder / "anna").read_text())
        assert datetime.now(UTC) - datetime.fromisoformat(written.pop("at")) < timedelta(hours=1)
        assert written == {
            "name": "anna",
            "since": "2026-03-01",
            "reference": "LETTER-12",
            "operator": 1000,
            "operator_claimed": "ops",
            "recorded": False,
        }


class TestKeys:
    def test_a_key_that_cannot_be_reached_is_not_made_anew(self, tmp_path: Path) -> None:
        """A link to a disk that is not there: a new key would open and sign nothing that is already there."""
        state, identity, key = StateDir(tmp_path / "state"), tmp_path / "identity.txt", tmp_path / "log-key.pem"
        identity.symlink_to(tmp_path / "disk" / "identity.txt")
        with pytest.raises(InputError, match=r"identity\.txt is a symbolic link"):
            make_state(state, identity, key)
        identity.unlink()
        key.symlink_to(tmp_path / "disk" / "log-key.pem")
        with pytest.raises(InputError, match=r"log-key\.pem is a symbolic link"):
            make_state(state, identity, key)
        assert key.is_symlink() and not (tmp_path / "disk").exists()
