"""The whole way behind a second provider that nobody here wrote: npm's oidc-provider, with a public client."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from typer.testing import CliRunner

from fleet.authority.inbox import MandateAct
from fleet.authority.instruction import nonce_of
from fleet.cli import app
from fleet.environment import PYTHON
from tests.conftest import ROOT
from tests.portal.site import ANNA, CLIENT, Served, free_port, served

PACKAGE = "oidc-provider@9.13.3"
FOLDER = ROOT / ".venv" / "oidc-provider"  # kept between runs, and gone with `make clean`
pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is missing: install npm")


@pytest.fixture(scope="module")
def installed() -> Path:
    """The package, installed by npm without running any script of it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    marker = FOLDER / "installed.txt"
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not marker.is_file() or marker.read_text() != PACKAGE:
            command = ["npm", "install", "--prefix", str(FOLDER), "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run([*command, "--loglevel=error", PACKAGE], check=True)
            marker.write_text(PACKAGE)
    shutil.copy(Path(__file__).with_name("provider.mjs"), FOLDER)
    return FOLDER


@pytest.fixture(scope="module")
def portal(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    port, own = free_port(), free_port()
    redirect = f"https://127.0.0.1:{own}/signed-in"
    command = ["node", str(installed / "provider.mjs"), str(port), CLIENT, redirect]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as provider:
        assert provider.stdout is not None and provider.stdout.readline() == "ready\n"
        with served(tmp_path_factory.mktemp("portal"), f"http://localhost:{port}", own) as running:
            yield running
        provider.terminate()


def test_a_mandate_is_signed_there(browser: Browser, portal: Served) -> None:
    """Sign in once and again for the mandate: the provider asks for the password although it knows the person."""
    context = browser.new_context(ignore_https_errors=True, java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(15_000)

    def password() -> None:
        page.locator("input[name=login]").fill(ANNA)
        page.locator("input[name=password]").fill("any")
        page.locator("button[type=submit]").click()

    page.goto(portal.url)
    password()
    page.locator("button[type=submit]").click()  # consent
    expect(page.get_by_role("heading", level=1)).to_have_text("Your data at online services")
    page.get_by_role("link", name="Give a mandate").click()
    page.get_by_role("checkbox").check()
    page.get_by_label("Your own profile at LinkedIn").fill("anna-keller-4b1a2")
    page.get_by_role("button", name="Continue to the text").click()
    page.get_by_role("link", name="I agree: sign in and give the mandate").click()
    password()
    expect(page.get_by_role("heading", level=1)).to_have_text("You gave a mandate")
    [act] = portal.acts()
    assert isinstance(act, MandateAct)
    claims = json.loads(urlsafe_b64decode(act.id_token.split(".")[1] + "=="))
    assert claims["nonce"] == nonce_of(act.statement)
    assert claims["sub"] == ANNA
    assert 0 <= claims["iat"] - claims["auth_time"] <= 120
    context.close()


def test_check_tells_what_the_provider_offers(portal: Served) -> None:
    """Before anybody signs in."""
    command = ["portal", "check", "--data", str(portal.data)]
    with ThreadPoolExecutor() as pool:  # Playwright's own loop runs in this thread
        done = pool.submit(lambda: CliRunner().invoke(app, command)).result()
    assert done.exit_code == 0
    for line in (
        f"redirect URI: {portal.url}/signed-in (register it at the provider)",
        *("keys: 1 (RSA)", "signatures: RS256", "PKCE (S256): offered"),
    ):
        assert line in done.stdout


def test_check_tells_what_a_sign_in_brings(portal: Served, browser: Browser) -> None:
    """In one's own browser, which ends at a page of the portal that knows nothing of it; nothing is written."""
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    before = portal.acts()
    command = [*PYTHON, "-m", "fleet", "portal", "check", "--data", str(portal.data), "--sign-in"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as checking:
        assert checking.stderr is not None
        page.goto(next(line.strip() for line in checking.stderr if line.startswith("http")))
        page.locator("input[name=login]").fill(ANNA)
        page.locator("input[name=password]").fill("any")
        page.locator("button[type=submit]").click()
        page.locator("button[type=submit]").click()  # consent
        expect(page.get_by_role("heading", level=1)).to_have_text("This sign-in cannot be completed")
        said, _ = checking.communicate(page.url + "\n", timeout=60)
    assert checking.returncode == 0
    assert "\nfleet_subject: anna-subject (the value of sub)\nassurance: oidc: mandates are" in said
    assert portal.acts() == before
    context.close()
