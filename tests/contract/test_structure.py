"""The shape of the code: imports go one way, and each heavy dependency has one front door."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import get_args

import pytest

from fleet.model import Reason
from fleet.recipes.recipe import ChallengeSign
from tests.conftest import ROOT
from tests.sizes import cases

FLOORS = (
    {"errors", "model", "validation", "loopback"},
    {"paths", "next_steps", "ssh"},
    {"yamlfile", "environment", "orphans"},
    {"audit", "authority", "notify", "recipes"},
    {"inventory", "browser"},
    {"sessions", "settings"},
    {"state", "hr_import"},
    {"plan", "visit"},
    {"rehearsal", "desk"},
    {"agent"},
    {"run"},
    {"report"},
    {"notices", "portal"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
"""Modules and folders of fleet/, lowest first: each may import from lower floors only."""

FRONT_DOORS = {
    "apprise": {"fleet/notify/apprise_service.py"},
    "authlib": {"fleet/portal/provider.py"},
    "httpx": {"fleet/notify/webhook.py", "fleet/authority/identity_provider.py"},
    "httpx2": {"fleet/portal/provider.py"},
    "joserfc": {"fleet/authority/id_token.py", "fleet/authority/mandate_export.py"},
    "ansible_runner": {"fleet/run/ansible_play.py"},
    "playwright": {
        f"fleet/browser/{name}.py"
        for name in (
            "chromium",
            "engine",
            "storage_restore",
            "landing",
            "own_window",
            "page_script",
            "profile_state",
            "tab",
            "traffic",
        )
    },
    "pyrage": {"fleet/sessions/store.py", "fleet/agent/account_visit.py"},
    "starlette": {
        "fleet/rehearsal/app.py",
        "fleet/rehearsal/intranet.py",
        "fleet/rehearsal/linkedin.py",
        "fleet/rehearsal/site.py",
        *(f"fleet/portal/{name}.py" for name in ("app", "context", "guard", "home", "mandate", "pages", "serve")),
        "fleet/portal/sign_in.py",
    },
    "ansible": {
        "roles/optout/action_plugins/optout.py",
        "playbooks/callback_plugins/fleet_finish.py",
        "playbooks/plugin_utils/fleet_people.py",
    },
    "ldap3": {"playbooks/inventory_plugins/fleet_ldap.py"},
}
"""The only files that may import a package."""

SOURCES = sorted(
    [
        *(ROOT / "fleet").rglob("*.py"),
        *(ROOT / "roles").rglob("*.py"),
        *(ROOT / "playbooks").glob("*_plugins/*.py"),
        *(ROOT / "playbooks/plugin_utils").glob("*.py"),
    ]
)


@cache
def nodes(source: str) -> list[ast.AST]:
    """All of a source's syntax tree, which most tests here search."""
    return [*ast.walk(ast.parse(source))]


def imports(source: str) -> Iterator[str]:
    """The modules that a source imports, wherever in it."""
    for node in nodes(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def area(module: str) -> str:
    """The part of the product that a module belongs to: its second name."""
    return [*module.split("."), ""][1]


def wrong_way(where: str, source: str) -> list[str]:
    """Imports of fleet.* that do not go down from the floor of `where`."""
    floor = next(number for number, areas in enumerate(FLOORS) if where in areas)
    below = set().union(*FLOORS[:floor], {where, ""})
    return [name for name in imports(source) if name.split(".")[0] == "fleet" and area(name) not in below]


def python_without_safe_path(source: str) -> list[int]:
    """Lines on which a command begins with this interpreter, and not with `PYTHON` of fleet/environment.py."""
    commands = (node for node in nodes(source) if isinstance(node, ast.List) and node.elts)
    return [node.lineno for node in commands if ast.unparse(node.elts[0]) == "sys.executable"]


def strangers(path: str, source: str) -> list[str]:
    """Packages that a file imports although another one is their front door."""
    packages = {name.split(".")[0] for name in imports(source)}
    return sorted(package for package in packages if path not in FRONT_DOORS.get(package, {path}))


def made(kind: str, source: str) -> list[int]:
    """The lines on which a source makes a `Console` or a `Table` of its own."""
    calls = (node for node in nodes(source) if isinstance(node, ast.Call))
    return [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == kind]


class TestImports:
    def test_every_part_of_the_product_has_its_floor(self) -> None:
        """A new module or folder must be given a place in the order."""
        parts = {path.stem if path.is_file() else path.name for path in (ROOT / "fleet").iterdir()}
        assert parts - {"__init__", "__pycache__"} == set().union(*FLOORS)

    def test_imports_go_one_way(self) -> None:
        """No module imports from its own height or above, but for its own folder."""
        found = {}
        for path in (ROOT / "fleet").rglob("*.py"):
            relative = path.relative_to(ROOT / "fleet")
            if relative.name == "__init__.py" and len(relative.parts) == 1:
                continue
            wrong = wrong_way(relative.parts[0].removesuffix(".py"), path.read_text("utf-8"))
            if wrong:
                found[str(relative)] = wrong
        assert found == {}

    def test_a_planted_import_is_seen(self) -> None:
        """The guard above fails on an import upwards, and on one in the middle of a function."""
        assert wrong_way("agent", "from fleet.visit.visit import Visit") == []
        assert wrong_way("audit", "from fleet.agent.run import Run") == ["fleet.agent.run"]
        assert wrong_way("browser", "def f():\n    import fleet.visit.visit") == ["fleet.visit.visit"]

    def test_the_runner_and_the_engine_meet_only_through_ansible(self) -> None:
        """What runs the play knows nothing of browsers, sessions or recipes."""
        names = set(imports((ROOT / "fleet/run/ansible_play.py").read_text("utf-8")))
        assert {name for name in names if name.startswith("fleet")} == {
            "fleet.environment",
            "fleet.errors",
            "fleet.orphans",
            "fleet.paths",
        }

    def test_no_program_of_ours_imports_from_the_working_directory(self) -> None:
        """Whoever may write there would have their code run: each Python that we start is told otherwise."""
        found = {str(path): python_without_safe_path(path.read_text("utf-8")) for path in SOURCES}
        assert {path: lines for path, lines in found.items() if lines} == {}
        assert python_without_safe_path("import sys\nrun([sys.executable, '-m', 'fleet'])") == [2]
        assert python_without_safe_path("run([*PYTHON, '-m', 'fleet'])") == []

    def test_names_are_printed_by_consoles_that_change_none(self) -> None:
        """rich makes a picture of `:smile:` and a color of `[red]`, so one module makes consoles, with both off."""
        found = {str(path.relative_to(ROOT)) for path in SOURCES if made("Console", path.read_text("utf-8"))}
        assert found == {"fleet/commands/options.py"}
        assert made("Console", "from rich.console import Console\nConsole(highlight=False).print(name)\n") == [2]

    def test_tables_look_alike(self) -> None:
        """One function makes the table that every verb prints."""
        found = {str(path.relative_to(ROOT)) for path in SOURCES if made("Table", path.read_text("utf-8"))}
        assert found == {"fleet/report/table.py"}
        assert made("Table", "from rich.table import Table\nTable(box=None)\n") == [2]

    def test_each_heavy_package_has_one_front_door(self) -> None:
        """Playwright, Ansible Runner, age and the web server are imported where the table says, and nowhere else."""
        found = {}
        for path in SOURCES:
            relative = str(path.relative_to(ROOT))
            unexpected = strangers(relative, path.read_text("utf-8"))
            if unexpected:
                found[relative] = unexpected
        assert found == {}
        assert strangers("fleet/visit/visit.py", "from playwright.async_api import Page") == ["playwright"]

    def test_each_package_is_a_dependency(self) -> None:
        """What fleet/ imports is named in pyproject.toml, so that an installation has it."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        extras = project["optional-dependencies"]
        optional = [one for name, extra in extras.items() if name != "dev" for one in extra]
        named = [*project["dependencies"], *optional]
        declared = {re.split(r"[^\w-]", one)[0] for one in named}
        texts = [path.read_text("utf-8") for path in SOURCES if path.is_relative_to(ROOT / "fleet")]
        imported = (
            {name.split(".")[0] for text in texts for name in imports(text)} - sys.stdlib_module_names - {"fleet"}
        )
        installed = packages_distributions()
        found = {package for package in imported if not declared & {one.lower() for one in installed.get(package, ())}}
        assert found == {"markupsafe", "pydantic_core"}  # parts of jinja2 and of pydantic

    def test_what_is_missing_is_known_to_be_missing(self) -> None:
        """Where a missing file opens something or is made anew, nobody asks `Path.exists` and the like, which call a
        file missing that cannot be looked at (from Python 3.14 on for every error of the disk)."""
        fleet = ROOT / "fleet"
        owners = [path for folder in ("audit", "authority", "state") for path in (fleet / folder).glob("*.py")]
        found = {
            path.name: asked
            for path in [*owners, fleet / "sessions/store.py"]
            if (asked := set(re.findall(r"\.(exists|is_dir)\(\)", path.read_text("utf-8"))))
        }
        assert found == {}

    def test_each_reason_is_one_that_something_gives(self) -> None:
        """No word stays in the log's vocabulary that no code and no recipe uses any more."""
        apart = (ROOT / "fleet/model.py", ROOT / "fleet/next_steps.py")
        texts = [path.read_text("utf-8") for path in SOURCES if path not in apart and "rehearsal" not in path.parts]
        of_recipes = set(get_args(ChallengeSign.model_fields["kind"].annotation))

        def is_given(name: str, value: str) -> bool:
            return value in of_recipes or any(re.search(rf"\bReason\.{name}\b", text) for text in texts)

        assert [reason for reason in Reason if not is_given(reason.name, reason.value)] == []
        assert not is_given("SESSION_EXPIRED", "session_expired")

    def test_only_the_engine_launches_a_browser(self) -> None:
        """One module starts Playwright."""
        launching = [path.name for path in SOURCES if "async_playwright" in path.read_text("utf-8")]
        assert launching == ["engine.py"]

    def test_plugins_need_the_standard_library_and_ansible_alone(self) -> None:
        """Ansible and the product may live in different environments; ldap3 has its one door."""
        for path in SOURCES:
            if path.is_relative_to(ROOT / "fleet"):
                continue
            packages = {name.split(".")[0] for name in imports(path.read_text("utf-8"))}
            assert packages - sys.stdlib_module_names - {"ansible", "ldap3"} == set(), path


@pytest.mark.parametrize(
    ("module", "needed"),
    [
        ("fleet.cli", set()),
        ("fleet.commands.run", {"ansible_runner", "pyrage"}),
        ("fleet.commands.agent", {"playwright", "pyrage"}),
        ("fleet.commands.audit.verify", set()),
    ],
)
def test_a_command_starts_with_what_it_needs(module: str, needed: set[str]) -> None:
    """A run starts several of them: what is slow to import waits for the command that needs it."""
    program = f"import json, sys, {module}; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) & FRONT_DOORS.keys() == needed


def test_the_portal_has_no_part_of_what_it_must_not_reach() -> None:
    """Neither sessions nor keys, neither the log nor Ansible are loaded where employees' browsers connect."""
    program = "import json, sys, fleet.portal.app, fleet.portal.serve; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    parts = {".".join(name.split(".")[:2]) for name in json.loads(done.stdout) if name.startswith("fleet.")}
    assert parts == {
        *("fleet.authority", "fleet.errors", "fleet.loopback", "fleet.model", "fleet.next_steps", "fleet.paths"),
        "fleet.portal",
        *("fleet.recipes", "fleet.report", "fleet.validation", "fleet.yamlfile"),
    }
    assert {"pyrage", "ansible", "ansible_runner", "playwright"} & set(json.loads(done.stdout)) == set()


@pytest.mark.parametrize(
    "path",
    cases(IMPORTED := [path for path in SOURCES if path.is_relative_to(ROOT / "fleet")], IMPORTED[::10]),
    ids=lambda path: path.stem,
)
def test_every_module_imports_alone(path: Path) -> None:
    """No module needs another one to have been imported first."""
    if path.name == "__main__.py":
        pytest.skip("runs when imported")
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    child = os.fork()  # what other tests have imported stays in the parent
    if child == 0:
        for module in [module for module in sys.modules if module.split(".")[0] == "fleet"]:
            del sys.modules[module]
        try:
            __import__(name)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.xdist_group("one-worker")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="there is but one worker")
def test_what_is_expensive_is_set_up_by_one_worker(request: pytest.FixtureRequest) -> None:
    """The groups of pytest-xdist are at work: without them each worker walks the whole gallery, and nothing says so."""
    assert request.node.nodeid.endswith("@one-worker")
