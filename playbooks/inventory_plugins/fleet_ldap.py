# SPDX-License-Identifier: GPL-3.0-or-later
"""Employees from an LDAP directory (RFC 4511, RFC 2696). Standard library, Ansible and ldap3 only."""

from __future__ import annotations

import importlib.util
import re
import ssl
from pathlib import Path
from urllib.parse import unquote, urlsplit

try:
    import ldap3
    from ldap3.core.exceptions import (
        LDAPCertificateError,
        LDAPException,
        LDAPInvalidDnError,
        LDAPInvalidFilterError,
        LDAPSocketReceiveError,
        LDAPStartTLSError,
    )
except ImportError:
    ldap3 = None

DOCUMENTATION = r"""
name: fleet_ldap
short_description: Employees from an LDAP directory
version_added: "0.1.0"
description:
  - Adds a host for each person that an LDAP search returns, for Fleet Opt-Out or any other play.
  - Either all people become hosts or none. It is an error if the directory fails, repeats an entry, ends early or
    refers to another server for part of the answer. Referrals of Active Directory to partitions without
    people (ForestDnsZones, DomainDnsZones, Configuration) are skipped, so C(base) may be the root of a domain.
  - Values from the directory are never trusted. A value that looks like a template stays text.
  - Mandates come from a second inventory in addition to this one, never from a directory.
requirements: [ldap3 >= 2.9]
extends_documentation_fragment:
  - constructed
  - inventory_cache
options:
  plugin:
    description: This plugin's name.
    type: str
    required: true
    choices: [fleet_ldap]
  url:
    description: C(ldaps://HOST) or, with C(start_tls), C(ldap://HOST). Plain ldap is allowed only to loopback.
    type: str
    required: true
  start_tls:
    description: Use STARTTLS before binding.
    type: bool
    default: false
  bind_dn:
    description: DN to bind as. Without it, the bind is anonymous.
    type: str
  password_file:
    description:
      - File with the password of C(bind_dn), one line, mode 0600, owned by the user who runs Ansible.
      - Relative to the folder of the inventory file.
    type: str
  ca_file:
    description:
      - CA certificates to trust (PEM) instead of the system's. Relative to the folder of the inventory file.
      - Verification cannot be disabled.
    type: str
  base:
    description: DN to search below, such as C(ou=people,dc=company,dc=example).
    type: str
    required: true
  filter:
    description:
      - LDAP filter (RFC 4515). It must exclude disabled accounts and people who have left.
      - For Active Directory see the examples.
    type: str
    default: (objectClass=inetOrgPerson)
  scope:
    description: "Search scope: the whole subtree of C(base), or one level."
    type: str
    choices: [subtree, onelevel]
    default: subtree
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
      - Defaults are C(uid) or C(sAMAccountName), C(mail), C(preferredLanguage), C(department) or C(departmentNumber),
        and C(c).
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
# people.ldap.yml
plugin: fleet_ldap
url: ldaps://directory.company.example
bind_dn: cn=fleet,ou=services,dc=company,dc=example
password_file: ldap.password
base: ou=people,dc=company,dc=example
accounts:
  linkedin:
    profile: companyLinkedin  # the attribute that holds the profile in your directory

# Active Directory, without disabled accounts, cached for an hour in a private folder. Where people are in several
# domains of a forest: ldaps://dc1.company.example:3269, its global catalog
# plugin: fleet_ldap
# url: ldaps://dc1.company.example
# bind_dn: CN=fleet,OU=Services,DC=company,DC=example
# password_file: ldap.password
# base: OU=Staff,DC=company,DC=example
# filter: (&(objectCategory=person)(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))
# accounts: {linkedin: {profile: extensionAttribute1}}
# variables: {office: physicalDeliveryOfficeName}
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

PAGED = "1.2.840.113556.1.4.319"  # RFC 2696
EMPTY_PAGES = 100
"""In a row. By RFC 2696 a page may be empty and not the last, so an endless series must be cut off."""
ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:;[A-Za-z0-9-]+)*|[0-9]+(?:\.[0-9]+)+")
"""An attribute description of RFC 4512, 2.5."""
WITHOUT_PEOPLE = re.compile(r"(?:DC=(?:Forest|Domain)DnsZones|(?:CN=Schema,)?CN=Configuration),DC=.+", re.IGNORECASE)
"""Partitions that Active Directory refers to from a domain's root: DNS, and its own configuration."""


class InventoryModule(people.People):
    """Searches in pages, over one connection; an incomplete answer is refused."""

    NAME = "fleet_ldap"
    defaults = {  # noqa: RUF012 - plugins are created once, and nothing changes it
        "name": ["uid", "sAMAccountName"],
        "email": ["mail"],
        "locale": ["preferredLanguage"],
        "department": ["department", "departmentNumber"],
        "country": ["c"],
    }

    def check_attribute(self, attribute):
        if not ATTRIBUTE.fullmatch(attribute):
            raise people.DirectoryError(f"{people.shown(attribute)} is not an LDAP attribute, such as mail.")

    def check_options(self):
        if ldap3 is None:
            raise people.DirectoryError(
                "ldap3 is not installed; install it in Ansible's environment: pip install ldap3"
            )
        url = self.get_option("url")
        parts = people.safe_url(url, ("ldaps", "ldap"))
        is_clear = parts.scheme == "ldap" and not self.get_option("start_tls")
        if parts.path.strip("/"):
            raise people.DirectoryError(f"url: {people.shown(url)} names more than a server; move the rest to base.")
        if is_clear and not people.is_loopback(parts.hostname):
            raise people.DirectoryError(
                f"{url} would send personal data and the password unencrypted; use ldaps, or start_tls: true."
            )
        if parts.scheme == "ldaps" and self.get_option("start_tls"):
            raise people.DirectoryError(f"{url} uses TLS from the start; remove start_tls.")
        if bool(self.get_option("bind_dn")) != bool(self.get_option("password_file")):
            raise people.DirectoryError("bind_dn and password_file need each other; set both, or neither.")

    def fetch(self, attributes):
        url = self.get_option("url")
        try:
            connection = self._connection()
            try:
                return [(entry["dn"], _reader(entry)) for entry in self._entries(connection, attributes)]
            finally:
                connection.strategy.close()
        except LDAPCertificateError:
            raise people.DirectoryError(
                f"{url} has a certificate for another host name; use that name in url."
            ) from None
        except LDAPInvalidFilterError:
            raise people.DirectoryError(
                f"filter: {people.shown(self.get_option('filter'))} is not an LDAP filter; write it as in RFC 4515."
            ) from None
        except LDAPInvalidDnError:
            raise people.DirectoryError(
                f"base: {people.shown(self.get_option('base'))} is not a DN; write one such as dc=company,dc=example."
            ) from None
        except LDAPSocketReceiveError:
            raise people.DirectoryError(
                f"{url} timed out or closed the connection; no hosts were added, run again."
            ) from None
        except LDAPStartTLSError as error:
            raise people.DirectoryError(_broken(url, error) or f"{url} does not support StartTLS; use ldaps.") from None
        except (LDAPException, OSError, ssl.SSLError) as error:
            why = people.shown(type(error).__name__)
            raise people.DirectoryError(
                _broken(url, error)
                or f"{url} is unreachable, or closed the connection ({why}); check url, and that the server is up."
            ) from None

    def _connection(self):
        """Return a bound connection to the verified server."""
        url, seconds = self.get_option("url"), self.get_option("timeout")
        parts = people.safe_url(url, ("ldaps", "ldap"))
        is_tls, ca_file, tls = parts.scheme == "ldaps", self.file("ca_file"), None
        if is_tls or self.get_option("start_tls"):
            self.trust()  # ldap3 loads them again, but does not report errors in them
            trusted = str(ca_file) if ca_file else None
            tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=trusted, sni=parts.hostname)
        server = ldap3.Server(
            parts.hostname,
            port=parts.port or (636 if is_tls else 389),
            use_ssl=is_tls,
            tls=tls,
            get_info=ldap3.NONE,
            connect_timeout=seconds,
            allowed_referral_hosts=[],
        )
        secret, dn = self.file("password_file"), self.get_option("bind_dn")
        password = people.read_secret(secret) if secret else None
        connection = ldap3.Connection(
            server,
            user=dn,
            password=password,
            authentication=ldap3.SIMPLE if dn else ldap3.ANONYMOUS,
            auto_referrals=False,
            read_only=True,
            receive_timeout=seconds,
        )
        connection.open(read_server_info=False)
        if self.get_option("start_tls") and not connection.start_tls(read_server_info=False):
            raise people.DirectoryError(f"{url} does not support StartTLS; use ldaps.")
        if not connection.bind(read_server_info=False):
            who = f"{people.shown(dn)} with the password in {secret}" if dn else "an anonymous bind"
            fix = "fix one of them" if dn else "set bind_dn and password_file"
            raise people.DirectoryError(f"{url} refused {who} ({_code(connection)}); {fix}.")
        return connection

    def _entries(self, connection, attributes):
        """Yield each entry that the search finds, once. Raises DirectoryError."""
        url, most, seen, empty, cookie = self.get_option("url"), self.get_option("max_people"), set(), 0, None
        while True:
            connection.search(
                self.get_option("base"),
                self.get_option("filter"),
                search_scope=ldap3.SUBTREE if self.get_option("scope") == "subtree" else ldap3.LEVEL,
                attributes=attributes,
                paged_size=self.get_option("page_size"),
                paged_criticality=True,
                paged_cookie=cookie,
            )
            if connection.result["result"] != 0:
                raise people.DirectoryError(f"{url} {self._refusal(connection)}")
            entries = connection.response
            for entry in entries:
                if entry["type"] != "searchResEntry":
                    if all(map(_is_without_people, entry["uri"])):
                        continue
                    raise people.DirectoryError(
                        f"{url} refers to another server for part of {people.shown(self.get_option('base'))}, which "
                        "is not followed; use a base that is entirely on this one, or Active Directory's port 3269."
                    )
                key = entry["dn"].lower()
                if key in seen:
                    raise people.DirectoryError(f"{url} sent {people.shown(entry['dn'])} twice; {people.AGAIN}")
                seen.add(key)
                if len(seen) > most:
                    raise people.DirectoryError(
                        f"{url} has more than {most} people; narrow base or filter, or raise max_people."
                    )
                yield entry
            empty = 0 if entries else empty + 1
            if empty > EMPTY_PAGES:
                raise people.DirectoryError(f"{url} sent {empty} empty pages in a row; {people.AGAIN}")
            try:
                cookie = connection.result["controls"][PAGED]["value"]["cookie"]
            except KeyError:
                raise people.DirectoryError(
                    f"{url} did not report whether the list is complete; {people.AGAIN}"
                ) from None
            if not cookie:
                return

    def _refusal(self, connection):
        """Return what a result other than success means (RFC 4511, 4.1.9)."""
        code, base = _code(connection), people.shown(self.get_option("base"))
        reader = people.shown(self.get_option("bind_dn")) if self.get_option("bind_dn") else "anonymous readers"
        return {
            3: f"hit its time limit ({code}); narrow base or filter.",
            4: f"does not return everyone ({code}); let {reader} read without a limit.",
            10: f"refers to another server for {base}; use that one in url.",
            11: f"does not return everyone ({code}); let {reader} read without a limit.",
            12: f"does not support paged results ({code}); RFC 2696 is required.",
            32: f"has no entry {base} ({code}), or hides it; fix base.",
            50: f"does not let {reader} read {base} ({code}); grant that on the server.",
        }.get(connection.result["result"], f"did not answer the search ({code}); no hosts were added, run again.")


def _is_without_people(uri):
    """Return True for a reference (RFC 4516) to a partition of Active Directory without people."""
    try:
        return bool(WITHOUT_PEOPLE.fullmatch(unquote(urlsplit(uri).path).lstrip("/")))
    except ValueError:
        return False


def _code(connection):
    """Return a result's name from RFC 4511; the server's own text is not trusted."""
    return people.shown(connection.result["description"]).strip("'")


def _broken(url, error):
    """Return the sentence for an untrusted certificate, or None; ldap3 keeps only the text of its cause."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return f"{url} has a certificate from an untrusted CA; set ca_file to that CA's certificate."
    return None


def _reader(entry):
    """Return a function that gives an entry's values for an attribute, ignoring case; options must be requested."""
    held = {name.lower(): values for name, values in entry["raw_attributes"].items()}

    def read(attribute):
        try:
            return [value.decode() for value in held.get(attribute.lower(), ())]
        except UnicodeDecodeError:
            raise ValueError(f"a value of {attribute} is not text") from None

    return read
