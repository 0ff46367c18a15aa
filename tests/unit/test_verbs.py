"""Commands are imported when they are used."""

from __future__ import annotations

import gc

import pytest

from fleet.commands.verbs import Verbs


@pytest.mark.parametrize("name", ["doctor", "missing"])
def test_garbage_is_collected_again_after_the_import_of_a_command(name: str) -> None:
    """Also where the command's module cannot be imported."""
    verbs = Verbs({"doctor": "fleet.commands.doctor:doctor", "missing": "fleet.commands.no_such_module:missing"})
    try:
        verbs[name]
    except ModuleNotFoundError:
        assert name == "missing"
    assert gc.isenabled()
