"""`fleet portal rehearse`: the portal over the example company on this machine, with a mock identity provider."""

from __future__ import annotations

import hashlib
import logging
import signal
import threading
import warnings
from pathlib import Path
from typing import Annotated

import typer
import yaml

from fleet.commands.options import people, say
from fleet.commands.portal.ingest import print_ingested, take_in
from fleet.commands.portal.publish import publish_people
from fleet.errors import FleetError, InputError
from fleet.inventory.read import Inventory
from fleet.paths import ansible_content, make_private_dir, write_private
from fleet.plan.plan import read_people
from fleet.portal.mandate_text import mandate_text
from fleet.recipes.catalog import Catalog
from fleet.report.translations import LANGUAGES
from fleet.settings.resolve import Given, Settings, configure
from fleet.state.create import make_state

EVERY_SECONDS = 1.0
"""Between two looks into the inbox; in earnest a timer does it every few minutes."""
_SECRET = "a rehearsal's secret"
ORGANIZATION, CONTACT = "Example AG", "privacy@example.com"
_MISSING = "The rehearsal of the portal is not installed; run: pip install 'fleet-optout[portal-rehearsal]'"

_CONFIG = """\
# Written by `fleet portal rehearse`: the portal over the example company, with a mock identity provider.
inventory: [company.yml, subjects.yml]
state: state
identity: keys/identity.txt
log_key: keys/log-key.pem
everybody: [linkedin]
desk: {{countries: [IE]}}
inbox: inbox
portal_data: shown
mandate_texts: texts
mandates: {{assurance: oidc}}
portal:
  url: {url}
  organization: {organization}
  contact: {contact}
  sign_in: {{issuer: {issuer}, client_id: fleet-portal}}
  texts:
{texts}
"""


def rehearse(
    folder: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for all that the rehearsal needs.")
    ] = Path("portal-rehearsal"),
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", min=1024, max=65000, help="Port on this machine.")
    ] = 8700,
) -> None:
    """Serve the portal over the example company until Ctrl-C. Needs no network and no real identity provider.

    Writes a folder with everything that a portal needs, fleet.yml first, so that you can look at it, and run
    `fleet run`, `fleet status` and `fleet mandates list` there with --rehearsal meanwhile. Takes in at once what
    employees do.
    """
    try:
        with warnings.catch_warnings(record=True):  # its own libraries' business
            import oidc_provider_mock

        from fleet.portal.app import portal_app
        from fleet.portal.serve import Listen, server_for
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "fleet":
            raise
        raise InputError(_MISSING) from None
    url, issuer = f"http://localhost:{port}", f"http://localhost:{port + 1}"
    settings, everybody, catalog = _company(folder, url, issuer)
    inbox = settings.inbox
    assert inbox is not None and settings.portal_data is not None
    users = [oidc_provider_mock.User(sub=one.subject) for one in everybody.employees if one.subject is not None]
    publish_people(settings, everybody, catalog)
    server = server_for(portal_app(settings.portal_data, inbox, _SECRET), Listen(port=port))
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with oidc_provider_mock.run_server_in_thread(port=port + 1, user_claims=users):
        serving = threading.Thread(target=server.run)
        serving.start()
        people.print(f"Serving {url} until Ctrl-C. Sign in as any of the example company, such as anna.keller.")
        people.print(f"Everything is in {folder}; to see it in another terminal: cd {folder}", soft_wrap=True)
        try:
            while signal.sigtimedwait((signal.SIGINT, signal.SIGTERM), EVERY_SECONDS) is None and serving.is_alive():
                if any(inbox.iterdir()):
                    try:
                        print_ingested(take_in(settings, inbox, everybody, catalog), str(inbox))
                        publish_people(settings, everybody, catalog)
                    except FleetError as error:
                        say(f"Not taken in yet: {error}", "yellow")
        finally:
            server.should_exit = True
            serving.join()


def _company(folder: Path, url: str, issuer: str) -> tuple[Settings, Inventory, Catalog]:
    """Make the folder if it is new; return its settings, people and recipes."""
    for name in (".", "inbox", "shown", "texts", "keys"):
        make_private_dir(folder / name)
    write_private(folder / "keys" / "client-secret", _SECRET.encode())  # for `fleet portal check --sign-in`
    texts = {language: mandate_text(language, ORGANIZATION, CONTACT) for language in LANGUAGES}
    approved = []
    for language, text in texts.items():
        (folder / "texts" / f"mandate.{language}.txt").write_text(text, "utf-8")
        approved.append(f"    {language}: {{version: '1', sha256: {hashlib.sha256(text.encode()).hexdigest()}}}")
    (folder / "company.yml").write_text((ansible_content() / "inventory.example.yml").read_text("utf-8"), "utf-8")
    config = _CONFIG.format(
        url=url, issuer=issuer, organization=ORGANIZATION, contact=CONTACT, texts="\n".join(approved)
    )
    (folder / "fleet.yml").write_text(config, "utf-8")
    given = Given(inventory=(str(folder / "company.yml"),))
    first, _ = read_people(configure(given).settings)
    hosts = {employee.name: {"fleet_subject": employee.name, "fleet_country": "IE"} for employee in first.employees}
    (folder / "subjects.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}), "utf-8")
    sources = tuple(str(folder / name) for name in ("company.yml", "subjects.yml"))
    settings = configure(Given(inventory=sources)).settings.of_kind(rehearsal=True)
    make_state(settings.state_dir, settings.identity, settings.log_key, rehearsal=True)
    everybody, catalog = read_people(settings)
    return settings, everybody, catalog
