"""Reads the role's variables (`optout_*`) in place of options; roles/optout/meta/argument_specs.yml documents them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fleet.plan.selection import Selection
from fleet.settings.resolve import Given, SourceKind
from fleet.settings.setting import Setting
from fleet.settings.table import SELECTION, SETTINGS


def given_from_variables(variables: Mapping[str, Any], inventory: tuple[str, ...] = ()) -> Given:
    """Return the settings of a play over `inventory`. Raises InputError that names the variable with a wrong value."""
    return Given(SourceKind.ROLE_VARIABLE, **_values(SETTINGS, variables) | {"inventory": inventory})


def selection_from_variables(variables: Mapping[str, Any]) -> Selection:
    """Return which planned controls a play selects. Raises InputError that names the variable with a wrong value."""
    values = _values(SELECTION, variables)
    return Selection(new=bool(values["new"]), only_failed=values["only_failed"], stale_days=values["stale"])


def accept_shrink_from_variables(variables: Mapping[str, Any]) -> bool:
    """Return True if the play may run although half or more of the employees are missing. Raises InputError."""
    return bool(_values(SELECTION, variables)["accept_shrink"])


def _values(settings: Iterable[Setting], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each setting the role knows, None if not given."""
    return {
        one.name: one.from_text(variables.get(one.role_variable), one.role_variable)
        for one in settings
        if one.role_variable
    }
