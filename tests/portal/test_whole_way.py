"""From an HR export to what employees do in the portal, to a run, to the log: every command as a person types it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oidc_provider_mock
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.commands import FLEET, fleet
from tests.playbook.helpers import records, wait_until
from tests.portal.conftest import click_through
from tests.portal.site import free_port

PEOPLE = ("anna", "ben", "carl", "dora", "emil")
CASES = {"anna": "slow_proof"}
"""Once Anna's setting was changed, its page takes ten seconds: time for Ben to revoke."""


@pytest.fixture
def provider() -> Iterator[str]:
    """A stranger's identity provider; its people are known there by other names than here."""
    users = [oidc_provider_mock.User(sub=f"id-of-{name}") for name in PEOPLE]
    with oidc_provider_mock.run_server_in_thread(user_claims=users) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def address(provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The portal of a company that has just been imported; returns its address."""
    monkeypatch.chdir(tmp_path)
    url = f"http://localhost:{free_port()}"
    rows = [f"{name}@company.example,{name.title()},id-of-{name}" for name in PEOPLE]
    Path("people.csv").write_text("\n".join(["Work Email,Name,Object ID", *rows, ""]))
    Path("texts").mkdir()
    Path("fleet.yml").write_text(
        "inventory: staff\nstate: state\nidentity: keys/identity.txt\nlog_key: keys/log-key.pem\n"
        "inbox: inbox\nportal_data: shown\nmandate_texts: texts\neverybody: [linkedin]\n"
        "mandates: {assurance: oidc}\n"
        f"portal:\n  url: {url}\n  organization: Example AG\n  contact: privacy@example.com\n"
        f"  sign_in: {{issuer: '{provider}', client_id: fleet-portal}}\n"
    )
    done("inventory", "import", "people.csv", "-i", "staff", "--yes")
    Path("staff/rehearsal.yml").write_text(
        json.dumps(
            {
                "all": {
                    "vars": {"fleet_rehearsal": True},
                    "hosts": {name: {"fleet_rehearsal_case": {"linkedin": case}} for name, case in CASES.items()},
                }
            }
        )
    )
    text = done("portal", "text", "en")
    Path("texts/mandate.en.txt").write_text(text)
    with Path("fleet.yml").open("a") as config:
        digest = hashlib.sha256(text.encode()).hexdigest()
        config.write(f"  texts: {{en: {{version: '1', sha256: {digest}}}}}\n")
    Path("inbox").mkdir()
    assert fleet("run", "--check").returncode == 3  # nobody has given a mandate yet
    done("portal", "publish", "--rehearsal")
    Path("secret").write_text("s3cret")
    Path("secret").chmod(0o600)
    bind = url.removeprefix("http://").replace("localhost", "127.0.0.1")
    serve = [FLEET, "portal", "serve", "--data", "shown", "--inbox", "inbox", "--client-secret", "secret"]
    serving = subprocess.Popen([*serve, "--bind", bind], stderr=subprocess.PIPE, text=True)
    assert serving.stderr is not None and "Serving" in serving.stderr.readline()
    yield url
    serving.terminate()
    serving.communicate(timeout=30)


def done(*arguments: str) -> str:
    """What a command that ends well prints."""
    ended = fleet(*arguments)
    assert ended.returncode == 0, ended
    return ended.stdout


def signed_in(browser: Browser, address: str, name: str) -> Page:
    """A page of this employee, in a browser of their own that runs no script."""
    page = browser.new_context(java_script_enabled=False).new_page()
    for _ in range(100):  # until the portal listens
        if page.request.get(address, max_redirects=0, fail_on_status_code=False).status:
            break
    page.goto(address)
    click_through(page, f"id-of-{name}")
    return page


def say(page: Page, answer: str) -> None:
    page.get_by_label(answer).check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("Saved.")


def give(page: Page, name: str) -> None:
    """A mandate, with the profile as its address in the browser."""
    page.get_by_role("link", name="Give a mandate").click()
    page.get_by_role("checkbox").check()
    page.get_by_label("Your own profile at LinkedIn").fill(f"https://www.linkedin.com/in/{name}-own-4b1/")
    page.get_by_role("button", name="Continue to the text").click()
    page.get_by_role("link", name="I agree: sign in and give the mandate").click()
    click_through(page, f"id-of-{name}")
    expect(page.get_by_role("heading", level=1)).to_have_text("You gave a mandate")


def test_each_employee_gets_what_they_chose(address: str, browser: Browser) -> None:
    """Who mandates is opted out under their own profile; who revokes in the middle of the run is not touched; who
    attests is attested; who refuses cannot be told from who does not use the service."""
    anna, ben, carl, dora, emil = (signed_in(browser, address, name) for name in PEOPLE)
    give(anna, "anna")
    give(ben, "ben")
    say(carl, "I switched it off")
    say(dora, "I leave it as it is")
    say(emil, "I do not use this service")
    taken = json.loads(done("portal", "ingest", "--rehearsal", "--output", "json"))["taken"]
    assert taken == {"mandate": 2, "attest": 1, "close": 2}
    done("portal", "publish", "--rehearsal")

    ben.goto(address)
    running = subprocess.Popen(
        [FLEET, "run", "-f", "1", "--output", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: any(one["event"] == "control.intended" for one in records(Path("state/rehearsal"))))
    ben.get_by_role("button", name="Revoke my mandate").click()
    out, err = running.communicate(timeout=300)
    answer: dict[str, Any] = json.loads(out)
    ended = {one["employee"]: (one["outcome"], one["reason"]) for one in answer["results"]}
    assert ended == {
        "anna": ("opted_out", None),
        "ben": ("no_mandate", "mandate_revoked"),
        "carl": ("attested", "switched"),
        "dora": ("no_mandate", "closed"),
        "emil": ("no_mandate", "closed"),
    }, err
    intents = [one for one in records(Path("state/rehearsal")) if one["event"] == "control.intended"]
    assert [one["assurance"] for one in intents] == ["oidc"]

    told = [one for one in answer["results"] if one["employee"] in ("dora", "emil")]
    assert len({json.dumps(one | {"employee": "", "next": ""}) for one in told}) == 1
    done("portal", "ingest", "--rehearsal")
    listed = json.loads(done("mandates", "list", "--rehearsal", "--output", "json"))["mandates"]
    assert {one["employee"]: one["state"] for one in listed} == {"anna": "in force", "ben": "mandate revoked"}
    assert "OK" in done("audit", "verify", "--rehearsal")
    done("portal", "publish", "--rehearsal")
    anna.goto(address)
    expect(anna.get_by_role("main")).to_contain_text("We changed it for you, loaded the page again and read it back.")
