"""Writes what the portal may show: `site.json`, and one file for each employee who can sign in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fleet.audit import records
from fleet.audit.current_state import current_states
from fleet.audit.pseudonyms import Subject
from fleet.authority.approved_text import read_text
from fleet.authority.countries import may_be_attended
from fleet.authority.in_force import MandateInForce, Mandates
from fleet.authority.instruction import Assurance
from fleet.errors import InputError
from fleet.inventory.employee import Employee
from fleet.inventory.read import Inventory
from fleet.model import Reason
from fleet.paths import write_private
from fleet.plan.gates import attestations_of, today
from fleet.portal.published import (
    MandateText,
    Person,
    PublishedControl,
    PublishedMandate,
    PublishedRequest,
    PublishedService,
    Site,
    Status,
    file_of,
)
from fleet.recipes.catalog import Catalog
from fleet.recipes.recipe import Control, Recipe
from fleet.recipes.request import Request
from fleet.report.receipt import Receipts
from fleet.report.translations import LANGUAGES, Translator, translator_for
from fleet.settings.resolve import Settings
from fleet.settings.values import PortalSite
from fleet.state.appointments import Appointments
from fleet.state.spot_checks import Invitations

_FOLDER_FOR_THE_GROUP = 0o2750
_FOR_THE_GROUP = 0o640
"""The portal's user reads these files as a member of the folder's group."""


@dataclass(frozen=True)
class Publisher:
    """Everything that is known of the employees. `records` are each person's, by pseudonym."""

    settings: Settings
    site: PortalSite
    texts: Path
    inventory: Inventory
    catalog: Catalog
    mandates: Mandates
    subjects: Mapping[str, Subject]
    records: Mapping[str, Sequence[Mapping[str, Any]]]
    receipts: Receipts

    def write(self, folder: Path) -> int:
        """Write all files, remove those of people who left, and return how many people can sign in.

        Each file is replaced as a whole. Raises InputError if two employees have one subject, if a text is not the
        approved one, or if the folder cannot be written.
        """
        site = self._site()
        people = dict(self._people())
        try:
            (folder / "people").mkdir(parents=True, exist_ok=True)
            (folder / "people").chmod(_FOLDER_FOR_THE_GROUP)
            for path in (folder / "people").iterdir():  # first: it needs no room on the disk
                if path.name not in people:
                    path.unlink()
            for name, person in people.items():
                write_private(folder / "people" / name, person.model_dump_json().encode(), mode=_FOR_THE_GROUP)
            write_private(folder / "site.json", site.model_dump_json(indent=1).encode(), mode=_FOR_THE_GROUP)
        except OSError as error:
            raise InputError(
                f"{folder} cannot be written ({error.strerror}); fix that, or change portal_data in fleet.yml."
            ) from None
        return len(people)

    def _site(self) -> Site:
        used = {service for employee in self.inventory.employees for service in employee.accounts}
        return Site(
            v=1,
            written_at=datetime.now(UTC),
            url=self.site.url,
            organization=self.site.organization,
            contact=self.site.contact,
            sign_in=self.site.sign_in,
            texts={
                language: MandateText(
                    language=language,
                    version=approved.version,
                    sha256=approved.sha256,
                    text=read_text(self.texts, language, approved.sha256),
                )
                for language, approved in self.site.texts.items()
            },
            mandate_days=self.site.mandate_days,
            services={
                recipe.service: self._service(recipe)
                for recipe in self.catalog
                if recipe.service in used and recipe.accounts != "organization"
            },
        )

    def _service(self, recipe: Recipe) -> PublishedService:
        return PublishedService(
            name=recipe.name,
            profile=recipe.profile,
            domains=recipe.domains,
            may_be_mandated=self._may_be_visited(recipe),
            terms=recipe.terms.source,
            controls={name: _published(entry) for name, entry in recipe.entries.items()},
        )

    def _may_be_visited(self, recipe: Recipe) -> bool:
        """Return whether a mandate would open anything: the organization's decisions come first."""
        if self.inventory.rehearsal:
            return True
        settings, service = self.settings, recipe.service
        is_allowed = recipe.terms.automation != "forbidden" or service in settings.terms_accepted
        return is_allowed and (recipe.accounts != "personal" or service in settings.personal_sessions)

    def _people(self) -> Iterator[tuple[str, Person]]:
        names: dict[str, str] = {}
        for employee in self.inventory.employees:
            if employee.subject is None or not employee.is_name_safe:
                continue
            other = names.setdefault(employee.subject, employee.name)
            if other != employee.name:
                raise InputError(f"{other} and {employee.name} have the same fleet_subject; correct the inventory.")
            subject = self.subjects.get(employee.name)
            own = self.records.get(subject.pseudonym, ()) if subject else ()
            yield file_of(employee.subject), self._person(employee, employee.subject, subject, own)

    def _person(
        self, employee: Employee, identifier: str, subject: Subject | None, own: Sequence[Mapping[str, Any]]
    ) -> Person:
        own_accounts = (
            (service, account) for service, account in employee.accounts.items() if account.owner == "employee"
        )
        services = [service for service, _ in own_accounts if self.catalog.get(service) is not None]
        found = [self.mandates.find(employee.name, employee.mandate, service, None, today()) for service in services]
        profiles = {
            service: (one.profile if isinstance(one, MandateInForce) else None) or employee.accounts[service].profile
            for service, one in zip(services, found, strict=True)
        }
        words = translator_for(employee.locale)
        appointment = Appointments(self.settings.state_dir.appointments).of(employee.name)
        return Person(
            v=1,
            employee=employee.name,
            subject=identifier,
            language=words.language,
            profiles={service: profile for service, profile in profiles.items() if profile},
            services=tuple(services),
            statuses=tuple(self._statuses(employee, services, own)),
            mandates=tuple(self._mandates(employee)),
            is_revoked=Reason.MANDATE_REVOKED in found,
            receipt=self.receipts.of(employee.name, subject, own, words).text if subject and own else None,
            may_ask_for_appointment=bool(services) and may_be_attended(employee.country, self.settings.desk.countries),
            is_drawn=may_be_attended(employee.country, self.settings.desk.countries) and self._is_drawn(employee.name),
            asked_for_appointment_on=appointment.asked_at.date() if appointment else None,
        )

    def _is_drawn(self, employee: str) -> bool:
        """Return True for an invitation to a spot check that nobody has answered yet."""
        invitation = Invitations(self.settings.state_dir.spot_checks).of(employee)
        return invitation is not None and invitation.coming_at is None and today() <= invitation.ends_on

    def _statuses(self, employee: Employee, services: list[str], own: Sequence[Mapping[str, Any]]) -> Iterator[Status]:
        states = {(service, control): state for (_, service, control), state in current_states(own).items()}
        pressed = {
            (record["service"], record["control"]) for record in own if record["event"] == records.CONTROL_INTENDED
        }
        said = attestations_of(self.settings).of(employee.name)
        answers = {(one.service, one.control): one for one in said}
        for service in services:
            for control in self.catalog.recipes[service].entries:
                state = states.get((service, control))
                answer = answers.get((service, control))
                yield Status(
                    service=service,
                    control=control,
                    outcome=state.outcome if state else None,
                    reason=state.reason if state else None,
                    at=state.last.at if state else None,
                    attested_on=answer.attested_on if answer and not answer.is_closed else None,
                    closed_on=answer.attested_on if answer and answer.is_closed else None,
                    is_pressed=(service, control) in pressed,
                )

    def _mandates(self, employee: Employee) -> Iterator[PublishedMandate]:
        for mandate in self.mandates.given.of(employee.name).mandates:
            instruction = mandate.instruction
            yield PublishedMandate(
                controls=instruction.controls,
                granted_on=instruction.granted_on,
                expires_on=instruction.expires_on,
                assurance=mandate.assurance,
                text=instruction.text,
                is_in_force=self._is_in_force(employee, mandate.reference, instruction.controls),
            )
        claimed = employee.mandate
        if claimed is not None and claimed.employee == employee.name:
            known = [recipe for recipe in self.catalog if recipe.service in claimed.services]
            controls = tuple(f"{recipe.service}.{control}" for recipe in known for control in recipe.controls)
            if controls:
                yield PublishedMandate(
                    controls=controls,
                    granted_on=claimed.granted_on,
                    expires_on=claimed.expires_on,
                    assurance=Assurance.CLAIMED,
                    is_in_force=self._is_in_force(employee, claimed.reference, controls),
                )

    def _is_in_force(self, employee: Employee, reference: str, controls: tuple[str, ...]) -> bool:
        """Return True if this mandate is the one that opens any of its controls today."""
        for name in controls:
            service, _, control = name.partition(".")
            found = self.mandates.find(employee.name, employee.mandate, service, control, today())
            if isinstance(found, MandateInForce) and found.reference == reference:
                return True
        return False


def _published(entry: Control | Request) -> PublishedControl:
    """Return what employees are told about a control or a request."""
    purpose = _in_all_languages(entry.purpose)
    if isinstance(entry, Control):
        labels = {language: names[0] for language, names in entry.find.names.items()}
        return PublishedControl(
            title=entry.title, address=entry.page, labels=labels, purpose=purpose, opted_out=entry.opted_out
        )
    request = PublishedRequest(
        kind=entry.kind,
        is_of_organization=entry.signed_by == "organization",
        send_to=entry.send_to,
        choices={language: tuple(labels) for language, labels in entry.choices.items()},
        text=entry.text,
    )
    return PublishedControl(title=entry.title, address=entry.page, purpose=purpose, request=request)


def _in_all_languages(text: str | None) -> dict[str, str]:
    """Return a recipe's sentence by language; only those of the catalog are translated."""
    if text is None:
        return {}
    translated = {language: Translator(language)(text) for language in LANGUAGES}
    return {language: said for language, said in translated.items() if language == "en" or said != text}
