"""Gates: reasons not to visit a control today, such as a waiver, a missing mandate or a service's terms."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from fleet.authority.attestations import FRESH_DAYS, Attestation, Attestations
from fleet.authority.inbox import Inbox, WithInbox
from fleet.errors import InputError
from fleet.inventory.employee import Account, Employee
from fleet.model import Outcome, Reason
from fleet.plan.plan import PlannedAccount
from fleet.recipes.recipe import Recipe
from fleet.settings.resolve import Settings


@dataclass(frozen=True)
class Refusal:
    """The outcome of a control that is not visited."""

    outcome: Outcome
    reason: Reason | None = None
    attested_on: date | None = None
    """The day on which the employee said so, for `attested`."""


NO_SESSION = Refusal(Outcome.SIGN_IN_NEEDED, Reason.NO_SESSION)
_ATTESTABLE = {Outcome.NO_MANDATE, Outcome.NOT_PERMITTED, Outcome.SIGN_IN_NEEDED, Outcome.EMPLOYEE_NEEDED}
"""Outcomes without a visit that an attestation takes the place of."""


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
        return Refusal(Outcome.ERROR, problem.reason)
    return Refusal(Outcome.ERROR, Reason.UNKNOWN_SERVICE) if account.recipe is None else None


@dataclass(frozen=True)
class Gates:
    """What decides whether a control may be visited, besides its page and its session."""

    revoked: Container[str]
    """Employees whose mandates were revoked."""
    stopped: Container[str]
    """Stopped services."""
    attestations: Attestations
    terms_accepted: Container[str] = frozenset()
    personal_sessions: Container[str] = frozenset()
    fresh_days: Mapping[str, int] = field(default_factory=dict)
    """By service, where the organization has decided for how many days an attestation counts."""

    def refusal(self, account: PlannedAccount, control: str | None, *, live: bool) -> Refusal | None:
        """Return the outcome of a control that is not visited, or None if it may be; the first closed gate counts."""
        if account.recipe is None or control is None or account.employee.problem_for(account.service) is not None:
            return unreadable(account)
        service = account.recipe.service
        if any(waiver.covers(service, control, today()) for waiver in account.employee.waivers):
            return Refusal(Outcome.WAIVED)
        refused = self._refusal(account, account.recipe, live=live)
        return refused and self.or_attested(refused, account, control)

    def or_attested(self, refused: Refusal, account: PlannedAccount, control: str) -> Refusal:
        """Return `attested` in place of an outcome without a visit if the employee has a fresh attestation."""
        if account.service is None or refused.outcome not in _ATTESTABLE:
            return refused
        said = self.fresh_attestation(account.employee.name, account.service, control)
        return Refusal(Outcome.ATTESTED, Reason(said.said), said.attested_on) if said else refused

    def fresh_attestation(self, employee: str, service: str, control: str) -> Attestation | None:
        """Return what the employee said about a control if it still counts; None if it cannot be read."""
        try:
            said = self.attestations.find(employee, service, control)
        except InputError:
            return None
        days = self.fresh_days.get(service, FRESH_DAYS)
        return said if said is not None and said.is_fresh(today(), days) else None

    def _refusal(self, account: PlannedAccount, recipe: Recipe, *, live: bool) -> Refusal | None:
        service = recipe.service
        shut = is_shut(service, self.stopped)
        if shut is not None:
            return Refusal(Outcome.NOT_PERMITTED, shut)
        lacking = lacking_authority(account.employee, service, self.revoked)
        if lacking is not None:
            return Refusal(Outcome.NO_MANDATE, lacking)
        if live and recipe.terms.automation == "forbidden" and service not in self.terms_accepted:
            return Refusal(Outcome.NOT_PERMITTED, Reason.TERMS_FORBID)
        if live and service not in self.personal_sessions and is_personal(account.employee.accounts[service], recipe):
            return Refusal(Outcome.NOT_PERMITTED, Reason.PERSONAL_SESSION)
        return None


def gates_of(settings: Settings, revoked: Container[str], stopped: Container[str]) -> Gates:
    """Return the gates of a run with these settings; `revoked` and `stopped` are the lists of its state."""
    return Gates(
        revoked=revoked if settings.inbox is None else WithInbox(revoked, Inbox(settings.inbox)),
        stopped=stopped,
        attestations=Attestations(settings.state_dir.attestations),
        terms_accepted=frozenset(settings.terms_accepted),
        personal_sessions=frozenset(settings.personal_sessions),
        fresh_days={service: policy.for_days for service, policy in settings.attestation.items()},
    )


def is_personal(account: Account, recipe: Recipe) -> bool:
    """Return True if the account belongs to the employee, so the organization must decide about using its session."""
    return recipe.accounts == "personal" or (recipe.accounts == "either" and account.owner == "employee")
