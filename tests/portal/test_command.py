"""`fleet portal serve` and `check`: what is wrong is said before anything is served."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from fleet.cli import app
from fleet.environment import PYTHON
from fleet.errors import InputError
from fleet.portal.check_provider import Finding, check_sign_in
from fleet.portal.provider import Provider
from fleet.portal.published import Site
from tests.portal.own_provider import OwnProvider, own_provider
from tests.portal.site import site_json


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, ...]:
    """Options for what a publisher wrote and an inbox."""
    (tmp_path / "inbox").mkdir()
    content = site_json("https://portal.example", "http://127.0.0.1:1")
    (tmp_path / "site.json").write_text(json.dumps(content))
    return ("--data", str(tmp_path), "--inbox", str(tmp_path / "inbox"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--bind", "0.0.0.0:8443"), "unencrypted; give --cert and --key, or use --socket"),
        (("--bind", "8443"), "must be HOST:PORT"),
        (("--bind", "127.0.0.1:0"), "must be HOST:PORT"),
        (("--cert", "cert.pem"), "Give --cert and --key together"),
        (("--cert", "missing.pem", "--key", "missing.pem"), "missing.pem cannot be read"),
        (("--inbox", "missing"), "missing is not a folder that this user can read and write"),
        (("--data", "missing"), "run: fleet portal publish"),
        (("--client-secret", "missing"), "missing"),
    ],
)
def test_a_mistake_is_named(folders: tuple[str, ...], options: tuple[str, ...], said: str) -> None:
    """One sentence, and nothing is served."""
    done = CliRunner().invoke(app, ["portal", "serve", *folders, *options])
    assert isinstance(done.exception, (InputError, OSError))
    assert said in str(done.exception)


def test_check_names_what_a_provider_cannot_do(folders: tuple[str, ...], tmp_path: Path) -> None:
    """A fault is exit code 2; a provider that does all of it is none."""
    check = ["portal", "check", "--data", str(tmp_path)]
    done = CliRunner().invoke(app, check)
    assert done.exit_code == 2
    assert "FAULT discovery: http://127.0.0.1:1/.well-known/openid-configuration is unreachable" in done.stdout
    with own_provider() as provider:
        content = site_json("https://portal.example", provider.issuer)
        (tmp_path / "site.json").write_text(json.dumps(content))
        done = CliRunner().invoke(app, check)
    assert done.exit_code == 0
    for line in ("prompt=login: offered", "auth_time: announced: mandates can count as oidc", "sub: announced"):
        assert line in done.stdout


def test_it_serves_on_a_socket_behind_a_proxy(folders: tuple[str, ...], tmp_path: Path) -> None:
    """The proxy has the certificate; hosts other than the portal's own are refused there, too."""
    path = tmp_path / "socket"
    command = [*PYTHON, "-m", "fleet", "portal", "serve", *folders, "--socket", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as served:
        try:
            deadline = time.monotonic() + 20
            while not path.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            assert b" 200 " in answer(path, "portal.example")
            assert b" 421 " in answer(path, "evil.example")
        finally:
            served.send_signal(signal.SIGTERM)
            assert served.wait(20) in (0, -signal.SIGTERM, 143)


def answer(path: Path, host: str) -> bytes:
    """The first line of what the socket says to a request."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(f"GET /signed-out HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return client.makefile("rb").readline()


async def tried(site: Site, provider: OwnProvider, query: str = "?code=1&state={state}") -> dict[str, Finding]:
    """What `fleet portal check --sign-in` finds, with a browser that comes back with this query."""

    def browser(address: str) -> str:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert (asked["prompt"], asked["max_age"]) == ("login", "0")
        provider.nonce = asked["nonce"]
        return asked["redirect_uri"] + query.format(state=asked["state"])

    return {one.name: one for one in await check_sign_in(site, Provider(), browser)}


async def test_check_tells_what_a_sign_in_brings(tmp_path: Path) -> None:
    """The claims by name, one's own identifier, and the assurance that a mandate would have."""
    with own_provider() as provider:
        site = Site.model_validate(site_json("https://portal.example", provider.issuer))
        found = await tried(site, provider)
        assert [one.is_fault for one in found.values()] == [False] * 4
        assert found["claims"].text == "aud, auth_time, exp, iat, iss, nonce, sub"
        assert found["fleet_subject"].text == "anna-subject (the value of sub)"
        assert found["assurance"].text == "oidc: mandates are proved by a fresh sign-in"
        now = int(time.time())
        for change, said in (
            ({"auth_time": None}, "oidc_session: the token has no auth_time"),
            (
                {"auth_time": 1_700_000_000, "iat": now, "exp": now + 300},
                f"oidc_session: the sign-in was {now - 1_700_000_000} s before the token, "
                "so the provider did not ask for it again",
            ),
        ):
            provider.make = lambda claims, change=change: provider.sign(claims | change)
            assert (await tried(site, provider))["assurance"].text == said
        provider.make = lambda claims: provider.sign(claims | {"nonce": "another"})
        refused = (await tried(site, provider))["sign-in"]
        assert refused.is_fault and refused.text == "id_token: nonce is not that of the statement"
        failed = (await tried(site, provider, "?error=access_denied&state={state}"))["sign-in"]
        assert failed.is_fault and failed.text == "the provider answered access_denied"
        for query in ("?code=1&state=another", "-elsewhere?code=1&state={state}", ""):
            with pytest.raises(InputError, match="not where this sign-in ends"):
                await tried(site, provider, query)
