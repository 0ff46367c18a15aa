"""`fleet portal serve` and `check`: the page for employees, and whether its identity provider can be used."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.commands.options import OUTPUT, Output, people
from fleet.errors import InputError
from fleet.loopback import is_loopback
from fleet.model import EXIT_BAD_INPUT, EXIT_OK
from fleet.paths import read_private
from fleet.report.envelope import Answer
from fleet.report.translations import visible

if TYPE_CHECKING:
    from fleet.portal.check_provider import Finding
    from fleet.portal.published import Site
    from fleet.portal.serve import Listen

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


def check(
    data: DATA,
    sign_in: Annotated[
        bool, typer.Option("--sign-in", help="Also try a sign-in, in your own browser, and show what it brings.")
    ] = False,
    client_secret: CLIENT_SECRET = None,
    output: OUTPUT = Output.TEXT,
) -> Answer:
    """Try the identity provider: discovery document, keys, algorithms, and what a mandate needs. Exit code 2 if
    nobody could sign in.

    With --sign-in you open an address, sign in, and paste the address at which your browser ends. The portal need not
    be running: an error page there is as expected.
    """
    try:
        from fleet.portal.check_provider import check_provider, check_sign_in
        from fleet.portal.provider import Provider
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    site = _site(data)
    provider = Provider(_secret(client_secret))

    async def find() -> list[Finding]:
        found = await check_provider(site, provider)
        if sign_in and not any(one.is_fault for one in found):
            found += await check_sign_in(site, provider, _ask_for_address)
        return found

    found = asyncio.run(find())

    def show() -> None:
        for one in found:
            typer.echo(f"{'FAULT ' if one.is_fault else ''}{one.name}: {visible(one.text)}")

    return Answer(
        {"provider": [asdict(one) for one in found]},
        show,
        EXIT_BAD_INPUT if any(one.is_fault for one in found) else EXIT_OK,
    )


def _ask_for_address(address: str) -> str:
    """Have somebody sign in; the questions go to stderr, so that the answer on stdout is the findings alone."""
    typer.echo(f"Open this address in your browser and sign in:\n\n{address}\n", err=True)
    answer: str = typer.prompt("Address at which your browser ended", err=True)
    return answer


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
