"""docs/operations.md, section by section, as an administrator would type it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pyrage
import pytest
import trustme
import yaml

from fleet.browser.engine import Engine
from fleet.browser.failures import Unreachable
from fleet.browser.find_browser import find_browser
from fleet.browser.network import Network
from fleet.browser.proxy import Proxy
from fleet.model import Reason
from fleet.notify.send import Notifier
from fleet.notify.targets import Channels, parse_target
from fleet.rehearsal.process import Rehearsal, RehearsalAccount, start_rehearsal
from fleet.sessions.store import read_identity
from tests.conftest import ROOT
from tests.inventories import at_linkedin
from tests.pipelines.pages import Typed, commands_of, environment_of, type_all, wrong
from tests.receivers import webhook
from tests.unit.test_notify import NOTICE

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
BIN = Path(sys.executable).parent
PEOPLE = ("anna.keller", "brian.walsh")
LOST = {"fleet sessions reseal": 2}
"""Sessions that nothing opens any more."""


class Machine:
    """One machine: a home, in it the folder that everything is typed in, and what was typed so far."""

    def __init__(self, home: Path) -> None:
        self.home, self.folder = home, home / "people"
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def state(self) -> Path:
        return self.home / ".local/state/fleet"

    def section(self, title: str, exit_codes: dict[str, int] | None = None) -> dict[str, Typed]:
        """Type the commands of a section; they end as `exit_codes` says, 0 where it says nothing."""
        return self.type(*commands_of(SECTIONS[title]), exit_codes=exit_codes)

    def type(self, *commands: str, exit_codes: dict[str, int] | None = None) -> dict[str, Typed]:
        """Type these commands; what came of each."""
        typed = type_all(commands, self.folder, environment_of(self.home, BIN))
        assert wrong(typed, exit_codes or {}) == []
        return {one.command: one for one in typed}

    def opened_by(self, identity: Path) -> list[str]:
        """The stored sessions that an identity opens."""
        found = []
        for path in sorted((self.state / "sessions").glob("*.age")):
            try:
                pyrage.decrypt(path.read_bytes(), [read_identity(identity)])
            except pyrage.DecryptError:
                continue
            found.append(path.name)
        return found


@pytest.fixture(scope="module")
def service() -> Iterator[Rehearsal]:
    """What is at the far end of the runs."""
    accounts = [
        RehearsalAccount(name, "linkedin", name.replace(".", "-"), name, "en", "switched_on") for name in PEOPLE
    ]
    with start_rehearsal(accounts) as service:
        yield service


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, service: Rehearsal) -> Machine:
    """A machine with two employees and their sessions."""
    machine = Machine(tmp_path_factory.mktemp("prepared") / "first")
    hosts = {name: at_linkedin(name) for name in PEOPLE}
    (machine.folder / "staff").mkdir()
    (machine.folder / "staff/staff.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    ways = [f"{host}={address}" for host, address in service.resolve.items()]
    settings = {"version": 1, "resolve": ways, "trust_spki": [service.spki]}
    (machine.folder / "fleet.yml").write_text(yaml.safe_dump(settings))
    exports = machine.folder / "exports"
    exports.mkdir()
    for name in PEOPLE:
        (exports / f"{name}.linkedin.json").write_text(json.dumps(service.storage_state(name, "linkedin")))
    machine.type("fleet init", "fleet sessions import -i staff --from exports/")
    return machine


@pytest.fixture
def first(tmp_path: Path, prepared: Machine) -> Machine:
    """The same in a home of its own."""
    shutil.copytree(prepared.home, tmp_path / "first")
    return Machine(tmp_path / "first")


def test_every_section_with_commands_is_typed() -> None:
    """A section that is added with commands needs a test here."""
    typed = set(re.findall(r'(?:section\(|SECTIONS\[)"([^"]+)"', Path(__file__).read_text("utf-8")))
    assert typed == {title for title, text in SECTIONS.items() if commands_of(text)}


def test_a_second_machine_goes_on_with_the_log_of_the_first(first: Machine, tmp_path: Path) -> None:
    """Backed up, restored in another home, verified against the anchor, and one log goes on; then its key is lost."""
    first.type("fleet run -i staff -l anna.keller")
    first.section("Back up")
    second = Machine(tmp_path / "second")
    for name in ("state.tar", "keys.tar", "anchor.txt", "staff", "fleet.yml"):
        shutil.move(first.folder / name, second.folder)
    shutil.rmtree(first.home)
    said = second.section("Restore on a second machine")
    assert "Anchors      1, up to record" in said["fleet audit verify --anchor anchor.txt"].output
    assert all(name in said["fleet sessions list"].output for name in PEOPLE)
    said = second.section("Continue")
    went_on = said["fleet run -i staff --new"].output
    assert "brian.walsh" in went_on and "anna.keller" not in went_on
    assert "OK: all records are present" in said["fleet audit verify --anchor anchor.txt"].output
    _lose_the_log_key(second)


def _lose_the_log_key(machine: Machine) -> None:
    """A new log begins and the old one still verifies, also without the names in it."""
    (machine.home / ".config/fleet/log-key.pem").unlink()
    refused = machine.type("fleet run -i staff", exit_codes={"fleet run -i staff": 2})
    assert "log-key.pem" in refused["fleet run -i staff"].output
    assert "docs/operations.md" in machine.type("fleet init", exit_codes={"fleet init": 2})["fleet init"].output
    said = machine.section("Losing the log key")
    assert (
        "OK: all records are present"
        in said["fleet audit verify --state ~/fleet-log-until-today --anchor anchor.txt"].output
    )
    assert all(name in said["fleet run -i staff"].output for name in PEOPLE)
    machine.type("fleet audit verify --anchor anchor.txt")
    old = machine.home / "fleet-log-until-today"
    (old / "audit/subjects.sqlite").unlink()
    shutil.rmtree(old / "evidence")
    machine.type("fleet audit verify --state ~/fleet-log-until-today")


def test_a_backup_older_than_the_anchor_is_told(first: Machine) -> None:
    """Verification ends with 14 where records that an anchor knows are missing after a restore."""
    first.type("fleet mandates revoke brian.walsh -i staff")
    first.section("Back up")
    first.type(
        "fleet audit checkpoint > newer.txt",
        "rm -r ~/.local/state/fleet",
        "tar -xpf state.tar -C ~/.local/state",
        "fleet audit verify --anchor newer.txt",
        exit_codes={"fleet audit verify --anchor newer.txt": 14},
    )
    assert "brian.walsh" in first.type("fleet mandates list -i staff")["fleet mandates list -i staff"].output


def test_the_identity_is_replaced(first: Machine) -> None:
    """Every command as written: at the end the new identity opens all sessions, and the old one none."""
    keys = first.home / ".config/fleet"
    shutil.copy(keys / "identity.txt", keys / "old.txt")
    first.section("Changing the age recipients")
    assert first.opened_by(keys / "identity.txt") == [f"{name}.linkedin.age" for name in PEOPLE]
    assert first.opened_by(keys / "old.txt") == []
    assert len((first.state / "recipients.txt").read_text().split()) == 1


def test_after_the_identity_is_lost_sessions_are_imported_again(first: Machine) -> None:
    """The lost sessions are listed; imported again, they open with the new identity."""
    identity = first.home / ".config/fleet/identity.txt"
    identity.unlink()
    said = first.section("Losing the identity", LOST)
    lost = said["fleet sessions reseal"].output
    assert all(f"{name}.linkedin.age" in lost for name in PEOPLE)
    assert first.opened_by(identity) == [f"{name}.linkedin.age" for name in PEOPLE]


@asynccontextmanager
async def inspecting_proxy(root: trustme.CA) -> AsyncIterator[Proxy]:
    """A forward proxy that answers for every host itself, with a certificate of the company's root."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    root.issue_cert("www.linkedin.com").configure_cert(context)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            await writer.start_tls(context)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # a browser that does not trust it hangs up
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield Proxy("http", "127.0.0.1", server.sockets[0].getsockname()[1])


@pytest.mark.skipif(shutil.which("certutil") is None, reason="needs certutil (Debian: libnss3-tools)")
async def test_chromium_trusts_the_companys_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy that inspects TLS a visit ends with the reason `tls`, and is made once the root is known."""
    machine, root = Machine(tmp_path / "inspected"), trustme.CA()
    root.cert_pem.write_to_path(str(machine.folder / "company-root.pem"))
    monkeypatch.setenv("HOME", str(machine.home))
    hosts = frozenset({"www.linkedin.com:443"})

    async def visit() -> int:
        async with inspecting_proxy(root) as proxy:
            engine = Engine(find_browser(), Network(proxy=proxy), sandbox=False)
            try:
                async with engine.tab(hosts, {}, None) as tab:
                    return await tab.load("https://www.linkedin.com/")
            finally:
                await engine.stop()

    with pytest.raises(Unreachable) as caught:
        await visit()
    assert caught.value.reason == Reason.TLS
    chromium = [command for command in commands_of(SECTIONS["A corporate root CA"]) if "fleet" not in command]
    await asyncio.to_thread(machine.type, *chromium)
    assert await visit() == 200


def test_notifications_trust_the_companys_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable of the page a webhook behind that root is reached, and without it it is not."""
    [command] = [one for one in commands_of(SECTIONS["A corporate root CA"]) if "fleet" in one]
    variable, _, value = command.split()[0].partition("=")
    with webhook() as hook:
        notifier = Notifier(Channels((parse_target(hook.url, "--notify"),)))
        monkeypatch.delenv(variable, raising=False)
        assert "TLS failed" in notifier.tell(NOTICE)[0]
        shutil.copy(hook.certificate, tmp_path / value)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv(variable, value)
        assert notifier.tell(NOTICE) == []
