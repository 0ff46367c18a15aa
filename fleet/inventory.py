"""Employees, read from any Ansible inventory by Ansible itself, once, in a subprocess.

`--export` keeps each host's own variables apart from its groups'. Authority (accounts, mandate, waivers) is taken
from the host's own variables alone: a line among a group's variables must never open the gate for everyone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from fleet.errors import FleetError, InputError
from fleet.mandates import Mandate
from fleet.model import Reason
from fleet.sourcelines import SourceLines
from fleet.waivers import Waiver

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
"""An employee's name is a host name to Ansible, and part of file names here."""

_EMAIL = re.compile(r"[^@\s<>\"']+@[^@\s<>\"']+")
_LOCALE = re.compile(r"[a-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
_JINJA = ("{{", "{%", "{#")
PERSONAL = ("fleet_accounts", "fleet_mandate", "fleet_waivers", "fleet_email")
KNOWN = (*PERSONAL, "fleet_locale", "fleet_rehearsal", "fleet_rehearsal_case")

# What a service calls a person: a public id, an e-mail address, or a name with single spaces in it.
Profile = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\s/\\\x00-\x1f\x7f]+( [^\s/\\\x00-\x1f\x7f]+)*$")
]
DisplayName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Account(BaseModel):
    """One employee at one service. `owner: company` needs no mandate: the account is the organisation's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    profile: Profile
    name: DisplayName | None = None
    owner: Literal["employee", "company"] = "employee"


@dataclass(frozen=True)
class Problem:
    """A mistake in an inventory. `service` is set where only that account suffers, `reason` is what a run records."""

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
    """One Ansible host, with what was readable of it; `problems` says what was not."""

    name: str
    email: str | None = None
    locale: str | None = None
    accounts: Mapping[str, Account] = field(default_factory=dict)
    mandate: Mandate | None = None
    waivers: tuple[Waiver, ...] = ()
    rehearsal_case: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def is_name_safe(self) -> bool:
        """True if the name may be given to Ansible and used in file names."""
        return SAFE_NAME.fullmatch(self.name) is not None

    def problem_for(self, service: str | None) -> Problem | None:
        """The first problem that keeps this account (or the whole employee) from being visited."""
        return next((problem for problem in self.problems if problem.service in (None, service)), None)


@dataclass(frozen=True)
class Inventory:
    """All employees of the given sources, in Ansible's order."""

    sources: tuple[str, ...]
    employees: tuple[Employee, ...]
    rehearsal: bool
    digest: str
    problems: tuple[Problem, ...] = ()

    def only(self, names: Collection[str]) -> Inventory:
        """The same inventory with these employees alone."""
        wanted = frozenset(names)
        return replace(self, employees=tuple(employee for employee in self.employees if employee.name in wanted))

    def all_problems(self) -> Iterator[Problem]:
        """Problems of groups first, then of each employee."""
        yield from self.problems
        for employee in self.employees:
            yield from employee.problems


def read_inventory(
    sources: Sequence[str],
    services: Mapping[str, frozenset[str]],
    limit: str | None = None,
    ansible_python: str = sys.executable,
    cwd: Path | None = None,
) -> Inventory:
    """Read `sources` (files, directories, scripts, plugins: what `ansible -i` takes).

    `services` maps each known service to its controls. `ansible_python` is the interpreter that has Ansible;
    the caller's environment, ansible.cfg and `cwd` count, as they would for ansible-playbook.

    Raises InputError if a source is missing, cannot be parsed, or holds no employee (after `limit`).
    """
    if not sources:
        raise InputError("No inventory given; pass one with -i, such as: -i inventory.example.yml")
    listing = _list_hosts(sources, limit, ansible_python, cwd)
    hostvars: dict[str, dict[str, Any]] = listing.pop("_meta", {}).get("hostvars", {})
    groups = {name: group for name, group in listing.items() if isinstance(group, dict)}
    members: dict[str, list[str]] = {}
    for name, group in groups.items():
        for host in group.get("hosts", ()):
            members.setdefault(host, []).append(name)
    names = [name for name in dict.fromkeys([*hostvars, *members]) if name not in ("localhost", "127.0.0.1")]
    if not names:
        where = f" that match --limit {limit}" if limit else ""
        raise InputError(f"{', '.join(sources)}: no employees{where}; an inventory lists them as hosts.")

    lines = SourceLines(sources, cwd)
    problems = [
        Problem(
            None,
            variable,
            f"stands among the variables of group '{name}' and opens nothing: it is personal, move it to the employee.",
            lines.of_group(name, variable),
        )
        for name, group in groups.items()
        for variable in PERSONAL
        if variable in group.get("vars", {})
    ]
    parents = _parents_first(groups)
    employees = []
    for name in names:
        inherited: dict[str, Any] = {}
        own_groups = {"all"} | _ancestors(groups, members.get(name, []))
        for parent in parents:
            if parent in own_groups:
                inherited |= groups[parent].get("vars", {})
        employees.append(_read_employee(name, hostvars.get(name, {}), inherited, services, lines))
    own = [hostvars.get(name, {}) for name in names]
    shared = [group.get("vars", {}) for group in groups.values()]
    rehearsal = any(variables.get("fleet_rehearsal") not in (None, False) for variables in (*own, *shared))
    # The digest names what this run was given, so that a report can say which inventory it belongs to.
    canonical = json.dumps({"hosts": hostvars, "groups": groups}, sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
    return Inventory(tuple(sources), tuple(employees), rehearsal, digest, tuple(problems))


def _list_hosts(sources: Sequence[str], limit: str | None, ansible_python: str, cwd: Path | None) -> dict[str, Any]:
    command = [ansible_python, "-m", "ansible", "inventory", "--list", "--export"]
    for source in sources:
        command += ["-i", source]
    if limit:
        command += ["--limit", limit]
    environment = os.environ | {
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        "ANSIBLE_DUPLICATE_YAML_DICT_KEY": "error",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
    }
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd, check=False)
    except OSError as error:
        raise FleetError(f"Ansible cannot be started with {ansible_python}: {error.strerror}.") from None
    if done.returncode != 0:
        raise InputError(_first_cause(done.stderr, sources, cwd))
    try:
        listing: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise FleetError("ansible-inventory did not answer with JSON; run it by hand to see what it prints.") from None
    return listing


def _first_cause(stderr: str, sources: Sequence[str], cwd: Path | None) -> str:
    """One sentence from what ansible-inventory printed: file, line, cause."""
    for source in sources:
        if "," not in source and not ((cwd or Path.cwd()) / source).exists():
            return f"{source}: there is no such inventory; mend the path given with -i."
    dates = list(SourceLines(sources, cwd).impossible_dates())
    if dates:
        return "\n".join(f"{date}; write it as YYYY-MM-DD." for date in dates)
    cause = re.search(r"YAML parsing failed: (.+)", stderr)
    origin = re.search(r"Origin: (/\S+?:\d+)(?::\d+)?$", stderr, re.MULTILINE)
    if cause:
        where = origin.group(1) if origin else ", ".join(sources)
        return f"{where}: {cause.group(1).rstrip('.')}; mend the YAML."
    if "ModuleNotFoundError" in stderr or "No module named ansible" in stderr:
        return "Ansible is not installed beside fleet; install ansible-core there."
    last = [line for line in stderr.splitlines() if line.startswith("[ERROR]")] or stderr.splitlines()[-1:]
    return f"{', '.join(sources)} cannot be read by Ansible: {(last or ['no reason given'])[0]}"


def _parents_first(groups: Mapping[str, Any]) -> list[str]:
    """Group names by depth below `all`, then name: the order in which Ansible lets later ones win."""
    depth = dict.fromkeys(groups, 0)
    for _ in groups:  # a chain of groups is at most as long as there are groups
        changed = False
        for name, group in groups.items():
            for child in group.get("children", ()):
                if child in depth and depth[child] <= depth[name]:
                    depth[child], changed = depth[name] + 1, True
        if not changed:
            break
    return sorted(groups, key=lambda name: (depth[name], name))


def _ancestors(groups: Mapping[str, Any], names: list[str]) -> set[str]:
    found = set(names)
    while True:
        more = {name for name, group in groups.items() if found & set(group.get("children", ()))} - found
        if not more:
            return found
        found |= more


def _plain(value: Any) -> Any:
    """Undo the wrapping that ansible-inventory gives to values marked unsafe; a vaulted value stays unreadable."""
    if isinstance(value, dict):
        if set(value) == {"__ansible_unsafe"}:
            return value["__ansible_unsafe"]
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


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


def _read_employee(
    name: str,
    variables: dict[str, Any],
    inherited: dict[str, Any],
    services: Mapping[str, frozenset[str]],
    lines: SourceLines,
) -> Employee:
    own = {key: _plain(value) for key, value in variables.items() if key.startswith("fleet_")}
    problems: list[Problem] = []

    def refuse(path: str, message: str, service: str | None = None, reason: Reason = Reason.BAD_DATA) -> None:
        problems.append(Problem(name, path, message, lines.of_host(name, path), service, reason))

    if not SAFE_NAME.fullmatch(name):
        refuse("inventory_hostname", "not a safe name; use letters, digits and . _ @ + - only, at most 100.")
    for key in own:
        if key not in KNOWN:
            refuse(key, f"unknown variable; known are {', '.join(KNOWN)}.")
        for path in _templates(own[key], key):
            refuse(path, "holds a Jinja template, which Ansible would run as code; write the value itself.")

    email = own.get("fleet_email")
    if email is not None and not (isinstance(email, str) and _EMAIL.fullmatch(email)):
        refuse("fleet_email", "not an e-mail address.")
        email = None
    locale = own.get("fleet_locale", inherited.get("fleet_locale"))
    if locale is not None and not (isinstance(locale, str) and _LOCALE.fullmatch(locale)):
        refuse("fleet_locale", "not a language such as fr or pt-BR, in quotes ('no' is Norwegian only in quotes).")
        locale = None

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
    if not isinstance(case, dict):
        refuse("fleet_rehearsal_case", "must map services to cases, such as {linkedin: switched_on}.")
        case = {}
    return Employee(name, email, locale, accounts, mandate, waivers, case, tuple(problems))


def _read_accounts(data: Any, services: Mapping[str, frozenset[str]], refuse: Any) -> dict[str, Account]:
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
            refuse(path, f"unknown service; recipes exist for {known}.", service, Reason.UNKNOWN_SERVICE)
            continue
        try:
            accounts[service] = Account.model_validate(value)
        except ValidationError as error:
            _refuse_each(error, path, refuse, service)
    return accounts


def _refuse_each(error: ValidationError, path: str, refuse: Any, service: str | None = None) -> None:
    for mistake in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join([path, *(str(step) for step in mistake["loc"])])
        message = {
            "missing": "missing; add it.",
            "extra_forbidden": "unknown key; remove it or mend its spelling.",
            "string_type": "must be text; put it in quotes.",
            "string_pattern_mismatch": "holds characters that are not allowed here.",
        }.get(mistake["type"], mistake["msg"].removeprefix("Value error, ") + ".")
        refuse(where, message, service)


def gaps_in_mandates(inventory: Inventory) -> Iterator[Problem]:
    """Accounts that a run would leave alone because the mandate names somebody else or misses the service.

    These stop nothing and nobody; `fleet inventory check` names them so that they are seen before a run.
    """
    lines = SourceLines(inventory.sources)
    for employee in inventory.employees:
        mandate = employee.mandate
        if mandate is None:
            continue
        if mandate.employee != employee.name:
            message = f"names {mandate.employee}, so it opens nothing for {employee.name}."
            path = "fleet_mandate.employee"
            yield Problem(employee.name, path, message, lines.of_host(employee.name, path))
        for service, account in employee.accounts.items():
            if service not in mandate.services and account.owner == "employee":
                message = f"misses {service}, at which {employee.name} has an account."
                path = "fleet_mandate.services"
                yield Problem(employee.name, path, message, lines.of_host(employee.name, path))
