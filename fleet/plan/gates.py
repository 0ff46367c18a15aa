"""Gates: reasons not to visit a control today, such as a waiver, a missing mandate or a service's terms."""

from __future__ import annotations

from collections.abc import Collection, Container
from dataclasses import dataclass
from datetime import UTC, date, datetime

from fleet.authority.attestations import Attestations
from fleet.authority.countries import may_be_attended
from fleet.authority.former_names import FormerNames
from fleet.authority.given import GivenMandates
from fleet.authority.in_force import MandateInForce, Mandates, RevokedAt
from fleet.authority.inbox import Inbox, WithInbox
from fleet.authority.submissions import Submissions
from fleet.errors import InputError
from fleet.inventory.employee import Account, Employee
from fleet.model import Outcome, Reason
from fleet.plan.plan import PlannedAccount
from fleet.recipes.recipe import Recipe
from fleet.recipes.request import Request
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


def unreadable(account: PlannedAccount) -> Refusal | None:
    """Return the outcome of an account whose data is bad or whose service has no recipe; None if it can be visited."""
    problem = account.employee.problem_for(account.service)
    if problem is not None:
        return Refusal(Outcome.ERROR, problem.reason)
    return Refusal(Outcome.ERROR, Reason.UNKNOWN_SERVICE) if account.recipe is None else None


@dataclass(frozen=True)
class Gates:
    """What decides whether a control may be visited, besides its page and its session."""

    mandates: Mandates
    stopped: Container[str]
    """Stopped services."""
    attestations: Attestations
    submissions: Container[tuple[str, str]] = frozenset()
    """Confirmed requests of the organization, as service and name."""
    terms_accepted: Container[str] = frozenset()
    personal_sessions: Container[str] = frozenset()
    attended: bool = False
    """Whether employees are at the desk, where no stored session is used."""
    countries: Collection[str] = ()
    """Where personal accounts may be visited at the desk."""

    def refusal(self, account: PlannedAccount, control: str | None, *, live: bool) -> Refusal | None:
        """Return the outcome of a control that is not visited, or None if it may be; the first closed gate counts."""
        if account.recipe is None or control is None or account.employee.problem_for(account.service) is not None:
            return unreadable(account)
        service = account.recipe.service
        if any(waiver.covers(service, control, today()) for waiver in account.employee.waivers):
            return Refusal(Outcome.WAIVED)
        found = self.authority(account.employee, service, control)
        if found is Reason.CLOSED:
            return Refusal(Outcome.NO_MANDATE, found)
        request = account.recipe.requests.get(control)
        if request is not None:
            ended = self._of_request(request, service, control)
            if ended.reason is Reason.EMPLOYEE_SIGNS and self._is_abroad(account.employee, account.recipe):
                ended = Refusal(Outcome.NOT_PERMITTED, Reason.COUNTRY)
            return self.or_attested(ended, account, control)
        refused = self._refusal(account, account.recipe, found, live=live)
        return refused and self.or_attested(refused, account, control)

    def refusal_of_sign_in(self, account: PlannedAccount, *, live: bool) -> Refusal | None:
        """Return why no browser of ours may open an account, whatever is waived or attested; None if it may."""
        if account.recipe is None or account.employee.problem_for(account.service) is not None:
            return unreadable(account)
        found = self.authority(account.employee, account.recipe.service, None)
        return self._refusal(account, account.recipe, found, live=live)

    def _of_request(self, request: Request, service: str, control: str) -> Refusal:
        """Return the outcome of a form or letter, which a person signs and sends: nothing is ever opened for it."""
        if request.signed_by == "employee":
            return Refusal(Outcome.EMPLOYEE_NEEDED, Reason.EMPLOYEE_SIGNS)
        if (service, control) in self.submissions:
            return Refusal(Outcome.SUBMITTED)
        return Refusal(Outcome.ADMIN_NEEDED, Reason.ORGANIZATION_SIGNS)

    def or_attested(self, refused: Refusal, account: PlannedAccount, control: str) -> Refusal:
        """Return `attested` in place of an outcome without a visit if the employee has a fresh attestation."""
        if account.service is None or refused.outcome not in _ATTESTABLE:
            return refused
        said = self.attestations.fresh(account.employee.name, account.service, control, today())
        return Refusal(Outcome.ATTESTED, Reason(said.said), said.attested_on) if said else refused

    def authority(self, employee: Employee, service: str, control: str | None) -> MandateInForce | Reason | None:
        """Return the mandate for an employee's account, or why there is none; None for `owner: company`.

        What the employee closed has none, whatever they mandated before.
        """
        if employee.accounts[service].owner == "company":
            return None
        found = self.mandates.find(employee.name, employee.mandate, service, control, today())
        if control is None:
            return found
        try:
            answer = self.attestations.find(employee.name, service, control)
        except InputError:
            return found if isinstance(found, Reason) else Reason.ANSWERS_UNREADABLE
        return Reason.CLOSED if answer is not None and answer.is_closed else found

    def lacking_authority(self, employee: Employee, service: str, control: str | None) -> Reason | None:
        """Return why this employee's account may not be visited, or None."""
        found = self.authority(employee, service, control)
        return found if isinstance(found, Reason) else None

    def profile(self, employee: Employee, service: str, control: str | None) -> str | None:
        """Return the employee's profile: as they entered it with their mandate, else as the inventory has it."""
        return _profile(employee, service, self.authority(employee, service, control))

    def forbidden(self, employee: Employee, recipe: Recipe, *, live: bool) -> Reason | None:
        """Return why the organization does not permit visits to this account, whatever the employee says, or None."""
        personal = is_personal(employee.accounts[recipe.service], recipe)
        if self._is_abroad(employee, recipe):
            return Reason.COUNTRY
        if live and recipe.terms.automation == "forbidden" and recipe.service not in self.terms_accepted:
            return Reason.TERMS_FORBID
        if live and personal and not self.attended and recipe.service not in self.personal_sessions:
            return Reason.PERSONAL_SESSION
        return None

    def _is_abroad(self, employee: Employee, recipe: Recipe) -> bool:
        """Return True at the desk if a personal account is in a country that the organization has not named."""
        personal = is_personal(employee.accounts[recipe.service], recipe)
        return self.attended and personal and not may_be_attended(employee.country, self.countries)

    def _refusal(
        self, account: PlannedAccount, recipe: Recipe, found: MandateInForce | Reason | None, *, live: bool
    ) -> Refusal | None:
        service = recipe.service
        shut = is_shut(service, self.stopped)
        if shut is not None:
            return Refusal(Outcome.NOT_PERMITTED, shut)
        forbidden = self.forbidden(account.employee, recipe, live=live)
        if isinstance(found, Reason) and forbidden is not Reason.COUNTRY:
            return Refusal(Outcome.NO_MANDATE, found)
        if forbidden is not None:
            return Refusal(Outcome.NOT_PERMITTED, forbidden)
        if _profile(account.employee, service, found) is None:
            return Refusal(Outcome.EMPLOYEE_NEEDED, Reason.PROFILE_UNKNOWN)
        return None


def _profile(employee: Employee, service: str, found: MandateInForce | Reason | None) -> str | None:
    entered = found.profile if isinstance(found, MandateInForce) else None
    return entered or employee.accounts[service].profile


def gates_of(settings: Settings, revocations: RevokedAt, stopped: Container[str], *, attended: bool = False) -> Gates:
    """Return the gates of a run with these settings; `revocations` and `stopped` are the lists of its state."""
    return Gates(
        mandates=mandates_of(settings, revocations),
        stopped=stopped,
        attestations=attestations_of(settings),
        submissions=Submissions(settings.state_dir.submissions),
        terms_accepted=frozenset(settings.terms_accepted),
        personal_sessions=frozenset(settings.personal_sessions),
        attended=attended,
        countries=settings.desk.countries,
    )


def attestations_of(settings: Settings) -> Attestations:
    """Return what employees said, and for how long it counts with these settings."""
    fresh_days = {service: policy.for_days for service, policy in settings.attestation.items()}
    return Attestations(settings.state_dir.attestations, fresh_days)


def mandates_of(settings: Settings, revocations: RevokedAt) -> Mandates:
    """Return the mandates of a run with these settings."""
    inbox = settings.inbox
    return Mandates(
        revocations=revocations
        if inbox is None
        else WithInbox(revocations, Inbox(inbox), FormerNames(settings.state_dir.former_names)),
        given=GivenMandates(settings.state_dir.mandates),
        weakest=settings.mandates.assurance,
    )


def is_personal(account: Account, recipe: Recipe) -> bool:
    """Return True if the account belongs to the employee, so the organization must decide about using its session."""
    return recipe.accounts == "personal" or (recipe.accounts == "either" and account.owner == "employee")
