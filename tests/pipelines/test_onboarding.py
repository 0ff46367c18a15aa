"""docs/onboarding.md, from its first command to its last, as an administrator would type them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fleet.rehearsal.process import Rehearsal, RehearsalAccount, start_rehearsal
from tests.conftest import ROOT
from tests.pipelines.pages import (
    FILE,
    commands_of,
    environment_of,
    python_with_dependencies,
    stand_ins,
    type_all,
    wrong,
)
from tests.pipelines.runners import Job, run_unit
from tests.pipelines.test_pipelines import FILES
from tests.sizes import sizes

DOCUMENT = (ROOT / "docs" / "onboarding.md").read_text("utf-8")
NEEDS_SOMEBODY = "fleet run -i staff -i rehearsal.yml"
NEWCOMERS = "fleet run -i staff --new --junit fleet-optout.xml"
LOOK = "fleet run -i staff --check"
ANNA_IS_IN = "fleet run -i staff --check -l anna.keller"
EXIT_CODES = {NEEDS_SOMEBODY: 3, NEWCOMERS: 3, LOOK: 3, ANNA_IS_IN: 4}
"""What the document says of them: somebody has no mandate, or a setting that is still on."""
WEEKLY = (LOOK, "fleet status -i staff --drift", "fleet audit verify -i staff")
"""Not typed: the systemd service starts them."""
PLANNED = (NEEDS_SOMEBODY, ANNA_IS_IN, NEWCOMERS)
"""Runs that the small size only plans: the service and tests of the pipelines make such runs."""
SIGNS_IN = "fleet sessions capture -i staff anna.keller linkedin"
"""Needs a display and a person (tests/desk); here a file of their session is imported instead."""
SESSION = "anna.keller.linkedin.json"
FIRST_REAL = "fleet run -i staff --plan"
LEAVES = "fleet inventory import people.csv -i staff --yes"


@pytest.fixture
def service() -> Iterator[Rehearsal]:
    """What stands at the far end of the real runs."""
    profiles = {"anna.keller": "anna-keller-4b1a2", "brian.walsh": "brian-walsh"}
    accounts = [
        RehearsalAccount(name, "linkedin", profile, name, "en", "switched_on") for name, profile in profiles.items()
    ]
    with start_rehearsal(accounts) as service:
        yield service


@pytest.fixture
def people(tmp_path: Path, service: Rehearsal) -> Path:
    """What the administrator has: the document's files, a session of hers, the pipelines."""
    people = tmp_path / "fleet-optout" / "people"
    people.mkdir(parents=True)
    for name, content in FILE.findall(DOCUMENT):
        (people / name).write_text(content)
    exported = service.storage_state("anna.keller", "linkedin")
    (people / SESSION).write_text(json.dumps(exported))
    ways = [f"{host}={address}" for host, address in service.resolve.items()]
    (people / "loopback.yml").write_text(yaml.safe_dump({"resolve": ways, "trust_spki": [service.spki]}))
    for file in FILES.glob("fleet-optout.*"):
        shutil.copy(file, people)
    return people


def test_exit_codes_of_the_document_are_told() -> None:
    """A command that does not end with 0 has the reason in its section."""
    for command, code in EXIT_CODES.items():
        [section] = [section for section in DOCUMENT.split("\n## ") if f"    {command}\n" in section]
        assert f"exit code {code}" in section and (code != 3 or "ciara.byrne" in section), section


def test_the_weekly_commands_are_those_of_the_pipelines() -> None:
    """What the document shows of a job is what its files start."""
    unit = (FILES / "fleet-optout.service").read_text("utf-8")
    started = re.findall(r"^ExecStart=/opt/fleet-optout/bin/(.+)$", unit, re.MULTILINE)
    assert started == [command.replace("-i staff", "--inventory %S/fleet-optout/people/staff") for command in WEEKLY]
    commands = commands_of(DOCUMENT)
    assert tuple(commands[commands.index(LOOK) :][: len(WEEKLY)]) == WEEKLY


@pytest.mark.parametrize("is_small", sizes(True, False))
def test_every_command_of_the_document_does_what_it_says(people: Path, tmp_path: Path, is_small: bool) -> None:
    """All commands in order; only the far end is played: whatever would meet the live service is led to a stand-in.

    What they have made is what the systemd service needs: it runs those of the weekly job, and is green. At the small
    size a new environment has what the product depends on from the start, and some runs are only planned.
    """
    planned = PLANNED if is_small else ()
    home, units = people.parent, tmp_path / "units"
    units.mkdir()
    places = {"/opt/fleet-optout": str(tmp_path / "opt"), "/var/lib/fleet-optout": str(home)}
    places |= {"/etc/systemd/system/": str(units), " -o fleet-optout": ""}
    imports = 0

    def as_typed(command: str) -> list[str]:
        nonlocal imports
        lines, typed = [], command
        if command.endswith("pip install ."):
            typed = command.removesuffix(".") + str(ROOT)
        if command == FIRST_REAL:
            lines.append("cat loopback.yml >> fleet.yml")
        if command == LEAVES:
            imports += 1
            if imports == 2:  # somebody is not in the export any more
                lines.append("sed -i /ciara.byrne/d people.csv")
        if command == SIGNS_IN:
            typed = f"fleet sessions import -i staff anna.keller linkedin {SESSION}"
        if command in planned:
            typed += " --plan"
        for theirs, ours in places.items():
            typed = typed.replace(theirs, ours)
        return [*lines, typed]

    # Byte-compiling all that is installed takes longer than compiling what is imported.
    environ = environment_of(home, stand_ins(tmp_path / "bin")) | {"PIP_NO_COMPILE": "1"}
    if is_small:
        python_with_dependencies(tmp_path / "bin")
    commands = commands_of(DOCUMENT)
    before = commands.index(LOOK)
    typed = type_all(commands[:before], people, environ, as_typed)
    job = run_unit(
        units / "fleet-optout.service",
        Job(tmp_path, places, dict(environ)),
        {"S": str(home.parent), "t": str(home.parent)},
    )
    assert (job.code, job.codes) == (0, [EXIT_CODES.get(command, 0) for command in WEEKLY]), job.output
    later = environment_of(home, tmp_path / "opt/bin", tmp_path / "bin")
    typed += type_all(commands[before + len(WEEKLY) :], people, later, as_typed)
    assert wrong(typed, {command: code for command, code in EXIT_CODES.items() if command not in planned}) == []
    said = {one.command: one.output for one in typed}
    assert "ciara.byrne" in said[NEEDS_SOMEBODY] and "no mandate" in said[NEEDS_SOMEBODY]
    assert "anna.keller" in said["fleet sessions list"]
    assert "OK: all records are present" in " ".join(said["fleet audit verify"].split())
    assert "ciara.byrne" in said["fleet inventory prune -i staff"]
    assert {file.name for file in units.iterdir()} == {"fleet-optout.service", "fleet-optout.timer"}
    assert "opted out" in said["fleet run -i staff -l anna.keller"]
