"""The mandate that an employee gives at the desk, before their account is opened."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from fleet.authority.approved_text import read_text
from fleet.authority.given import GivenMandate
from fleet.authority.in_force import MandateInForce
from fleet.authority.instruction import Assurance, Instruction, TextId
from fleet.desk.agreement import Agreed, Agreement, Choice, label_of
from fleet.model import Reason
from fleet.plan.gates import Gates, today
from fleet.plan.plan import PlannedAccount
from fleet.recipes.profile_address import typed_profile
from fleet.recipes.recipe import Recipe
from fleet.settings.resolve import Settings
from fleet.state.employee_acts import Give

_UNANSWERABLE = {Reason.REVOCATIONS_UNREADABLE, Reason.MANDATES_UNREADABLE, Reason.ANSWERS_UNREADABLE}


class Asks(Protocol):
    """A visitor with a screen."""

    async def agree(self, agreement: Agreement) -> Agreed | None:
        """Ask the employee for a mandate; None if they do not agree."""


async def ask_for_mandate(
    accounts: Iterable[PlannedAccount],
    asks: Asks,
    gates: Gates,
    settings: Settings,
    live: frozenset[str],
    operator_claimed: str | None,
) -> Give | None:
    """Ask for what the employee has given no mandate for; return the act that takes their answer in.

    None if nothing is lacking, if a mandate of the desk does not count in these settings, or if they do not agree.
    Raises InputError if the approved text cannot be read.
    """
    weakest = settings.mandates.assurance
    lacking = {one.recipe.service: one for one in accounts if one.recipe and _lacks(one, one.recipe, gates, live)}
    if not lacking or (weakest is not None and not Assurance.DESK.is_at_least(weakest)):
        return None
    employee = next(iter(lacking.values())).employee
    texts, days = settings.desk_texts
    spoken = (employee.locale or "en").replace("_", "-").partition("-")[0]
    language = spoken if spoken in texts else next(iter(texts), None)
    if language is None or settings.mandate_texts is None:
        return None
    approved = texts[language]
    text = TextId(language=language, version=approved.version, sha256=approved.sha256)
    content = read_text(settings.mandate_texts, language, approved.sha256)
    granted_on = today()
    agreement = Agreement(
        name=next((one.name for one in employee.accounts.values() if one.name), employee.name),
        locale=employee.locale,
        choices=tuple(map(_choice, lacking.values())),
        text=content,
        text_language=language,
        expires_on=granted_on + timedelta(days=days),
    )
    while (agreed := await asks.agree(agreement)) is not None:
        offered = {control for choice in agreement.choices for control in choice.controls}
        if not agreed.controls or not offered.issuperset(agreed.controls):
            return None  # a desk that answers what was not asked
        chosen = {control.partition(".")[0] for control in agreed.controls}
        profiles = {service: _profile(lacking[service], agreed.profiles.get(service, "")) for service in chosen}
        if None in profiles.values():
            choices = (replace(one, is_wrong=profiles.get(one.service, "") is None) for one in agreement.choices)
            agreement = replace(agreement, choices=tuple(choices))
            continue
        instruction = Instruction(
            v=1,
            employee=employee.name,
            controls=tuple(sorted(agreed.controls)),
            profiles={service: profile for service, profile in profiles.items() if profile is not None},
            text=text,
            granted_on=granted_on,
            expires_on=agreement.expires_on,
            random=secrets.token_hex(32),
        )
        now = datetime.now(UTC)
        mandate = GivenMandate(statement=instruction.model_dump_json(), assurance=Assurance.DESK, given_at=now)
        return Give(employee=employee.name, mandate=mandate, at=now, text=content, operator_claimed=operator_claimed)
    return None


def _lacks(account: PlannedAccount, recipe: Recipe, gates: Gates, live: frozenset[str]) -> bool:
    """Return True if only the employee's mandate, or their profile, is missing for one of the controls."""
    employee, service = account.employee, recipe.service
    if employee.problem_for(service) is not None or employee.accounts[service].owner == "company":
        return False
    if gates.forbidden(employee, recipe, live=service in live) is not None:
        return False
    for control in recipe.controls.keys() & set(account.controls):
        found = gates.authority(employee, service, control)
        if isinstance(found, MandateInForce):
            found = None if gates.profile(employee, service, control) else Reason.PROFILE_UNKNOWN
        if found is not None and found not in _UNANSWERABLE:
            return True
    return False


def _choice(account: PlannedAccount) -> Choice:
    recipe = account.recipe
    assert recipe is not None
    planned = [name for name in recipe.controls if name in account.controls]
    labels = {name: label_of(recipe.controls[name], account.employee.locale) for name in planned}
    controls = {f"{recipe.service}.{name}": label for name, label in labels.items()}
    profile, form = account.employee.accounts[recipe.service].profile, recipe.profile
    return Choice(recipe.service, recipe.name, controls, recipe.terms.source, profile, form.example if form else None)


def _profile(account: PlannedAccount, typed: str) -> str | None:
    """Return the profile in the inventory, else the one that the employee typed; None if that is no profile."""
    assert account.recipe is not None
    known = account.employee.accounts[account.recipe.service].profile
    return known if known is not None else typed_profile(typed.strip(), account.recipe)
