"""What is ready to use in CI: each file's shell steps run against stand-ins, traced, and searched for secrets.

The employees are no rehearsal's: settings beside their inventory lead to stand-ins on this machine, so that every
command of a file acts on the state of the real runs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from junitparser import JUnitXml

from fleet.paths import StateDir
from fleet.recipes.catalog import load_catalog
from fleet.rehearsal.process import Rehearsal, RehearsalAccount, start_rehearsal
from fleet.sessions.store import SessionStore, StorageState
from tests import commands
from tests.conftest import ROOT
from tests.inventories import at_linkedin
from tests.pipelines.pages import environment_of, python_with_dependencies
from tests.pipelines.runners import Job, run_github, run_gitlab, run_unit
from tests.playbook.helpers import BIN
from tests.sizes import sizes

FILES = ROOT / "docs" / "pipelines"
LINKEDIN = load_catalog().recipes["linkedin"]
STAFF = {"anna": "switched_on", "brian": "already_out"}
"""Employee to the rehearsal's case."""


class Machine:
    """A runner's machine: keys and state on its disk, and the repository with the inventory."""

    def __init__(self, folder: Path, home: Path) -> None:
        """`home` is copied."""
        self.folder = folder
        self.home, self.workspace = folder / "fleet-optout", folder / "workspace"
        self.state, self.keys = self.home / ".local" / "state" / "fleet", self.home / ".config" / "fleet"
        shutil.copytree(home, self.home)
        for each in (self.home / "people", self.workspace):
            each.mkdir()
        self.identity, self.log_key = self.keys / "identity.txt", self.keys / "log-key.pem"
        self.summary = folder / "summary.md"
        self.environ = {"HOME": str(self.home)}
        self._service: Rehearsal | None = None
        self._cases: dict[str, str] = {}
        self.staff(**STAFF)

    def staff(self, **cases: str) -> None:
        """Commit an inventory with these people; those who have no mandate are named `unasked`."""
        hosts: dict[str, Any] = {
            name: {
                variable: value
                for variable, value in at_linkedin(name).items()
                if variable != "fleet_mandate" or name != "unasked"
            }
            for name in cases
        }
        for place in self._places:
            (place / "staff").mkdir(exist_ok=True)
            (place / "staff" / "staff.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
        self._cases = cases
        if self._service is not None:
            self.close()
            self._serve()

    @property
    def _places(self) -> tuple[Path, Path]:
        return self.workspace, self.home / "people"

    def _serve(self) -> Rehearsal:
        """The service that all of them have an account at, and are signed in to; it remembers what it stored."""
        if self._service is None:
            accounts = [
                RehearsalAccount(name, "linkedin", name, name, "en", case) for name, case in self._cases.items()
            ]
            self._service = start_rehearsal(accounts, self.folder / "world.json")
            ways = [f"{host}={address}" for host, address in self._service.resolve.items()]
            for place in self._places:
                settings = {"resolve": ways, "trust_spki": [self._service.spki]}
                (place / "fleet.yml").write_text(yaml.safe_dump(settings))
            store = SessionStore(StateDir(self.state))
            for name in self._cases:
                given = self._service.storage_state(name, "linkedin")
                store.seal(name, LINKEDIN, StorageState.model_validate(given))
        return self._service

    def close(self) -> None:
        """End the service."""
        if self._service is not None:
            self._service.stop()
            self._service = None

    def fleet(self, *arguments: str) -> str:
        """One of our commands by hand."""
        if arguments[0] == "run":
            self._serve()
        done = commands.fleet(*arguments, env=os.environ | self.environ)
        done.check_returncode()
        return done.stdout

    def job(self, path: str | None = None, *, is_served: bool = True) -> Job:
        """A job on this machine."""
        if is_served:
            self._serve()
        kept = {"LANG", "FLEET_BROWSER", "PLAYWRIGHT_BROWSERS_PATH", "PLAYWRIGHT_NODEJS_PATH", "XDG_RUNTIME_DIR"}
        environ = {name: value for name, value in os.environ.items() if name in kept or name.startswith("PIP_")}
        environ |= self.environ | {
            "PATH": path or f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "RUNNER_TOOL_CACHE": str(self.folder / "tools"),
            "GITHUB_STEP_SUMMARY": str(self.summary),
        }
        return Job(self.workspace, {"/opt/fleet-optout/bin": environ["PATH"].split(os.pathsep)[0]}, environ)

    def switch_back(self, employee: str) -> None:
        """Somebody, or the service, switches the setting on again."""
        self._serve().set_value(employee, "linkedin", "ai_training", "in")

    def cases(self) -> dict[str, str]:
        """Employee to passed, or what the JUnit file has in its place."""
        return {
            case.classname: "+".join(type(one).__name__ for one in case.result) or "passed"
            for suite in JUnitXml.fromfile(str(self.workspace / "fleet-optout.xml"))
            for case in suite
        }

    def has_told(self, job: Job) -> list[str]:
        """Which lines of the keys stand in the job's output, or in what it leaves behind."""
        secrets = [line for file in (self.identity, self.log_key) for line in file.read_text().splitlines()]
        secrets = [line for line in secrets if line and not line.startswith(("#", "-----"))]
        assert len(secrets) >= 2
        left = [file.read_text() for file in (*self.workspace.iterdir(), self.summary) if file.is_file()]
        return [secret for secret in secrets if any(secret in text for text in (job.output, *left))]


def stand_in(machine: Machine, folder: Path, **codes: int) -> Job:
    """A job whose `fleet` only writes down how it was called; verb to what it ends with, else 0."""
    (folder / "bin").mkdir(exist_ok=True)
    ends = "".join(f'[ "$1" != {verb} ] || exit {code}\n' for verb, code in codes.items())
    (folder / "bin" / "fleet").write_text(f'#!/bin/sh\necho "$*" >> {folder}/called\n{ends}')
    (folder / "bin" / "fleet").chmod(0o755)
    return machine.job(f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", is_served=False)


def called(folder: Path) -> list[str]:
    """The arguments of each call of the stand-in."""
    return (folder / "called").read_text().splitlines() if (folder / "called").exists() else []


def allowed_on_gitlab(name: str) -> set[int]:
    """With which exit codes a job of the GitLab file is a warning, not a failure."""
    jobs = yaml.safe_load((FILES / "gitlab-ci.yml").read_text("utf-8"))
    return set(jobs[name]["allow_failure"]["exit_codes"])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after `fleet init`."""
    home = tmp_path_factory.mktemp("home")
    commands.fleet("init", env=environment_of(home)).check_returncode()
    return home


@pytest.fixture
def machine(tmp_path: Path, home: Path) -> Iterator[Machine]:
    """A machine after `fleet init`."""
    machine = Machine(tmp_path, home)
    yield machine
    machine.close()


class TestGithub:
    def onboarding(self, machine: Machine, *, is_served: bool = True, **inputs: str) -> Job:
        """What the file leaves to the runner's home may be said outright."""
        places = {"state": machine.state, "identity-file": machine.identity, "log-key-file": machine.log_key}
        inputs = {name: str(path) for name, path in places.items()} | inputs
        return run_github(FILES / "github-onboarding.yml", machine.job(is_served=is_served), **inputs)

    @pytest.mark.parametrize("has_dependencies", sizes(True, False))
    def test_a_new_machine_installs_what_it_needs(self, machine: Machine, has_dependencies: bool) -> None:
        """Where there is no `fleet` on PATH, the action installs its own checkout and goes on with that.

        At the small size a new environment has what it depends on from the start.
        """
        places = [place for place in os.environ["PATH"].split(os.pathsep) if not (Path(place) / "fleet").exists()]
        if has_dependencies:
            places.insert(0, str(python_with_dependencies(machine.folder / "bin")))
        machine.staff(anna="switched_on")
        job = run_github(FILES / "github-onboarding.yml", machine.job(os.pathsep.join(places)))
        assert job.code == 0, job.output
        assert (machine.folder / "tools" / "fleet-optout" / "bin" / "fleet").exists()
        assert machine.cases() == {"anna": "passed"}

    def test_whoever_joins_is_opted_out_and_half_an_inventory_is_refused(self, machine: Machine) -> None:
        """The first job meets all, the next nobody, the third who joined; a missing mandate is a warning.

        Of an export that broke off nothing is touched until somebody says that it is meant.
        """
        assert self.onboarding(machine).code == 0
        assert machine.cases() == {"anna": "passed", "brian": "passed"}
        job = self.onboarding(machine)
        assert (job.code, machine.cases()) == (0, {})
        assert "Nothing to do" in job.output

        machine.staff(**STAFF, carla="switched_on", unasked="switched_on")
        job = self.onboarding(machine)
        assert (job.code, job.outputs["run"]["exit-code"]) == (0, "3")
        assert machine.cases() == {"carla": "passed", "unasked": "Failure"}
        assert "::warning title=linkedin%3A no mandate::1 control: no mandate." in job.output
        row = "| unasked | linkedin.ai\\_training | no mandate | Ask unasked for a mandate"
        assert row in machine.summary.read_text()
        results = json.loads((machine.workspace / "fleet-optout.json").read_text())["results"]
        assert [(one["employee"], one["outcome"]) for one in results] == [
            ("carla", "opted_out"),
            ("unasked", "no_mandate"),
        ]
        assert machine.has_told(job) == []

        machine.close()  # nobody is visited any more
        machine.staff(anna="switched_on")
        job = self.onboarding(machine, is_served=False)
        assert job.code == 2 and "--accept-shrink" in job.output
        assert self.onboarding(machine, is_served=False, **{"accept-shrink": "true"}).code == 0

    @pytest.mark.parametrize(("person_needed", "code"), [("warn", 0), ("fail", 3)])
    def test_what_somebody_must_do_first_is_a_warning_or_a_failure(
        self, machine: Machine, tmp_path: Path, person_needed: str, code: int
    ) -> None:
        """As the input says."""
        job = stand_in(machine, tmp_path, run=3)
        inputs = {"person-needed": person_needed}
        assert run_github(FILES / "github-onboarding.yml", job, **inputs).code == code

    def test_inputs_are_no_script(self, machine: Machine) -> None:
        """A limit that is a command is looked for among the employees."""
        job = self.onboarding(machine, is_served=False, limit="$(touch owned); `touch owned`", new="false")
        assert job.code == 2 and not (machine.workspace / "owned").exists()
        assert machine.cases() == {"fleet": "Error"}

    @pytest.mark.parametrize("name", ["check", "new", "accept-shrink"])
    @pytest.mark.parametrize("value", ["yes", "on", "1", "True", "true ", ""])
    def test_a_switch_is_true_or_false(self, machine: Machine, tmp_path: Path, name: str, value: str) -> None:
        """Anything else is neither on nor off: nothing is run, and the sentence names the input."""
        job = run_github(FILES / "github-onboarding.yml", stand_in(machine, tmp_path), **{name: value})
        assert job.code == 2 and called(tmp_path) == []
        assert re.search(f"^::error title=Fleet Opt-Out::Input '{name}' .* Nothing was run.$", job.output, re.MULTILINE)

    def test_results_are_private_from_the_first_byte(self, machine: Machine, tmp_path: Path) -> None:
        """They name employees: nobody else reads them, also where an earlier job has left its own open to others."""
        results = machine.workspace / "fleet-optout.json"
        for left in (False, True):
            job = stand_in(machine, tmp_path)
            script = tmp_path / "bin" / "fleet"
            script.write_text(script.read_text() + f"stat -Lc %a /dev/stdout >> {tmp_path}/modes\n")
            if left:
                results.chmod(0o644)
            assert run_github(FILES / "github-onboarding.yml", job).code == 0, job.output
        assert (tmp_path / "modes").read_text().split() == ["600", "600"]

    def test_spaces_around_an_inventory_are_no_part_of_its_path(self, machine: Machine, tmp_path: Path) -> None:
        """Those of a line's end are not seen by whoever writes it."""
        job = stand_in(machine, tmp_path)
        job = run_github(FILES / "github-onboarding.yml", job, inventory="a b.yml \t\n\n c.yml\n")
        [arguments] = called(tmp_path)
        assert "--inventory=a b.yml --inventory=c.yml --new" in arguments

    def test_a_weekly_job_fails_when_something_is_in_again(self, machine: Machine) -> None:
        """Read only; green while all is out, exit code 6 when it is not. The log is checked all the same.

        A real run over what did not end well opts out again.
        """
        weekly = FILES / "github-weekly.yml"
        machine.staff(anna="already_out")
        job = run_github(weekly, machine.job())
        assert job.code == 0, job.output
        machine.switch_back("anna")
        job = run_github(weekly, machine.job())
        assert (job.code, job.outputs["run"]["exit-code"]) == (6, "4")
        assert machine.cases() == {"anna": "Failure"}
        assert "OK: all records are present" in " ".join(job.output.split())
        assert (machine.workspace / "anchor.txt").read_text().count("\n") > 3
        assert machine.has_told(job) == []
        assert "opted out" in machine.fleet("run", "-i", str(machine.workspace / "staff"), "--only-failed", "last")


class TestGitlab:
    def job(self, machine: Machine, name: str, job: Job | None = None) -> Job:
        """Keys as GitLab gives them: files that others can read, outside the repository."""
        job = job or machine.job()
        given = machine.folder / "workspace.tmp"
        given.mkdir(exist_ok=True)
        for variable, key in (("FLEET_IDENTITY_FILE", machine.identity), ("FLEET_LOG_KEY_FILE", machine.log_key)):
            shutil.copyfile(key, given / variable)
            (given / variable).chmod(0o666)
            job.environ[variable] = str(given / variable)
        job.environ["TMPDIR"] = str(machine.folder / "tmp")
        (machine.folder / "tmp").mkdir(exist_ok=True)
        del job.environ["GITHUB_STEP_SUMMARY"]
        machine.summary.touch()
        return run_gitlab(FILES / "gitlab-ci.yml", name, job)

    def test_newcomers_and_the_weekly_look(self, machine: Machine) -> None:
        """The same two jobs; the private copies of the keys are gone afterwards, and no trace of them is left.

        TestTheWeeklyLook has the week in which all is out.
        """
        job = self.job(machine, "newcomers")
        assert job.code == 0, job.output
        assert machine.cases() == {"anna": "passed", "brian": "passed"}
        assert list((machine.folder / "tmp").iterdir()) == []
        assert machine.has_told(job) == []
        machine.switch_back("anna")
        job = self.job(machine, "look-again")
        assert job.code == 6 and machine.cases() == {"anna": "Failure", "brian": "passed"}
        assert list((machine.folder / "tmp").iterdir()) == []

    def test_a_key_that_is_told_would_be_seen(self, machine: Machine) -> None:
        """The search finds a planted leak: a job that passes its keys as values, traced."""
        job = machine.job()
        machine.summary.touch()
        job.bash(f'KEY="$(cat {machine.identity})"; test -n "$KEY"', {})
        assert machine.has_told(job) != []

    def test_what_is_no_failure_is_written_down(self) -> None:
        """Somebody must act first: a warning. What is in, or could not be set, is none where it was to be set."""
        assert allowed_on_gitlab(".fleet-optout") == {3}


class TestSystemd:
    def test_the_unit_looks_again_and_fails_on_drift(self, machine: Machine) -> None:
        """Its commands in its environment; what somebody must do first is success, what is in again is status 6.

        The user's own home is closed, as `ProtectHome=` does and as most service users have it.
        """
        machine.staff(anna="already_out", unasked="switched_on")
        unit, job = FILES / "fleet-optout.service", machine.job()
        closed = machine.folder / "closed"
        closed.mkdir(mode=0o500)
        job.environ["HOME"] = str(closed)
        places = {"S": str(machine.folder), "t": str(machine.folder)}
        assert run_unit(unit, job, places).code == 0, job.output
        machine.switch_back("anna")
        machine.summary.touch()
        job = run_unit(unit, Job(job.workspace, job.places, job.environ), places)
        assert job.code == 6 and machine.has_told(job) == []

    @pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is missing: install systemd")
    def test_systemd_takes_the_units(self, tmp_path: Path) -> None:
        """No unknown key, no value that cannot be; a planted mistake is seen in each."""
        units = [path for path in FILES.iterdir() if path.suffix in (".service", ".timer")]
        for unit in units:
            text = re.sub(r"/opt/fleet-(optout|portal)/bin", str(BIN), unit.read_text("utf-8"))
            (tmp_path / unit.name).write_text(text)

        def complaints() -> str:
            command = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / unit.name) for unit in units)]
            environ = os.environ | {"SYSTEMD_LOG_LEVEL": "warning"}
            done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
            return "\n".join(line for line in done.stderr.splitlines() if "fleet-" in line)

        assert complaints() == ""
        for unit in units:
            with (tmp_path / unit.name).open("a") as file:
                file.write("[Service]\nProtectEverything=yes\n[Timer]\nOnSunnyDays=yes\n")
        said = complaints()
        assert all(f"{unit.name}:" in said for unit in units), said


class TestTheWeeklyLook:
    """What comes of it is the same on GitHub, on GitLab and from systemd."""

    def fails(self, machine: Machine, folder: Path, look: int, status: int) -> set[int]:
        """What each of the three fails with where a look and `fleet status --drift` end so; 0 if it does not."""
        github = run_github(FILES / "github-weekly.yml", stand_in(machine, folder, run=look, status=status)).code
        job = stand_in(machine, folder, run=look, status=status)
        gitlab = TestGitlab().job(machine, "look-again", job).code
        job = stand_in(machine, folder, run=look, status=status)
        unit = run_unit(FILES / "fleet-optout.service", job, {"S": str(machine.folder), "t": str(machine.folder)}).code
        assert [call.split()[0] for call in called(folder)].count("run") == 3
        return {github, 0 if gitlab in allowed_on_gitlab("look-again") else gitlab, unit}

    @pytest.mark.parametrize("look", [0, 3, 4, 5])
    def test_it_asks_for_drift_alone(self, machine: Machine, tmp_path: Path, look: int) -> None:
        """Who must act, what was never out and what could not be looked at is told by the look, and is no drift."""
        assert self.fails(machine, tmp_path, look, 0) == {0}
        (tmp_path / "called").unlink()
        assert self.fails(machine, tmp_path, look, 6) == {6}

    @pytest.mark.parametrize("look", [1, 2, 130])
    def test_a_look_that_did_not_take_place_is_a_failure(self, machine: Machine, tmp_path: Path, look: int) -> None:
        """Without it the log tells of an older one: green would be a lie."""
        assert self.fails(machine, tmp_path, look, 0) == {look}

    @pytest.mark.parametrize("look", [1, 2, 130])
    def test_drift_is_told_also_where_the_look_failed(self, machine: Machine, tmp_path: Path, look: int) -> None:
        """GitHub and GitLab ask the log all the same; systemd ends at the first failure, with its status."""
        assert self.fails(machine, tmp_path, look, 6) == {6, look}
