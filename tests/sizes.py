"""Two sizes of the same tests: `make test` runs a part of the cases, `make test-all` runs the others.

No test may have cases of the second kind only: conftest.py refuses to run such a suite.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest

FULL = pytest.mark.full


def cases(values: Iterable[Any], in_every_run: Collection[Any]) -> list[Any]:
    """Parameters of a test: those named run in `make test`, the others in `make test-all`."""
    return [value if value in in_every_run else pytest.param(value, marks=FULL) for value in values]


def sizes(small: Any, full: Any) -> list[Any]:
    """Parameters of a test that `make test` runs at a small size, and `make test-all` at its full one."""
    return [pytest.param(small, id="small"), pytest.param(full, id="full", marks=FULL)]


def only_at_full_size(items: Iterable[pytest.Item]) -> list[str]:
    """Tests that `make test` would leave out altogether."""
    everywhere: dict[str, bool] = {}
    for item in items:
        name = item.nodeid.partition("[")[0]
        everywhere[name] = everywhere.get(name, True) and item.get_closest_marker("full") is not None
    return sorted(name for name, is_full in everywhere.items() if is_full)
