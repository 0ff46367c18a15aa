"""A browser without a screen: cookies, and the headers that browsers send."""

from __future__ import annotations

import re
import ssl
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.portal.own_provider import OwnProvider
from tests.portal.site import Served


class Client:
    """One browser of one person, at a portal behind an `OwnProvider`."""

    def __init__(self, portal: Served, provider: OwnProvider) -> None:
        self.portal, self.provider = portal, provider
        trusted = ssl.create_default_context()
        portal.ca.configure_trust(trusted)
        self.http = httpx.Client(verify=trusted, trust_env=False, base_url=portal.url)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Follow a link."""
        return self.http.get(path, headers=headers)

    def post(self, path: str, fields: dict[str, Any], **headers: str) -> httpx.Response:
        """Send a form as a page of the portal would, but for the headers given."""
        ours = {"origin": self.portal.url, "sec-fetch-site": "same-origin"} | headers
        return self.http.post(path, data=fields, headers={name: value for name, value in ours.items() if value})

    def start(self, path: str = "/sign-in") -> str:
        """Go to the provider; returns the state, and tells the provider the nonce."""
        answer = self.get(path)
        assert answer.status_code == 303, answer.text
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
        self.provider.nonce = self.asked["nonce"]
        return self.asked["state"]

    def come_back(self, state: str) -> httpx.Response:
        """Return from the provider with a code."""
        return self.get(f"/signed-in?code=c&state={state}")

    def sign_in(self) -> None:
        """Sign in; the home page opens."""
        answer = self.come_back(self.start())
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), answer.text

    def form_token(self) -> str:
        """The token of this session's forms."""
        found = re.search(r'name="form_token" value="([^"]+)"', self.get("/").text)
        assert found is not None
        return found[1]

    def review(self) -> str:
        """Fill in the mandate's form; returns the way to sign it."""
        fields = {"form_token": self.form_token(), "control": "linkedin.ai_training", "profile.linkedin": "anna-k"}
        assert self.post("/mandate", fields).headers["location"] == "/mandate/review"
        found = re.search(r'href="(/mandate/sign\?of=[0-9a-f]{64})"', self.get("/mandate/review").text)
        assert found is not None
        return found[1]
