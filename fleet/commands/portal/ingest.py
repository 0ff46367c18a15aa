"""`fleet portal ingest`: take in what employees did on their portal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import typer

from fleet.authority.countries import may_be_attended
from fleet.authority.former_names import FormerNames
from fleet.authority.given import GivenMandates
from fleet.authority.identity_provider import read_provider
from fleet.authority.inbox import AppointmentAct, AttestAct, CloseAct, Inbox, MandateAct, RevokeAct, SpotCheckAct
from fleet.authority.mandates import Revocations
from fleet.commands.carry_out import add_to, carry_out
from fleet.commands.options import (
    INVENTORY,
    LOG_KEY,
    OUTPUT,
    RECIPES,
    REHEARSAL,
    STATE,
    Output,
    people,
    settings_with_state,
)
from fleet.commands.spot_check import end_if_over
from fleet.errors import InputError
from fleet.inventory.employee import Employee
from fleet.inventory.read import Inventory
from fleet.model import EXIT_BAD_INPUT, EXIT_OK, EXIT_TOOL_FAILED, counted
from fleet.plan.plan import claimed_operator, read_people
from fleet.recipes.catalog import Catalog
from fleet.recipes.recipe import Recipe
from fleet.report.envelope import Answer
from fleet.report.translations import visible
from fleet.settings.resolve import Settings
from fleet.state.acts import Settle
from fleet.state.employee_acts import Give
from fleet.state.given_checks import GivenChecks
from fleet.state.ingest import Ingest, Ingested, Taken, revoked_at
from fleet.state.provider_keys import ProviderKeys
from fleet.state.spot_checks import Invitations


def ingest(
    inventory: INVENTORY = None,
    recipes: RECIPES = None,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
    log_key: LOG_KEY = None,
    output: OUTPUT = Output.TEXT,
) -> Answer:
    """Check each act in the portal's inbox, record it, and let it count. Run it every few minutes.

    Works during a run, too. Files that are taken in are kept in portal/done in the state directory, refused ones with
    their reason in portal/refused. Exit code 2 if any is refused.
    """
    settings = settings_with_state(inventory, state=state, log_key=log_key, recipes=recipes, rehearsal=rehearsal)
    if settings.inbox is None:
        raise InputError("fleet.yml names no inbox; add inbox: FOLDER, the folder that the portal writes to.")
    everybody, catalog = read_people(settings)
    everybody.require_own_state(is_rehearsal=rehearsal)
    ingested = take_in(settings, settings.inbox, everybody, catalog)
    ended = end_if_over(settings, "fleet portal ingest", rehearsal=rehearsal)
    taken = ingested.taken
    refused = [one for one in taken if one.refusal is not None]
    return Answer(
        {
            "taken": dict(_counts(taken)),
            "refused": [{"file": one.name, "reason": one.refusal} for one in refused],
            "waiting": ingested.waiting,
            "problem": ingested.problem,
            "spot_check_ended": ended,
        },
        lambda: print_ingested(ingested, str(settings.inbox), ended),
        EXIT_TOOL_FAILED if ingested.waiting else EXIT_BAD_INPUT if refused else EXIT_OK,
    )


def take_in(settings: Settings, inbox: Path, everybody: Inventory, catalog: Catalog) -> Ingested:
    """Take in what has arrived in the inbox. Raises as `Ingest.run` and `carry_out` do."""
    revocations = Revocations(settings.state_dir.revocations)
    employees = {employee.name: employee for employee in everybody.employees}
    former = FormerNames(settings.state_dir.former_names)

    invitations = Invitations(settings.state_dir.spot_checks)

    def refusal(act: AttestAct | CloseAct | AppointmentAct | SpotCheckAct) -> str | None:
        if (isinstance(act, AppointmentAct) and not act.is_wanted) or (
            isinstance(act, SpotCheckAct) and not act.is_coming
        ):
            return None  # it takes away
        employee = employees.get(act.employee)
        if employee is None:
            return f"employee: {act.employee} is not in the inventory"
        if isinstance(act, SpotCheckAct) and invitations.of(act.employee) is None:
            return f"employee: {act.employee} is not invited to a spot check"
        if isinstance(act, AppointmentAct | SpotCheckAct):
            is_covered = may_be_attended(employee.country, settings.desk.countries)
            return None if is_covered else f"employee: the country of {act.employee} is not among desk.countries"
        recipe = catalog.get(act.service)
        if recipe is None or act.control not in recipe.entries:
            return f"control: no recipe has {act.service}.{act.control}"
        return _misfit(act, recipe) if isinstance(act, AttestAct) else None

    def revoke(acts: Sequence[RevokeAct]) -> None:
        now = datetime.now(UTC)
        for act in acts:
            add_to(revocations, act.employee, "portal", revoked_at(act, now))
        names = [act.employee for act in acts]
        carry_out(settings, "fleet portal ingest", Settle(), lambda: all(map(revocations.is_recorded, names)))

    return Ingest(
        Inbox(inbox),
        settings.state_dir,
        {old: new for old, new in former.all().items() if old not in employees},
        refusal,
        _mandate_checks(settings, employees, catalog, revocations, former),
        lambda act: carry_out(settings, "fleet portal ingest", act),
        revoke,
        claimed_operator(),
    ).run()


def _misfit(act: AttestAct, recipe: Recipe) -> str | None:
    """Return why an employee cannot have done this there: a setting is not sent, and a form is not switched."""
    request = recipe.requests.get(act.control)
    if request is not None and request.signed_by == "organization":
        return f"control: {act.service}.{act.control} is signed by the organization"
    if act.said is not None and (act.said == "sent") is (request is None):
        return f"said: {act.said} does not fit {act.service}.{act.control}"
    return None


def _mandate_checks(
    settings: Settings,
    employees: Mapping[str, Employee],
    catalog: Catalog,
    revocations: Revocations,
    former: FormerNames,
) -> Callable[[MandateAct], Give]:
    """Return what checks a mandate; without a portal in fleet.yml every mandate is refused."""
    site, texts = settings.portal, settings.mandate_texts
    if site is None or texts is None:
        missing = "portal" if site is None else "mandate_texts"

        def refuse(_act: MandateAct) -> Give:
            raise InputError(f"fleet.yml has no {missing}, so no mandate can be given in a portal")

        return refuse
    state, issuer = settings.state_dir, site.sign_in.issuer
    return GivenChecks(
        site,
        texts,
        employees,
        catalog.recipes,
        GivenMandates(state.mandates),
        revocations,
        ProviderKeys(state.portal / "provider-keys.json", lambda: read_provider(issuer)),
        settings.mandates.assurance,
        claimed_operator(),
        former,
    ).checked


def _counts(taken: list[Taken]) -> Counter[str]:
    return Counter(one.act.act for one in taken if one.act is not None and one.refusal is None)


def print_ingested(ingested: Ingested, inbox: str, ended: str | None = None) -> None:
    """Print what became of each file; `ended` is the result of a spot check that is over."""
    taken = ingested.taken
    if ended is not None:
        typer.echo(ended)
    nouns = {
        "appointment": "appointment request",
        "attest": "statement",
        "close": "request not to be asked again",
        "mandate": "mandate",
        "revoke": "revocation",
        "spot_check": "spot check answer",
    }
    for kind, count in sorted(_counts(taken).items()):
        typer.echo(f"Took in {counted(count, nouns[kind])}.")
    for one in taken:
        if one.refusal is not None:
            rest = "" if one.is_removed else " It is still there; remove it."
            people.print(f"Refused {visible(one.name)}: {one.refusal}.{rest}", markup=False, highlight=False)
    if ingested.waiting:
        what = counted(ingested.waiting, "mandate")
        people.print(f"Left {what} for the next time: {ingested.problem}", markup=False, highlight=False)
    elif not taken:
        typer.echo(f"Nothing to take in: {inbox} is empty.")
