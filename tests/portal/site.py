"""What a publisher would write for a small company, and the portal served over it."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme

from fleet.authority.inbox import ACT, Act
from fleet.portal.app import portal_app
from fleet.portal.published import file_of
from fleet.portal.serve import Listen, server_for
from fleet.recipes.catalog import load_catalog

CLIENT = "fleet-portal"
TEXTS = {
    "en": "I instruct Example Ltd to open the page named above for me.\n\nIt may switch off just this setting. "
    "LinkedIn may restrict my account for it. I give this mandate freely and can revoke it at any time.",
    "de": "Ich beauftrage die Example Ltd, die oben genannte Seite für mich zu öffnen.\n\nSie darf nur diese "
    "Einstellung ausschalten. Ich erteile diesen Auftrag freiwillig und kann ihn jederzeit widerrufen.",
}
ANNA, BRIAN, CIARA, NOBODY = "anna-subject", "brian-subject", "ciara-subject", "nobody-subject"


def site_json(url: str, issuer: str, **changes: Any) -> dict[str, Any]:
    """`site.json`: LinkedIn may be mandated, the forum has a form, a letter, and one that the organization signs."""
    linkedin = load_catalog().recipes["linkedin"]
    [control] = linkedin.controls.values()
    assert linkedin.profile is not None
    return {
        "v": 1,
        "written_at": "2026-11-29T06:00:00Z",
        "url": url,
        "organization": "Example Ltd",
        "contact": "privacy@example.com",
        "sign_in": {"issuer": issuer, "client_id": CLIENT},
        "texts": {
            language: {
                "language": language,
                "version": "2026-11",
                "sha256": hashlib.sha256(text.encode()).hexdigest(),
                "text": text,
            }
            for language, text in TEXTS.items()
        },
        "mandate_days": 365,
        "services": {
            "linkedin": {
                "name": "LinkedIn",
                "profile": linkedin.profile.model_dump(mode="json"),
                "domains": list(linkedin.domains),
                "may_be_mandated": True,
                "terms": linkedin.terms.source,
                "controls": {
                    "ai_training": {
                        "title": control.title,
                        "address": control.page,
                        "labels": {language: names[0] for language, names in control.find.names.items()},
                        "purpose": {
                            "en": "While it is on, LinkedIn trains models that write texts with your posts and profile."
                        },
                        "opted_out": "off",
                    }
                },
            },
            "forum": {
                "name": "Forum",
                "profile": None,
                "domains": ["forum.example"],
                "may_be_mandated": False,
                "terms": "Terms 4 forbid automated access",
                "controls": {
                    "objection": {
                        "title": "Object to research with my posts",
                        "address": "https://forum.example/object",
                        "request": {
                            "kind": "form",
                            "is_of_organization": False,
                            "choices": {"en": ["I object to a use of my data", "Research"], "fr": ["Je m’oppose"]},
                            "text": {"en": "I object to the use of my posts for research.\n\nMy name: "},
                        },
                    },
                    "letter": {
                        "title": "Object to the sale of my data",
                        "request": {
                            "kind": "letter",
                            "is_of_organization": False,
                            "send_to": "privacy@forum.example",
                            "text": {"en": "I object.", "de": "Ich widerspreche."},
                        },
                    },
                    "notice": {
                        "title": "Objection of the organization",
                        "address": "https://forum.example/organizations",
                        "request": {"kind": "form", "is_of_organization": True},
                    },
                },
            },
        },
        **changes,
    }


def person_json(employee: str, subject: str, **changes: Any) -> dict[str, Any]:
    """One person's file."""
    return {
        "v": 1,
        "employee": employee,
        "subject": subject,
        "language": "en",
        "profiles": {},
        "services": ["linkedin", "forum"],
        "statuses": [{"service": "linkedin", "control": "ai_training", "outcome": "no_mandate"}],
        **changes,
    }


def anna() -> dict[str, Any]:
    """Somebody for whom nothing has happened yet, and who may ask for an appointment."""
    return person_json("anna.keller", ANNA, may_ask_for_appointment=True)


def brian() -> dict[str, Any]:
    """Somebody for whom much has happened; his mandate ends soon."""
    today = datetime.now(UTC).date()
    return person_json(
        "brian.walsh",
        BRIAN,
        profiles={"linkedin": "brian-walsh-77", "forum": "bw"},
        statuses=[
            {
                "service": "linkedin",
                "control": "ai_training",
                "outcome": "opted_out",
                "at": "2026-11-20T09:00:00Z",
                "is_pressed": True,
            },
            {"service": "forum", "control": "objection", "outcome": "employee_needed", "closed_on": "2026-11-10"},
        ],
        mandates=[
            {
                "controls": ["linkedin.ai_training"],
                "granted_on": "2026-01-15",
                "expires_on": str(today + timedelta(days=12)),
                "assurance": "claimed",
                "is_in_force": True,
            }
        ],
        is_drawn=True,
        asked_for_appointment_on="2026-11-21",
        receipt="Receipt for brian.walsh\n\nIt was on. We switched it off.\n" + "proof " * 60 + "\n",
    )


@dataclass
class Served:
    """A portal that is running."""

    url: str
    data: Path
    inbox: Path
    ca: trustme.CA

    def publish(self, **changes: Any) -> None:
        """Write `site.json` anew."""
        issuer = json.loads((self.data / "site.json").read_text())["sign_in"]["issuer"]
        write(self.data / "site.json", site_json(self.url, issuer, **changes))

    def put(self, person: dict[str, Any]) -> None:
        """Write a person's file."""
        write(self.data / "people" / file_of(person["subject"]), person)

    def acts(self) -> list[Act]:
        """Everything in the inbox; nothing there is half written."""
        files = sorted(self.inbox.iterdir(), key=lambda file: file.stat().st_mtime_ns)
        assert [file.name for file in files if file.name.startswith(".")] == []
        assert {file.stat().st_mode & 0o777 for file in files} <= {0o640}
        return [ACT.validate_json(file.read_bytes()) for file in files]

    def empty(self) -> None:
        """Take the acts away, as ingesting does."""
        for file in self.inbox.iterdir():
            file.unlink()


def write(path: Path, content: dict[str, Any]) -> None:
    """Replace a file, so that its reader sees the old or the new one."""
    fresh = path.with_name(f".{path.name}")
    fresh.write_text(json.dumps(content))
    fresh.rename(path)


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def served(folder: Path, issuer: str, port: int, secret: str | None = None) -> Iterator[Served]:
    """The portal over TLS, with a certificate of its own authority."""
    ca = trustme.CA()
    cert = ca.issue_cert("127.0.0.1")
    cert.private_key_pem.write_to_path(folder / "key.pem")
    for blob in cert.cert_chain_pems:
        blob.write_to_path(folder / "cert.pem", append=True)
    data, inbox = folder / "data", folder / "inbox"
    (data / "people").mkdir(parents=True)
    inbox.mkdir()
    portal = Served(f"https://127.0.0.1:{port}", data, inbox, ca)
    write(data / "site.json", site_json(portal.url, issuer))
    for person in (anna(), brian(), person_json("ciara.byrne", CIARA, language="de")):
        portal.put(person)
    server = server_for(
        portal_app(data, inbox, secret), Listen(port=port, cert=folder / "cert.pem", key=folder / "key.pem")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.started
    try:
        yield portal
    finally:
        server.should_exit = True
        thread.join(10)


def today() -> date:
    """The day in UTC."""
    return datetime.now(UTC).date()
