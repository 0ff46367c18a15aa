"""A state whose last run stopped half way, for tests of what the next run makes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fleet.audit import records
from fleet.audit.pseudonyms import Subjects, known_subjects
from fleet.inventory.employee import Account, Employee
from fleet.inventory.read import Inventory
from fleet.plan.plan import RunSpec
from fleet.settings.resolve import Settings
from tests.logs import INTENDED, STARTED, finish, open_log

AI = "ai_training"
PEOPLE = ("anna", "ben", "carla", "dora")


def spec(folder: Path, *, check: bool = False) -> RunSpec:
    """A run of four people at LinkedIn."""
    account = Account(profile="p", owner="company")
    people = tuple(Employee(name, accounts={"linkedin": account}) for name in PEOPLE)
    settings = Settings(state=folder, identity=folder / "identity", log_key=folder / "log-key.pem")
    return RunSpec("r2", check, Inventory(("staff.yml",), people, rehearsal=False, digest="0"), settings)


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A state whose last run opted anna out, found ben challenged, pressed carla, and never came to dora."""

    async def write() -> None:
        log = open_log(tmp_path / "audit")
        subjects = Subjects(tmp_path / "audit" / "subjects.sqlite")
        names = {name: subject.pseudonym for name, subject in subjects.of(dict.fromkeys(PEOPLE)).items()}
        await log.append(records.RUN_STARTED, "r1", **STARTED)
        for subject in names.values():
            planned = {"planned": [["linkedin", AI]], "authority": None, "mandate_hmac": None}
            await log.append(records.RUN_PLANNED, "r1", subject=subject, **planned)
        await finish(log, subject=names["anna"], duration_ms=9000)
        challenged = {"outcome": "challenged", "reason": "code", "before": None, "after": None}
        await finish(log, subject=names["ben"], duration_ms=5000, **challenged)
        await log.append(records.CONTROL_INTENDED, "r1", **INTENDED | {"subject": names["carla"]})
        subjects.close()
        log.close()

    asyncio.run(write())
    return tmp_path


def pseudonyms(folder: Path) -> dict[str, str]:
    """Employee to pseudonym."""
    return {name: subject.pseudonym for name, subject in known_subjects(folder / "audit" / "subjects.sqlite").items()}
