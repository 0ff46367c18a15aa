"""Employees, read from any Ansible inventory by Ansible itself, once, in a subprocess.

`--export` keeps each host's own variables apart from its groups'. Authority (accounts, mandate, waivers) is taken
from the host's own variables alone: a line among a group's variables must never open the gate for everyone.
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
"""The services that there are, each with its recipe; given whether it is a rehearsal, as the inventory says."""


@dataclass(frozen=True)
class Inventory:
    """All employees of the given sources, in Ansible's order."""

    sources: tuple[str, ...]
    employees: tuple[Employee, ...]
    rehearsal: bool
    digest: str
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    """What stands in a source and is not in force, such as people of a directory who are left out."""
    remarks: tuple[str, ...] = ()
    """What else Ansible warned of; it need not be a mistake."""
    places: tuple[str, ...] = ()
    """The sources as they are, however they were given: whole paths without links."""
    total: int | None = None
    """Everybody that the sources name, also if only some of them are meant; None if they were read with a limit."""

    @property
    def sources_digest(self) -> str:
        """Names the sources, so that two runs over the same ones can be compared."""
        return hashlib.sha256("\0".join(self.places or self.sources).encode()).hexdigest()

    def is_of(self, sources_digest: str) -> bool:
        """True if a run with this digest had the same sources. Older logs have a digest of how they were spelled."""
        spelled = hashlib.sha256("\0".join(self.sources).encode()).hexdigest()
        return sources_digest in (self.sources_digest, spelled)

    def only(self, names: Collection[str]) -> Inventory:
        """The same inventory with these employees alone."""
        wanted = frozenset(names)
        return self.having(employee for employee in self.employees if employee.name in wanted)

    def having(self, employees: Iterable[Employee]) -> Inventory:
        """The same inventory with these employees in place of its own."""
        return replace(self, employees=tuple(employees))

    def require_own_state(self, *, is_rehearsal: bool) -> None:
        """Rehearsed people and real ones are known to different states: beside the other's inventory nobody would be.

        Raises InputError.
        """
        names = ", ".join(self.sources)
        if self.rehearsal and not is_rehearsal:
            raise InputError(
                f"{names} is marked fleet_rehearsal, and this is the state of the real runs; add --rehearsal."
            )
        if is_rehearsal and not self.rehearsal:
            raise InputError(
                f"{names} is not marked fleet_rehearsal, so no rehearsal has met its people; leave --rehearsal out."
            )

    def all_problems(self) -> Iterator[Problem]:
        """Problems of groups first, then of each employee."""
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
    """Read `sources` (files, directories, scripts, plugins: what `ansible -i` takes).

    `services` is asked once it is known whether this is a rehearsal. `ansible_python` is the interpreter that has
    Ansible; the caller's environment, ansible.cfg and `cwd` count, as they would for ansible-playbook.

    Raises InputError if a source is missing, cannot be parsed, or holds no employee (after `limit`).
    """
    if not sources:
        raise InputError("No inventory given; pass one with -i, or name it in fleet.yml (inventory: staff.yml).")
    listing, losses, remarks = _list_hosts(sources, limit, ansible_python, cwd)
    inventory = inventory_of(listing, sources, services, limit, cwd)
    if limit is None:  # with a limit, accounts of others are not known
        losses += tuple(map(str, _lost_accounts(inventory, cwd)))
    return replace(inventory, warnings=losses, remarks=remarks)


def inventory_of(
    listing: dict[str, Any],
    sources: Sequence[str],
    services: ServicesFor,
    limit: str | None = None,
    cwd: Path | None = None,
) -> Inventory:
    """The employees in what `ansible-inventory --list --export` has printed of `sources`.

    Raises InputError if there is none.
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
            f"stands among the variables of group '{name}' and opens nothing: it is personal, move it to the employee.",
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
    # The digest names what this run was given, so that a report can say which inventory it belongs to.
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
    """A source as a whole path; a list of hosts is what it is."""
    return source if "," in source else str((cwd / source).resolve())


def list_source(source: Path, *, is_exported: bool) -> dict[str, Any]:
    """Ansible's own listing of one source; with `is_exported`, groups' variables apart from their hosts'.

    Raises InputError if Ansible cannot read it.
    """
    listing, _, _ = _list_hosts([str(source)], None, sys.executable, None, is_exported=is_exported)
    return listing


def _list_hosts(
    sources: Sequence[str], limit: str | None, ansible_python: str, cwd: Path | None, *, is_exported: bool = True
) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """The answer of ansible-inventory, and what it warned of: losses, and all else."""
    command = [*ansible_inventory(ansible_python), "--list", *(["--export"] if is_exported else [])]
    # So that what lies beside the play counts as it does for ansible-playbook: our inventory plugins do.
    command.append(f"--playbook-dir={ansible_content() / 'playbooks'}")
    command += [f"--inventory={source}" for source in sources]  # with the sign: never options of their own
    if limit is not None and not limit.strip():
        raise InputError("--limit is empty, which would mean everybody; name somebody, or leave it out.")
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
        raise FleetError("ansible-inventory did not answer with JSON; run it by hand to see what it prints.") from None
    return listing, *warnings_of(done.stderr)


def _lost_accounts(inventory: Inventory, cwd: Path | None) -> Iterator[Problem]:
    """Accounts that one place gives an employee and a later one takes away: Ansible lets the last one win.

    Sources that name each employee's accounts but once, as they mostly do, are not parsed for it.
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
                    message = (
                        f"{profile} is lost: another place gives {employee.name} other accounts; keep one of them."
                    )
                    yield Problem(employee.name, f"fleet_accounts.{service}", message, where)


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


def gaps_in_mandates(inventory: Inventory, cwd: Path | None = None) -> Iterator[Problem]:
    """Accounts that a run would leave alone because the mandate names somebody else or misses the service.

    `cwd` is where the inventory was read.

    These stop nothing and nobody; `fleet inventory check` names them so that they are seen before a run.
    """
    lines = SourceLines(inventory.sources, cwd)
    for employee in inventory.employees:
        yield from gaps_in_mandate(employee, lines)


def gaps_in_mandate(employee: Employee, lines: SourceLines) -> Iterator[Problem]:
    """The same for one employee; none without a mandate."""
    mandate = employee.mandate
    if mandate is None:
        return
    if mandate.employee != employee.name:
        message = f"names {mandate.employee}, so it opens nothing for {employee.name}."
        path = "fleet_mandate.employee"
        yield Problem(employee.name, path, message, lines.of_host(employee.name, path))
    for service, account in employee.accounts.items():
        if service not in mandate.services and account.owner == "employee":
            message = f"misses {service}, at which {employee.name} has an account."
            path = "fleet_mandate.services"
            yield Problem(employee.name, path, message, lines.of_host(employee.name, path))
