"""The role's variables (`optout_*`), in place of the command line; roles/optout/meta/argument_specs.yml lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fleet.plan.selection import Selection
from fleet.settings.resolve import Given, SourceKind
from fleet.settings.setting import Setting
from fleet.settings.table import SELECTION, SETTINGS


def given_from_variables(variables: Mapping[str, Any], inventory: tuple[str, ...] = ()) -> Given:
    """The settings of a play over `inventory`. Raises InputError that names the variable of a wrong value."""
    return Given(SourceKind.ROLE_VARIABLE, **_values(SETTINGS, variables) | {"inventory": inventory})


def selection_from_variables(variables: Mapping[str, Any]) -> Selection:
    """Which of the planned controls a play is about. Raises InputError that names the variable of a wrong value."""
    values = _values(SELECTION, variables)
    return Selection(new=bool(values["new"]), only_failed=values["only_failed"], stale_days=values["stale"])


def accept_shrink_from_variables(variables: Mapping[str, Any]) -> bool:
    """True if the play may run although half or more of the employees are missing. Raises InputError."""
    return bool(_values(SELECTION, variables)["accept_shrink"])


def _values(settings: Iterable[Setting], variables: Mapping[str, Any]) -> dict[str, Any]:
    """The value of each setting that the role knows, None if it was not given."""
    return {
        one.name: one.from_text(variables.get(one.role_variable), one.role_variable)
        for one in settings
        if one.role_variable
    }
