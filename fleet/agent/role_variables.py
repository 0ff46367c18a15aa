"""The role's variables (`optout_*`), in place of the command line; roles/optout/meta/argument_specs.yml lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.errors import InputError
from fleet.plan.selection import Selection
from fleet.settings.resolve import Given


def given_from_variables(variables: Mapping[str, Any]) -> Given:
    """Settings. Raises InputError for a value that is neither text nor a list, and for a number that is none."""

    def words(name: str) -> tuple[str, ...]:
        value = variables.get(name) or ()
        if isinstance(value, str):  # as Ansible does: -e optout_services=linkedin,wiki
            value = [part.strip() for part in value.split(",")]
        if not isinstance(value, list | tuple):
            raise InputError(f"{name}: give text or a list of texts.")
        return tuple(str(item) for item in value)

    return Given(
        state=_text(variables, "optout_state"),
        identity=_text(variables, "optout_identity"),
        log_key=_text(variables, "optout_log_key"),
        recipes=words("optout_recipes"),
        services=words("optout_services"),
        controls=words("optout_controls"),
        forks=_number(variables, "optout_forks"),
        resolve=words("optout_resolve"),
        trust_spki=words("optout_trust_spki"),
        proxy=_text(variables, "optout_proxy"),
    )


def selection_from_variables(variables: Mapping[str, Any]) -> Selection:
    """Which of the planned controls a play is about. Raises InputError for a number of days that is none."""
    return Selection(
        new=_is_on(variables, "optout_new"),
        only_failed=_text(variables, "optout_only_failed"),
        stale_days=_number(variables, "optout_stale"),
    )


def accept_shrink_from_variables(variables: Mapping[str, Any]) -> bool:
    """True if half of the employees of the last run, or more, are gone on purpose."""
    return _is_on(variables, "optout_accept_shrink")


def _is_on(variables: Mapping[str, Any], name: str) -> bool:
    return str(variables.get(name, False)).lower() in ("true", "yes", "on", "1")


def _text(variables: Mapping[str, Any], name: str) -> str | None:
    return str(variables.get(name) or "") or None


def _number(variables: Mapping[str, Any], name: str) -> int | None:
    value = variables.get(name)
    try:
        return None if value in (None, "") else int(str(value))
    except ValueError:
        raise InputError(f"{name}: {value} is not a number.") from None
