"""The plan of a run: which employee's which controls, decided before anything is touched."""

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
"""So many services without a recipe are named for one employee: the plan of each must fit into a record."""


@dataclass(frozen=True)
class RunSpec:
    """All that the agent needs to know of a run; it crosses to the agent as JSON, over a pipe."""

    run_id: str
    check: bool
    inventory: Inventory
    settings: Settings
    claimed_operator: str | None = None
    resumes: str | None = None
    """The run that this one goes on with."""
    only: frozenset[Planned] | None = None
    """Nothing else is planned; None for all that the inventory and the filters ask for."""
    recipes_sha256: dict[str, str] | None = None
    """Service to the digest of the recipe that it was planned with; None where the agent itself makes the plan."""


@dataclass(frozen=True)
class PlannedAccount:
    """One employee at one service. `recipe` is None where there is none for that service.

    `service` is None where the inventory gives no name that the log may hold: free text never gets there.
    """

    employee: Employee
    service: str | None
    recipe: Recipe | None
    controls: tuple[str | None, ...]


def new_run_id() -> str:
    """A run id that sorts by time and is safe as a file name."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def claimed_operator(environ: Mapping[str, str] = os.environ) -> str | None:
    """Who sudo or AWX says is at the keyboard; the operating system's uid is recorded beside it."""
    name = environ.get("AWX_USER_NAME") or environ.get("TOWER_USER_NAME") or environ.get("SUDO_USER")
    return name and name.encode("utf-8", "replace").decode()


def catalog_for(settings: Settings, *, rehearsal: bool) -> Catalog:
    """The recipes of a run: the catalog, the organization's own, and in a rehearsal those that exist only there."""
    return load_catalog(settings.recipes, rehearsal=rehearsal)


def services_for(settings: Settings) -> ServicesFor:
    """The services with their recipes, as reading an inventory needs them: those of rehearsals only in one."""
    return lambda rehearsal: catalog_for(settings, rehearsal=rehearsal).recipes


def read_people(
    settings: Settings, limit: str | None = None, ansible_python: str = sys.executable, cwd: Path | None = None
) -> tuple[Inventory, Catalog]:
    """The inventory that the settings name, and the recipes that there are for it.

    Raises InputError as `read_inventory` and `load_catalog` do.
    """
    catalogs: dict[bool, Catalog] = {}

    def services(rehearsal: bool) -> Mapping[str, Recipe]:
        catalogs[rehearsal] = catalog_for(settings, rehearsal=rehearsal)
        return catalogs[rehearsal].recipes

    inventory = read_inventory(settings.inventory, services, limit, ansible_python, cwd)
    return inventory, catalogs[inventory.rehearsal]


def check_filters(settings: Settings, catalog: Catalog) -> None:
    """Refuse --service and --control values that no recipe knows, and paces that cannot be. Raises InputError."""
    check_paces(settings, catalog)
    for service in settings.services:
        if catalog.get(service) is None:
            raise InputError(f"--service {service}: no recipe; there are {', '.join(sorted(catalog.recipes))}.")
    known = {f"{recipe.service}.{control}" for recipe in catalog for control in recipe.controls}
    for control in settings.controls:
        if control not in known and not any(name.endswith(f".{control}") for name in known):
            raise InputError(f"--control {control}: no recipe has it; there are {', '.join(sorted(known))}.")


def plan_accounts(employee: Employee, settings: Settings, catalog: Catalog) -> Iterator[PlannedAccount]:
    """What is planned for one employee, in the inventory's order, filters applied.

    Bad data is planned too, with service or control None as far as it cannot be read: it must end in the log.
    """
    given = [*employee.accounts, *(problem.service for problem in employee.problems if problem.service is not None)]
    unknown = [service for service in given if SERVICE_NAME.fullmatch(service) and catalog.get(service) is None]
    nameable = {*catalog.recipes, *unknown[:MAX_UNKNOWN]}
    # Those that cannot be named are one entry: the log could not tell them apart.
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
            name for name in recipe.controls if not wanted or name in wanted or f"{service}.{name}" in wanted
        )
        if controls:
            yield PlannedAccount(employee, service, recipe, controls)


def planned_accounts(spec: RunSpec, catalog: Catalog) -> dict[str, list[PlannedAccount]]:
    """The whole plan of a run, by employee, in the inventory's order."""
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
                f"{catalog.paths[service]} was edited after this run was planned; run again. Nobody was visited."
            )


def require_safe_start(spec: RunSpec, accounts: list[PlannedAccount], network: Network) -> None:
    """Refuse a start that breaks a rule of the whole run.

    Raises InputError if a rehearsal would leave this machine, or the breaker is off live. Nothing is asked of this
    machine: that is `require_sandbox`'s.
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
        raise InputError("--breaker off is for loopback only; leave it out for live services.")


def require_sandbox(wanted: bool) -> None:
    """Refuse to open live pages as root where Chromium's sandbox is wanted. Raises InputError."""
    if wanted and os.geteuid() == 0:
        raise InputError(
            "A live run as root is refused, because Chromium's sandbox does not work there; run as an ordinary user "
            "(or accept the risk in fleet.yml: sandbox: false, accepted_by: NAME)."
        )


def _not_mapped(accounts: list[PlannedAccount], network: Network) -> list[str]:
    """`host:port` of pages that would leave this machine."""
    hosts = {host for account in accounts if account.recipe for host in account.recipe.page_hosts}
    return sorted(host for host in hosts if not network.is_loopback([host]))


def is_live(account: PlannedAccount, network: Network) -> bool:
    """True if visiting this account leaves this machine."""
    return account.recipe is not None and not network.is_loopback(account.recipe.page_hosts)
