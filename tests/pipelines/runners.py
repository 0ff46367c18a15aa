"""What a CI server does with our files, as far as those need it: their shell steps are run as the server would.

There is no GitHub or GitLab on loopback. What is played here is the little that surrounds a step (its environment, the
files that it may write to, what is passed to an action, whether the job goes on), after their documentation:
https://docs.github.com/actions/reference/workflow-syntax-for-github-actions, https://docs.gitlab.com/ci/yaml/.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import OBEYING_MODES, ROOT

OURS = "YOUR-ORGANIZATION/fleet-optout@main"
NOT_OURS = ("actions/checkout@v4", "actions/upload-artifact@v4")
"""Steps that need GitHub itself; the files that the latter would upload are compared by the tests."""


@dataclass
class Job:
    """One job: where it works, what stands for the machine's folders, what its steps see, and what came of it.

    `codes` has the exit code of each command of a systemd service.
    """

    workspace: Path
    places: Mapping[str, str]
    environ: dict[str, str]
    output: str = ""
    code: int = 0
    codes: list[int] = field(default_factory=list)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)

    def bash(self, script: str, environ: Mapping[str, str], *options: str) -> int:
        """Run a script with tracing on; what it and its programs print is kept."""
        for theirs, ours in self.places.items():
            script = script.replace(theirs, ours)
        done = subprocess.run(
            ["/bin/bash", "--noprofile", "--norc", *options, "-x", "-c", script],
            cwd=self.workspace,
            env=self.environ | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        self.output += done.stdout
        return done.returncode

    def elsewhere(self, text: str) -> str:
        """The same with the machine's folders replaced."""
        for theirs, ours in self.places.items():
            text = text.replace(theirs, ours)
        return text


def run_github(workflow: Path, job: Job, **inputs: str) -> Job:
    """Run the only job of a workflow; `inputs` are put above what the workflow passes to our action."""
    [described] = yaml.safe_load(workflow.read_text("utf-8"))["jobs"].values()
    job.environ |= {name: job.elsewhere(value) for name, value in described.get("env", {}).items()}
    known: dict[str, str] = {}
    for step in described["steps"]:
        if job.code and step.get("if") != "always()":
            continue
        if step.get("uses") == OURS:
            code = _action(job, step, inputs)
            known[f"steps.{step['id']}.outputs.exit-code"] = job.outputs.get("run", {}).get("exit-code", "")
        elif "uses" in step:
            assert step["uses"] in NOT_OURS, step
            continue
        else:
            environ = {name: _filled(value, known) for name, value in step.get("env", {}).items()}
            assert "${{" not in step["run"], "what is put into a script is read as a part of it"
            code = _github_step(job, step["run"], environ, "-e")
        if code and not step.get("continue-on-error"):
            job.code = job.code or code
    return job


def _action(job: Job, step: dict[str, Any], inputs: Mapping[str, str]) -> int:
    action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    unknown = {*step["with"], *inputs} - set(action["inputs"])
    assert not unknown, unknown
    given = {name: str(one.get("default", "")) for name, one in action["inputs"].items()}
    given |= {name: str(value).lower() if value is True else str(value) for name, value in step["with"].items()}
    given |= inputs
    known = {f"inputs.{name}": job.elsewhere(value) for name, value in given.items()}
    known |= {"github.action_path": str(ROOT), "runner.tool_cache": job.environ["RUNNER_TOOL_CACHE"]}
    for part in action["runs"]["steps"]:
        environ = {name: _filled(value, known) for name, value in part["env"].items()}
        assert part["shell"] == "bash"
        assert "${{" not in part["run"], "what is put into a script is read as a part of it"
        code = _github_step(job, part["run"], environ, "-eo", "pipefail")
        if code:
            return code
    return 0


def _github_step(job: Job, script: str, environ: Mapping[str, str], *options: str) -> int:
    files = {name: job.workspace.parent / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_ENV")}
    for file in files.values():
        file.write_text("")
    code = job.bash(script, {**environ, **{name: str(file) for name, file in files.items()}}, *options)
    for folder in files["GITHUB_PATH"].read_text().splitlines():
        job.environ["PATH"] = f"{folder}{os.pathsep}{job.environ['PATH']}"
    job.environ |= dict(line.split("=", 1) for line in files["GITHUB_ENV"].read_text().splitlines())
    job.outputs.setdefault("run", {}).update(
        line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines()
    )
    return code


def _filled(value: str, known: Mapping[str, str]) -> str:
    return re.sub(r"\$\{\{ *([\w.-]+) *\}\}", lambda found: known[found[1]], value)


def run_gitlab(template: Path, name: str, job: Job) -> Job:
    """Run a job of a GitLab file: what it extends below it, its lines as one script."""
    jobs = yaml.safe_load(template.read_text("utf-8"))
    described = jobs[jobs[name]["extends"]] | jobs[name]
    script = "\n".join([*described["before_script"], *described["script"]])
    environ = {name: job.elsewhere(value) for name, value in described["variables"].items()}
    job.code = job.bash(script, environ, "-eo", "pipefail")
    return job


def run_unit(unit: Path, job: Job, specifiers: Mapping[str, str]) -> Job:
    """Run what a systemd service of type oneshot starts, in its environment, as long as each ends with success."""
    lines = [line for line in unit.read_text("utf-8").splitlines() if "=" in line and not line.startswith("#")]
    settings = [tuple(line.split("=", 1)) for line in lines]

    def of(key: str) -> list[str]:
        return [job.elsewhere(_specified(value, specifiers)) for name, value in settings if name == key]

    job.environ |= dict(pair.split("=", 1) for pair in of("Environment"))
    success = {0, *(int(code) for value in of("SuccessExitStatus") for code in value.split())}
    for command in of("ExecStart"):
        done = subprocess.run(
            [*OBEYING_MODES, *shlex.split(command)],
            env=job.environ,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        job.output += done.stdout + done.stderr
        job.codes.append(done.returncode)
        if done.returncode not in success:
            job.code = done.returncode
            break
    return job


def _specified(value: str, specifiers: Mapping[str, str]) -> str:
    return re.sub(r"%(\w)", lambda found: specifiers[found[1]], value)
