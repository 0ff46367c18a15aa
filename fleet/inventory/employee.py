"""Employees: Ansible hosts, validated strictly. Every mistake is reported, not only the first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from fleet.authority.countries import HOW_TO_WRITE, country
from fleet.authority.mandates import Mandate
from fleet.authority.waivers import Waiver
from fleet.inventory.source_lines import SourceLines
from fleet.model import SAFE_NAME, Reason
from fleet.recipes.recipe import Recipe
from fleet.validation import Shape, mistakes

_EMAIL = re.compile(r"(?!')[^@\s<>\"]+@[^@\s<>\"']+")
_LOCALE = re.compile(r"[a-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}")
_SUBJECT = re.compile(r"[^\x00-\x20\x7f]{1,255}")
"""At most 255 characters (OpenID Connect Core 1.0, section 2)."""
MAX_LEVELS = 8
"""Nesting of lists and mappings; a mandate's services are two levels deep."""
_JINJA = ("{{", "{%", "{#")
PERSONAL = (
    *("fleet_accounts", "fleet_mandate", "fleet_waivers", "fleet_email"),
    *("fleet_subject", "fleet_personnel_number", "fleet_country"),
)
KNOWN = (*PERSONAL, "fleet_locale", "fleet_rehearsal", "fleet_rehearsal_case")

# A person's identifier at a service: a public id, an e-mail address, or a name with single spaces in it.
Profile = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, pattern=r"^[^\s/\\\x00-\x1f\x7f]+( [^\s/\\\x00-\x1f\x7f]+)*$"),
    Shape(r"^(?!\.\.?$).+$", "a name; . and .. lead to other pages of the service"),
]
DisplayName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Account(BaseModel):
    """One employee at one service. `owner: company` needs no mandate: the account belongs to the organization.

    Without `profile`, the account is visited only under a mandate in which the employee entered theirs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    profile: Profile | None = None
    name: DisplayName | None = None
    owner: Literal["employee", "company"] = "employee"


@dataclass(frozen=True)
class Problem:
    """A mistake in an inventory. `service` is set if only that account is affected; a run records `reason`."""

    employee: str | None
    field: str
    message: str
    source: str
    service: str | None = None
    reason: Reason = Reason.BAD_DATA

    def __str__(self) -> str:
        who = f" {self.employee}:" if self.employee else ""
        return f"{self.source}:{who} {self.field}: {self.message}"


@dataclass(frozen=True)
class Employee:
    """One Ansible host, with its readable variables; `problems` lists the rest."""

    name: str
    email: str | None = None
    locale: str | None = None
    accounts: Mapping[str, Account] = field(default_factory=dict)
    mandate: Mandate | None = None
    waivers: tuple[Waiver, ...] = ()
    subject: str | None = None
    """Identifies the employee at the organization's identity provider."""
    rehearsal_case: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    groups: tuple[str, ...] = ()
    country: str | None = None
    """Where they work, as `FR` or `US-CA` (ISO 3166): decides whether they may be invited to the desk."""

    @property
    def is_name_safe(self) -> bool:
        """True if the name may be passed to Ansible and used in file names."""
        return SAFE_NAME.fullmatch(self.name) is not None

    def with_accounts_at(self, services: Iterable[str]) -> Employee:
        """Return the employee with an account at each of these services, without a profile where it is new."""
        known = {*self.accounts, *(problem.service for problem in self.problems)}
        added = {service: Account() for service in services if service not in known}
        return replace(self, accounts={**self.accounts, **added}) if added else self

    def problem_for(self, service: str | None) -> Problem | None:
        """Return the first problem that prevents a visit to this account (or to any account of the employee)."""
        return next((problem for problem in self.problems if problem.service in (None, service)), None)


def whole(text: str) -> str:
    """Return the text with lone surrogates escaped, so that it can be written anywhere."""
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any, levels: int = MAX_LEVELS) -> Any:
    """Unwrap values that ansible-inventory marks as unsafe; a vaulted value stays unreadable.

    A value nested deeper than any valid one becomes `...`, which no field accepts.
    """
    if isinstance(value, str):
        return whole(value)
    if not isinstance(value, dict | list):
        return value
    if not levels:
        return ...
    if isinstance(value, list):
        return [_plain(item, levels - 1) for item in value]
    if set(value) == {"__ansible_unsafe"}:
        return _plain(value["__ansible_unsafe"], levels - 1)
    return {whole(key): _plain(item, levels - 1) for key, item in value.items()}


def _templates(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, str) and any(mark in value for mark in _JINJA):
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _templates(str(key), path)
            yield from _templates(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _templates(item, f"{path}.{index}")


_WAIVERS = TypeAdapter(tuple[Waiver, ...])


def read_employee(
    name: str,
    variables: dict[str, Any],
    inherited: dict[str, Any],
    services: Mapping[str, Recipe],
    lines: SourceLines,
) -> Employee:
    """Return a host as an employee; only the locale may come from `inherited`, the variables of its groups."""
    own = {whole(key): _plain(value) for key, value in variables.items() if key.startswith("fleet_")}
    problems: list[Problem] = []

    def refuse(path: str, message: str, service: str | None = None, reason: Reason = Reason.BAD_DATA) -> None:
        problems.append(Problem(name, path, message, lines.of_host(name, path), service, reason))

    if not SAFE_NAME.fullmatch(name):
        refuse(
            "inventory_hostname", "not a valid name; use only letters, digits and . _ @ + -, at most 100 characters."
        )
    for key in own:
        if key not in KNOWN:
            refuse(key, f"unknown variable; known variables: {', '.join(KNOWN)}.")
        for path in _templates(own[key], key):
            refuse(path, "contains a Jinja template, which Ansible would run as code; write the plain value.")

    email = own.get("fleet_email")
    if email is not None and not (isinstance(email, str) and _EMAIL.fullmatch(email)):
        refuse("fleet_email", "not an e-mail address.")
        email = None
    locale = own.get("fleet_locale", inherited.get("fleet_locale"))
    if locale is not None and not (isinstance(locale, str) and _LOCALE.fullmatch(locale)):
        refuse(
            "fleet_locale",
            "not a language code such as fr or pt-BR; in YAML, put it in quotes (an unquoted no is false).",
        )
        locale = None

    subject = own.get("fleet_subject")
    if subject is not None and not (isinstance(subject, str) and _SUBJECT.fullmatch(subject)):
        refuse("fleet_subject", "not the identifier that the identity provider sends; in YAML, put it in quotes.")
        subject = None

    where = own.get("fleet_country")
    try:
        where = None if where is None else country(where)
    except ValueError:
        refuse("fleet_country", f"{HOW_TO_WRITE}.")
        where = None

    number = own.get("fleet_personnel_number")
    if number is not None and not (isinstance(number, str) and _SUBJECT.fullmatch(number)):
        refuse("fleet_personnel_number", "not a personnel number without spaces; in YAML, put it in quotes.")

    accounts = _read_accounts(own.get("fleet_accounts"), services, refuse)
    mandate = None
    if "fleet_mandate" in own:
        try:
            mandate = Mandate.model_validate(own["fleet_mandate"])
        except ValidationError as error:
            _refuse_each(error, "fleet_mandate", refuse)
    waivers: tuple[Waiver, ...] = ()
    if "fleet_waivers" in own:
        try:
            waivers = _WAIVERS.validate_python(own["fleet_waivers"], strict=False)
        except ValidationError as error:
            _refuse_each(error, "fleet_waivers", refuse)
    case = own.get("fleet_rehearsal_case", {})
    if not isinstance(case, dict) or not all(isinstance(name, str) for name in case.values()):
        refuse("fleet_rehearsal_case", "must map services to cases, such as {linkedin: switched_on}.")
        case = {}
    return Employee(name, email, locale, accounts, mandate, waivers, subject, case, tuple(problems), country=where)


def _read_accounts(data: Any, services: Mapping[str, Recipe], refuse: Any) -> dict[str, Account]:
    if data is None:
        return {}
    if not isinstance(data, dict):
        refuse("fleet_accounts", "must map services to accounts, such as {linkedin: {profile: anna-keller}}.")
        return {}
    accounts = {}
    for service, value in data.items():
        path = f"fleet_accounts.{service}"
        if service not in services:
            known = ", ".join(sorted(services))
            refuse(
                path,
                f"unknown service; recipes (--recipes) exist for {known}.",
                service,
                Reason.UNKNOWN_SERVICE,
            )
            continue
        try:
            account = Account.model_validate(value)
        except ValidationError as error:
            _refuse_each(error, path, refuse, service)
            continue
        if account.profile is None and account.owner == "company":
            refuse(f"{path}.profile", "missing; nobody else can enter that of an account of the organization.", service)
            continue
        fault = services[service].fault_of_profile(account.profile) if account.profile is not None else None
        if fault is not None:
            form = services[service].profile
            fix = f"copy it from the profile's address, such as {form.example}" if form else "write the employee's own"
            refuse(f"{path}.profile", f"{fault}; {fix}.", service)
            continue
        if account.owner == "company" and services[service].accounts == "personal":
            name = services[service].name
            what = f"by {name}'s terms, accounts belong to their members; remove owner, and add a mandate."
            refuse(f"{path}.owner", what, service)
            continue
        accounts[service] = account
    return accounts


def _refuse_each(error: ValidationError, path: str, refuse: Any, service: str | None = None) -> None:
    for location, what in mistakes(error):
        refuse(".".join([path, *(str(step) for step in location)]), f"{what}.", service)
