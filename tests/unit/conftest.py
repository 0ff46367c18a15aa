"""A log to write to, for those tests that need no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.audit.log import AuditLog
from tests.logs import open_log


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def log(folder: Path) -> Iterator[AuditLog]:
    log = open_log(folder, "run r1")
    yield log
    log.close()
