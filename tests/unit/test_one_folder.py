"""Commands that are typed in one folder act on one state, whatever the verb; the folder's fleet.yml names it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from fleet.audit.segments import read_records
from fleet.paths import StateDir
from tests.commands import fleet
from tests.unit.test_commands import STAFF, cookie

YESTERDAY = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86400))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: people, and settings with a state of their own. The default state is there as well."""
    fleet("init")
    folder = tmp_path / "people"
    folder.mkdir()
    (folder / "staff.yml").write_text(STAFF)
    (folder / "fleet.yml").write_text(
        "inventory: staff.yml\nstate: state\nidentity: keys/identity.txt\nlog_key: keys/log-key.pem\n"
        "sandbox: false\naccepted_by: a test\n"
    )
    monkeypatch.chdir(folder)
    return folder


def done(*arguments: str) -> str:
    """What a command that ends well says, on one line."""
    ended = fleet(*arguments)
    assert ended.returncode == 0, ended.stderr
    return " ".join((ended.stdout + ended.stderr).split())


@pytest.mark.parametrize("given", [(), ("-i", "staff.yml")], ids=["without", "with -i"])
def test_every_verb_acts_on_the_state_of_the_folder(folder: Path, tmp_path: Path, given: tuple[str, ...]) -> None:
    """From the keys to the receipt; each that changes something names the state. The default state stays as it was."""
    state = folder / "state"
    default = Path.home() / ".local/state/fleet"
    before = sorted(path.relative_to(default) for path in default.rglob("*"))
    (tmp_path / "anna.json").write_text(json.dumps({"cookies": [cookie("li_at", ".linkedin.com")], "origins": []}))

    assert f"State directory {state}" in done("init", *given)
    assert str(state) in done("sessions", "import", *given, "anna.keller", "linkedin", str(tmp_path / "anna.json"))
    assert "anna.keller linkedin today" in done("sessions", "list", *given)
    assert f"in the state directory {state}." in done("mandates", "revoke", "anna.keller", *given)
    assert "anna.keller" in done("mandates", "list", *given)
    assert '"mandate_revoked"' in done("run", *given, "--plan", "--output", "json")
    assert f"in the state directory {state}." in done("mandates", "renew", "anna.keller", "--reference", "M-2", *given)
    assert str(state) in done("sessions", "remove", "anna.keller", "linkedin", *given)

    assert f"Signed: the log in {state}." in done("audit", "checkpoint", *given)
    assert f"The log in {state} is signed with a new key." in done("audit", "rotate-key", *given)
    assert "Records 4, of which 4 signed" in done("audit", "verify", *given)
    assert "log.heartbeat" in done("audit", "show", *given)
    assert "log.heartbeat" in done("audit", "export", *given)
    assert "c2sp.org/tlog-proof@v1" in done("audit", "prove", "0", *given)
    assert done("audit", "prune", "--before", YESTERDAY, *given) == "No records are that old."
    assert "0 of 2 controls read out" in done("status", *given)
    events = [one["event"] for one in read_records(StateDir(state).audit.log)]
    assert events == ["mandate.revoked", "mandate.renewed", "log.heartbeat", "log.key_rotated"]
    for verb in (("report",), ("audit", "diff", "r1", "r2"), ("audit", "receipt", "zoe"), ("audit", "erase", "zoe")):
        refused = fleet(*verb, *given)
        assert refused.returncode == 2 and "no audit log" not in refused.stderr, refused
    assert sorted(path.relative_to(default) for path in default.rglob("*")) == before


def test_the_inventory_of_the_file_is_read_where_none_is_given(folder: Path) -> None:
    """By every verb that needs one."""
    done("init")
    assert "2 employees, 2 accounts, 0 mistakes" in done("inventory", "check")
    assert "bob.stone" in fleet("run", "--plan").stdout
    said = fleet("mandates", "revoke", "bob.stome")
    assert said.returncode == 2 and "is not in the log of" in said.stderr and "staff.yml" in said.stderr


def test_an_inventory_elsewhere_has_the_settings_that_lie_beside_it(folder: Path, tmp_path: Path) -> None:
    """Typed in any other folder; one with settings of its own is not silently another state's."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    ended = fleet("init", "-i", str(folder / "staff.yml"), cwd=elsewhere)
    assert f"{folder}/state" in ended.stdout
    (elsewhere / "staff.yml").write_text(STAFF)
    for verb in (("run", "--plan"), ("mandates", "list"), ("audit", "verify"), ("init",)):
        refused = fleet(*verb, "-i", str(elsewhere / "staff.yml"))
        assert refused.returncode == 2
        assert f"is not in the folder of {folder}/fleet.yml" in " ".join(refused.stderr.split())
