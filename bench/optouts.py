"""The same opt-outs by hand, by an Ansible module with a browser each, by `fleet run`, and by it through a worker.

All visit the same rehearsed pages with the same browser, and as many contexts at a time. The handwritten script reads,
clicks, reloads and reads; it takes no evidence, keeps no log and checks nobody's identity. The worker is this machine
over SSH: what it costs to be elsewhere is seen, not what a second machine brings.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from fleet.browser.find_browser import find_browser
from fleet.paths import StateDir
from fleet.recipes.catalog import load_catalog
from fleet.rehearsal.process import Rehearsal, RehearsalAccount, start_rehearsal
from fleet.sessions.storage_state import StorageState
from fleet.sessions.store import SessionStore
from fleet.state.create import make_state
from tests.workers.sshd import SSHD, Sshd

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
ACCOUNTS = int(os.environ.get("BENCH_ACCOUNTS", "800"))
"""So many that the start of a run and the wait of its last accounts, 10 s together, weigh as little as in a fleet."""
MODULE_ACCOUNTS = max(8, ACCOUNTS // 10)  # a browser each is so slow that a part of them must do
MODULE_FORKS = 8  # so many browsers are as fast as it gets on two cores
AT_A_TIME = int(os.environ.get("BENCH_CONTEXTS", "64"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "2"))
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Figure:
    """One contender's round."""

    accounts: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        return self.accounts / self.seconds

    @property
    def cpu_per_account(self) -> float:
        return self.cpu_seconds / self.accounts


def people(count: int) -> list[RehearsalAccount]:
    return [
        RehearsalAccount(f"e{number:04}", "linkedin", f"person-{number}", f"Person {number}", "en", "switched_on_named")
        for number in range(count)
    ]


def measure(command: list[str], count: int, order: object = None, environ: dict[str, str] | None = None) -> Figure:
    """Wall and CPU seconds of a command with all its descendants (orphans are reaped here, too)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    done = subprocess.run(
        command, input=json.dumps(order).encode(), capture_output=True, check=False, env=os.environ | (environ or {})
    )
    seconds = time.monotonic() - started
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.05)
        except ChildProcessError:
            break
        else:
            if not orphans():
                break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed with {done.returncode}:\n{(done.stdout + done.stderr).decode()[-3000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Figure(count, seconds, cpu)


def orphans() -> list[int]:
    """Our direct children, the rehearsal's server apart."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if "fleet.rehearsal" not in Path(f"/proc/{pid}/cmdline").read_text()]


def by_hand(rehearsal: Rehearsal, accounts: list[RehearsalAccount], _folder: Path) -> Figure:
    return measure([sys.executable, str(HERE / "handwritten.py")], len(accounts), browser_order(rehearsal, accounts))


def by_module(rehearsal: Rehearsal, accounts: list[RehearsalAccount], folder: Path) -> Figure:
    order = browser_order(rehearsal, accounts)
    common = {key: value for key, value in order.items() if key not in ("states", "at_a_time")}
    hosts = {
        account.employee: {"order": {**common, "state": state}}
        for account, state in zip(accounts, order["states"], strict=True)
    }
    shared = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = folder / "module.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": shared}}))
    playbook = str(HERE / "module" / "play.yml")
    command = [str(BIN / "ansible-playbook"), "-i", str(inventory), "-f", str(MODULE_FORKS), playbook]
    return measure(command, len(accounts))


def by_fleet(
    rehearsal: Rehearsal,
    accounts: list[RehearsalAccount],
    folder: Path,
    options: tuple[str, ...] = (),
    environ: dict[str, str] | None = None,
) -> Figure:
    state, identity, log_key = StateDir(folder / "state"), folder / "identity.txt", folder / "log-key.pem"
    make_state(state, identity, log_key)
    recipe, store = load_catalog().recipes["linkedin"], SessionStore(state)
    hosts = {}
    for account in accounts:
        given = rehearsal.storage_state(account.employee, "linkedin")
        store.seal(account.employee, recipe, StorageState.model_validate(given))
        dates = {"granted_on": "2026-01-01", "expires_on": "2099-12-31"}
        mandate = {"employee": account.employee, "reference": "M", "services": ["linkedin"], **dates}
        hosts[account.employee] = {
            "fleet_accounts": {"linkedin": {"profile": account.profile}},
            "fleet_mandate": mandate,
        }
    inventory = folder / "staff.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    command = [str(BIN / "fleet"), "run", "-i", str(inventory), "--state", str(state.root), "--identity", str(identity)]
    command += ["--log-key", str(log_key)]
    command += ["--forks", str(AT_A_TIME), "--trust-spki", rehearsal.spki, "--output", "json"]
    for host, address in dict(rehearsal.resolve).items():
        command += ["--resolve", f"{host}={address}"]
    return measure([*command, *options], len(accounts), environ=environ)


def by_worker(rehearsal: Rehearsal, accounts: list[RehearsalAccount], folder: Path) -> Figure:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with Sshd(folder / "sshd", ["worker"]) as sshd:
        environ = {"PATH": f"{sshd.bin}{os.pathsep}{os.environ['PATH']}"}
        figure = by_fleet(rehearsal, accounts, folder, ("--worker", f"ssh://worker{BIN}/fleet"), environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)  # what ran there are sshd's descendants
    return replace(figure, cpu_seconds=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def browser_order(rehearsal: Rehearsal, accounts: list[RehearsalAccount]) -> dict[str, object]:
    recipe = load_catalog().recipes["linkedin"]
    control = recipe.controls["ai_training"]
    return {
        "executable": str(find_browser().path),
        "resolve": dict(rehearsal.resolve),
        "spki": rehearsal.spki,
        "page": control.page,
        "css": control.find.css,
        "at_a_time": AT_A_TIME,
        "states": [rehearsal.storage_state(account.employee, "linkedin") for account in accounts],
    }


Contender = Callable[[Rehearsal, list[RehearsalAccount], Path], Figure]


def run_round(contender: Contender, count: int) -> Figure:
    """One round on a rehearsal of its own; all accounts must have ended out at the server."""
    accounts = people(count)
    folder = Path(tempfile.mkdtemp(prefix="fleet-bench-"))
    try:
        with start_rehearsal(accounts) as rehearsal:
            figure = contender(rehearsal, accounts, folder)
            still_in = [row["employee"] for row in rehearsal.truth() if row["controls"] != {"ai_training": "out"}]
            if still_in:
                sys.exit(
                    f"{contender.__name__}: {len(still_in)} accounts are still in; the figure would be worth nothing."
                )
        return figure
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    print(
        f"{ACCOUNTS} accounts ({MODULE_ACCOUNTS} for the module), {AT_A_TIME} contexts at a time, {ROUNDS} rounds",
        flush=True,
    )
    contenders: dict[str, tuple[Contender, int]] = {
        "handwritten": (by_hand, ACCOUNTS),
        "fleet run": (by_fleet, ACCOUNTS),
        "by a worker": (by_worker, ACCOUNTS),
        "module": (by_module, MODULE_ACCOUNTS),
    }
    if SSHD is None:
        del contenders["by a worker"]
        print("No sshd here (openssh-server): nothing is measured through a worker.")
    figures: dict[str, list[Figure]] = {name: [] for name in contenders}
    for number in range(ROUNDS):
        for name, (contender, count) in contenders.items():
            figure = run_round(contender, count)
            figures[name].append(figure)
            print(
                f"  round {number + 1}  {name:12} {figure.rate:5.2f} accounts/s"
                f"  {figure.cpu_per_account:5.2f} CPU s/account",
                flush=True,
            )
    print(f"\n{'median':12} {'accounts/s':>10} {'CPU s/account':>14}")
    for name, rounds in figures.items():
        rate, cpu = (statistics.median(getattr(one, of) for one in rounds) for of in ("rate", "cpu_per_account"))
        print(f"{name:12} {rate:10.2f} {cpu:14.2f}")
    for one, other, goal in (
        ("fleet run", "handwritten", 0.7),
        ("fleet run", "module", 3.0),
        ("by a worker", "fleet run", 0.9),
    ):
        if one in figures:
            ratio = statistics.median(a.rate / b.rate for a, b in zip(figures[one], figures[other], strict=True))
            print(f"{one} / {other}: {ratio:.2f} (goal: at least {goal})")
