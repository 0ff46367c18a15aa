"""`fleet portal`: serve a page for employees, and take in what they did there."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.authority.inbox import ACT, Inbox
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
from fleet.errors import InputError
from fleet.loopback import is_loopback
from fleet.model import EXIT_BAD_INPUT, EXIT_OK, counted
from fleet.paths import read_private
from fleet.plan.plan import read_people
from fleet.report.envelope import Answer
from fleet.report.translations import visible
from fleet.state.acts import Attest, Settle
from fleet.state.ingest import Taken, ingest

if TYPE_CHECKING:
    from fleet.portal.published import Site
    from fleet.portal.serve import Listen

app = typer.Typer(no_args_is_help=True, help="Serve a page for employees, and take in what they did there.")


DATA = Annotated[
    Path, typer.Option("--data", metavar="FOLDER", help="What `fleet portal publish` wrote, with site.json in it.")
]
CLIENT_SECRET = Annotated[
    Path | None,
    typer.Option(
        "--client-secret", metavar="FILE", help="Private file with the secret from the provider; none: PKCE alone."
    ),
]
_MISSING = "The portal is not installed; run: pip install 'fleet-optout[portal]'"


@app.command()
def serve(
    data: DATA,
    inbox: Annotated[Path, typer.Option("--inbox", metavar="FOLDER", help="Where what employees do is written.")],
    client_secret: CLIENT_SECRET = None,
    bind: Annotated[
        str, typer.Option("--bind", metavar="HOST:PORT", help="Where to listen; beyond this machine only with --cert.")
    ] = "127.0.0.1:8443",
    socket: Annotated[
        Path | None, typer.Option("--socket", metavar="PATH", help="Listen on this Unix socket, behind a proxy.")
    ] = None,
    cert: Annotated[
        Path | None, typer.Option("--cert", metavar="FILE", help="TLS certificate with its chain (PEM).")
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Its private key (PEM).")] = None,
) -> None:
    """Serve the page for employees until Ctrl-C. Run it as a user of its own, which has no access to the state.

    docs/portal.md has a systemd unit and the settings at the identity provider.
    """
    try:
        from fleet.portal.app import portal_app
        from fleet.portal.serve import serve as serve_portal
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    listen = _listen(bind, socket, cert, key)
    site = _site(data)
    if not os.access(inbox, os.R_OK | os.W_OK | os.X_OK):
        raise InputError(f"{inbox} is not a folder that this user can read and write; make it as in docs/portal.md.")
    application = portal_app(data, inbox, _secret(client_secret))
    where = str(socket) if socket else f"{'https' if cert else 'http'}://{bind}"
    people.print(f"Serving {site.url} on {where} until Ctrl-C.", markup=False, highlight=False)
    serve_portal(application, listen)


@app.command()
def check(data: DATA) -> Answer:
    """Try the identity provider: discovery document, keys, algorithms, and what a mandate needs. Exit code 2 if
    nobody could sign in.
    """
    try:
        from fleet.portal.check_provider import check_provider
        from fleet.portal.provider import Provider
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    site = _site(data)
    found = asyncio.run(check_provider(site, Provider()))

    for one in found:
        typer.echo(f"{'FAULT ' if one.is_fault else ''}{one.name}: {visible(one.text)}")
    return Answer({}, exit_code=EXIT_BAD_INPUT if any(one.is_fault for one in found) else EXIT_OK)


def _missing(error: ModuleNotFoundError) -> InputError:
    if (error.name or "").partition(".")[0] == "fleet":
        raise error
    return InputError(_MISSING)


def _site(data: Path) -> Site:
    from fleet.portal.data import Published, Unavailable

    try:
        return Published(data).site()
    except Unavailable as error:
        raise InputError(f"{error}; run: fleet portal publish") from None


def _secret(file: Path | None) -> str | None:
    if file is None:
        return None
    secret = read_private(file, 4096).decode(errors="replace").strip()
    if not secret:
        raise InputError(f"{file} is empty; write the client's secret to it.")
    return secret


def _listen(bind: str, socket: Path | None, cert: Path | None, key: Path | None) -> Listen:
    from fleet.portal.serve import Listen

    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"--bind {bind}: must be HOST:PORT, such as 127.0.0.1:8443.")
    if (cert is None) != (key is None):
        raise InputError("Give --cert and --key together, or neither.")
    for file in filter(None, (cert, key)):
        if not os.access(file, os.R_OK):
            raise InputError(f"{file} cannot be read; give this user access to it.")
    if socket is None and cert is None and not is_loopback(host):
        raise InputError(f"--bind {bind} would send sign-ins unencrypted; give --cert and --key, or use --socket.")
    return Listen(host, int(port), socket, cert, key)


@app.command("ingest")
def ingest_(
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
    revocations = Revocations(settings.state_dir.revocations)

    def revoke(names: Sequence[str]) -> None:
        for name in names:
            add_to(revocations, name, "portal")
        carry_out(settings, "fleet portal ingest", Settle(), lambda: all(map(revocations.is_recorded, names)))

    taken = ingest(
        Inbox(settings.inbox),
        settings.state_dir,
        {recipe.service: recipe.controls.keys() for recipe in catalog},
        {employee.name for employee in everybody.employees},
        lambda statements: carry_out(settings, "fleet portal ingest", Attest(statements=list(statements))),
        revoke,
    )
    refused = [one for one in taken if one.refusal is not None]
    return Answer(
        {"taken": dict(_counts(taken)), "refused": [{"file": one.name, "reason": one.refusal} for one in refused]},
        lambda: _print(taken, str(settings.inbox)),
        EXIT_BAD_INPUT if refused else EXIT_OK,
    )


@app.command()
def schema() -> None:
    """Print the JSON Schema of a file in the inbox."""
    typer.echo(json.dumps(ACT.json_schema(), indent=2))


def _counts(taken: list[Taken]) -> Counter[str]:
    return Counter(one.act.act for one in taken if one.act is not None and one.refusal is None)


def _print(taken: list[Taken], inbox: str) -> None:
    nouns = {"attest": "statement", "revoke": "revocation"}
    for kind, count in sorted(_counts(taken).items()):
        typer.echo(f"Took in {counted(count, nouns[kind])}.")
    for one in taken:
        if one.refusal is not None:
            rest = "" if one.is_removed else " It is still there; remove it."
            people.print(f"Refused {visible(one.name)}: {one.refusal}.{rest}", markup=False, highlight=False)
    if not taken:
        typer.echo(f"Nothing to take in: {inbox} is empty.")
