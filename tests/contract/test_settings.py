"""A setting is declared once: what one row of the table makes is found wherever settings are given or shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

PROGRAM = """
import json, os
from typer.testing import CliRunner
from fleet.settings import table
from fleet.settings.setting import Option, Setting
from fleet.settings.values import Count

table.SETTINGS += (
    Setting(
        "lanes",
        Count,
        "Lanes of the dummy.",
        option=Option(("--lanes",), "N"),
        environment="FLEET_LANES",
        in_role=True,
        default=lambda: 7,
    ),
)

from docs import reference
from fleet.agent.role_variables import given_from_variables
from fleet.cli import app
from fleet.errors import FleetError
from fleet.settings.resolve import Given, configure


def fleet(*arguments):
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


def shown(*arguments):
    settings = json.loads(fleet("config", "show", "--output", "json", *arguments).stdout)["settings"]
    return next([one["value"], one["from"]["name"] or one["from"]["kind"]] for one in settings if one["key"] == "lanes")


def refused(given):
    try:
        configure(given)
    except FleetError as error:
        return str(error)


told = {"default": shown(), "help": fleet("run", "--help").stdout}
open("fleet.yml", "w").write("version: 1\\nlanes: 3\\n")
told["file"] = shown()
os.environ["FLEET_LANES"] = "4"
told["environment"] = shown()
told["option"] = shown("--lanes", "5")
told["wrong option"] = refused(Given(lanes=0))
variable = configure(given_from_variables({"optout_lanes": "6"})).values["lanes"]
told["role variable"] = [variable.value, str(variable.source)]
open("fleet.yml", "w").write("version: 1\\nlanes: 0\\n")
told["wrong line"] = refused(Given())
told["reference"] = reference.reference()
told["specs"] = reference.argument_specs()
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a fleet whose table has one row more says of it."""
    folder: Path = tmp_path_factory.mktemp("dummy")
    run = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{PROGRAM}"]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_it_is_taken_from_each_place(told: dict[str, Any], tmp_path: Path) -> None:
    """`fleet config show` has the value of the strongest place, and names it."""
    assert told["default"] == [7, "default"]
    assert told["file"][0] == 3 and told["file"][1].endswith("/fleet.yml")
    assert told["environment"] == [4, "FLEET_LANES"]
    assert told["option"] == [5, "--lanes"]
    assert told["role variable"] == [6, "optout_lanes"]


def test_a_wrong_value_is_refused_by_its_source(told: dict[str, Any]) -> None:
    """With the line of the file, or the option."""
    assert told["wrong line"].endswith("fleet.yml:2: lanes: must be 1 or more.")
    assert told["wrong option"] == "--lanes: must be 1 or more."


def test_it_is_documented(told: dict[str, Any]) -> None:
    """In `fleet run --help`, in docs/reference.md (as a setting and as an option), and as a variable of the role."""
    assert "Lanes of the dummy [env: FLEET_LANES; default: 7]." in told["help"]
    row = "| `lanes` | `--lanes` | `FLEET_LANES` | `optout_lanes` | `7` | Lanes of the dummy. |"
    assert row in told["reference"].splitlines()
    assert told["reference"].count("| `--lanes N` | Lanes of the dummy [env: FLEET_LANES; default: 7]. |") == 3
    assert "      optout_lanes:\n        description: Lanes of the dummy.\n        type: int\n" in told["specs"]
