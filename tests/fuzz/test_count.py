"""How much is fuzzed at full size; `make test` runs a tenth of it.

Each fuzz test holds for itself that its own cases were really run.
"""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.cases import PLANNED


def test_ten_thousand_cases_are_run() -> None:
    """No fewer over all surfaces, and none of these is without any."""
    files = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py") if path.stem != Path(__file__).stem)
    for name in files:
        __import__(f"tests.fuzz.{name}")
    assert sorted({name.split(".")[0] for name in PLANNED}) == files
    assert sum(PLANNED.values()) >= 10_000
