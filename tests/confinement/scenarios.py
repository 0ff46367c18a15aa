"""What is done inside the namespace while a listener listens."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fleet.audit.segments import read_starts
from fleet.browser import chromium
from fleet.browser.engine import Engine
from fleet.browser.find_browser import find_browser
from fleet.browser.network import Network
from fleet.paths import write_private
from fleet.plan.plan import read_people
from fleet.recipes.catalog import load_catalog
from fleet.rehearsal.process import Rehearsal, RehearsalAccount, start_rehearsal
from fleet.rehearsal.stage import raise_stage_alone
from fleet.sessions.storage_state import StorageState
from fleet.sessions.store import SessionStore
from fleet.settings.resolve import Given, resolve_settings
from fleet.state.create import make_state
from tests.confinement.listener import Listener
from tests.gallery.cases import GALLERY
from tests.inventories import at_linkedin
from tests.workers.sshd import SSHD, Sshd

FLEET = str(Path(sys.executable).with_name("fleet"))
LINKEDIN = load_catalog().recipes["linkedin"]
HOSTS = ("www.linkedin.com", "static.licdn.com", "media.licdn.com")
WEBRTC = frozenset({"out udp 192.0.2.3:4444", "out ip 2 224.0.0.22"})
"""What WebRTC sends to an address that a page names, and to join the group of multicast DNS."""
HOME = Path(os.environ["HOME"])


def rehearsed() -> dict[str, Any]:
    """`fleet run`, with `--check` and without, on a page that reaches out, a challenge and a sign-in page."""
    inventory = _inventory({"reaches": "reaches_out", "asked": "challenge_code", "out": "session_over"})
    settings = resolve_settings(Given(inventory=(inventory,), state=str(HOME / "state")))
    people, catalog = read_people(settings)
    stage = raise_stage_alone(people, settings.of_kind(rehearsal=True), catalog, extension=GALLERY)
    ways = [part for host, at in stage.network.resolve.items() for part in ("--resolve", f"{host}={at}")]
    result: dict[str, Any] = {"own": f"lo tcp {stage.rehearsal.address}"}
    for name, check in (("checked", ["--check"]), ("run", [])):
        listener = Listener()
        done = _run(inventory, *ways, "--trust-spki", stage.rehearsal.spki, *check)
        truth = {row["employee"]: row["requests"] for row in stage.rehearsal.truth()}
        result[name] = {"seen": listener.stop(), "outcomes": _outcomes(done), "requests": truth}
    stage.strike()
    return result


def behind_proxy() -> dict[str, Any]:
    """A live `fleet run` through tinyproxy, which asks for a password: first without it, then with it, and the log."""
    _resolve_hosts_here()
    cases = {"reaches": "reaches_out", "plain": "switched_on"}
    inventory = _inventory(cases, rehearsal=False)
    settings = resolve_settings(Given(inventory=(inventory,), state=str(HOME / "state")))
    make_state(settings.state_dir, settings.identity, settings.log_key)
    accounts = [
        RehearsalAccount(name, "linkedin", name.replace(".", "-"), name, "en", case) for name, case in cases.items()
    ]
    with start_rehearsal(accounts, port=443, extension=GALLERY) as rehearsal, _tinyproxy() as log:
        sessions = SessionStore(settings.state_dir)
        for name in cases:
            given = StorageState.model_validate(rehearsal.storage_state(name, "linkedin"))
            sessions.seal(name, LINKEDIN, given)
        options = ("--proxy", "http://127.0.0.1:3128", "--trust-spki", rehearsal.spki)
        decided = {"linkedin": "test"}
        accepted = {
            "terms_accepted": decided,
            "personal_sessions": decided,
            "sandbox": False,
            "accepted_by": "test",
        }
        (HOME / "fleet.yml").write_text(json.dumps(accepted))
        refused = _run(inventory, *options)
        write_private(HOME / "proxy.txt", b"ann:geheim")
        accepted["proxy_credentials"] = "proxy.txt"
        (HOME / "fleet.yml").write_text(json.dumps(accepted | {"personal_sessions": {}}))
        undecided = _run(inventory, *options)
        written_while_undecided = sum(row["writes"]["ai_training"] for row in rehearsal.truth())
        (HOME / "fleet.yml").write_text(json.dumps(accepted))
        asked_before = set(re.findall(r"CONNECT (\S+)", log.read_text()))
        listener = Listener()
        done = _run(inventory, *options)
        seen = listener.stop()
        asked = set(re.findall(r"Request .*: (.*) HTTP/1", log.read_text()))
        return {
            "by_worker": _by_worker(inventory, *options) if SSHD and os.geteuid() == 0 else None,
            "undecided": [undecided.returncode, json.loads(undecided.stdout)["results"], written_while_undecided],
            "decisions": [
                {name: started[name] for name in ("terms_accepted", "personal_sessions", "sandbox_accepted_by")}
                for started in read_starts(settings.state_dir.audit.log)
            ][::-1][:2],
            "refused": [refused.returncode, [one["message"] for one in json.loads(refused.stdout)["errors"]]],
            "asked_before": asked_before,
            "outcomes": _outcomes(done),
            "seen": seen,
            "asked": asked,
            "writes": {row["employee"]: row["writes"]["ai_training"] for row in rehearsal.truth()},
            "password_in": sorted(
                str(path)
                for path in HOME.rglob("*")
                if path.is_file() and re.search(b"geheim|YW5uOmdlaGVpb", path.read_bytes())  # as it is, or in Base64
            ),
        }


def _by_worker(inventory: str, *options: str) -> dict[str, str]:
    """One of the accounts once more, read by a worker that is reached over SSH."""
    with Sshd(HOME / "sshd", ["paris"]) as sshd:
        os.environ["PATH"] = f"{sshd.bin}{os.pathsep}{os.environ['PATH']}"
        return _outcomes(_run(inventory, *options, "-l", "plain", "--check", "--worker", f"ssh://paris{FLEET}"))


@contextmanager
def _tinyproxy() -> Iterator[Path]:
    """A real forward proxy on port 3128, and its log."""
    log = HOME / "tinyproxy.log"
    (HOME / "tinyproxy.conf").write_text(
        f'Port 3128\nListen 127.0.0.1\nLogFile "{log}"\nLogLevel Connect\nBasicAuth ann geheim\nConnectPort 443\n'
    )
    process = subprocess.Popen(["tinyproxy", "-d", "-c", str(HOME / "tinyproxy.conf")], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while socket.socket().connect_ex(("127.0.0.1", 3128)):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    try:
        yield log
    finally:
        process.terminate()
        process.wait()


def _inventory(cases: dict[str, str], *, rehearsal: bool = True) -> str:
    hosts = {name: at_linkedin(name, case=case if rehearsal else None) for name, case in cases.items()}
    path = HOME / "staff.yml"
    path.write_text(json.dumps({"all": {"vars": {"fleet_rehearsal": rehearsal}, "hosts": hosts}}))
    return str(path)


def _run(inventory: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [FLEET, "run", "-i", inventory, "--state", str(HOME / "state"), "--output", "json", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    report = json.loads(done.stdout)
    assert report["errors"] == [], report["errors"]
    return {row["employee"]: row["outcome"] for row in report["results"]}


class _Open(Network):
    """A planted violation: the recipe's hosts are led to the rehearsal, and everything else goes where it likes."""

    def arguments(self, hosts: Iterable[str], relay: int | None = None) -> list[str]:
        return [argument.replace(", MAP * ~NOTFOUND", "") for argument in super().arguments(hosts, relay)]


def unconfined() -> set[str]:
    """The page that reaches out, in a browser without resolver rules and without the switches that keep WebRTC in."""
    chromium._CONFINED = ()
    with _names(), _reaching_out() as rehearsal:
        return _seen(rehearsal, _Open(rehearsal.resolve, (rehearsal.spki,)))


def webrtc_unconfined() -> set[str]:
    """The same with the resolver rules."""
    chromium._CONFINED = ()
    with _reaching_out() as rehearsal:
        return _seen(rehearsal, Network(rehearsal.resolve, (rehearsal.spki,)), WEBRTC)


def live() -> set[str]:
    """The same fully confined, its hosts resolved as they would be live: by name, to port 443."""
    _resolve_hosts_here()
    with _reaching_out(port=443) as rehearsal:
        return _seen(rehearsal, Network({}, (rehearsal.spki,)))


def _reaching_out(port: int = 0) -> Rehearsal:
    account = RehearsalAccount("a", "linkedin", "a", "A", "en", "reaches_out")
    return start_rehearsal([account], port=port, extension=GALLERY)


def _seen(rehearsal: Rehearsal, network: Network, enough: frozenset[str] | None = None) -> set[str]:
    """What leaves while the page is looked at, but for what goes to the rehearsal."""
    listener = Listener()
    asyncio.run(_look(rehearsal, network, listener, enough))
    return listener.stop() - {f"lo tcp {rehearsal.address}"}


def _resolve_hosts_here() -> None:
    (HOME / "hosts").write_text("127.0.0.1 localhost\n" + "".join(f"127.0.0.1 {host}\n" for host in HOSTS))
    subprocess.run(["mount", "--bind", str(HOME / "hosts"), "/etc/hosts"], check=True)


async def _look(rehearsal: Rehearsal, network: Network, listener: Listener, enough: frozenset[str] | None) -> None:
    """Show the page until `enough` was heard, or three seconds have brought nothing new.

    It may never be loaded to its end: what went nowhere does not come back.
    """
    engine = Engine(find_browser(), network, sandbox=False)
    state = rehearsal.storage_state("a", "linkedin")
    assert state is not None
    try:
        async with engine.tab(LINKEDIN.hosts, state, None) as tab:
            loading = asyncio.create_task(tab.load(LINKEDIN.controls["ai_training"].page))
            heard = -1
            while heard != len(listener.seen) and not (enough and enough <= listener.seen):
                heard = len(listener.seen)
                await asyncio.sleep(3)
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
    finally:
        await engine.stop()


@contextmanager
def _names() -> Iterator[None]:
    """A name server in this namespace: every name has an address where nobody listens."""
    (HOME / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    subprocess.run(["mount", "--bind", str(HOME / "resolv.conf"), "/etc/resolv.conf"], check=True)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))

    def serve() -> None:
        while True:
            question, who = server.recvfrom(4096)
            end = question.index(b"\0", 12) + 5
            is_address = question[end - 4 : end - 2] == b"\0\1"
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton("127.0.0.2") if is_address else b""
            head = question[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_address else b"\0\0") + b"\0\0\0\0"
            server.sendto(head + question[12:end] + answer, who)

    threading.Thread(target=serve, daemon=True).start()
    yield
