"""One portal, one identity provider and one browser for each module."""

from __future__ import annotations

from collections.abc import Iterator

import oidc_provider_mock
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from fleet.browser.find_browser import find_browser
from tests.portal.site import ANNA, BRIAN, CIARA, NOBODY, Served, anna, free_port, served


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The portal behind `oidc-provider-mock`, where everybody signs in with a click."""
    people = [oidc_provider_mock.User(sub=sub) for sub in (ANNA, BRIAN, CIARA, NOBODY)]
    with (
        oidc_provider_mock.run_server_in_thread(user_claims=people) as provider,
        served(
            tmp_path_factory.mktemp("portal"), f"http://localhost:{provider.server_port}", free_port(), "s: e+c/r&t"
        ) as running,
    ):
        yield running


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test begins with an empty inbox and the site as published."""
    yield
    if "portal" in request.fixturenames:
        running: Served = request.getfixturevalue("portal")
        running.inbox.chmod(0o755)
        running.empty()
        running.publish()
        running.put(anna())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        # The provider's own page asks another host for its style sheet.
        here_alone = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"
        path = str(find_browser().path)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", here_alone])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A desktop browser in which no page may run a script."""
    context = browser.new_context(
        ignore_https_errors=True, java_script_enabled=False, viewport={"width": 1200, "height": 900}, locale="en-US"
    )
    page = context.new_page()
    page.set_default_timeout(15_000)
    yield page
    context.close()


def sign_in(page: Page, portal: Served, subject: str, path: str = "/") -> None:
    """Open the portal and sign in as somebody."""
    page.goto(portal.url + path)
    click_through(page, subject)


def click_through(page: Page, subject: str) -> None:
    """Sign in at the provider."""
    page.get_by_role("button", name=subject, exact=True).click()
