"""The options of an import: those on the command line, and those remembered next to the file it writes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from fleet.errors import InputError
from fleet.hr_import.hr_export import Encoding, OnBadRow, listed
from fleet.hr_import.leavers import OnLeaver, Where
from fleet.paths import look
from fleet.yamlfile import load_model

Header = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Value = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


@dataclass(frozen=True)
class Options:
    """Options from the command line; None or empty keeps the remembered value."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Field to column; an empty column disables the field."""
    encoding: Encoding | None = None
    keep: Collection[str] | None = ()
    """People to keep although they are missing from the export; None for all."""
    where: Where = field(default_factory=dict)
    """Replaces all remembered conditions."""
    leavers: OnLeaver | None = None
    on_bad_row: OnBadRow = OnBadRow.REFUSE
    """Never remembered: it must be given each time."""


class Remembered(BaseModel):
    """`.hr.import.yml`, next to `hr.yml`: how the export was last read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: dict[str, Header] = Field(default_factory=dict)
    mapped: tuple[Header, ...] = ()
    """Fields of ownership given with --map; an older version guessed them."""
    encoding: Encoding | None = None
    groups: dict[str, tuple[Header, ...]] = Field(default_factory=dict)
    """By field, the groups in the file; the difference uses this to find a group's field."""
    where: dict[Header, tuple[Value, ...]] = Field(default_factory=dict)
    """Column to the values of which a row must have one."""
    leavers: OnLeaver | None = None
    keep: tuple[Header, ...] = ()
    """People unknown to the HR system, such as a press office: they never leave, and no check lists them."""


def remembered_path(hr_file: Path) -> Path:
    """Return where the options of a file's imports are remembered: Ansible ignores names that begin with a dot."""
    return hr_file.with_name(f".{hr_file.stem}.import.yml")


def read_remembered(path: Path) -> Remembered:
    """Return what was remembered; empty if the file does not exist yet. Raises InputError as `load_model` does."""
    return load_model(path, Remembered) if look(path) else Remembered()


def render_remembered(remembered: Remembered) -> str:
    """Return the file's text."""
    data = {key: value for key, value in remembered.model_dump(mode="json").items() if value}
    return (
        "# How 'fleet inventory import' reads the export: field: column. Fix it here, or with --map FIELD=COLUMN.\n"
        "# Fields under 'mapped' decide who owns an account, so only --map adds to them.\n"
        "# Names under 'keep' stay even if they are missing from the export.\n"
        + yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=1000)
    )


def refuse_guessed_ownership(remembered: Remembered, given: Mapping[str, str], place: Path) -> None:
    """Raise InputError for each remembered column of ownership that was not given with --map."""
    guessed = {
        field: column
        for field, column in remembered.columns.items()
        if field.endswith(".owner") and field not in remembered.mapped and field not in given
    }
    if guessed:
        raise InputError(
            listed(
                [
                    f"{place}: {field} was guessed from '{column}', but the owner of an account must be mapped: add "
                    f"--map '{field}={column}', or leave it out with --map {field}="
                    for field, column in guessed.items()
                ]
            )
        )
