"""What is held of one person, as a folder for them: a page in their language, and the same as data."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Final

from markupsafe import Markup

from fleet.audit import records
from fleet.authority.former_names import FormerNames
from fleet.authority.given import Given, GivenMandate
from fleet.authority.mandate_export import export_mandate
from fleet.inventory.employee import Employee
from fleet.model import Outcome
from fleet.recipes.catalog import Catalog
from fleet.report.receipt import Receipt
from fleet.report.rendering import asset, digest, templates
from fleet.report.translations import Translator
from fleet.state.held_data import HeldData

VERSION: Final = 1
"""Of the format of data.json."""
PAGE, DATA, PROOFS, KEYS = "index.html", "data.json", "proofs.tlog-proof", "log.vkey"

EVENTS: Final[Mapping[str, str]] = {
    records.RUN_PLANNED: "A run was planned that includes you.",
    records.CONTROL_INTENDED: "{control}: about to be switched off.",
    records.CONTROL_FINISHED: "{control}: {outcome}.",
    records.MANDATE_MET: "A run found your mandate in the list of employees.",
    records.MANDATE_GIVEN: "Your mandate was taken in.",
    records.MANDATE_REVOKED: "Your mandates were revoked.",
    records.MANDATE_RENEWED: "Your mandate was renewed.",
    records.CONTROL_ATTESTED: "{control}: what you said was taken in.",
    records.CONTROL_CLOSED: "{control}: you are not asked again.",
    records.NOTICE_SENT: "You were sent a message.",
    records.EMPLOYEE_RENAMED: "Your name here was changed.",
    records.NAMES_SHOWN: "An administrator looked at your name beside these records.",
}
"""What a record says to its person. A record of another event is listed by the event's name."""
SAID: Final[Mapping[str, str]] = {
    "switched": "I switched it off",
    "was_off": "It was off already",
    "sent": "I sent it and saw the confirmation",
    "closed": "I leave it as it is",
}
NOTICES: Final[Mapping[str, str]] = {"first": "What you can do", "reminder": "Reminder", "receipt": "Receipt"}
ACTS: Final[Mapping[str, str]] = {"waiting": "not taken in yet", "done": "taken in", "refused": "refused"}
OTHERS: Final[Mapping[str, str]] = {"spot_checks": "Invitation to a spot check", "former-names": "Former names"}
"""Headings of other folders of the state, whose content is in data.json."""
TOLD: Final = frozenset({"attestations", "mandates", "notices", "appointments"})
"""Folders of the state whose content the page tells; that of others is in data.json alone."""


def render_held_data(
    data: HeldData,
    mandate_texts: Mapping[str, bytes],
    former: FormerNames,
    receipt: Receipt | None,
    catalog: Catalog,
    keys: str,
    words: Translator,
    now: datetime,
    *,
    rehearsal: bool,
) -> Mapping[str, bytes]:
    """Return the files of the folder by their paths in it. `mandate_texts` are those agreed to, by their digests."""
    files = dict(_mandate_files(data, mandate_texts, former))
    files |= {f"pictures/{name}": content for name, content in data.evidence.items()}
    if receipt is not None:
        files |= {"receipt.html": receipt.html.encode(), "receipt.txt": receipt.text.encode()}
    proofs = "\n".join(one.proof for one in data.records if one.proof is not None)
    if proofs:
        files |= {PROOFS: proofs.encode(), KEYS: keys.encode()}
    files[DATA] = (json.dumps(_fields(data, now, rehearsal=rehearsal), indent=1, default=str) + "\n").encode()
    style = asset("report.css")
    page = templates(words, is_page=True).get_template("held_data.html.j2")
    content = {
        "data": data,
        "files": files,
        "mandates": [*enumerate(_given(data), 1)],
        "pictures": {
            name: f"data:image/png;base64,{base64.b64encode(content).decode()}"
            for name, content in data.evidence.items()
            if name.endswith(".png")
        },
        "policy": f"default-src 'none'; style-src '{digest(style)}'; img-src data:; base-uri 'none'; "
        "form-action 'none'",
        "style": Markup(style),  # noqa: S704 - our own file
        "made_at": words.moment(now),
        "rehearsal": rehearsal,
        "others": [words(OTHERS.get(place, place)) for place in data.files if place not in TOLD],
        "control": partial(_control, catalog),
        "service_name": partial(_service, catalog),
        "day": lambda text: words.day(date.fromisoformat(text)),
        "moment": lambda text: words.moment(datetime.fromisoformat(text) if isinstance(text, str) else text),
        "event": lambda record: _sentence(record, catalog, words),
        "answer": lambda said: words(SAID.get(said, said)),
        "kind": lambda notice: words(NOTICES.get(notice, notice)),
        "where": lambda place: words(ACTS.get(place, place)),
    }
    return {**files, PAGE: page.render(content).encode()}


def _given(data: HeldData) -> Iterator[GivenMandate]:
    for content in data.files.get("mandates", ())[:1]:
        yield from Given.model_validate(content).mandates


def _mandate_files(data: HeldData, texts: Mapping[str, bytes], former: FormerNames) -> Iterator[tuple[str, bytes]]:
    for number, mandate in enumerate(_given(data), 1):
        text = texts[mandate.instruction.text.sha256]
        for name, content in export_mandate(mandate, text, data.employee, former).items():
            yield f"mandates/{number}/{name}", content


def _service(catalog: Catalog, service: str) -> str:
    return catalog.name_of(service) or service


def _control(catalog: Catalog, service: str, control: str | None = None) -> str:
    """Return a control as its person knows the service; `service.control` in one text, or apart."""
    if control is None:
        service, _, control = service.partition(".")
    return f"{_service(catalog, service)} {control}".strip()


def _sentence(record: Mapping[str, Any], catalog: Catalog, words: Translator) -> str:
    sentence = EVENTS.get(record["event"])
    if sentence is None:
        return str(record["event"])
    outcome = words(Outcome(record["outcome"]).value.replace("_", " ")) if "outcome" in record else ""
    service = record.get("service")
    control = _control(catalog, service, record["control"] or "") if service else words("an account")
    return words(sentence).format(control=control, outcome=outcome)


def _fields(data: HeldData, now: datetime, *, rehearsal: bool) -> dict[str, Any]:
    """Return data.json."""
    subject = data.subject
    return {
        "version": VERSION,
        "employee": data.employee,
        "written_at": now.isoformat(),
        "rehearsal": rehearsal,
        "inventory": _inventory(data.inventory) if data.inventory else None,
        "log": {
            "pseudonym": subject.pseudonym if subject else None,
            "key": subject.key.hex() if subject else None,
            "language": subject.locale if subject else None,
            "records": [{**one.fields, "is_proved": one.proof is not None} for one in data.records],
        },
        "files": {place: list(contents) for place, contents in sorted(data.files.items())},
        "revoked_at": data.revoked_at.isoformat() if data.revoked_at else None,
        "sessions": [
            {"service": one.service, "sealed_at": _iso(one.sealed_at), "expires_at": _iso(one.expires_at)}
            for one in data.sessions
        ],
        "portal": {"page": data.page, "acts": [asdict(one) for one in data.acts], "left_out": data.left_out},
        "pictures": sorted(data.evidence),
    }


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _inventory(employee: Employee) -> dict[str, Any]:
    """Return the employee's variables, without the owners of waivers, who are other people."""
    return {
        "fleet_email": employee.email,
        "fleet_locale": employee.locale,
        "fleet_country": employee.country,
        "fleet_subject": employee.subject,
        "fleet_accounts": {name: one.model_dump(mode="json") for name, one in employee.accounts.items()},
        "fleet_mandate": employee.mandate.model_dump(mode="json") if employee.mandate else None,
        "fleet_waivers": [one.model_dump(mode="json", exclude={"owner"}) for one in employee.waivers],
        "groups": list(employee.groups),
        "mistakes": [f"{one.field}: {one.message}" for one in employee.problems],
    }
