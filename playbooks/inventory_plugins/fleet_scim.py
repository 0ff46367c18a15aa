# SPDX-License-Identifier: GPL-3.0-or-later
"""Employees from a SCIM 2.0 directory (RFC 7643, RFC 7644). Standard library and Ansible only."""

from __future__ import annotations

import http.client
import importlib.util
import json
import re
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

DOCUMENTATION = r"""
name: fleet_scim
short_description: Employees from a SCIM 2.0 directory
version_added: "0.1.0"
description:
  - Creates a host for each user that a SCIM 2.0 service lists under C(/Users), for Fleet Opt-Out or any other play.
  - Either all people become hosts or none. It is an error if the directory fails, repeats a person or ends early.
  - Paging continues until a page is empty, regardless of C(totalResults).
  - Inactive users (RFC 7643, C(active)) are always left out, regardless of C(filter).
  - Values from the directory are never trusted. A value that looks like a template stays text.
  - Mandates come from a second inventory in addition to this one, never from a directory.
  - Uses the proxy in C(HTTPS_PROXY), and never follows a redirect.
extends_documentation_fragment:
  - constructed
  - inventory_cache
options:
  plugin:
    description: This plugin's name.
    type: str
    required: true
    choices: [fleet_scim]
  url:
    description: Address of the SCIM service, without C(/Users). Plain http is allowed only to loopback.
    type: str
    required: true
  token_file:
    description:
      - File with the bearer token, one line, mode 0600, owned by the user who runs Ansible.
      - Relative to the folder of the inventory file. Without it, no token is sent.
    type: str
  ca_file:
    description:
      - CA certificates to trust (PEM) instead of the system's. Relative to the folder of the inventory file.
      - Verification cannot be disabled.
    type: str
  filter:
    description: SCIM filter for the server (RFC 7644, 3.4.2.2). Set it to an empty string to send none.
    type: str
    default: active eq true
  page_size:
    description: Number of people to request per page.
    type: int
    default: 200
  max_people:
    description: Fail if the directory has more people than this.
    type: int
    default: 100000
  timeout:
    description: Seconds to wait for data from the server.
    type: int
    default: 30
  max_seconds:
    description: Timeout for reading all people, in seconds.
    type: int
    default: 600
  attributes:
    description:
      - Attributes that hold C(name), C(email), C(locale), C(subject), C(department) and C(country). In a list, the
        first with a value is used.
      - C(name) becomes the host's name. The others become C(fleet_email), C(fleet_locale), C(fleet_subject),
        C(department) and C(country).
      - C(subject) identifies a person at the identity provider; it has no default. See docs/portal.md.
      - C(department), C(country) and the language of C(locale) also create the groups C(department_X),
        C(country_XX) and C(language_xx).
      - Attributes are written as in RFC 7644, such as C(emails[type eq "work"].value). Of several values the primary
        one is used.
      - Defaults are C(userName), C(emails), C(preferredLanguage) or C(locale), the enterprise extension's
        C(department), and C(addresses.country).
    type: dict
    default: {}
  accounts:
    description:
      - Attributes that hold the C(profile), and optionally the C(name), of a person's account at a service.
      - Sets C(fleet_accounts). A person without a profile has no account there.
    type: dict
    default: {}
  variables:
    description: Further host variables, each with the attribute that holds it, for C(keyed_groups) and the like.
    type: dict
    default: {}
  on_bad_person:
    description:
      - What to do with people who cannot be hosts, such as two with the same name.
      - C(fail) adds no hosts and lists these people. C(skip) leaves them out with a warning.
    type: str
    choices: [fail, skip]
    default: fail
"""

EXAMPLES = r"""
# people.scim.yml
plugin: fleet_scim
url: https://directory.company.example/scim/v2
token_file: scim.token
accounts:
  linkedin:
    profile: nickName  # the attribute that holds the profile in your directory

# Only Lyon, by work address, named by e-mail, cached for an hour in a private folder
# plugin: fleet_scim
# url: https://directory.company.example/scim/v2
# token_file: scim.token
# filter: active eq true and addresses.locality eq "Lyon"
# attributes:
#   name: emails[type eq "work"].value
#   country: addresses[type eq "work"].country
# variables: {office: 'addresses[type eq "work"].locality'}
# keyed_groups: [{key: office, prefix: office}]
# cache: true
# cache_plugin: ansible.builtin.jsonfile
# cache_connection: /home/ops/.cache/people
# cache_timeout: 3600
"""

_shared = Path(__file__).resolve().parent.parent / "plugin_utils" / "fleet_people.py"
_spec = importlib.util.spec_from_file_location("fleet_people", _shared)
people = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(people)

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
MAX_PAGE = 32 * 1024 * 1024  # bytes
JSON_TYPE = re.compile(r"(?:application|text)/(?:[\w.-]+\+)*json(?:\+[\w.-]+)*")
"""application/scim+json (RFC 7644, 3.1), and variants that servers send."""
SCIM_TYPES = ("invalidFilter", "tooMany", "invalidPath", "invalidValue", "sensitive", "invalidSyntax")
ATTRIBUTE = re.compile(
    r"(?:(?P<schema>urn:[A-Za-z0-9:._-]+):)?(?P<name>[A-Za-z$][\w$-]*)"
    r'(?:\[(?P<key>[A-Za-z$]\w*) eq (?:"(?P<text>[^"\\]*)"|(?P<flag>true|false))\])?(?:\.(?P<sub>[A-Za-z$]\w*))?'
)
"""An attribute path of RFC 7644, figure 6, with `eq` only."""


class InventoryModule(people.People):
    """Reads /Users page by page; a page that does not follow from the previous one ends it."""

    NAME = "fleet_scim"
    defaults = {  # noqa: RUF012 - plugins are created once, and nothing changes it
        "name": ["userName"],
        "email": ["emails"],
        "locale": ["preferredLanguage", "locale"],
        "department": [f"{ENTERPRISE}:department"],
        "country": ["addresses.country"],
    }

    def check_attribute(self, attribute):
        if not ATTRIBUTE.fullmatch(attribute):
            raise people.DirectoryError(
                f'{people.shown(attribute)} is not a SCIM attribute, such as emails[type eq "work"].value'
            )

    def check_options(self):
        url = self.get_option("url")
        parts = people.safe_url(url, ("https", "http"))
        if parts.scheme == "http" and not people.is_loopback(parts.hostname):
            raise people.DirectoryError(f"{url} would send personal data and the token unencrypted; use https.")

    def fetch(self, attributes):
        paths = [ATTRIBUTE.fullmatch(attribute) for attribute in attributes]
        asked = [":".join(filter(None, path.group("schema", "name"))) for path in paths]
        parameters = {"count": self.get_option("page_size"), "attributes": ",".join(dict.fromkeys([*asked, "active"]))}
        if self.get_option("filter"):
            parameters["filter"] = self.get_option("filter")
        open_page = self._opener()
        found, total, counts_pages = {}, None, True
        while True:
            page = self._page(open_page, {"startIndex": len(found) + 1, **parameters}, total)
            users, count = self._read(page)
            # Whatever the total, only a page without new people is the end: some servers count per page.
            if not users or (total == len(found) and self._is_all_again(users, found)):
                if max(count, total or 0) > len(found):
                    told = f"{self.get_option('url')} sent only {len(found)} of {max(count, total or 0)} people"
                    raise people.DirectoryError(f"{told}; {people.AGAIN}")
                break
            counts_pages = counts_pages and count == len(users)
            self._take(page, users, found)
            total = self._checked(len(found) if counts_pages else count, None if counts_pages else total, found)
        return [(one, _reader(user)) for one, user in found.items() if str(_get(user, "active")).lower() != "false"]

    def _read(self, page):
        """Return the people on a page and the total it states. Raises DirectoryError."""
        users, count = _get(page, "Resources") or [], _get(page, "totalResults")
        if type(count) is not int or count < 0 or not isinstance(users, list):
            url = self.get_option("url")
            raise people.DirectoryError(f"{url} does not answer as a SCIM 2.0 service; check url.")
        return users, count

    def _is_all_again(self, users, found):
        """Return True if a server that always sends everyone, whatever was requested, has done so again."""
        is_all = len(users) == len(found) != self.get_option("page_size")
        return is_all and all(_get(user, "id") in found for user in users)

    def _take(self, page, users, found):
        """Add a page's people to those found. Raises DirectoryError."""
        url = self.get_option("url")
        if _get(page, "startIndex") not in (None, len(found) + 1):
            raise people.DirectoryError(
                f"{url} was asked for people from {len(found) + 1} on and sent others; {people.AGAIN}"
            )
        for user in users:
            identity = _get(user, "id")
            if not isinstance(identity, str) or not identity:
                raise people.DirectoryError(f"{url} sent a person without an id; {people.AGAIN}")
            if identity in found:
                raise people.DirectoryError(f"{url} sent {people.shown(identity)} twice; {people.AGAIN}")
            found[identity] = user

    def _checked(self, count, before, found):
        """Return the number of people, if plausible. Raises DirectoryError."""
        url, most = self.get_option("url"), self.get_option("max_people")
        if before not in (None, count):
            raise people.DirectoryError(f"{url} first reported {before} people, then {count}; {people.AGAIN}")
        if count > most:
            raise people.DirectoryError(
                f"{url} reports {count} people; narrow the filter, or raise max_people ({most})."
            )
        if len(found) > count:
            raise people.DirectoryError(f"{url} reported {count} people but sent {len(found)}; {people.AGAIN}")
        return count

    def _opener(self):
        """Return a function that opens a page with the token. Redirects fail: the token is for this server."""
        url = self.get_option("url")
        headers = {"Accept": "application/scim+json", "User-Agent": self.NAME}
        token = self.file("token_file")
        if token:
            secret = people.read_secret(token)
            if not re.fullmatch(r"[\x21-\x7e]+", secret):
                raise people.DirectoryError(f"{token} must contain one token, without spaces.")
            headers["Authorization"] = f"Bearer {secret}"
        proxies = {} if people.is_loopback(people.safe_url(url, ("https", "http")).hostname) else None
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=self.trust()), NoRedirect
        )

        def open_page(parameters):
            address = f"{url.rstrip('/')}/Users?{urlencode(parameters)}"
            request = urllib.request.Request(address, headers=headers)  # noqa: S310 - https, or http on loopback
            return opener.open(request, timeout=self.get_option("timeout"))

        return open_page

    def _page(self, open_page, parameters, total):
        """Return one answer, as JSON. Raises DirectoryError with a sentence for each kind of failure.

        A server may refuse a request for people beyond the `total` it stated: that counts as a page without people.
        """
        url = self.get_option("url")
        try:
            with open_page(parameters) as response:
                kind = response.headers.get_content_type()
                body = response.read(MAX_PAGE + 1)
        except urllib.error.HTTPError as error:
            with error:
                if error.code in (400, 404) and total is not None and parameters["startIndex"] > total:
                    return {"totalResults": total}
                raise people.DirectoryError(f"{url} {self._refusal(error)}") from None
        except ssl.SSLError as error:
            raise people.DirectoryError(_broken(url, error)) from None
        except urllib.error.URLError as error:
            raise people.DirectoryError(_broken(url, error.reason)) from None
        except (OSError, http.client.HTTPException) as error:
            raise people.DirectoryError(_broken(url, error)) from None
        if len(body) > MAX_PAGE:
            raise people.DirectoryError(f"{url} sent more than {MAX_PAGE // 1024**2} MiB at once; lower page_size.")
        if not JSON_TYPE.fullmatch(kind):
            raise people.DirectoryError(f"{url} answered with {people.shown(kind)}; set url to its SCIM service.")
        try:
            page = json.loads(body)
        except (ValueError, RecursionError):
            page = None
        if not isinstance(page, dict):
            raise people.DirectoryError(f"{url} sent an invalid answer; no hosts were added, run again.")
        return page

    def _refusal(self, error):
        """Return what an answer other than 200 means; its text is not repeated except for a code from RFC 7644."""
        if error.code in (401, 403):
            token = self.file("token_file")
            return f"refused ({error.code}): " + (
                f"renew the token in {token}, or let it read users." if token else "set token_file."
            )
        if error.code in (301, 302, 303, 307, 308):
            return f"redirects ({error.code}), and the token is not sent on; set url to the final address."
        if error.code == 404:
            return "has no /Users (404); set url to its SCIM service, which often ends in /scim/v2."
        if error.code == 429:
            wait = error.headers.get("Retry-After", "")
            when = f"in {wait} s" if re.fullmatch("[0-9]{1,6}", wait) else "later"
            return f"limits requests (429); run again {when}."
        if error.code >= 500:
            return f"failed with a server error ({error.code}); run again later."
        try:
            code = json.loads(error.read(MAX_PAGE)).get("scimType")
        except (OSError, ValueError, RecursionError, AttributeError, http.client.HTTPException):
            code = None
        why = f", {code}" if code in SCIM_TYPES else ""
        return f"rejected the request ({error.code}{why}); fix filter, attributes or page_size."


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Treats a redirect as an error."""

    def redirect_request(self, *args):
        return None


def _broken(url, reason):
    if isinstance(reason, ssl.SSLCertVerificationError):
        why = reason.verify_message.rstrip(".")
        return f"{url} has an untrusted certificate ({why}); set ca_file to its CA's certificate."
    if isinstance(reason, TimeoutError):
        return f"{url} timed out; try later, or raise timeout."
    if isinstance(reason, http.client.HTTPException):
        return f"{url} closed the connection early; no hosts were added, run again."
    why = getattr(reason, "strerror", None) or type(reason).__name__
    return f"{url} is unreachable, or closed the connection ({why}); check url, and that the server is up."


def _get(node, name):
    """Return a member by its name, ignoring case (RFC 7643, 2.1)."""
    if isinstance(node, dict):
        return next((value for key, value in node.items() if key.lower() == name.lower()), None)
    return None


def _reader(user):
    """Return a function that gives a person's values for an attribute path."""

    def read(attribute):
        path = ATTRIBUTE.fullmatch(attribute)
        schema = path["schema"]
        is_own = schema is None or schema.lower() == "urn:ietf:params:scim:schemas:core:2.0:user"
        value = _get(user if is_own else _get(user, schema), path["name"])
        values = value if isinstance(value, list) else [value]
        if path["key"]:
            wanted = path["text"] if path["flag"] is None else path["flag"] == "true"
            values = [one for one in values if _get(one, path["key"]) == wanted]
        values = [one for one in values if _get(one, "primary") is True] or values
        values = [_get(one, path["sub"] or "value") if isinstance(one, dict) else one for one in values]
        return [str(one) for one in values if isinstance(one, str | int) and not isinstance(one, bool)]

    return read
