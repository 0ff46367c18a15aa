"""The options of an import: those given on the command line, and those remembered beside the file that it writes."""

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
    """What the command line says; what is None or empty stays as it is remembered."""

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
    """`.hr.import.yml`, beside `hr.yml`: how the export was read the last time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: dict[str, Header] = Field(default_factory=dict)
    mapped: tuple[Header, ...] = ()
    """Fields of ownership that --map named; an older version guessed them."""
    encoding: Encoding | None = None
    groups: dict[str, tuple[Header, ...]] = Field(default_factory=dict)
    """By field, the groups in the file; the difference says by them which field a group is of."""
    where: dict[Header, tuple[Value, ...]] = Field(default_factory=dict)
    """Column to the values that a row must have one of."""
    leavers: OnLeaver | None = None
    keep: tuple[Header, ...] = ()
    """People whom the HR system does not know, such as a press office: they never leave, and no check names them."""


def remembered_path(hr_file: Path) -> Path:
    """Where the options of a file's imports are remembered: Ansible reads no name that begins with a dot."""
    return hr_file.with_name(f".{hr_file.stem}.import.yml")


def read_remembered(path: Path) -> Remembered:
    """What was remembered; empty if there is no file yet. Raises InputError as `load_model` does."""
    return load_model(path, Remembered) if look(path) else Remembered()


def render_remembered(remembered: Remembered) -> str:
    """The file's text."""
    data = {key: value for key, value in remembered.model_dump(mode="json").items() if value}
    return (
        "# How 'fleet inventory import' reads the export: field: column. Fix it here, or with --map FIELD=COLUMN.\n"
        "# Fields under 'mapped' say whose an account is, so --map alone adds to them.\n"
        "# Names under 'keep' stay although the export does not have them.\n"
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
