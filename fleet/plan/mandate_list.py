"""All mandates of an inventory's employees, and what opens or shuts each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from fleet.authority.in_force import Mandates
from fleet.authority.instruction import Assurance
from fleet.inventory.employee import Employee
from fleet.model import Reason

IN_FORCE = "in force"


@dataclass(frozen=True)
class ListedMandate:
    """One mandate. `covers` are services or controls (`linkedin.ai_training`); `state` is a reason, or IN_FORCE."""

    employee: str
    assurance: Assurance
    covers: tuple[str, ...]
    granted_on: date
    expires_on: date
    reference: str
    state: str

    def fields(self) -> dict[str, Any]:
        """Return it for JSON."""
        dates = {"granted_on": self.granted_on.isoformat(), "expires_on": self.expires_on.isoformat()}
        return asdict(self) | dates | {"covers": list(self.covers)}


def listed(employees: Iterable[Employee], mandates: Mandates, today: date) -> Iterator[ListedMandate]:
    """Yield each employee's mandates by name, what they gave themselves first; also of people in no inventory.

    Raises InputError if revocations or mandates cannot be read.
    """
    known = {employee.name: employee for employee in employees}
    for name in sorted({*known, *mandates.given.names()}):
        revoked_at = mandates.revocations.revoked_at(name)
        for mandate in reversed(mandates.given.of(name).mandates):
            instruction = mandate.instruction
            yield ListedMandate(
                name,
                mandate.assurance,
                instruction.controls,
                instruction.granted_on,
                instruction.expires_on,
                mandate.reference,
                _state(mandates.refusal_of_given(mandate, today, revoked_at)),
            )
        claimed = known[name].mandate if name in known else None
        if claimed is not None:
            why = mandates.refusal_of_claimed(claimed, name, claimed.services[0], today, revoked_at)
            yield ListedMandate(
                name,
                Assurance.CLAIMED,
                claimed.services,
                claimed.granted_on,
                claimed.expires_on,
                claimed.reference,
                _state(why),
            )


def _state(why: Reason | None) -> str:
    return IN_FORCE if why is None else why.value.replace("_", " ")
