"""docs/people.md: every command in it is run, in its order, on files such as it talks of."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from fleet.paths import StateDir, default_log_key, default_state
from tests.commands import fleet
from tests.conftest import ROOT
from tests.contract.test_docs import commands
from tests.hr_import.test_prune import run

PAGE = (ROOT / "docs" / "people.md").read_text("utf-8")
BEFORE = """Work Email,Location,LinkedIn URL
anna.keller@company.example,Dublin,
brian.walsh@company.example,Dublin,
dora.lind@company.example,Dublin,
"""
PEOPLE = """Work Email,Location,LinkedIn URL,Salary
anna.keller@company.example,Lyon,,1
chloe.martin@company.example,Lyon,https://www.linkedin.com/in/chloe-martin/,1
dora.lind@company.example,Dublin,,1
"""


@pytest.fixture
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("people.csv").write_text(BEFORE, "utf-8")
    assert fleet("inventory", "import", "people.csv", "-i", "staff", "--yes").returncode == 0
    Path("staff/.hr.import.yml").unlink()
    Path("people.csv").write_text(PEOPLE, "utf-8")
    fleet("init")
    asyncio.run(run(StateDir(default_state()), default_log_key()))


@pytest.mark.usefixtures("_files")
def test_every_command_of_the_page_runs() -> None:
    """What asks says so where nobody can answer, and the same with --yes does it."""
    blocks = [line for line in commands(PAGE) if line[:1] == ["inventory"] and len(line) > 2]
    assert len(blocks) == 14
    for arguments in blocks:
        if "--map" in arguments:  # a file with other headers, as the page says
            text = PEOPLE.replace("Work Email", "Contact").replace("Location", "City")
            Path("people.csv").write_text(text, "utf-8")
        if "--keep" in arguments:  # somebody whom no HR system knows
            [written] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
            Path("staff/staff.yml").write_text(written, "utf-8")
        if "adopt" in arguments:  # a file of earlier versions; the folder `staff` is there from the import above
            Path("staff.yml").write_text("lyon:\n  hosts:\n    anna.keller:\n", "utf-8")
            Path("staff.import.yml").write_text("columns: {email: Email}\n", "utf-8")
            arguments = [*arguments, "--folder", "other"]
        done = fleet(*arguments, *(["--accept-shrink"] if "--remove" in arguments else []))
        if done.returncode == 2:
            assert "There is no terminal to ask at" in done.stderr, (arguments, done.stderr)
            done = fleet(*arguments, "--yes", *(["--accept-shrink"] if "--remove" in arguments else []))
        assert done.returncode == 0, (arguments, done.stderr)
    assert fleet("audit", "verify").returncode == 0


@pytest.mark.usefixtures("_files")
def test_the_difference_is_the_one_that_is_shown() -> None:
    """Word for word, but for what stands between the words."""
    done = fleet("inventory", "import", "people.csv", "-i", "staff", "--check")
    shown = re.search(r"^    people\.csv: .+?unchanged\.$", PAGE, re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert (done.stderr + done.stdout).split() == shown[0].split()
