"""Gates: reasons not to visit a control today, such as a waiver, a missing mandate or a service's terms."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, date, datetime

from fleet.errors import InputError
from fleet.inventory.employee import Account, Employee
from fleet.model import Outcome, Reason
from fleet.plan.plan import PlannedAccount
from fleet.recipes.recipe import Recipe

Refusal = tuple[Outcome, Reason | None]


def today() -> date:
    """Return the date on which mandates and waivers are judged: UTC, like all times here."""
    return datetime.now(UTC).date()


def is_shut(service: str, stopped: Container[str]) -> Reason | None:
    """Return why no account may be visited at a service now, or None; `stopped` are the stopped services."""
    try:
        return Reason.SERVICE_STOPPED if service in stopped else None
    except InputError:
        return Reason.STOPS_UNREADABLE


def lacking_authority(employee: Employee, service: str, revoked: Container[str]) -> Reason | None:
    """Return why this employee's account may not be visited, or None. `owner: company` needs no mandate.

    `revoked` are the employees whose mandates were revoked.
    """
    if employee.accounts[service].owner == "company":
        return None
    try:
        if employee.name in revoked:
            return Reason.MANDATE_REVOKED
    except InputError:
        return Reason.REVOCATIONS_UNREADABLE
    if employee.mandate is None:
        return Reason.NO_MANDATE_GIVEN
    return employee.mandate.refusal(employee.name, service, today())


def unreadable(account: PlannedAccount) -> Refusal | None:
    """Return the outcome of an account whose data is bad or whose service has no recipe; None if it can be visited."""
    problem = account.employee.problem_for(account.service)
    if problem is not None:
        return Outcome.ERROR, problem.reason
    return (Outcome.ERROR, Reason.UNKNOWN_SERVICE) if account.recipe is None else None


def refusal(
    account: PlannedAccount,
    control: str | None,
    *,
    live: bool,
    revoked: Container[str],
    stopped: Container[str],
    terms_accepted: Container[str],
    personal_sessions: Container[str],
) -> Refusal | None:
    """Return the outcome of a control that is not visited, or None if it may be; the first closed gate counts."""
    if account.recipe is None or control is None or account.employee.problem_for(account.service) is not None:
        return unreadable(account)
    service = account.recipe.service
    if any(waiver.covers(service, control, today()) for waiver in account.employee.waivers):
        return Outcome.WAIVED, None
    shut = is_shut(service, stopped)
    if shut is not None:
        return Outcome.NOT_PERMITTED, shut
    lacking = lacking_authority(account.employee, service, revoked)
    if lacking is not None:
        return Outcome.NO_MANDATE, lacking
    if live and account.recipe.terms.automation == "forbidden" and service not in terms_accepted:
        return Outcome.NOT_PERMITTED, Reason.TERMS_FORBID
    if live and service not in personal_sessions and is_personal(account.employee.accounts[service], account.recipe):
        return Outcome.NOT_PERMITTED, Reason.PERSONAL_SESSION
    return None


def is_personal(account: Account, recipe: Recipe) -> bool:
    """Return True if the account belongs to the employee, so the organization must decide about using its session."""
    return recipe.accounts == "personal" or (recipe.accounts == "either" and account.owner == "employee")
