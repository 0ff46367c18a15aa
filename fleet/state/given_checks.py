"""Checks a mandate that the portal wrote: everything again, as the portal may have been taken over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from fleet.authority.approved_text import read_text
from fleet.authority.former_names import FormerNames
from fleet.authority.given import GivenMandate, GivenMandates
from fleet.authority.id_token import SignedBy, TokenRefused, check
from fleet.authority.in_force import AFTER_REVOCATION, RevokedAt, is_after_revocation
from fleet.authority.inbox import MandateAct
from fleet.authority.instruction import Assurance, Instruction, nonce_of
from fleet.errors import InputError
from fleet.inventory.employee import Employee
from fleet.recipes.recipe import Recipe
from fleet.settings.values import PortalSite
from fleet.state.employee_acts import Give
from fleet.state.provider_keys import ProviderKeys
from fleet.validation import mistakes

AROUND = timedelta(minutes=15)
"""How far the token and the portal's file may be apart in time."""


@dataclass(frozen=True)
class GivenChecks:
    """What a mandate is checked against."""

    site: PortalSite
    texts: Path
    employees: Mapping[str, Employee]
    recipes: Mapping[str, Recipe]
    given: GivenMandates
    revocations: RevokedAt
    keys: ProviderKeys
    weakest: Assurance | None
    operator_claimed: str | None
    former: FormerNames
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def checked(self, act: MandateAct) -> Give:
        """Return the act that takes a mandate in.

        Raises InputError with the reason if it is refused, FleetError if the identity provider cannot be asked now.
        """
        try:
            instruction = Instruction.model_validate_json(act.statement)
        except ValidationError as error:
            where, what = next(mistakes(error))
            raise InputError(": ".join(["statement", *map(str, where), what])) from None
        employee = self._employee(act, instruction)
        self._require_known_controls(instruction)
        text = self._approved_text(instruction)
        now = self.now()
        signed = self._signed(act, now)
        if signed.subject != employee.subject:
            raise InputError(f"id_token: another person than {employee.name} signed in")
        if abs(act.at - signed.signed_at) > AROUND:
            raise InputError(f"at: {act.at.isoformat()} is not when the token was signed")
        self._require_dates(instruction, signed.signed_at.date())
        self._require_new(employee.name, signed.signed_at)
        weakest = self.weakest or Assurance.OIDC
        if not signed.assurance.is_at_least(weakest):
            raise InputError(
                f"id_token: no fresh sign-in is proved (auth_time), so its assurance is {signed.assurance}; "
                f"fleet.yml requires {weakest}"
            )
        mandate = GivenMandate(
            statement=act.statement,
            assurance=signed.assurance,
            given_at=signed.signed_at,
            id_token=act.id_token,
            key=signed.key,
        )
        return Give(
            employee=employee.name,
            mandate=mandate,
            at=act.at,
            issuer=self.site.sign_in.issuer,
            text=text,
            operator_claimed=self.operator_claimed,
        )

    def _employee(self, act: MandateAct, instruction: Instruction) -> Employee:
        if instruction.employee not in (act.employee, *(one.name for one in self.former.of(act.employee))):
            raise InputError(f"statement: names {instruction.employee}, not {act.employee}")
        employee = self.employees.get(act.employee)
        if employee is None:
            raise InputError(f"employee: {act.employee} is not in the inventory")
        if employee.subject is None:
            raise InputError(f"employee: {act.employee} has no fleet_subject in the inventory")
        return employee

    def _require_known_controls(self, instruction: Instruction) -> None:
        for name in instruction.controls:
            service, _, control = name.partition(".")
            recipe = self.recipes.get(service)
            if recipe is None or control not in recipe.controls:
                raise InputError(f"controls: no recipe has {name}")
        for service, profile in instruction.profiles.items():
            if service not in instruction.services:
                raise InputError(f"profiles: {service} is not among the services")
            fault = self.recipes[service].fault_of_profile(profile)
            if fault is not None:
                raise InputError(f"profiles: {service}: {fault}")

    def _approved_text(self, instruction: Instruction) -> str:
        text = instruction.text
        approved = self.site.texts.get(text.language)
        if approved is None or (approved.sha256, approved.version) != (text.sha256, text.version):
            raise InputError(f"text: {text.language} {text.version} is not a text that fleet.yml approves")
        return read_text(self.texts, text.language, text.sha256)

    def _signed(self, act: MandateAct, now: datetime) -> SignedBy:
        nonce = nonce_of(act.statement)
        try:
            return check(act.id_token, self.keys.at(act.at), self.site.sign_in, nonce, now)
        except TokenRefused as error:
            raise InputError(str(error)) from None

    def _require_dates(self, instruction: Instruction, signed_on: date) -> None:
        if abs(instruction.granted_on - signed_on) > timedelta(days=1):
            raise InputError(f"granted_on: {instruction.granted_on} is not the day on which it was signed")
        if instruction.expires_on - instruction.granted_on > timedelta(days=self.site.mandate_days):
            raise InputError(f"expires_on: more than {self.site.mandate_days} days after granted_on")

    def _require_new(self, employee: str, signed_at: datetime) -> None:
        """Refuse what was signed before the last mandate or revocation: somebody kept it back, or sent it twice."""
        given = self.given.of(employee).mandates
        if given and signed_at <= given[-1].given_at:
            raise InputError("id_token: signed no later than the last mandate; it was taken in before, or kept back")
        revoked_at = self.revocations.revoked_at(employee)
        if revoked_at is not None and not is_after_revocation(signed_at, revoked_at):
            minutes = AFTER_REVOCATION // timedelta(minutes=1)
            raise InputError(f"id_token: signed before the last revocation, or within {minutes} minutes after it")
