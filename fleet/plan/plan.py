"""The plan of a run: which controls of which employees, decided before the first visit."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from fleet.browser.network import Network
from fleet.errors import InputError
from fleet.inventory.employee import Employee
from fleet.inventory.read import Inventory, ServicesFor, read_inventory
from fleet.model import SERVICE_NAME
from fleet.plan.pace import check_paces
from fleet.recipes.catalog import Catalog, load_catalog
from fleet.recipes.recipe import Recipe
from fleet.settings.resolve import Settings

Planned = tuple[str, str | None, str | None]
"""Employee, service, control."""

MAX_UNKNOWN = 20
"""Services without a recipe named per employee: each employee's plan must fit into a record."""


@dataclass(frozen=True)
class RunSpec:
    """Everything the agent needs to know about a run; passed to the agent as JSON over a pipe."""

    run_id: str
    check: bool
    inventory: Inventory
    settings: Settings
    claimed_operator: str | None = None
    resumes: str | None = None
    """The run that this one resumes."""
    only: frozenset[Planned] | None = None
    """Only these are planned; None for everything that inventory and filters select."""
    attended: bool = False
    """Whether the employees are at the desk (`fleet attend`)."""
    recipes_sha256: dict[str, str] | None = None
    """Digest by service of the recipe used for planning; None where the agent itself makes the plan."""


@dataclass(frozen=True)
class PlannedAccount:
    """One employee at one service. `recipe` is None if that service has none.

    `service` is None if the inventory gives no name that the log may hold: free text never gets there.
    """

    employee: Employee
    service: str | None
    recipe: Recipe | None
    controls: tuple[str | None, ...]


def new_run_id() -> str:
    """Return a new run id, sortable by time and safe as a file name."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def claimed_operator(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the operator according to sudo or AWX, at most 200 characters; the uid is recorded beside it."""
    name = environ.get("AWX_USER_NAME") or environ.get("TOWER_USER_NAME") or environ.get("SUDO_USER")
    return name[:200].encode("utf-8", "replace").decode() if name else None


def catalog_for(settings: Settings, *, rehearsal: bool) -> Catalog:
    """Return the recipes of a run: the catalog, the organization's own, and for rehearsals those of rehearsals."""
    return load_catalog(settings.recipes, rehearsal=rehearsal)


def services_for(settings: Settings) -> ServicesFor:
    """Return the services with their recipes, for reading an inventory; rehearsal services only in a rehearsal."""
    return lambda rehearsal: catalog_for(settings, rehearsal=rehearsal).recipes


def read_people(
    settings: Settings, limit: str | None = None, ansible_python: str = sys.executable, cwd: Path | None = None
) -> tuple[Inventory, Catalog]:
    """Return the inventory named in the settings and the recipes for it.

    Raises InputError as `read_inventory` and `load_catalog` do.
    """
    catalogs: dict[bool, Catalog] = {}

    def services(rehearsal: bool) -> Mapping[str, Recipe]:
        catalogs[rehearsal] = catalog_for(settings, rehearsal=rehearsal)
        return catalogs[rehearsal].recipes

    inventory = read_inventory(settings.inventory, services, limit, ansible_python, cwd)
    catalog = catalogs[inventory.rehearsal]
    for service in settings.everybody:
        if catalog.get(service) is None:
            known = ", ".join(sorted(catalog.recipes))
            raise InputError(f"everybody: {service} has no recipe; known services: {known}.")
    everybody = [employee.with_accounts_at(settings.everybody) for employee in inventory.employees]
    return inventory.having(everybody), catalog


def check_filters(settings: Settings, catalog: Catalog) -> None:
    """Refuse --service and --control values unknown to all recipes, and invalid paces. Raises InputError."""
    check_paces(settings, catalog)
    for service in settings.services:
        if catalog.get(service) is None:
            raise InputError(f"--service {service}: no recipe; known services: {', '.join(sorted(catalog.recipes))}.")
    known = {f"{recipe.service}.{control}" for recipe in catalog for control in recipe.entries}
    for control in settings.controls:
        if control not in known and not any(name.endswith(f".{control}") for name in known):
            raise InputError(f"--control {control}: no recipe has it; known controls: {', '.join(sorted(known))}.")


def plan_accounts(employee: Employee, settings: Settings, catalog: Catalog) -> Iterator[PlannedAccount]:
    """Return what is planned for one employee, in the inventory's order, with filters applied.

    Bad data is planned too, with service or control None where unreadable: it must be recorded in the log.
    """
    given = [*employee.accounts, *(problem.service for problem in employee.problems if problem.service is not None)]
    unknown = [service for service in given if SERVICE_NAME.fullmatch(service) and catalog.get(service) is None]
    nameable = {*catalog.recipes, *unknown[:MAX_UNKNOWN]}
    # Services that cannot be named share one entry: the log could not tell them apart.
    services = dict.fromkeys(service if service in nameable else None for service in given)
    if not services and employee.problems:
        yield PlannedAccount(employee, None, None, (None,))
    for service in services:
        if settings.services and service not in settings.services:
            continue
        recipe = catalog.get(service) if service else None
        if recipe is None:
            yield PlannedAccount(employee, service, None, (None,))
            continue
        wanted = settings.controls
        controls = tuple(
            name for name in recipe.entries if not wanted or name in wanted or f"{service}.{name}" in wanted
        )
        if controls:
            yield PlannedAccount(employee, service, recipe, controls)


def planned_accounts(spec: RunSpec, catalog: Catalog) -> dict[str, list[PlannedAccount]]:
    """Return the whole plan of a run by employee, in the inventory's order."""
    return {
        employee.name: [
            account
            for planned in plan_accounts(employee, spec.settings, catalog)
            if (account := _narrowed(planned, spec.only)) is not None
        ]
        for employee in spec.inventory.employees
    }


def _narrowed(account: PlannedAccount, only: frozenset[Planned] | None) -> PlannedAccount | None:
    if only is None:
        return account
    controls = tuple(
        control for control in account.controls if (account.employee.name, account.service, control) in only
    )
    return replace(account, controls=controls) if controls else None


def require_same_recipes(spec: RunSpec, accounts: Iterable[PlannedAccount], catalog: Catalog) -> None:
    """Refuse recipes that were edited since the run was planned. Raises InputError."""
    if spec.recipes_sha256 is None:
        return
    for service in dict.fromkeys(account.recipe.service for account in accounts if account.recipe):
        if catalog.digests[service] != spec.recipes_sha256.get(service):
            raise InputError(
                f"{catalog.paths[service]} was edited after this run was planned; run again. No account was visited."
            )


def require_safe_start(spec: RunSpec, accounts: list[PlannedAccount], network: Network) -> None:
    """Refuse to start a run that breaks a rule of the whole run.

    Raises InputError if a rehearsal would leave this machine, or if the breaker is off for live services. Does
    not check this machine; `require_sandbox` does.
    """
    live = sorted({account.service for account in accounts if is_live(account, network) and account.service})
    if not live:
        return
    if spec.inventory.rehearsal:
        raise InputError(
            f"{', '.join(spec.inventory.sources)} is marked fleet_rehearsal, but {', '.join(live)} would be visited "
            "for real; remove the mark, or map every host and port of its pages to loopback with --resolve "
            f"({', '.join(_not_mapped(accounts, network))})."
        )
    if not spec.settings.breaker:
        raise InputError("--breaker off works on loopback only; omit it for live services.")


def require_sandbox(wanted: bool) -> None:
    """Refuse to open live pages as root while Chromium's sandbox is required. Raises InputError."""
    if wanted and os.geteuid() == 0:
        raise InputError(
            "A live run as root is refused because Chromium's sandbox does not work there; run as an ordinary user "
            "(or accept the risk in fleet.yml: sandbox: false, accepted_by: NAME)."
        )


def _not_mapped(accounts: list[PlannedAccount], network: Network) -> list[str]:
    """Return `host:port` of the pages that would leave this machine."""
    hosts = {host for account in accounts if account.recipe for host in account.recipe.page_hosts}
    return sorted(host for host in hosts if not network.is_loopback([host]))


def is_live(account: PlannedAccount, network: Network) -> bool:
    """Return True if visiting this account leaves this machine."""
    return account.recipe is not None and not network.is_loopback(account.recipe.page_hosts)
