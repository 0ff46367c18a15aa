"""A real Wagtail site, run here and now: its own virtual environment, its users, TLS for a name of its own.

Wagtail is a content management system that nobody here wrote. Nothing in this file knows the product.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import http.client
import json
import os
import re
import secrets
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import venv
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = Path(__file__).resolve().parent
HOST = "cms.fleet-contract.example"
REQUIREMENTS = ("wagtail>=8.0,<8.1", "uvicorn>=0.32")
LANGUAGES = ("en", "ar", "fr", "de", "es", "it", "nl")
STARTING_SECONDS = 120.0


def install(folder: Path) -> Path:
    """Make a virtual environment with Wagtail in `folder`, or reuse the one that is there. Returns its Python.

    Takes about half a minute the first time, and needs a package index. Safe for several processes at once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "venv" / "bin" / "python"
    marker = folder / "installed.txt"
    wanted = f"{' '.join(REQUIREMENTS)} on Python {sys.version}\n"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if marker.is_file() and marker.read_text("utf-8") == wanted and python.exists():
            return python
        marker.unlink(missing_ok=True)
        venv.create(folder / "venv", clear=True)
        command = [sys.executable, "-m", "pip", f"--python={python}", "install", "--quiet", "--no-compile"]
        subprocess.run([*command, "--disable-pip-version-check", *REQUIREMENTS], check=True, env=_environment())
        marker.write_text(wanted, "utf-8")  # last, so that half an installation is made again
    return python


@dataclass(frozen=True)
class User:
    """One user as created. `opted_out`: the checkbox "submitted notifications" starts unticked.

    Only the group Moderators may publish, and only who may publish is offered that checkbox.
    """

    username: str
    email: str
    first_name: str
    last_name: str
    language: str
    opted_out: bool
    group: str = "Moderators"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)


def make_users(moderators: int, opted_out: Collection[int], editors: int = 0) -> list[User]:
    """user01 and so on in all languages, some opted out already; then `editors` who are not offered it."""
    users = []
    for number in range(1, moderators + editors + 1):
        name = f"user{number:02}" if number <= moderators else f"editor{number - moderators:02}"
        users.append(
            User(
                username=name,
                email=f"{name}@fleet-contract.example",
                first_name=f"Given{number:02}",
                last_name=f"Family{number:02}",
                language=LANGUAGES[(number - 1) % len(LANGUAGES)],
                opted_out=number in opted_out,
                group="Moderators" if number <= moderators else "Editors",
            )
        )
    return users


class WagtailSite:
    """The site, running between `with` and its end.

    `folder` must be new: it gets the database, the key, the certificate and `server.log`.
    """

    host = HOST

    def __init__(self, python: Path, folder: Path, users: Sequence[User]) -> None:
        self._python = python.absolute()  # not resolved: the link is what makes it the environment's
        self._folder = folder.absolute()
        self._server: subprocess.Popen[str] | None = None
        self.users = {user.username: user for user in users}
        self.address = ""
        """127.0.0.1:PORT, once started."""
        self.spki = ""
        """Base64 of the SHA-256 of the certificate's public key, as Chromium's allow-list wants it."""

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, mode=0o700)
        self.spki = write_certificate(self._folder)
        with (self._folder / "server.log").open("wb") as log:
            self._server = subprocess.Popen(
                [self._python, "-m", "cms.serve"],
                cwd=self._folder,
                env=_environment()
                | {
                    "PYTHONPATH": str(HERE),
                    "PYTHONPYCACHEPREFIX": str(self._python.parent.parent / "bytecode"),  # of what is imported alone
                    "WAGTAIL_FOLDER": str(self._folder),
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            self._start(self._server)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, server: subprocess.Popen[str]) -> None:
        assert server.stdin and server.stdout
        server.stdin.write(json.dumps([asdict(user) for user in self.users.values()]) + "\n")
        server.stdin.flush()
        patience = threading.Timer(STARTING_SECONDS, server.kill)
        patience.start()
        try:
            port = server.stdout.readline().strip()
        finally:
            patience.cancel()
        if not port:
            log = (self._folder / "server.log").read_text("utf-8", "replace")
            raise RuntimeError(f"Wagtail did not start:\n{log[-3000:]}")
        self.address = f"127.0.0.1:{port}"

    def stop(self) -> None:
        """End the server; it leaves by itself when its standard input closes."""
        if self._server is None:
            return
        server, self._server = self._server, None
        assert server.stdin and server.stdout
        server.stdin.close()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        server.stdout.close()

    def storage_state(self, user: User) -> dict[str, Any]:
        """Sign in as a person would, "remember me" ticked. Returns the session as Playwright's storage state."""
        visit = _Visit(self.address, self._folder / "cert.pem")
        status, _, page = visit.request("GET", "/admin/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        if status != 200 or token is None:
            raise RuntimeError(f"the sign-in page answered {status} without a form")
        form = {
            "csrfmiddlewaretoken": token[1],
            "username": user.username,
            "password": user.password,
            "remember": "on",
            "next": "/admin/",
        }
        status, location, _ = visit.request("POST", "/admin/login/", form)
        if (status, location) != (302, "/admin/"):
            raise RuntimeError(f"signing {user.username} in answered {status}, leading to {location!r}")
        status, location, _ = visit.request("GET", location)
        if status != 200:
            raise RuntimeError(f"{user.username} is signed in, but /admin/ answered {status}, leading to {location!r}")
        return {"cookies": [_as_playwright(morsel) for morsel in visit.cookies.values()], "origins": []}

    def notifications(self) -> dict[str, bool]:
        """By user name: whether "submitted notifications" is on. From the database, not from the site."""
        return {name: bool(row["submitted_notifications"]) for name, row in self.all_preferences().items()}

    def all_preferences(self) -> dict[str, dict[str, Any]]:
        """By user name: every column of the user's account and profile but `last_login`, from the database."""
        rows = self._select(
            "SELECT account.*, profile.*, account.id AS user_id FROM auth_user AS account"
            " JOIN wagtailusers_userprofile AS profile ON profile.user_id = account.id ORDER BY account.username"
        )
        # Signing in writes last_login, so that one column says nothing about a mistake.
        return {
            row["username"]: {key: value for key, value in dict(row).items() if key != "last_login"} for row in rows
        }

    def saves(self) -> dict[str, int]:
        """By user name: how often their settings were saved, by Wagtail's own log. Users without a save are absent."""
        rows = self._select(
            "SELECT account.username, count(*) AS saves FROM wagtailcore_modellogentry AS entry"
            " JOIN auth_user AS account ON account.id = entry.user_id"
            " WHERE entry.action = 'wagtail.edit' GROUP BY account.username"
        )
        return {row["username"]: row["saves"] for row in rows}

    def _select(self, query: str) -> list[sqlite3.Row]:
        database = self._folder / "cms.sqlite3"
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(query).fetchall()


def write_certificate(folder: Path) -> str:
    """Write `key.pem` (0600) and a self-signed `cert.pem` for HOST. Returns the key's SPKI digest."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with os.fdopen(os.open(folder / "key.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


class _Visit:
    """A visitor with cookies of their own. Trusts this site's certificate and no other."""

    def __init__(self, address: str, certificate: Path) -> None:
        self._address = address
        self._tls = ssl.create_default_context(cafile=str(certificate))
        self.cookies: SimpleCookie = SimpleCookie()

    def request(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Ask for one page. Returns its status, its Location (or "") and its text."""
        headers = {"Cookie": "; ".join(f"{name}={morsel.value}" for name, morsel in self.cookies.items())}
        if form is not None:
            headers |= {
                "Content-Type": "application/x-www-form-urlencoded",
                "Origin": f"https://{HOST}",
                "Referer": f"https://{HOST}{path}",
            }
        server, port = self._address.split(":")
        connection = http.client.HTTPConnection(HOST)  # the Host header has no port: the browser sees 443 too
        with socket.create_connection((server, int(port)), timeout=30) as plain:
            connection.sock = self._tls.wrap_socket(plain, server_hostname=HOST)
            with closing(connection):
                connection.request(method, path, urlencode(form) if form is not None else None, headers)
                response = connection.getresponse()
                for line in response.headers.get_all("Set-Cookie", []):
                    self.cookies.load(line)
                return response.status, response.headers.get("Location", ""), response.read().decode()


def _as_playwright(morsel: Morsel[str]) -> dict[str, Any]:
    expires = parsedate_to_datetime(morsel["expires"]).timestamp() if morsel["expires"] else -1
    return {
        "name": morsel.key,
        "value": morsel.value,
        "domain": morsel["domain"] or HOST,
        "path": morsel["path"],
        "expires": expires,
        "httpOnly": bool(morsel["httponly"]),
        "secure": bool(morsel["secure"]),
        "sameSite": morsel["samesite"],
    }


def _environment() -> dict[str, str]:
    """The caller's environment without what would lead the other Python to the caller's packages or folders."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "DJANGO", "VIRTUAL_ENV"))}
