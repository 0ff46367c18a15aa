"""Maps an export's columns to fields: guessed from common headers, given with `--map`, or remembered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from fleet.errors import InputError
from fleet.hr_import.hr_export import Export, listed
from fleet.hr_import.normalize import plain

GROUPS = ("site", "department", "country")
"""Each value of such a column becomes a group; a person's variables are set in the group of the first such column."""
MANDATE = ("reference", "services", "granted_on", "expires_on")
ACCOUNT = ("profile", "name", "owner")

# Names of these columns in Workday, BambooHR, Personio, SAP SuccessFactors, HiBob and plain exports, best first, in
# English, French, German and Italian. Compared without case, accents and punctuation. LinkedIn's name is added to a
# service's own headers below. `name` is never guessed: a person's name is not a host name. Nor is
# `personnel_number`: it identifies a person, so the organization decides to have it here.
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
    "subject": ("entra object id", "azure ad object id", "object id", "objectid", "oidc subject", "oidc sub", "sso id"),
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
}
"""`owner` is missing: company accounts need no mandate, so only --map may assign that column."""
MAX_HEADER = 200
"""Maximum characters in the name of a used column, which is remembered."""
FIELDS = ("name", *_HEADERS, "personnel_number")
"""Fields that a column can hold, besides those of an account (`linkedin.profile`, `.name`, `.owner`)."""


@dataclass(frozen=True)
class Columns:
    """Column index of each field."""

    header: tuple[str, ...]
    indexes: Mapping[str, int]
    notes: tuple[str, ...] = ()
    """Notes about columns that no field could use."""

    def name(self, field: str) -> str:
        """Return the name of a field's column in the export, in one line."""
        return " ".join(self.header[self.indexes[field]].split())

    def names(self) -> dict[str, str]:
        """Return field to column name, as remembered."""
        return {field: self.name(field) for field in self.indexes}

    @property
    def unread(self) -> tuple[str, ...]:
        """Columns that no field uses."""
        read = set(self.indexes.values())
        return tuple(
            " ".join(name.split()) or "(no name)" for index, name in enumerate(self.header) if index not in read
        )


def known_headers(remembered: Mapping[str, str], given: Mapping[str, str]) -> frozenset[str]:
    """Return the names of address and name columns, as `plain` gives them: they identify the header row."""
    told = {**remembered, **given}
    names = [told[field] for field in ("email", "name") if told.get(field)] or _HEADERS["email"]
    return frozenset(map(plain, names))


def parse_map(values: Iterable[str]) -> dict[str, str]:
    """Parse `--map FIELD=COLUMN`; an empty column disables the field. Raises InputError."""
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
    """Return the columns of an export: given ones override remembered ones, which replace a guess.

    Raises InputError that names every invalid field or column.
    """
    header = export.header.cells
    guess, notes = _guess(header, services, given) if not remembered else (remembered, ())
    wanted = {field: column for field, column in {**guess, **given}.items() if column}
    known = (*FIELDS, *(f"{service}.{key}" for service in sorted(services) for key in ACCOUNT))
    mistakes, indexes = [], {}
    for field, column in wanted.items():
        found = export.called(column)
        option = f"--map '{field}=COLUMN'"
        is_needed = field in ("email", "name") and not {"email", "name"} <= wanted.keys()
        way_out = "." if is_needed else f", or leave it out with --map {field}="
        if field not in known:
            mistakes.append(f"--map {field}: unknown field; known fields: {', '.join(known)}.")
        elif not found:
            mistakes.append(
                f"{export.path}:{export.header.line}: no column '{column}' for {field}; give its new name with "
                f"{option}{way_out}"
            )
        elif len(found) > 1:
            mistakes.append(
                f"{export.path}:{export.header.line}: {len(found)} columns are named '{column}' ({field}); rename all "
                f"but one, choose another with {option}{way_out}"
            )
        elif len(column) > MAX_HEADER or not " ".join(header[found[0]].split()).isprintable():
            mistakes.append(
                f"{export.path}:{export.header.line}: the name of the column for {field} is too long, or has "
                f"invisible characters; rename it{way_out}"
            )
        else:
            indexes[field] = found[0]
    mistakes += _missing(export, wanted)
    if mistakes:
        raise InputError(listed(mistakes))
    return Columns(header, indexes, tuple(f"{export.path}:{export.header.line}: {note}" for note in notes))


def _missing(export: Export, wanted: Mapping[str, str]) -> list[str]:
    where = f"{export.path}:{export.header.line}"
    columns = ", ".join(name.strip() or "(no name)" for name in export.header.cells[:20])
    mistakes = []
    if "email" not in wanted and "name" not in wanted:
        mistakes.append(
            f"{where}: no column with e-mail addresses was recognized; choose one of {columns}: --map email=COLUMN"
        )
    parts = [f"mandate.{part}" for part in MANDATE]
    missing = [part for part in parts if part not in wanted]
    if 0 < len(missing) < len(parts):
        mistakes.append(f"{where}: a mandate also needs {' and '.join(missing)}; map all of its columns, or none.")
    for field in wanted:
        service, dot, key = field.rpartition(".")
        if dot and service != "mandate" and key in ("name", "owner") and f"{service}.profile" not in wanted:
            mistakes.append(f"{where}: {field} also needs {service}.profile; map both, or neither.")
    return mistakes


def _guess(
    header: tuple[str, ...], services: Collection[str], given: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Return field to column by common headers, and the fields omitted because two columns match."""
    columns = {plain(name): name.strip() for name in reversed(header)}
    often = Counter(name.strip() for name in header)
    usual = dict(_HEADERS)
    for service in services:
        for key, forms in _ACCOUNT_HEADERS.items():
            usual[f"{service}.{key}"] = tuple(form.format(plain(service)) for form in forms)
    guess, taken, notes = {}, set(), []
    for field, names in usual.items():
        there = [name for name in names if name in columns and name not in taken]
        # An address is required, so two address columns are an error and not skipped.
        single = [name for name in there if field == "email" or often[columns[name]] == 1]
        if single:
            guess[field] = columns[single[0]]
            taken.add(single[0])
        elif there and field not in given:
            column = columns[there[0]]
            notes.append(
                f"{often[column]} columns are named '{column}', so {field} is not read; rename one, or choose another "
                f"with --map '{field}=COLUMN'."
            )
    if any(f"mandate.{part}" not in guess for part in MANDATE):
        guess = {field: column for field, column in guess.items() if not field.startswith("mandate.")}
    accounts = {
        field: column
        for field, column in guess.items()
        if field.partition(".")[2] != "name" or f"{field.partition('.')[0]}.profile" in guess
    }
    return accounts, notes
