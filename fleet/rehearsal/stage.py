"""Sets up a rehearsal: starts the stand-in services for an inventory and seals the sessions they provide."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleet.audit.keys import read_signing_key
from fleet.audit.log import AuditLog
from fleet.authority.given import GivenMandates
from fleet.browser.network import Network
from fleet.errors import InputError
from fleet.inventory.read import Inventory
from fleet.recipes.catalog import Catalog
from fleet.rehearsal.behavior import Extension
from fleet.rehearsal.process import Rehearsal, RehearsalAccount, start_rehearsal
from fleet.sessions.storage_state import StorageState
from fleet.sessions.store import SessionStore
from fleet.settings.resolve import Settings
from fleet.state.create import make_state

DEFAULT_CASE = "switched_on"


@dataclass(frozen=True)
class Stage:
    """A running rehearsal, and a network that leads only to it."""

    rehearsal: Rehearsal
    network: Network

    def strike(self) -> None:
        """Stop the rehearsal."""
        self.rehearsal.stop()


def raise_stage(
    inventory: Inventory,
    settings: Settings,
    catalog: Catalog,
    port: int = 0,
    extension: Extension | None = None,
    *,
    has_sessions: bool = True,
) -> Stage:
    """Start the rehearsal for every account of a rehearsal inventory; what its services store persists in the state.

    The caller has created the state and holds its log, so that no other run's sessions change meanwhile. `port` 0 picks
    a free port. Without `has_sessions`, no session is stored: employees sign in themselves.

    Raises InputError for a state that is not a rehearsal's, for an unknown case and for a port in use, FleetError if
    the rehearsal does not start.
    """
    state = settings.state_dir
    state.check(rehearsal=True)
    given = GivenMandates(state.mandates)
    accounts = [
        RehearsalAccount(
            employee=employee.name,
            service=service,
            profile=account.profile or _entered(given, employee.name, service) or rehearsed_profile(employee.name),
            name=account.name or employee.name,
            locale=employee.locale or "en",
            case=employee.rehearsal_case.get(service, DEFAULT_CASE),
        )
        for employee in inventory.employees
        if employee.is_name_safe
        for service, account in employee.accounts.items()
    ]
    rehearsal = start_rehearsal(accounts, state.root / "rehearsal-world.json", port, extension)
    store = SessionStore(state)
    states = rehearsal.storage_states() if has_sessions else {}
    for account in accounts if has_sessions else ():
        signed_in = states[account.employee, account.service]
        recipe = catalog.get(account.service)
        if signed_in is None or recipe is None:
            store.remove(account.employee, account.service)
        else:
            # Need not survive a power failure: the next rehearsal seals it again.
            store.seal(account.employee, recipe, StorageState.model_validate(signed_in), durable=False)
    return Stage(rehearsal, Network(dict(rehearsal.resolve), (rehearsal.spki,)))


def rehearsed_profile(employee: str) -> str:
    """Return the profile of a rehearsed account whose inventory gives none: `anna.keller` is `anna-keller` there."""
    return re.sub(r"[^a-z0-9]+", "-", employee.lower())


def _entered(given: GivenMandates, employee: str, service: str) -> str | None:
    """Return the profile that an employee entered with their last mandate, if any."""
    try:
        entered = [mandate.instruction.profiles.get(service) for mandate in given.of(employee).mandates]
    except InputError:
        return None  # then no mandate of theirs counts
    return next((profile for profile in reversed(entered) if profile), None)


def raise_stage_alone(
    inventory: Inventory, settings: Settings, catalog: Catalog, port: int = 0, extension: Extension | None = None
) -> Stage:
    """The same outside a run: creates the state if missing, and holds its log meanwhile.

    Raises InputError and FleetError as `make_state`, `AuditLog` and `raise_stage` do.
    """
    state = settings.state_dir
    make_state(state, settings.identity, settings.log_key, rehearsal=True)
    log = AuditLog(state.audit, "a rehearsal", read_signing_key(state.audit, settings.log_key))
    try:
        return raise_stage(inventory, settings, catalog, port, extension)
    finally:
        log.close()
