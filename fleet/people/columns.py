"""Which column of an export holds what: guessed from usual headers, told by `--map`, remembered beside the file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from fleet.errors import InputError
from fleet.people.export import Encoding, Export, listed
from fleet.yamlfile import load_model

GROUPS = ("site", "department", "country")
"""Each value of such a column is a group; a person's variables stand in that of the first which the export has."""
MANDATE = ("reference", "services", "granted_on", "expires_on")
ACCOUNT = ("profile", "name", "owner")

# What Workday, BambooHR, Personio, SAP SuccessFactors, HiBob and plain exports call these columns, best first, in
# English, French, German and Italian. Compared without case, accents and punctuation. LinkedIn's name is added to a
# service's own headers below. `name` is never guessed: a person's name is no host's name.
_HEADERS: dict[str, tuple[str, ...]] = {
    "email": (
        "work email", "email work", "primary work email", "business email", "company email", "email address", "email",
        "e mail", "mail", "email professionnel", "e mail professionnel", "adresse e mail", "courriel", "adresse mail",
        "geschaftliche e mail", "dienstliche e mail", "e mail adresse", "e mail arbeit",
        "email aziendale", "e mail aziendale", "indirizzo email", "posta elettronica",
    ),
    "locale": (
        "preferred language", "language", "locale", "default locale", "langue", "langue preferee", "sprache",
        "bevorzugte sprache", "korrespondenzsprache", "lingua", "lingua preferita",
    ),
    "display_name": (
        "display name", "preferred name", "full name", "employee name", "employee", "worker", "name", "nom complet",
        "nom affiche", "anzeigename", "vollstandiger name", "mitarbeiter", "nome completo", "nome visualizzato",
    ),
    "first_name": (
        "preferred first name", "first name", "given name", "prenom", "vorname", "rufname", "nome",
    ),
    "last_name": (
        "preferred last name", "last name", "surname", "family name", "nom", "nom de famille", "nachname", "cognome",
    ),
    "site": (
        "site", "location", "office", "work location", "office location", "lieu de travail", "lieu", "etablissement",
        "standort", "arbeitsort", "buro", "sede", "sede di lavoro", "luogo di lavoro",
    ),
    "department": (
        "department", "cost center hierarchy", "supervisory organization", "team", "departement", "service",
        "abteilung", "bereich", "reparto", "dipartimento",
    ),
    "country": ("country", "work country", "country region", "pays", "land", "paese"),
    "mandate.reference": (
        "mandate reference", "mandate", "reference du mandat", "mandatsreferenz", "vollmacht",
        "riferimento del mandato",
    ),
    "mandate.services": ("mandate services", "services du mandat", "dienste der vollmacht", "servizi del mandato"),
    "mandate.granted_on": ("mandate granted on", "mandat donne le", "vollmacht erteilt am", "mandato conferito il"),
    "mandate.expires_on": ("mandate expires on", "mandat valable jusqu au", "vollmacht gultig bis", "mandato scade il"),
}  # fmt: skip
_ACCOUNT_HEADERS = {
    "profile": ("{} profile", "{} profile url", "{} url", "{}", "profil {}", "{} profil", "profilo {}", "url {}"),
    "name": ("{} name", "{} display name"),
    "owner": ("{} owner",),
}
FIELDS = ("name", *_HEADERS)
"""The fields that a column can hold, beside those of an account (`linkedin.profile`, `.name`, `.owner`)."""

Header = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Remembered(BaseModel):
    """`staff.import.yml`, beside the inventory `staff.yml`: how the export was read the last time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: dict[str, Header] = Field(default_factory=dict)
    encoding: Encoding | None = None
    groups: dict[str, tuple[Header, ...]] = Field(default_factory=dict)
    """By field, the groups that imports made or found: people move between those of one field."""
    keep: tuple[Header, ...] = ()
    """People whom the HR system does not know, such as a press office: they never leave."""


def place_of_remembered(inventory: Path) -> Path:
    """Where the columns of an inventory's imports are remembered."""
    return inventory.with_name(f"{inventory.stem}.import.yml")


def read_remembered(path: Path) -> Remembered:
    """What was remembered; nothing yet where there is no file. Raises InputError as `load_model` does."""
    return load_model(path, Remembered) if path.exists() else Remembered()


def render_remembered(remembered: Remembered) -> str:
    """The file's text."""
    data = {key: value for key, value in remembered.model_dump(mode="json").items() if value}
    return (
        "# How 'fleet inventory import' reads the export: field: column. Mend it here, or with --map FIELD=COLUMN.\n"
        "# Names under 'keep' stay in the inventory although the export does not have them.\n"
        + yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=1000)
    )


@dataclass(frozen=True)
class Columns:
    """Which cell of a row holds which field."""

    header: tuple[str, ...]
    indexes: Mapping[str, int]

    def name(self, field: str) -> str:
        """What the export calls the column of a field."""
        return self.header[self.indexes[field]].strip()

    def names(self) -> dict[str, str]:
        """Field to column, as they are remembered."""
        return {field: self.name(field) for field in self.indexes}

    @property
    def unused(self) -> int:
        """How many columns are not looked at."""
        return len(self.header) - len(set(self.indexes.values()))


def parse_map(values: Iterable[str]) -> dict[str, str]:
    """`--map FIELD=COLUMN`; an empty column leaves the field out. Raises InputError."""
    given = {}
    for value in values:
        field, sign, column = value.partition("=")
        if not sign:
            raise InputError(f"--map {value}: write it as FIELD=COLUMN, such as: --map 'email=Work Email'")
        given[field.strip()] = column.strip()
    return given


def choose_columns(
    export: Export, services: Collection[str], remembered: Mapping[str, str], given: Mapping[str, str]
) -> Columns:
    """The columns of an export: those told above those remembered, which stand in place of a guess.

    Raises InputError that names every field or column that cannot be.
    """
    header = export.header.cells
    wanted = {**(remembered or _guess(header, services)), **given}
    wanted = {field: column for field, column in wanted.items() if column}
    known = (*FIELDS, *(f"{service}.{key}" for service in sorted(services) for key in ACCOUNT))
    mistakes, indexes = [], {}
    for field, column in wanted.items():
        found = [index for index, name in enumerate(header) if name.strip() == column]
        found = found or [index for index, name in enumerate(header) if _plain(name) == _plain(column)]
        option = f"--map '{field}=COLUMN'"
        is_needed = field in ("email", "name") and not {"email", "name"} <= wanted.keys()
        way_out = "." if is_needed else f", or leave it out with --map {field}="
        if field not in known:
            mistakes.append(f"--map {field}: there is no such field; known are {', '.join(known)}.")
        elif not found:
            mistakes.append(
                f"{export.path}:{export.header.line}: has no column '{column}' for {field}; give its new name with "
                f"{option}{way_out}"
            )
        elif len(found) > 1:
            mistakes.append(
                f"{export.path}:{export.header.line}: has {len(found)} columns '{column}' for {field}; rename all but "
                f"one, or choose another with {option}"
            )
        else:
            indexes[field] = found[0]
    mistakes += _missing(export, wanted)
    if mistakes:
        raise InputError(listed(mistakes))
    return Columns(header, indexes)


def _missing(export: Export, wanted: Mapping[str, str]) -> list[str]:
    where = f"{export.path}:{export.header.line}"
    columns = ", ".join(name.strip() or "(no name)" for name in export.header.cells[:20])
    mistakes = []
    if "email" not in wanted and "name" not in wanted:
        mistakes.append(
            f"{where}: no column is known to hold e-mail addresses; say which of {columns}: --map email=COLUMN"
        )
    parts = [f"mandate.{part}" for part in MANDATE]
    missing = [part for part in parts if part not in wanted]
    if 0 < len(missing) < len(parts):
        mistakes.append(f"{where}: a mandate needs {' and '.join(missing)} as well; map all of its columns, or none.")
    for field in wanted:
        service, dot, key = field.rpartition(".")
        if dot and service != "mandate" and key in ("name", "owner") and f"{service}.profile" not in wanted:
            mistakes.append(f"{where}: {field} needs {service}.profile as well; map both, or leave it out.")
    return mistakes


def _guess(header: tuple[str, ...], services: Collection[str]) -> dict[str, str]:
    plain = {_plain(name): name.strip() for name in reversed(header)}
    usual = dict(_HEADERS)
    for service in services:
        for key, forms in _ACCOUNT_HEADERS.items():
            usual[f"{service}.{key}"] = tuple(form.format(_plain(service)) for form in forms)
    guess, taken = {}, set()
    for field, names in usual.items():
        for name in names:
            if name in plain and name not in taken:
                guess[field] = plain[name]
                taken.add(name)
                break
    if any(f"mandate.{part}" not in guess for part in MANDATE):
        guess = {field: column for field, column in guess.items() if not field.startswith("mandate.")}
    return {
        field: column
        for field, column in guess.items()
        if field.partition(".")[2] not in ("name", "owner") or f"{field.partition('.')[0]}.profile" in guess
    }


def _plain(header: str) -> str:
    """A header without case, accents and punctuation."""
    spelled = unicodedata.normalize("NFKD", header.casefold().replace("#", " number "))
    bare = "".join(one for one in spelled if not unicodedata.combining(one))
    return " ".join(re.findall(r"[^\W_]+", bare))
