"""The wheel is the whole product: it runs without the checkout that it was built from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.xdist_group("wheel")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files in a folder of their own, built from a copy of what git would hand out."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        source = ROOT / name
        if name and source.is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / "source" / name)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(folder / "source")]
    subprocess.run(build, check=True)
    [wheel] = folder.glob("fleet_optout-*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def test_hostile_pages_stay_with_the_tests(installed: Path) -> None:
    """Nobody who installs the product gets pages that attack browsers: what the rehearsal carries is this alone."""
    folder = installed / "fleet" / "rehearsal"
    controls = {path.name for path in (folder / "templates/linkedin").glob("control_*")}
    assert controls == {f"control_{name}.html" for name in ("absent", "current", "ember", "named")}
    assert {path.name for path in (folder / "static").iterdir()} == {
        *("portal.css", "portal.js", "portrait.svg", "settings.css", "settings.js")
    }
    assert not (installed / "tests").exists()
    hostile = {path.name for path in (ROOT / "tests/gallery").rglob("*.*") if path.suffix in (".html", ".js")}
    assert {"trouble.js", "reaches_out.js", "reaches_out.html", "control_drawn_link.html"} <= hostile
    assert hostile & {path.name for path in installed.rglob("*")} == set()


def test_a_run_works_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    """Recipes, playbook, role, callback and rehearsal are all in it: an employee is checked through real Ansible."""
    example = installed / "fleet" / "ansible" / "inventory.example.yml"
    command = [sys.executable, "-m", "fleet", "run", "-i", str(example), "-l", "brian.walsh", "--check"]
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [*command, "--output", "json"], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert (
        done.stderr == f"Recorded in the state directory {Path(os.environ['HOME']) / '.local/state/fleet/rehearsal'}.\n"
    )
    report = json.loads(done.stdout)
    assert (report["errors"], report["counts"]) == ([], {"already_opted_out": 1})
    for verb in (["report", "--language", "fr"], ["audit", "receipt", "brian.walsh"], ["audit", "verify"]):
        done = subprocess.run(
            [sys.executable, "-m", "fleet", *verb, "--rehearsal"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), verb


def test_the_license_comes_with_it(installed: Path) -> None:
    """Its whole text, as its authors ask for, in the repository and in the wheel, which names it as SPDX does."""
    text = (ROOT / "LICENSE").read_bytes()
    # https://www.gnu.org/licenses/gpl-3.0.txt
    assert hashlib.sha256(text).hexdigest() == "3972dc9744f6499f0f9b2dbf76696f2ae7ad8af9b23dde66d6af86c9dfb36986"
    [information] = installed.glob("fleet_optout-*.dist-info")
    assert (information / "licenses" / "LICENSE").read_bytes() == text
    assert "License-Expression: GPL-3.0-or-later" in (information / "METADATA").read_text("utf-8").splitlines()


def test_the_directory_plugins_work_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    """Ansible finds both, with the file that they share, and tells of their options."""
    playbooks = installed / "fleet" / "ansible" / "playbooks"
    command = [sys.executable, "-m", "ansible", "doc", "-t", "inventory", f"--playbook-dir={playbooks}", "--json"]
    done = subprocess.run(
        [*command, "fleet_scim", "fleet_ldap"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    found = json.loads(done.stdout)
    list_hosts = [sys.executable, "-m", "ansible", "inventory", f"--playbook-dir={playbooks}", "--list"]
    for name in ("fleet_scim", "fleet_ldap"):
        assert found[name]["doc"]["filename"] == str(playbooks / "inventory_plugins" / f"{name}.py")
        assert {"url", "accounts", "keyed_groups", "cache_connection"} <= found[name]["doc"]["options"].keys()
        source = tmp_path / f"people.{name}.yml"
        source.write_text(f"plugin: {name}\nurl: https://127.0.0.1:1\nbase: dc=x\nsurprise: 1\n", "utf-8")
        list_hosts += ["-i", str(source)]
    done = subprocess.run(list_hosts, capture_output=True, text=True, cwd=tmp_path, check=False)
    for name in ("fleet_scim", "fleet_ldap"):
        assert f"{name}: unknown option" in done.stderr  # it was loaded, with what it shares


def test_nothing_but_the_product_is_in_it(installed: Path) -> None:
    """Tests, benchmarks and the checkout's own files stay out."""
    assert {path.name.partition("-")[0] for path in installed.iterdir()} == {"fleet", "fleet_optout"}
