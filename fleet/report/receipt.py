"""A receipt for one employee: what was read, changed and read back, when, on what authority, and how to check it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from itertools import groupby
from typing import Any

from markupsafe import Markup

from fleet.audit import records
from fleet.audit.keys import read_keys
from fleet.audit.proof import Proof, Prover
from fleet.audit.pseudonyms import Subject
from fleet.audit.signed_note import VerifierKey
from fleet.authority.instruction import Assurance
from fleet.model import Outcome, Reason
from fleet.paths import AuditDir
from fleet.recipes.catalog import Catalog
from fleet.report.rendering import asset, digest, templates
from fleet.report.translations import Translator, visible

SENTENCES = {
    Outcome.OPTED_OUT: "It was on. We switched it off, reloaded the page and read it back: off ({when}).",
    Outcome.ALREADY_OPTED_OUT: "It was off already; we changed nothing ({when}).",
    Outcome.WOULD_OPT_OUT: "It is on; we only read it and changed nothing ({when}).",
    Outcome.NOT_SAVED: "We tried to switch it off, but it was still on when we read it back ({when}).",
    Outcome.UNKNOWN: "We tried to switch it off, but could not read back the result ({when}).",
    Outcome.NOT_OFFERED: "The service does not offer this setting to your account ({when}).",
}
ATTESTED = "You told us on {day} that it is off; we have not read the page."
SENT = "You told us on {day} that you sent the form and saw it confirmed; we have not checked."
NOT_OURS = "It was on when we first read it and off when we read it again; our click may not be the cause ({when})."
NOT_TOUCHED = "We did not touch it: {outcome} ({when})."


@dataclass(frozen=True)
class Entry:
    """What one run did with one control."""

    service: str
    control: str
    outcome: Outcome
    before: str | None
    after: str | None
    is_read_back: bool
    is_pressed: bool
    at: datetime
    authority: str | None
    assurance: str | None
    """How the mandate was known to be the employee's own; None in records of older versions."""
    reason: Reason | None
    attested_on: date | None
    proofs: tuple[Proof, ...]


@dataclass(frozen=True)
class Receipt:
    """The same content in two formats."""

    text: str
    html: str


def entries_of(
    subject: Subject,
    log: Iterable[Mapping[str, Any]],
    catalog: Catalog,
    prove: Callable[[int], Proof],
) -> list[Entry]:
    """Return the last attempted change and the last record of each of a person's controls, proved, oldest first."""
    changed: dict[tuple[str, str], Mapping[str, Any]] = {}
    newest: dict[tuple[str, str], Mapping[str, Any]] = {}
    intended: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for record in log:
        if record.get("subject") != subject.pseudonym:
            continue
        if record["event"] == records.CONTROL_INTENDED:
            intended[record["run"], record["service"], record["control"]] = record
        elif record["event"] == records.CONTROL_FINISHED and record["service"] and record["control"]:
            key = record["service"], record["control"]
            newest[key] = record
            if (record["run"], *key) in intended:
                changed[key] = record
    entries = []
    chosen = {record["seq"]: record for each in (changed, newest) for record in each.values()}
    for record in sorted(chosen.values(), key=lambda one: (one["service"], one["control"], one["seq"])):
        service, control = record["service"], record["control"]
        intent = intended.get((record["run"], service, control))
        proved = [each["seq"] for each in (intent, record) if each is not None]
        entries.append(
            Entry(
                service=catalog.name_of(service) or service,
                control=control,
                outcome=Outcome(record["outcome"]),
                before=record["before"],
                after=record["after"],
                is_read_back=record["read_back"],
                is_pressed=intent is not None,
                at=datetime.fromisoformat(record["at"]),
                authority=intent["authority"] if intent else None,
                assurance=intent["assurance"] if intent else None,
                reason=Reason(record["reason"]) if record["reason"] else None,
                attested_on=date.fromisoformat(record["attested_on"]) if record["attested_on"] else None,
                proofs=tuple(map(prove, proved)),
            )
        )
    return entries


def render_receipt(
    employee: str,
    subject: Subject,
    entries: Sequence[Entry],
    key: VerifierKey,
    words: Translator,
    now: datetime,
    *,
    rehearsal: bool = False,
) -> Receipt:
    """Return the receipt as text and as one HTML page; the text contains the proofs, the page offers them as files."""
    content = {
        "employee": employee,
        "subject": subject,
        "cards": [list(of_one) for _, of_one in groupby(entries, lambda entry: (entry.service, entry.control))],
        "entries": entries,
        "rehearsal": rehearsal,
        "key": str(key),
        "made_at": words.moment(now),
        "file": visible(f"{employee}.receipt.txt"),
        "sentence": lambda entry: _sentence(entry, words),
        "authority": lambda entry: _authority(entry, words),
    }
    style = asset("report.css")
    policy = f"default-src 'none'; style-src '{digest(style)}'; base-uri 'none'; form-action 'none'"
    plain, page = (templates(words, is_page=is_page) for is_page in (False, True))
    text = plain.get_template("receipt.txt.j2").render(content)
    proofs = base64.b64encode("\n".join(proof.text for entry in entries for proof in entry.proofs).encode()).decode()
    html = page.get_template("receipt.html.j2").render(
        content,
        style=Markup(style),  # noqa: S704 - our own file
        policy=policy,
        proofs=f"data:text/plain;base64,{proofs}",
    )
    return Receipt(text, html)


@dataclass(frozen=True)
class Receipts:
    """Makes receipts, for one employee or many. The keys are read with the first: without records there are none."""

    places: AuditDir
    catalog: Catalog
    now: datetime
    rehearsal: bool

    @cached_property
    def _keys(self) -> Sequence[VerifierKey]:
        return read_keys(self.places.vkey)

    @cached_property
    def _prover(self) -> Prover:
        return Prover(self.places, self._keys)

    def of(self, employee: str, subject: Subject, log: Iterable[Mapping[str, Any]], words: Translator) -> Receipt:
        """Return an employee's receipt; of `log` only their records count. Raises as `read_keys` and `Prover` do."""
        prover, key = self._prover, self._keys[0]
        entries = entries_of(subject, log, self.catalog, prover.prove)
        return render_receipt(employee, subject, entries, key, words, self.now, rehearsal=self.rehearsal)


def records_by_subject(log: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Return each person's records, by pseudonym."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for record in log:
        if record.get("subject") is not None:
            found.setdefault(record["subject"], []).append(record)
    return found


def _authority(entry: Entry, words: Translator) -> str:
    """Return on whose authority a setting was switched, and how that is known."""
    if entry.authority != "mandate":
        return words("Authority: the company's, for its own account.")
    match entry.assurance:
        case Assurance.OIDC | Assurance.OIDC_SESSION:
            return words("Authority: your own mandate, given with your organization's sign-in.")
        case Assurance.DESK:
            return words("Authority: your own mandate, given in person at the desk.")
        case Assurance.CLAIMED:
            return words("Authority: your own mandate, as an administrator wrote it down.")
        case _:
            return words("Authority: your own mandate.")


def _sentence(entry: Entry, words: Translator) -> str:
    """Return what happened in one sentence; only what was read is claimed."""
    # After an intent it is unknown whether we caused the change.
    if entry.outcome is Outcome.ATTESTED and entry.attested_on is not None:
        return words(SENT if entry.reason is Reason.SENT else ATTESTED, day=words.day(entry.attested_on))
    is_pressed_in_vain = entry.is_pressed and entry.outcome is Outcome.ALREADY_OPTED_OUT
    said = NOT_OURS if is_pressed_in_vain else SENTENCES.get(entry.outcome, NOT_TOUCHED)
    return words(said, outcome=words(entry.outcome.replace("_", " ")), when=words.moment(entry.at))
