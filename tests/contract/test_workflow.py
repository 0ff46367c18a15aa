"""What runs elsewhere says the same as what runs here: the workflow, the hooks before a commit, and `make lint`."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.commands.doctor import NEWEST_TESTED_ANSIBLE, Check, _untested_ansible
from tests.conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text("utf-8"))
MATRIX: list[dict[str, str]] = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["include"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def release(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def unpinned(workflow: str) -> list[str]:
    """The actions of a workflow that are not pinned by a commit with its version beside it."""
    used = re.findall(r"uses: *(.+)", workflow)
    return [one for one in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*", one)]


class TestWorkflow:
    def test_the_newest_ansible_of_the_matrix_is_the_one_that_doctor_knows(self) -> None:
        """One constant says up to which ansible-core a run is known to work."""
        assert max(release(one["ansible-core"]) for one in MATRIX) == NEWEST_TESTED_ANSIBLE

    def test_the_oldest_versions_of_the_project_are_tested(self) -> None:
        """The oldest Python and ansible-core that pip accepts are in the matrix; the classifiers name its Pythons."""
        [ansible] = [one for one in PROJECT["dependencies"] if one.startswith("ansible-core")]
        oldest = min(MATRIX, key=lambda one: (release(one["python"]), release(one["ansible-core"])))
        assert ansible == f"ansible-core>={oldest['ansible-core']}"
        assert PROJECT["requires-python"] == f">={oldest['python']}"
        named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
        assert named == sorted({one["python"] for one in MATRIX}, key=release)

    @pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
    def test_actions_are_pinned_and_jobs_may_only_what_they_need(self, path: Path) -> None:
        """A moved tag cannot bring in other code, and no job has a permission that it does not name."""
        text = path.read_text("utf-8")
        workflow: dict[str, Any] = yaml.safe_load(text)
        assert unpinned(text) == []
        assert unpinned("- uses: actions/checkout@v4") == ["actions/checkout@v4"]
        assert workflow["permissions"] == {}
        assert [job["permissions"] for job in workflow["jobs"].values()] == [{"contents": "read"}]


class TestDoctor:
    @pytest.mark.parametrize("found", ["2.18.19", "2.21.5", "not installed"])
    def test_a_tested_ansible_needs_no_note(self, found: str) -> None:
        """Up to the newest of the matrix, with any patch release."""
        assert list(_untested_ansible(found)) == []

    def test_an_untested_ansible_is_noted(self) -> None:
        """A newer one stops nothing; the note names the one to go back to."""
        [note] = _untested_ansible("2.22.0rc1")
        fix = f"if a run fails, run: {sys.executable} -m pip install 'ansible-core==2.21.*'"
        assert note == Check("ansible-core, tested", None, "2.22.0rc1 is newer than 2.21, the newest tested", fix)


class TestLint:
    def test_the_hooks_are_the_steps_of_make_lint(self) -> None:
        """Whoever commits with the hooks has run what `make lint` runs, with the same programs."""
        recipe = (ROOT / "Makefile").read_text("utf-8").partition("\nlint:")[2].partition("\n\n")[0]
        steps = {re.sub(r"^\t@(PATH=\S+ )?|\$\(BIN\)/| --check.*", "", line) for line in recipe.splitlines()[1:]}
        [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
        assert repository["repo"] == "local" and {hook["language"] for hook in repository["hooks"]} == {"system"}
        entries = {hook["id"]: hook["entry"] for hook in repository["hooks"]}
        programs = {re.sub(r"^env \S+ |\.venv/bin/| --force-exclude", "", entry) for entry in entries.values()}
        assert {step.split(" .")[0] for step in steps} == programs

    def test_british_spelling_and_errors_are_found(self, tmp_path: Path) -> None:
        """Also before an apostrophe; words with one of their own are whole."""
        page = tmp_path / "page.md"
        page.write_text("The organisation's colour doesn't recieve.\n")  # codespell:ignore
        codespell = [str(Path(sys.executable).with_name("codespell")), str(page)]
        done = subprocess.run(codespell, cwd=ROOT, capture_output=True, text=True, check=False)
        assert re.findall(r"(\w+) ==>", done.stdout) == ["organisation", "colour", "recieve"]  # codespell:ignore
