"""A network namespace for one scenario: loopback, and a way out to nowhere that takes whatever wants to leave.

`python -m tests.confinement.namespace SCENARIO` is run inside (see `run_scenario`) and prints what it came to as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

_UID = 65533
_FORBIDDEN = 78
_SETUP = """
ip link set lo up
ip link add out type veth peer name far
for end in out far; do
    echo 0 > /proc/sys/net/ipv6/conf/$end/accept_ra
    echo 0 > /proc/sys/net/ipv6/conf/$end/dad_transmits
    echo 1 > /proc/sys/net/ipv6/conf/$end/addr_gen_mode
    ip link set $end arp off up
done
ip address add 192.0.2.10/24 dev out
ip address add 2001:db8::10/64 dev out nodad
ip route add default via 192.0.2.254 dev out
ip -6 route add default via 2001:db8::fe dev out
"""
"""Without ARP whatever has a route leaves at once, with nobody being asked for an address first."""


@cache
def _unshare() -> tuple[str, ...]:
    """The command that makes such a namespace; skips the test where there is none."""
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("needs the programs ip and unshare (Debian: iproute2, util-linux)")
    as_user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    command = ("unshare", *as_user, "--net", "--mount", "--")
    done = subprocess.run([*command, "bash", "-ec", _SETUP], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no network namespace can be made here: {done.stderr.strip()}")
    return command


def full_browser() -> str:
    """A browser with windows; skips the test where there is none."""
    program = next(filter(shutil.which, ("chromium", "google-chrome", "google-chrome-stable")), None)
    if program is None:
        pytest.skip("needs a full Chromium (Debian: chromium) or Google Chrome")
    return program


def run_scenario(name: str, home: Path, **environment: str) -> Any:
    """Run a scenario (`MODULE.FUNCTION` of this package) in a namespace of its own; what it returns."""
    runtime = home / "run"
    runtime.mkdir(mode=0o700)
    done = subprocess.run(
        [*_unshare(), sys.executable, "-m", "tests.confinement.namespace", name, "in-network"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
        # Inside one is root even if outside one is not, and root's own runtime folder may belong to another.
        env={**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(runtime), **environment},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def run_as_ordinary_user(name: str, environment: dict[str, str]) -> Any:
    """Run a scenario as somebody who is not root: as root in a user namespace of its own, else as it is."""
    program = [sys.executable, "-m", "tests.confinement.namespace", name, "ordinary"]
    if os.geteuid() == 0:
        # Outside it stays the owner of the clone, its environment and its browsers, wherever these are and whatever
        # their modes are; it has no rights beside those of an owner.
        become = ["unshare", "--user", f"--map-user={_UID}", f"--map-group={_UID}", "--"]
        if shutil.which("unshare") is None or subprocess.run([*become, "true"], check=False).returncode:
            pytest.skip("needs the program unshare (Debian: util-linux), and to be let make namespaces")
        program = [*become, *program]
    done = subprocess.run(
        program,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )
    if done.returncode == _FORBIDDEN:
        pytest.skip("users may not make namespaces here, of which Chromium's sandbox is made")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def main(name: str, way: str = "") -> None:
    if way == "ordinary" and subprocess.run(["unshare", "--user", "--net", "true"], check=False).returncode:
        sys.exit(_FORBIDDEN)
    if way == "in-network":
        subprocess.run(["bash", "-ec", _SETUP], check=True)
    module, _, function = name.rpartition(".")
    result = getattr(importlib.import_module(f"tests.confinement.{module}"), function)()
    print(json.dumps(result, default=sorted))  # sets


if __name__ == "__main__":
    main(*sys.argv[1:])
