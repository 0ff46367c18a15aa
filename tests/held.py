"""A state with something of two people in every place, as its writers leave it, and what leads to each of them."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from fleet.audit import records
from fleet.audit.keys import read_signing_key
from fleet.audit.log import AuditLog
from fleet.audit.pseudonyms import Subjects
from fleet.authority.attestations import Attestation, Attestations
from fleet.authority.blocklist import Blocklist
from fleet.authority.former_names import FormerNames, Rename
from fleet.authority.given import Given, GivenMandate, GivenMandates
from fleet.authority.instruction import Assurance
from fleet.authority.mandates import Revocations
from fleet.model import Reason
from fleet.paths import StateDir, default_log_key
from fleet.state.appointments import Appointment, Appointments
from fleet.state.create import make_state
from fleet.state.sent_notices import NoticeKind, SentNotice, SentNotices
from fleet.state.spot_checks import Invitation, Invitations
from tests.identity_provider import TEXT, SigningProvider, statement
from tests.logs import FINISHED, STARTED

RUN = "20260115T120000Z-abcdef"
"""Long ago."""
GIVEN_AT = "2025-10-01T09:00:00Z"


@dataclass(frozen=True)
class Person:
    """A person, and every word that leads to them."""

    name: str
    email: str
    subject: str
    profile: str
    former: str

    @property
    def words(self) -> tuple[str, ...]:
        """The person's name, address, identifier, profile and former name."""
        return self.name, self.email, self.subject, self.profile, self.former


ANNA = Person("anna.keller", "anna.k@company.example", "7d0c9a4e-anna", "anna-kellers-profile", "anna.braun")
BEN = Person("ben.moss", "ben.m@company.example", "8e1d0b5f-ben", "ben-mosss-profile", "ben.brook")
PEOPLE = (ANNA, BEN)
PROVIDER = SigningProvider("https://sso.example.com")


def _rename(place: StateDir, person: Person) -> None:
    """Note that they had another name before."""
    names, rename = FormerNames(place.former_names), Rename(person.former, person.name)
    names.begin(rename, date(2025, 5, 5))
    names.complete(rename)


def mandate_of(person: Person) -> GivenMandate:
    """Return a mandate with a token that the provider signed; the same each time."""
    if person.name not in _MANDATES:
        said = statement(person.name, profiles={"linkedin": person.profile}, granted_on="2026-01-10")
        _MANDATES[person.name] = GivenMandate(
            statement=said,
            assurance=Assurance.OIDC,
            given_at=GIVEN_AT,
            id_token=PROVIDER.sign(PROVIDER.claims(said, sub=person.subject)),
            key={name: str(value) for name, value in PROVIDER.keys[0].items()},
        )
    return _MANDATES[person.name]


_MANDATES: dict[str, GivenMandate] = {}


def act_of(person: Person) -> dict[str, Any]:
    """Return a mandate as it came from the portal."""
    mandate = mandate_of(person)
    said = {"v": 1, "act": "mandate", "employee": person.name, "at": GIVEN_AT}
    return said | {"statement": mandate.statement, "id_token": mandate.id_token}


def kept(content: str, refusal: str | None = None) -> str:
    """Return a file of `portal/done` or `portal/refused`."""
    return json.dumps({"name": "a name", "refusal": refusal, "content": content}, indent=1)


def inventory() -> dict[str, Any]:
    """Return both as an inventory."""
    return {"all": {"hosts": {person.name: _variables(person) for person in PEOPLE}}}


def _variables(person: Person) -> Mapping[str, Any]:
    return {
        "fleet_email": person.email,
        "fleet_locale": "de",
        "fleet_subject": person.subject,
        "fleet_accounts": {"linkedin": {"profile": person.profile}},
        "fleet_waivers": [
            {
                "service": "linkedin",
                "control": "ai_training",
                "rationale": "agreed",
                "owner": "olaf.owner",
                "expires_on": "2099-01-01",
            }
        ],
    }


def fill(place: StateDir) -> None:
    """Make a state and put something of both people into each of its places."""
    make_state(place, Path.home() / ".config/fleet/identity.txt", default_log_key())
    asyncio.run(_log(place))
    store = Subjects(place.audit.subjects)
    known = store.everybody()
    store.close()
    texts = GivenMandates(place.mandates)
    texts.keep_text(mandate_of(ANNA).instruction.text.sha256, TEXT.encode())
    for number, person in enumerate(PEOPLE):
        name = person.name
        said = Attestation(service="linkedin", control="ai_training", said=Reason.SWITCHED, attested_on="2026-02-01")
        Attestations(place.attestations).put(name, said)
        texts.put(Given(employee=name, mandates=(mandate_of(person),)))
        sent = {"id": str(number) * 32, "kind": NoticeKind.FIRST, "written_at": GIVEN_AT, "sent_on": "2026-02-02"}
        SentNotices(place.notices).put(name, SentNotice(**sent, controls=("linkedin.ai_training",)))
        Appointments(place.appointments).put(Appointment(employee=name, asked_at=GIVEN_AT))
        invited = {"controls": ("linkedin.ai_training",), "ends_on": "2026-03-01"}
        Invitations(place.spot_checks).put(Invitation(employee=name, **invited))
        _rename(place, person)
        Revocations(place.revocations).prepare()
        Revocations(place.revocations).add(name, said.attested_on, operator=1000, operator_claimed="olga.operator")
        (place.sessions / f"{name}.linkedin.age").write_bytes(f"SEALED {name}".encode())
        (place.sessions / f"{name}.linkedin.json").write_text('{"sealed_at": 1770000000, "expires_at": null}')
        folder = place.evidence / RUN
        folder.mkdir(exist_ok=True)
        picture = f"{known[name].pseudonym}.linkedin.ai_training"
        (folder / f"{picture}.before.png").write_bytes(f"PICTURE {person.profile}".encode())
        (folder / f"{picture}.label.txt").write_text(f"LABEL {person.profile}")
        for where in ("done", "refused"):
            path = place.portal / where / f"mandate-{str(number) * 32}.json"
            path.parent.mkdir(exist_ok=True, mode=0o700)
            path.write_text(kept(json.dumps(act_of(person)), None if where == "done" else f"{name} is gone"))
            os.utime(path, (time.time() - 500 * 86400,) * 2)
    (place.portal / "provider-keys.json").write_text("[]")
    Blocklist(place.stopped_services).prepare()
    place.diagnostics(RUN).write_text("said")


async def _log(place: StateDir) -> None:
    store = Subjects(place.audit.subjects)
    subjects = store.of({person.name: "de" for person in PEOPLE})
    store.close()
    log = AuditLog(place.audit, "a test", read_signing_key(place.audit, default_log_key()))
    await log.append(records.RUN_STARTED, RUN, **STARTED)
    for subject in subjects.values():
        whose = {"subject": subject.pseudonym}
        planned = {"planned": [["linkedin", "ai_training"]], "authority": None, "mandate_hmac": None}
        await log.append(records.RUN_PLANNED, RUN, **whose, **planned)
        await log.append(records.CONTROL_FINISHED, RUN, **(FINISHED | whose | {"evidence": None}))
    await log.append(records.RUN_FINISHED, RUN, counts={}, stopped=None, exit_code=0)
    for subject in subjects.values():
        fields = {"subject": subject.pseudonym, "kind": "first", "sent_on": "2026-02-02"}
        await log.append(records.NOTICE_SENT, None, operator=1000, operator_claimed="olga.operator", **fields)
    log.close()


def everything(folder: Path) -> dict[str, bytes]:
    """Return each file's content by its path, and each link's target."""
    return {
        str(path.relative_to(folder)): str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def places_with(folder: Path, *words: str) -> set[str]:
    """Return the files of a folder whose content or path has any of these words, in any case, also in base64 (JWT)."""
    spelled = [form.lower() for word in words for form in forms(word)]
    return {
        path
        for path, content in everything(folder).items()
        if any(form in path.lower().encode() + b"\0" + content.lower() for form in spelled)
    }


def forms(word: str) -> list[bytes]:
    """Return a word as text and as it can stand in base64, at each of its three offsets."""
    found = [word.encode()]
    for offset in range(3):
        whole = base64.b64encode(bytes(offset) + word.encode())
        # Without the characters that depend on what is before and after it.
        found.append(whole[(offset * 8 + 5) // 6 : len(whole) - 4])
    return found
