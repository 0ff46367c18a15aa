"""`fleet portal publish`, `text`, `schema`: what the portal shows, what employees agree to, and what it may write."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from fleet.audit.pseudonyms import known_subjects
from fleet.audit.segments import of_kind, read_records
from fleet.authority.inbox import ACT
from fleet.authority.mandates import Revocations
from fleet.commands.options import BESIDE, INVENTORY, RECIPES, REHEARSAL, STATE, settings_of, settings_with_state
from fleet.errors import InputError
from fleet.inventory.read import Inventory
from fleet.model import counted
from fleet.plan.gates import mandates_of
from fleet.plan.plan import read_people
from fleet.portal.mandate_text import mandate_text
from fleet.portal.publish import Publisher
from fleet.recipes.catalog import Catalog
from fleet.report.receipt import Receipts, records_by_subject
from fleet.report.translations import LANGUAGES
from fleet.settings.resolve import Settings


def publish(
    inventory: INVENTORY = None, recipes: RECIPES = None, rehearsal: REHEARSAL = False, state: STATE = None
) -> None:
    """Write what the portal may show: the services, the approved texts, and one file for each employee.

    Run it after each import, run and ingest. Only employees with fleet_subject can sign in.
    """
    settings = settings_with_state(inventory, state=state, recipes=recipes, rehearsal=rehearsal)
    everybody, catalog = read_people(settings)
    everybody.require_own_state(is_rehearsal=rehearsal)
    count = publish_people(settings, everybody, catalog)
    without = sum(employee.subject is None for employee in everybody.employees)
    rest = f" {counted(without, 'employee')} cannot sign in: no fleet_subject." if without else ""
    typer.echo(f"Published {counted(count, 'employee')} to {settings.portal_data}.{rest}")


def publish_people(settings: Settings, everybody: Inventory, catalog: Catalog) -> int:
    """Write what the portal may show and return how many people can sign in. Raises as `Publisher.write` does."""
    missing = [name for name in ("portal", "portal_data", "mandate_texts") if getattr(settings, name) is None]
    if settings.portal is None or settings.portal_data is None or settings.mandate_texts is None:
        raise InputError(f"fleet.yml lacks {', '.join(missing)}; docs/portal.md explains them.")
    places = settings.state_dir.audit
    return Publisher(
        settings,
        settings.portal,
        settings.mandate_texts,
        everybody,
        catalog,
        mandates_of(settings, Revocations(settings.state_dir.revocations)),
        known_subjects(places.subjects),
        records_by_subject(of_kind(read_records(places.log), rehearsal=everybody.rehearsal)),
        Receipts(places, catalog, datetime.now(UTC), everybody.rehearsal),
    ).write(settings.portal_data)


def text(
    language: Annotated[str, typer.Argument(help=f"Language: {', '.join(LANGUAGES)}.")], inventory: BESIDE = None
) -> None:
    """Print a mandate's text to start from, filled in with the organization of fleet.yml.

    Save it as mandate.LANGUAGE.txt in mandate_texts, let your counsel change it, and approve its SHA-256 in fleet.yml.
    """
    if language not in LANGUAGES:
        raise InputError(f"'{language}' is not available; choose {', '.join(LANGUAGES)}.")
    site = settings_of(inventory).portal
    typer.echo(mandate_text(language, site.organization if site else None, site.contact if site else None), nl=False)


def schema() -> None:
    """Print the JSON Schema of a file in the inbox."""
    typer.echo(json.dumps(ACT.json_schema(), indent=2))
