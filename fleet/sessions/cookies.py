"""One cookie: read in the spellings of common tools, and checked by the rules of browsers."""

from __future__ import annotations

import math
import re
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from fleet.recipes.recipe import Recipe
from fleet.sessions.storage_state import LATEST, Cookie

_SAME_SITE = {
    "strict": "Strict",
    "lax": "Lax",
    "none": "None",
    "no_restriction": "None",
    "unspecified": "Lax",
    "": "Lax",
}
"""Spellings in browser extensions; a browser treats an unspecified value as Lax."""

_EXPIRES = "must be seconds since 1970, or -1 for a session cookie"
MAX_NAME_AND_VALUE = 4096
MAX_PATH = 1024
"""Maximum bytes in Chromium (net/cookies/parsed_cookie.h)."""

_REFUSED = re.compile(r"[\x00-\x1f\x7f;\ud800-\udfff]|^[ \t]|[ \t]$")
"""Characters that Chromium rejects in names and values."""


class ExportedCookie(Cookie):
    """One cookie in any of the spellings."""

    @model_validator(mode="before")
    @classmethod
    def _in_playwrights_words(cls, raw: dict[str, Any]) -> dict[str, Any]:
        found = dict(raw)
        for spelling in ("expirationDate", "expiry"):
            if "expires" not in found and spelling in found:
                found["expires"] = found[spelling]
        if found.get("session") is True:
            found["expires"] = -1
        domain = str(found["domain"]).lower()
        if "hostOnly" in found:
            domain = ("" if found["hostOnly"] else ".") + domain.lstrip(".")
        # Browsers reject SameSite=None without Secure: here the word means unspecified.
        if found.get("sameSite") == "no_restriction" and not found.get("secure"):
            found["sameSite"] = "unspecified"
        partition = found.get("partitionKey")
        if isinstance(partition, dict):
            found["partitionKey"] = partition.get("topLevelSite")
            found["_crHasCrossSiteAncestor"] = partition.get("hasCrossSiteAncestor")
        return {**found, "domain": domain}

    @field_validator("path", mode="before")
    @classmethod
    def _path(cls, value: object) -> object:
        return value or "/"

    @field_validator("expires", mode="before")
    @classmethod
    def _seconds(cls, value: object) -> float:
        if isinstance(value, str):
            value = _moment(value)
        if value is None or value in (0, -1):
            return -1
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(_EXPIRES)
        seconds = value / 1000 if value > LATEST else value  # milliseconds, for any time since 1978
        if not 0 < seconds <= LATEST:
            raise ValueError(_EXPIRES)
        return seconds

    @field_validator("same_site", mode="before")
    @classmethod
    def _same_site(cls, value: object) -> str:
        known = _SAME_SITE.get(str(value or "").strip().lower())
        if known is None:
            raise ValueError("must be Strict, Lax or None")
        return known

    @field_validator("partition_key", mode="before")
    @classmethod
    def _partition_key(cls, value: object) -> object:
        if value and not isinstance(value, str):
            raise ValueError("must be a site such as https://example.com")
        return value or None

    @model_validator(mode="after")
    def _partition_of_its_own_site(self) -> Self:
        # Older tools omit it; Playwright would then assume a cookie of an embedded frame, which no page is sent.
        if self.partition_key is not None and self.has_cross_site_ancestor is None:
            self.has_cross_site_ancestor = False
        return self


def _moment(text: str) -> float | None:
    """Return the seconds since 1970 of a number, an ISO 8601 date or an HTTP date with its time zone; None if empty."""
    text = text.strip()
    if text.lower() in ("", "session"):
        return None
    for read in (float, _iso_seconds, lambda text: parsedate_to_datetime(text).timestamp()):
        try:
            return read(text)
        except (ValueError, TypeError, OverflowError):
            continue
    raise ValueError(_EXPIRES)


def _iso_seconds(text: str) -> float:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment.timestamp()


def fault(cookie: Cookie, service: str) -> str | None:
    """Return why Chromium would reject a cookie, with the fix; None if it would not (RFC 6265bis, 5.7)."""
    again = f"sign in to {service} and export it again"
    if 0 < cookie.expires <= time.time():
        return f"has expired; {again}"
    if _REFUSED.search(cookie.name) or "=" in cookie.name or _REFUSED.search(cookie.value):
        return f"contains a character that browsers reject; {again}"
    if len((cookie.name + cookie.value).encode("utf-8", "surrogatepass")) > MAX_NAME_AND_VALUE:
        return f"longer than the {MAX_NAME_AND_VALUE} bytes that browsers accept; {again}"
    if (
        not cookie.path.startswith("/")
        or ";" in cookie.path
        or len(cookie.path.encode("utf-8", "surrogatepass")) > MAX_PATH
    ):
        return f"browsers reject its path; {again}"
    if cookie.same_site == "None" and not cookie.secure:
        return "browsers drop SameSite=None without Secure; set secure to true, or sameSite to Lax"
    if cookie.partition_key is not None and not cookie.secure:
        return "browsers drop a partitioned cookie without Secure; set secure to true"
    return _wrong_prefix(cookie)


def _wrong_prefix(cookie: Cookie) -> str | None:
    prefix = next((one for one in ("__host-http-", "__http-", "__host-", "__secure-") if _begins(cookie, one)), None)
    if prefix is None:
        return None
    if not cookie.secure:
        return "browsers accept this name only with Secure; set secure to true"
    if "http-" in prefix and not cookie.http_only:
        return "browsers accept this name only with HttpOnly; set httpOnly to true"
    if prefix.startswith("__host-") and (cookie.path != "/" or cookie.domain.startswith(".")):
        return "browsers accept this name only with path / and a domain without a leading dot; fix both"
    return None


def _begins(cookie: Cookie, prefix: str) -> bool:
    return cookie.name.lower().startswith(prefix)


def is_sent(cookie: Cookie, page: str, recipe: Recipe) -> bool:
    """Return True if a browser sends a cookie with the request for a page (RFC 6265bis, 5.8.3)."""
    parts, domain = urlsplit(page), cookie.domain.lower()
    host, path = parts.hostname or "", parts.path
    on_host = host == domain.removeprefix(".") or (domain.startswith(".") and host.endswith(domain))
    on_path = path.startswith(cookie.path) and (cookie.path.endswith("/") or path[len(cookie.path) :][:1] in ("", "/"))
    if cookie.partition_key is None:
        return on_host and on_path
    return (
        on_host and on_path and not cookie.has_cross_site_ancestor and recipe.owns_host(host_of(cookie.partition_key))
    )


def host_of(address: str) -> str:
    """Return the host of an address; empty if it has none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
