"""Forms and letters that an employee signs at the desk, and what their word becomes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Protocol

from fleet.desk.signing import Signing
from fleet.model import Reason
from fleet.plan.gates import Gates
from fleet.plan.plan import PlannedAccount
from fleet.state.employee_acts import Attest, Statement


class Signs(Protocol):
    """A visitor with a screen and a plain window."""

    async def sign(self, signing: Signing) -> bool:
        """Have the employee sign a form or letter; True if they say that the service confirmed it."""

    async def thank(self, signing: Signing, *, is_sent: bool) -> None:
        """Show what became of it, until the employee goes on."""


async def have_signed(
    accounts: Iterable[PlannedAccount],
    signs: Signs,
    gates: Gates,
    operator_claimed: str | None,
    take_in: Callable[[Attest], Awaitable[object]],
) -> None:
    """Have the employee sign each request that is theirs and not sent yet; take in their word before they go on.

    Raises what `take_in` raises, and VisitorLost.
    """
    for account in accounts:
        for control in account.controls:
            refused = gates.refusal(account, control, live=False)  # nothing is visited for a request
            if refused is None or refused.reason is not Reason.EMPLOYEE_SIGNS:
                continue
            assert account.recipe is not None and control is not None
            employee, service = account.employee, account.recipe.service
            person = employee.accounts[service].name or employee.name
            signing = Signing(account.recipe, control, person, employee.locale)
            is_sent = await signs.sign(signing)
            if is_sent:
                statement = Statement(
                    employee=employee.name,
                    service=service,
                    control=control,
                    said="sent",
                    at=datetime.now(UTC),
                    assurance="desk",
                )
                await take_in(Attest(statements=[statement], operator_claimed=operator_claimed))
            await signs.thank(signing, is_sent=is_sent)
