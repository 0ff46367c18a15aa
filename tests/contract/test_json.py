"""`--output json` is one envelope, for every verb that offers it and however the verb ends."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from fleet.cli import app, main
from fleet.commands.verbs import Verb
from fleet.paths import StateDir
from fleet.report.envelope import envelope
from tests.conftest import ROOT
from tests.identity_provider import signing_provider
from tests.unit.test_audit_commands import state

__all__ = ["state"]

STAFF = str(ROOT / "inventory.example.yml")
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "run": ("--plan", "-i", STAFF),
    "attend": ("--list", "-i", STAFF),
    "status": (),
    "inventory check": ("-i", STAFF),
    "inventory import": ("people.csv", "-i", "new.yml", "--check"),
    "inventory prune": ("-i", "staff.yml"),
    "sessions list": (),
    "mandates list": (),
    "services list": (),
    "services check": (),
    "portal ingest": ("-i", "staff.yml"),
    "portal check": ("--data", "portal"),
    "config show": (),
    "audit show": (),
    "audit verify": (),
    "audit diff": ("r1", "r2"),
    "doctor": (),
}
"""What each verb with `--output json` is given so that it ends well."""


def leaves(command: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every verb of the command line with its name."""
    commands = getattr(command, "commands", None)
    if commands is None:
        yield " ".join(names), command
    for name in commands or ():
        yield from leaves(commands[name], (*names, name))


VERBS = dict(leaves(typer.main.get_command(app)))
WITH_JSON = [
    name
    for name, verb in VERBS.items()
    if any("JSON" in (one.help or "") and "--output" in one.opts for one in verb.params)
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """An authority, and what a portal shows whose identity provider is on loopback."""
    folder = tmp_path_factory.mktemp("provider")
    with signing_provider(folder) as provider:
        sign_in = {"issuer": provider.issuer, "client_id": "portal"}
        told = {"v": 1, "written_at": "2026-03-01T00:00:00Z", "url": "https://optout.example.com", "sign_in": sign_in}
        rest = {"organization": "Example AG", "contact": "privacy@example.com", "texts": {}, "services": {}}
        yield folder / "ca.pem", json.dumps(told | rest | {"mandate_days": 365})


@pytest.fixture(autouse=True)
def _files(site: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A working folder with an export and an inventory; the command line keeps its signals to itself."""
    (tmp_path / "people.csv").write_text("Email,LinkedIn\nanna.keller@company.example,anna-k\n")
    (tmp_path / "staff.yml").write_text("all: {hosts: {anna.keller: {}, brian.walsh: {}, ciara.byrne: {}}}\n")
    (tmp_path / "portal").mkdir()
    (tmp_path / "portal/site.json").write_text(site[1])
    monkeypatch.setenv("SSL_CERT_FILE", str(site[0]))
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of a command."""
    monkeypatch.setattr(sys, "argv", ["fleet", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_every_verb_goes_through_the_renderer() -> None:
    """None can print an object of its own shape: they are all of the class that prints, and the table here has each."""
    assert {name for name, verb in VERBS.items() if not isinstance(verb, Verb)} == set()
    assert set(WITH_JSON) == set(ARGUMENTS)
    assert [name for name in WITH_JSON if not VERBS[name].offers_json] == []
    assert not VERBS["report"].offers_json  # its --output is a file


@pytest.mark.parametrize("verb", WITH_JSON)
class TestEnvelope:
    def test_success(
        self, verb: str, state: StateDir, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One object on stdout, with the command that was given and the exit code of the process."""
        if verb == "portal ingest":
            Path("fleet.yml").write_text("inbox: inbox\n")
            Path("inbox").mkdir()
        code = ended(monkeypatch, *verb.split(), *ARGUMENTS[verb], "--output", "json")
        answer = json.loads(capsys.readouterr().out)
        assert list(answer)[:4] == ["version", "command", "exit_code", "errors"]
        assert (answer["version"], answer["command"], answer["exit_code"], answer["errors"]) == (2, verb, code, [])
        assert code == 0 and len(answer) > 4

    def test_bad_input(self, verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """The mistake with its file and line; people read the same sentence on stderr."""
        Path("broken.yml").write_text("version: 1\nforks: many\n")
        monkeypatch.setenv("FLEET_CONFIG", "broken.yml")
        code = ended(monkeypatch, *verb.split(), *ARGUMENTS[verb], "--output=json")
        out, err = capsys.readouterr()
        answer = json.loads(out)
        if verb == "portal check":  # its user has no fleet.yml
            assert (code, answer["exit_code"], answer["errors"]) == (0, 0, [])
            return
        [error] = answer["errors"]
        assert (code, answer["version"], answer["command"], answer["exit_code"]) == (2, 2, verb, 2)
        assert (Path(error["file"]).name, error["line"]) == ("broken.yml", 2)
        assert error["message"].endswith("broken.yml:2: forks: must be a whole number.")
        assert f"Error: {error['message']}" in err

    def test_an_option_that_there_is_not(
        self, verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the command line itself refuses is an envelope, too."""
        code = ended(monkeypatch, *verb.split(), "--output", "json", "--no-such-option")
        out, err = capsys.readouterr()
        assert json.loads(out) == {
            "version": 2,
            "command": verb,
            "exit_code": 2,
            "errors": [{"message": "No such option: --no-such-option", "file": None, "line": None}],
        }
        assert code == 2 and "--no-such-option" in err


def test_what_the_system_refuses_is_an_error_of_the_tool(
    state: StateDir, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, and the sentence with what to do."""
    # A stand-in, for no file of a test's own runs full, and root may read every other.
    monkeypatch.setattr("fleet.commands.audit.show.Known.at", lambda *_, **__: Path("/dev/full").write_text("x" * 9999))
    code = ended(monkeypatch, "audit", "show", "--output", "json")
    answer = json.loads(capsys.readouterr().out)
    assert (code, answer["exit_code"]) == (1, 1)
    assert "free space there and run again" in answer["errors"][0]["message"]


def test_mistakes_of_an_inventory_have_their_places(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mistake is an error of its own, with file and line."""
    Path("staff.yml").write_text(
        "all:\n  hosts:\n"
        "    anna:\n      fleet_accounts: {myspace: {profile: a}}\n"
        "    bob:\n      fleet_accounts: {linkedin: {login: b}}\n"
    )
    code = ended(monkeypatch, "inventory", "check", "-i", "staff.yml", "--output", "json")
    answer = json.loads(capsys.readouterr().out)
    assert (code, answer["exit_code"], answer["employees"], answer["mistakes"]) == (2, 2, 2, 2)
    assert [(error["file"], error["line"]) for error in answer["errors"]] == [("staff.yml", 4), ("staff.yml", 6)]


def test_a_host_with_a_port_is_no_file_with_a_line() -> None:
    """Only what is a file is named as one; several sentences are several errors."""
    Path("fleet.yml").write_text("forks: 99\n")
    told = json.loads(envelope("run", 2, ["proxy.example:8080: refused.\nfleet.yml:1 99: too many.", "No."], {}))
    assert [(error["file"], error["line"]) for error in told["errors"]] == [
        (None, None),
        ("fleet.yml", 1),
        (None, None),
    ]
