"""What an import is told: on the command line, and by the file beside the inventory that remembers earlier ones."""

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
    """What an import is told beside its files: what is None or empty stays as it is remembered."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Field to column; an empty column leaves the field out."""
    encoding: Encoding | None = None
    keep: Collection[str] | None = ()
    """Who stays although the export does not have them; None for everybody."""
    where: Where = field(default_factory=dict)
    """In place of all that is remembered."""
    leavers: OnLeaver | None = None
    on_bad_row: OnBadRow = OnBadRow.REFUSE
    """Never remembered: each time somebody says so."""


class Remembered(BaseModel):
    """`staff.import.yml`, beside the inventory `staff.yml`: how the export was read the last time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: dict[str, Header] = Field(default_factory=dict)
    mapped: tuple[Header, ...] = ()
    """Fields of ownership that --map named; an older version guessed them."""
    encoding: Encoding | None = None
    groups: dict[str, tuple[Header, ...]] = Field(default_factory=dict)
    """By field, the groups that imports made or found: people move between those of one field."""
    where: dict[Header, tuple[Value, ...]] = Field(default_factory=dict)
    """Column to the values that a row must have one of."""
    leavers: OnLeaver | None = None
    keep: tuple[Header, ...] = ()
    """People whom the HR system does not know, such as a press office: they never leave."""


def remembered_path(inventory: Path) -> Path:
    """Where the columns of an inventory's imports are remembered."""
    return inventory.with_name(f"{inventory.stem}.import.yml")


def read_remembered(path: Path) -> Remembered:
    """What was remembered; nothing yet where there is no file. Raises InputError as `load_model` does."""
    return load_model(path, Remembered) if look(path) else Remembered()


def render_remembered(remembered: Remembered) -> str:
    """The file's text."""
    data = {key: value for key, value in remembered.model_dump(mode="json").items() if value}
    return (
        "# How 'fleet inventory import' reads the export: field: column. Fix it here, or with --map FIELD=COLUMN.\n"
        "# Fields under 'mapped' say whose an account is, so --map alone adds to them.\n"
        "# Names under 'keep' stay in the inventory although the export does not have them.\n"
        + yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=1000)
    )


def refuse_guessed_ownership(remembered: Remembered, given: Mapping[str, str], place: Path) -> None:
    """Raise InputError for each remembered column of ownership that no --map has named."""
    guessed = {
        field: column
        for field, column in remembered.columns.items()
        if field.endswith(".owner") and field not in remembered.mapped and field not in given
    }
    if guessed:
        raise InputError(
            listed(
                [
                    f"{place}: {field} was guessed from '{column}'. Whose an account is must be mapped: add --map "
                    f"'{field}={column}', or leave it out with --map {field}="
                    for field, column in guessed.items()
                ]
            )
        )
