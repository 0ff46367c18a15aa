"""Two sizes of the same tests: `make test` runs some of the cases, `make test-all` runs the others.

conftest.py rejects a suite in which a test has only cases of the second kind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest

FULL = pytest.mark.full


def cases(values: Iterable[Any], in_every_run: Collection[Any]) -> list[Any]:
    """Return a test's parameter: those listed run in `make test`, the others in `make test-all`."""
    return [value if value in in_every_run else pytest.param(value, marks=FULL) for value in values]


def sizes(small: Any, full: Any) -> list[Any]:
    """Return a test's parameters: `make test` runs the small size, `make test-all` the full one."""
    return [pytest.param(small, id="small"), pytest.param(full, id="full", marks=FULL)]


def only_at_full_size(items: Iterable[pytest.Item]) -> list[str]:
    """Return the tests that `make test` would skip entirely."""
    everywhere: dict[str, bool] = {}
    for item in items:
        name = item.nodeid.partition("[")[0]
        everywhere[name] = everywhere.get(name, True) and item.get_closest_marker("full") is not None
    return sorted(name for name, is_full in everywhere.items() if is_full)
