"""CONTRIBUTING.md names what exists: files, tests, and the order of the parts."""

from __future__ import annotations

import ast
import re

import pytest

from tests.conftest import ROOT
from tests.contract.test_structure import FLOORS

PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PICTURE = re.search(r"```\n(__main__.+?)```", PAGE, re.DOTALL)
GUIDES = dict(re.findall(r"^## (Add .+?)\n\n(.+?)\n(?=\n|\Z)", PAGE, re.MULTILINE | re.DOTALL))


def missing(name: str) -> str | None:
    """A file, or a test as pytest names it, that does not exist; None if it does."""
    path, *parts = name.split("::")
    if not (ROOT / path).exists():
        return path
    body = ast.parse((ROOT / path).read_text("utf-8")).body if parts else []
    for part in parts:
        found = next((one for one in body if getattr(one, "name", None) == part), None)
        if found is None:
            return name
        body = getattr(found, "body", [])
    return None


def test_the_files_and_tests_that_it_names_exist() -> None:
    """Whoever follows the page finds each; capital letters stand for a name to choose."""
    paths = r"((?:fleet|tests|docs|roles|playbooks)/[\w./:-]+|\w+\.md)"
    names = [name for name in re.findall(paths, PAGE) if not re.search(r"\b(NAME|CODE)\b", name)]
    assert len(names) > 40
    assert [name for name in names if missing(name.rstrip(".:"))] == []
    planted = "tests/contract/test_structure.py::TestImports::test_planted"
    assert (missing(planted), missing("fleet/planted.py")) == (planted, "fleet/planted.py")


def test_the_picture_shows_the_order_of_imports() -> None:
    """From the top down, each line the parts of one floor."""
    assert PICTURE is not None
    shown = [set(re.split(r"  |$", line)[0].split(" · ")) for line in PICTURE[1].splitlines()]
    assert shown == list(reversed(FLOORS))


@pytest.mark.parametrize("guide", GUIDES)
def test_each_guide_fits_in_five_lines(guide: str) -> None:
    """What takes longer to explain is too hard to add."""
    assert 1 <= len(GUIDES[guide].splitlines()) <= 5
