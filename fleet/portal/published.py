"""What the portal may show: `site.json` and one file per person in `people`, written by `fleet portal publish`.

The portal runs as a user of its own and reads nothing else: no inventory, no log, no session and no key.
"""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from fleet.authority.attestations import Name, Service
from fleet.authority.instruction import Assurance, ControlName, Language, ProfileText, TextId
from fleet.authority.sign_in import Line, SignIn
from fleet.model import Outcome, Reason, RequestKind
from fleet.recipes.recipe import ProfileForm, is_on_domains
from fleet.recipes.values import Page

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MandateText(TextId):
    """The text of a mandate in one language, as the organization approved it."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=100_000)]


class PublishedRequest(_Strict):
    """What somebody who signs a form or a letter needs beside it."""

    kind: RequestKind
    is_of_organization: bool
    """Whether the organization signs it, so that employees have nothing to do."""
    send_to: Line | None = None
    """Of a letter: where it goes."""
    choices: dict[str, tuple[Line, ...]] = Field(default_factory=dict)
    """The exact labels to choose on the form, in their order, by language."""
    text: dict[str, Annotated[str, StringConstraints(max_length=8000)]] = Field(default_factory=dict)
    """The text to copy, by language."""


class PublishedControl(_Strict):
    """One control, as an employee is told about it, or a request that a person signs."""

    title: Line
    address: Page | None = None
    """The page to open; a letter has none. `{profile}` in it is the employee's profile."""
    labels: dict[str, Line] = Field(default_factory=dict)
    """Its exact label on the page by language (`en`, `pt-BR`), where a source is known."""
    purpose: dict[str, Line] = Field(default_factory=dict)
    """What the service does with the employee's data while it is on, by language; English at least, if any."""
    opted_out: Literal["on", "off"] = "off"
    """The position of the switch in which the data is not used."""
    request: PublishedRequest | None = None
    """Set if nothing is switched, but a form or a letter is sent."""


class PublishedService(_Strict):
    """One service."""

    name: Line
    profile: ProfileForm | None
    """Form of the employee's profile there, which a mandate names; None if anything is accepted."""
    domains: tuple[Line, ...]
    """Domains of the recipe: an employee may give a profile as its whole address."""
    may_be_mandated: bool
    """Whether the organization may visit accounts here for employees who give a mandate."""
    terms: Line
    """What the service's terms say about automated access."""
    controls: dict[Slug, PublishedControl]

    def owns_host(self, host: str) -> bool:
        """Return True if a host is the service's."""
        return is_on_domains(host, self.domains)

    def fault_of_profile(self, profile: str) -> str | None:
        """Return why a profile cannot identify a person; None if it can."""
        return self.profile.fault_of(profile, self.name) if self.profile else None


class Site(_Strict):
    """Everything that is the same for all employees."""

    v: Literal[1]
    written_at: AwareDatetime
    url: Line
    """The portal's address, such as https://optout.example.com."""
    organization: Line
    contact: Line
    """Whom employees ask: an e-mail address or a telephone number."""
    sign_in: SignIn
    texts: dict[Language, MandateText]
    """Approved texts by language; without one, the language is not offered for mandates."""
    mandate_days: Annotated[int, Field(ge=1, le=3650)]
    services: dict[Service, PublishedService]


class Status(_Strict):
    """Where one of the employee's controls is today."""

    service: Service
    control: Slug
    outcome: Outcome | None
    """Of the last run; None if no run has covered it."""
    reason: Reason | None = None
    at: AwareDatetime | None = None
    attested_on: date | None = None
    closed_on: date | None = None
    """When the employee asked not to be asked again, or two reminders stayed unanswered."""
    is_pressed: bool = False
    """Whether the tool itself has switched it."""


class PublishedMandate(_Strict):
    """A mandate of the employee."""

    controls: tuple[ControlName, ...]
    granted_on: date
    expires_on: date
    assurance: Assurance
    text: TextId | None = None
    is_in_force: bool


class Person(_Strict):
    """One employee's file, named by `file_of` their subject."""

    v: Literal[1]
    employee: Name
    subject: Line
    """The value of the claim that identifies them."""
    language: Language
    profiles: dict[Service, ProfileText]
    """What is known of their profiles, by service of theirs; a service can be missing here."""
    services: tuple[Service, ...]
    statuses: tuple[Status, ...]
    mandates: tuple[PublishedMandate, ...] = ()
    is_revoked: bool = False
    receipt: str | None = None
    """The employee's receipt as plain text."""
    may_ask_for_appointment: bool = False
    """Whether the organization offers the desk in the employee's country."""
    asked_for_appointment_on: date | None = None
    """When the employee asked for the appointment that is open."""
    is_drawn: bool = False
    """Whether the employee is invited to a spot check and has not answered."""


def file_of(subject: str) -> str:
    """Return the name of a person's file, by the claim that identifies them."""
    return f"{hashlib.sha256(subject.encode()).hexdigest()}.json"
