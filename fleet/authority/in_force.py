"""Whether a mandate is in force: what the inventory claims and what employees gave, against revocations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

from fleet.authority.given import GivenMandate, GivenMandates
from fleet.authority.instruction import Assurance
from fleet.authority.mandates import Mandate
from fleet.errors import InputError
from fleet.model import Reason

AFTER_REVOCATION = timedelta(minutes=5)
"""A mandate counts again if it is given at least this long after a revocation: the clocks of two machines differ."""


class RevokedAt(Protocol):
    """Answers since when an employee's mandates are revoked."""

    def revoked_at(self, employee: str) -> datetime | None:
        """Return the moment of the last revocation, or None. Raises InputError if that cannot be determined."""


@dataclass(frozen=True)
class MandateInForce:
    """A mandate that is in force. `profile` is the one that the employee entered, if any."""

    reference: str
    assurance: Assurance
    profile: str | None = None


@dataclass(frozen=True)
class Mandates:
    """All mandates of a run's employees. `weakest` is the least assurance that counts.

    If `weakest` is None, everything counts but `oidc_session`, which an organization must accept by name.
    """

    revocations: RevokedAt
    given: GivenMandates
    weakest: Assurance | None = None

    def find(
        self, employee: str, claimed: Mandate | None, service: str, control: str | None, today: date
    ) -> MandateInForce | Reason:
        """Return the mandate under which a control may be visited today (UTC), or why there is none.

        Without `control`, any control of the service will do. Mandates are read at each call: one that was revoked or
        given a moment ago counts.
        """
        try:
            revoked_at = self.revocations.revoked_at(employee)
        except InputError:
            return Reason.REVOCATIONS_UNREADABLE
        try:
            given = self.given.of(employee).mandates
        except InputError:
            return Reason.MANDATES_UNREADABLE
        refused: list[Reason] = []
        for mandate in reversed(given):  # the latest first
            why = _misses(mandate, service, control) or self.refusal_of_given(mandate, today, revoked_at)
            if why is None:
                instruction = mandate.instruction
                return MandateInForce(mandate.reference, mandate.assurance, instruction.profiles.get(service))
            refused.append(why)
        if claimed is not None:
            why = self.refusal_of_claimed(claimed, employee, service, today, revoked_at)
            if why is None:
                return MandateInForce(claimed.reference, Assurance.CLAIMED)
            refused.append(why)
        if not refused:
            return Reason.MANDATE_REVOKED if revoked_at is not None else Reason.NO_MANDATE_GIVEN
        # What says most: that it was revoked says less than why a later one does not count.
        return next((why for why in refused if why is not Reason.MANDATE_REVOKED), Reason.MANDATE_REVOKED)

    def _too_weak(self, assurance: Assurance) -> Reason | None:
        if self.weakest is None:
            return Reason.MANDATE_TOO_WEAK if assurance is Assurance.OIDC_SESSION else None
        return None if assurance.is_at_least(self.weakest) else Reason.MANDATE_TOO_WEAK

    def refusal_of_claimed(
        self, mandate: Mandate, employee: str, service: str, today: date, revoked_at: datetime | None
    ) -> Reason | None:
        """Return why an inventory's mandate does not count today, or None; any revocation ends it."""
        if revoked_at is not None:
            return Reason.MANDATE_REVOKED
        return mandate.refusal(employee, service, today) or self._too_weak(Assurance.CLAIMED)

    def refusal_of_given(self, mandate: GivenMandate, today: date, revoked_at: datetime | None) -> Reason | None:
        """Return why a given mandate does not count today, whatever it covers, or None."""
        if revoked_at is not None and not is_after_revocation(mandate.given_at, revoked_at):
            return Reason.MANDATE_REVOKED
        instruction = mandate.instruction
        if today < instruction.granted_on:
            return Reason.MANDATE_NOT_YET_VALID
        if today > instruction.expires_on:
            return Reason.MANDATE_EXPIRED
        return self._too_weak(mandate.assurance)


def is_after_revocation(given_at: datetime, revoked_at: datetime) -> bool:
    """Return True if a mandate was given after a revocation, and not just by a faster clock."""
    return given_at - AFTER_REVOCATION > revoked_at


def _misses(mandate: GivenMandate, service: str, control: str | None) -> Reason | None:
    instruction = mandate.instruction
    if service not in instruction.services:
        return Reason.MANDATE_MISSES_SERVICE
    if control is not None and f"{service}.{control}" not in instruction.controls:
        return Reason.MANDATE_MISSES_CONTROL
    return None
