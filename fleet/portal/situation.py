"""What an employee's page says about each of their controls, from what was published and what they did since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit

from fleet.authority.inbox import Act, AppointmentAct, AttestAct, CloseAct, MandateAct, RevokeAct, SpotCheckAct
from fleet.authority.instruction import Assurance, Instruction
from fleet.model import Outcome, control_name
from fleet.next_steps import MEANINGS
from fleet.portal.published import (
    Person,
    PublishedControl,
    PublishedMandate,
    PublishedRequest,
    PublishedService,
    Site,
    Status,
)
from fleet.recipes.labels import covers, in_language
from fleet.recipes.recipe import fill_profile
from fleet.recipes.values import PROFILE

ENDS_SOON = timedelta(days=30)

DONE, REQUESTED, TOLD = "Done", "Requested", "You told us"
LEFT, NOTHING, OPEN = "Left as it is", "Nothing to do", "Open"
WORDS = {
    DONE: "The setting was read: your data is not used.",
    REQUESTED: "The service confirmed a request. There is no setting to read.",
    TOLD: "You told us that you did it yourself. Nobody has checked it.",
    LEFT: "You told us to leave it, or did not answer two reminders. We will not remind you any more.",
    NOTHING: "There is nothing for you to do here.",
    OPEN: "Your data is used, or nobody knows whether it is.",
}
"""Each word that can stand beside a control, and what it means."""
SHADES = {DONE: "done", REQUESTED: "told", TOLD: "told", LEFT: "left", NOTHING: "nothing", OPEN: "open"}
"""Style class of each word."""
_WORD_OF = {
    Outcome.OPTED_OUT: DONE,
    Outcome.ALREADY_OPTED_OUT: DONE,
    Outcome.SUBMITTED: REQUESTED,
    Outcome.NOT_OFFERED: NOTHING,
    Outcome.WAIVED: NOTHING,
    Outcome.ADMIN_NEEDED: NOTHING,
}
UNREAD = "Nobody has read this setting yet."
OURS = "Your organization signs and sends this request."
"""Of a request that has no confirmation yet and that employees do not sign."""
SENTENCES = (*WORDS, *WORDS.values(), UNREAD, *MEANINGS.values(), OURS)
"""For translators."""


@dataclass(frozen=True)
class Told:
    """What the employee said last about a control, and whether that still waits to be recorded."""

    on: date
    is_closed: bool
    """Whether they want to be asked no more; otherwise they said that they did it."""


@dataclass(frozen=True)
class Item:
    """One control on the employee's page."""

    name: str
    service_id: str
    control_id: str
    service: PublishedService
    control: PublishedControl
    address: str | None
    """Where to open it; None if only the service's start page is known."""
    home: str
    label: str
    label_language: str
    is_label_foreign: bool
    purpose: str | None
    purpose_language: str
    word: str
    meaning: str
    read_on: date | None
    told: Told | None
    is_pressed: bool
    choices: tuple[str, tuple[str, ...]] | None
    """Of a form: the exact labels to choose, after their language."""
    text: tuple[str, str] | None
    """Of a request: the text to copy, after its language."""

    @property
    def may_be_mandated(self) -> bool:
        """True if a mandate can be given for it; a person signs requests themselves."""
        return self.service.may_be_mandated and self.control.request is None


@dataclass(frozen=True)
class MandateView:
    """A mandate on the employee's page. `ends_soon`: within 30 days. `is_new`: not checked and recorded yet."""

    names: tuple[str, ...]
    granted_on: date
    expires_on: date
    ends_soon: bool
    is_new: bool
    is_claimed: bool
    """Whether an administrator wrote it down."""


def items_of(person: Person, site: Site, pending: Sequence[Act], language: str) -> Iterator[Item]:
    """Yield the employee's controls, by service."""
    statuses = {(status.service, status.control): status for status in person.statuses}
    for service_id in dict.fromkeys(person.services):
        service = site.services.get(service_id)
        for control_id, control in service.controls.items() if service else ():
            assert service is not None
            status = statuses.get((service_id, control_id)) or Status(
                service=service_id, control=control_id, outcome=None
            )
            profile, page, request = person.profiles.get(service_id), control.address or "", control.request
            needs_profile = PROFILE in page
            address = (fill_profile(page, profile) if profile else page) or None
            parts = urlsplit(page)
            spoken, label = in_language(control.labels, language) or ("en", control.title)
            purpose = in_language(control.purpose, language)
            told = _told(status, pending)
            yield Item(
                name=control_name(service_id, control_id),
                service_id=service_id,
                control_id=control_id,
                service=service,
                control=control,
                address=None if needs_profile and not profile else address,
                home=f"{parts.scheme}://{parts.netloc}/",
                label=label,
                label_language=spoken,
                is_label_foreign=not covers(spoken, language),
                purpose=purpose[1] if purpose else None,
                purpose_language=purpose[0] if purpose else language,
                word=_word(status, told, request),
                meaning=_meaning(status, request),
                read_on=status.at.date()
                if status.at and status.outcome is not Outcome.ATTESTED and not request
                else None,
                told=told,
                is_pressed=status.is_pressed,
                choices=in_language(request.choices, language) if request else None,
                text=in_language(request.text, language) if request else None,
            )


def mandates_of(person: Person, pending: Sequence[Act], names: dict[str, str], today: date) -> list[MandateView]:
    """Return the mandates that count or will count; none if they were revoked last. `names`: of controls."""
    revoked, new = _last_given(pending)
    known = [] if revoked else [one for one in person.mandates if one.is_in_force]
    given_in_order: list[PublishedMandate | Instruction] = [*known, *new]
    return [
        MandateView(
            tuple(names.get(one, one) for one in given.controls),
            given.granted_on,
            given.expires_on,
            given.expires_on - today <= ENDS_SOON,
            isinstance(given, Instruction),
            not isinstance(given, Instruction) and given.assurance is Assurance.CLAIMED,
        )
        for given in given_in_order
        if given.expires_on >= today
    ]


def revoked_on(pending: Sequence[Act]) -> date | None:
    """Return the day of a revocation that still waits to be recorded and that no mandate followed."""
    revoked, new = _last_given(pending)
    return revoked.at.date() if revoked and not new else None


def asked_for_appointment_on(person: Person, pending: Sequence[Act]) -> date | None:
    """Return the day on which the employee asked for the appointment that is open; None without one."""
    asked_on = person.asked_for_appointment_on
    for act in pending:
        if isinstance(act, AppointmentAct):
            asked_on = act.at.date() if act.is_wanted else None
        elif isinstance(act, SpotCheckAct) and act.is_coming:
            asked_on = act.at.date()
    return asked_on


def is_invited(person: Person, pending: Sequence[Act]) -> bool:
    """Return True if the employee was drawn for a spot check and has not answered."""
    return person.is_drawn and not any(isinstance(act, SpotCheckAct) for act in pending)


def _last_given(pending: Sequence[Act]) -> tuple[RevokeAct | None, list[Instruction]]:
    """Return the last revocation, and the mandates after it."""
    revoked: RevokeAct | None = None
    new: list[Instruction] = []
    for act in pending:
        if isinstance(act, RevokeAct):
            revoked, new = act, []
        elif isinstance(act, MandateAct):
            new.append(Instruction.model_validate_json(act.statement))
    return revoked, new


def today() -> date:
    """Return the day in UTC, as mandates count days."""
    return datetime.now(UTC).date()


def _told(status: Status, pending: Sequence[Act]) -> Told | None:
    about = [
        act
        for act in pending
        if isinstance(act, (AttestAct, CloseAct)) and (act.service, act.control) == (status.service, status.control)
    ]
    if about:
        last = about[-1]
        is_withdrawn = isinstance(last, AttestAct) and last.said is None
        return None if is_withdrawn else Told(last.at.date(), isinstance(last, CloseAct))
    if status.attested_on:
        return Told(status.attested_on, is_closed=False)
    return Told(status.closed_on, is_closed=True) if status.closed_on else None


def _meaning(status: Status, request: PublishedRequest | None) -> str:
    """Return what the outcome means; of a request, nothing is ever read."""
    if request is None:
        return MEANINGS.get(status.outcome, UNREAD) if status.outcome else UNREAD
    if status.outcome in (Outcome.SUBMITTED, Outcome.WAIVED):
        return MEANINGS[status.outcome]
    return OURS if request.is_of_organization else MEANINGS[Outcome.EMPLOYEE_NEEDED]


def _word(status: Status, told: Told | None, request: PublishedRequest | None) -> str:
    word = _WORD_OF.get(status.outcome, OPEN) if status.outcome else OPEN  # attested: `told` knows it
    if word in (DONE, REQUESTED, NOTHING):
        return word
    if request is not None and request.is_of_organization:
        return NOTHING
    if told:
        return LEFT if told.is_closed else TOLD
    return OPEN
