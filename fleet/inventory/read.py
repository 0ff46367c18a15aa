"""Reads employees from any Ansible inventory, with Ansible itself, once, in a subprocess.

`--export` keeps each host's own variables apart from its groups'. Authority (accounts, mandate, waivers) is read from
the host's own variables only: a line in a group's variables must never grant authority for everyone.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fleet.environment import ansible_inventory, inventory_environment
from fleet.errors import FleetError, InputError
from fleet.inventory.ansible_messages import first_cause, warnings_of
from fleet.inventory.employee import PERSONAL, Employee, Problem, read_employee, whole
from fleet.inventory.source_lines import SourceLines
from fleet.paths import ansible_content
from fleet.recipes.recipe import Recipe

ServicesFor = Callable[[bool], Mapping[str, Recipe]]
"""Returns all services with their recipes, given whether the inventory is marked as a rehearsal."""


@dataclass(frozen=True)
class Inventory:
    """All employees of the given sources, in Ansible's order."""

    sources: tuple[str, ...]
    employees: tuple[Employee, ...]
    rehearsal: bool
    digest: str
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    """Entries in a source that have no effect, such as directory entries that were left out."""
    remarks: tuple[str, ...] = ()
    """Other warnings from Ansible; they need not be mistakes."""
    places: tuple[str, ...] = ()
    """The sources' absolute paths with links resolved, however they were given."""
    total: int | None = None
    """Number of employees in the sources, even if only some are selected; None if read with a limit."""

    @property
    def sources_digest(self) -> str:
        """SHA-256 of the sources' places, to compare the sources of two runs."""
        return hashlib.sha256("\0".join(self.places or self.sources).encode()).hexdigest()

    def is_of(self, sources_digest: str) -> bool:
        """Return True if a run with this digest had the same sources. Older logs have a digest of the given paths."""
        spelled = hashlib.sha256("\0".join(self.sources).encode()).hexdigest()
        return sources_digest in (self.sources_digest, spelled)

    def only(self, names: Collection[str]) -> Inventory:
        """Return the same inventory with only these employees."""
        wanted = frozenset(names)
        return self.having(employee for employee in self.employees if employee.name in wanted)

    def having(self, employees: Iterable[Employee]) -> Inventory:
        """Return the same inventory with its employees replaced."""
        return replace(self, employees=tuple(employees))

    def require_own_state(self, *, is_rehearsal: bool) -> None:
        """Require that inventory and state are both of a rehearsal, or both live.

        Otherwise no person in the inventory would be known to the state. Raises InputError.
        """
        names = ", ".join(self.sources)
        if self.rehearsal and not is_rehearsal:
            raise InputError(f"{names} is marked fleet_rehearsal, but this is the state of live runs; add --rehearsal.")
        if is_rehearsal and not self.rehearsal:
            raise InputError(
                f"{names} is not marked fleet_rehearsal, so no rehearsal has visited its employees; omit --rehearsal."
            )

    def all_problems(self) -> Iterator[Problem]:
        """Yield problems of groups first, then of each employee."""
        yield from self.problems
        for employee in self.employees:
            yield from employee.problems


def read_inventory(
    sources: Sequence[str],
    services: ServicesFor,
    limit: str | None = None,
    ansible_python: str = sys.executable,
    cwd: Path | None = None,
) -> Inventory:
    """Read `sources` (files, directories, scripts, plugins: anything `ansible -i` accepts).

    `services` is called once it is known whether this is a rehearsal. `ansible_python` is the interpreter that has
    Ansible; the caller's environment, ansible.cfg and `cwd` apply as for ansible-playbook.

    Raises InputError if a source is missing, cannot be parsed, or contains no employee (after `limit`).
    """
    if not sources:
        raise InputError("No inventory given; pass one with -i, or set it in fleet.yml (inventory: staff.yml).")
    listing, losses, remarks = _list_hosts(sources, limit, ansible_python, cwd)
    inventory = inventory_of(listing, sources, services, limit, cwd)
    if limit is None:  # with a limit, other employees' accounts are unknown
        losses += tuple(map(str, _lost_accounts(inventory, cwd)))
    return replace(inventory, warnings=losses, remarks=remarks)


def inventory_of(
    listing: dict[str, Any],
    sources: Sequence[str],
    services: ServicesFor,
    limit: str | None = None,
    cwd: Path | None = None,
) -> Inventory:
    """Return the employees in the output of `ansible-inventory --list --export` for `sources`.

    Raises InputError if it has no employees.
    """
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
            f"is set on group '{name}' and has no effect; set it on each employee's own host entry.",
            lines.of_group(name, variable),
        )
        for name, group in groups.items()
        for variable in PERSONAL
        if variable in group.get("vars", {})
    ]
    own = [hostvars.get(name, {}) for name in names]
    shared = [group.get("vars", {}) for group in groups.values()]
    rehearsal = any(variables.get("fleet_rehearsal") not in (None, False) for variables in (*own, *shared))
    known = services(rehearsal)
    parents = _parents_first(groups)
    employees = []
    for name in names:
        inherited: dict[str, Any] = {}
        own_groups = {"all"} | _ancestors(groups, members.get(name, []))
        for parent in parents:
            if parent in own_groups:
                inherited |= groups[parent].get("vars", {})
        employee = read_employee(whole(name), hostvars.get(name, {}), inherited, known, lines)
        employees.append(replace(employee, groups=tuple(sorted(map(whole, own_groups - {"all", "ungrouped"})))))
    # The digest identifies this run's input, so that a report can name the inventory it belongs to.
    canonical = json.dumps({"hosts": hostvars, "groups": groups}, sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
    return Inventory(
        tuple(map(whole, sources)),
        tuple(employees),
        rehearsal,
        digest,
        tuple(problems),
        places=tuple(whole(_place(source, cwd or Path.cwd())) for source in sources),
        total=None if limit else len(employees),
    )


def _place(source: str, cwd: Path) -> str:
    """Return a source as an absolute path; a list of hosts is returned as it is."""
    return source if "," in source else str((cwd / source).resolve())


def list_source(source: Path, *, is_exported: bool) -> dict[str, Any]:
    """Return Ansible's own listing of one source; with `is_exported`, group variables separate from host variables.

    Raises InputError if Ansible cannot read it.
    """
    listing, _, _ = _list_hosts([str(source)], None, sys.executable, None, is_exported=is_exported)
    return listing


def _list_hosts(
    sources: Sequence[str], limit: str | None, ansible_python: str, cwd: Path | None, *, is_exported: bool = True
) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """Return the output of ansible-inventory and its warnings: losses, and all others."""
    command = [*ansible_inventory(ansible_python), "--list", *(["--export"] if is_exported else [])]
    # Plugins next to the play apply as they do for ansible-playbook: ours are there.
    command.append(f"--playbook-dir={ansible_content() / 'playbooks'}")
    command += [f"--inventory={source}" for source in sources]  # with `=`, a source is never parsed as an option
    if limit is not None and not limit.strip():
        raise InputError("--limit is empty, which would select everyone; name employees or groups, or omit it.")
    if limit:
        command.append(f"--limit={limit}")
    environment = inventory_environment()
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
            cwd=cwd,
            check=False,
        )
    except OSError as error:
        raise FleetError(f"Ansible cannot be started with {ansible_python}: {error.strerror}.") from None
    if done.returncode != 0:
        raise InputError(first_cause(done.stderr, sources, limit, cwd))
    try:
        listing: dict[str, Any] = json.loads(done.stdout)
    except (ValueError, RecursionError):
        raise FleetError("ansible-inventory did not print JSON; run it by hand to see its output.") from None
    return listing, *warnings_of(done.stderr)


def _lost_accounts(inventory: Inventory, cwd: Path | None) -> Iterator[Problem]:
    """Yield accounts given to an employee in one place and lost to a later one: in Ansible the last one wins.

    Sources that name each employee's accounts only once, the usual case, are not parsed for this.
    """
    lines = SourceLines(inventory.sources, cwd)
    if lines.mentions("fleet_accounts") <= sum(bool(employee.accounts) for employee in inventory.employees):
        return
    for employee in inventory.employees:
        places = lines.values_of(employee.name, "fleet_accounts")
        for where, accounts in places if any(value != places[0][1] for _, value in places) else ():
            for service, account in accounts.items() if isinstance(accounts, dict) else ():
                kept = employee.accounts.get(service)
                profile = account.get("profile") if isinstance(account, dict) else None
                if isinstance(profile, str) and (kept is None or kept.profile != profile):
                    message = f"{profile} is ignored: another entry sets other accounts for {employee.name}; keep one."
                    yield Problem(employee.name, f"fleet_accounts.{service}", message, where)


def _parents_first(groups: Mapping[str, Any]) -> list[str]:
    """Return group names by depth below `all`, then by name: the order in which later ones win in Ansible."""
    depth = dict.fromkeys(groups, 0)
    for _ in groups:  # a chain of groups is at most as long as the number of groups
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


def gaps_in_mandates(inventory: Inventory, cwd: Path | None = None) -> Iterator[Problem]:
    """Yield accounts that a run would skip because the mandate names someone else or lacks the service.

    `cwd` is where the inventory was read.

    These do not stop a run; `fleet inventory check` lists them so that they are seen before one.
    """
    lines = SourceLines(inventory.sources, cwd)
    for employee in inventory.employees:
        yield from gaps_in_mandate(employee, lines)


def gaps_in_mandate(employee: Employee, lines: SourceLines) -> Iterator[Problem]:
    """Yield the same for one employee; nothing without a mandate."""
    mandate = employee.mandate
    if mandate is None:
        return
    if mandate.employee != employee.name:
        message = f"names {mandate.employee}, so it has no effect for {employee.name}."
        path = "fleet_mandate.employee"
        yield Problem(employee.name, path, message, lines.of_host(employee.name, path))
    for service, account in employee.accounts.items():
        if service not in mandate.services and account.owner == "employee":
            message = f"does not include {service}, where {employee.name} has an account."
            path = "fleet_mandate.services"
            yield Problem(employee.name, path, message, lines.of_host(employee.name, path))
