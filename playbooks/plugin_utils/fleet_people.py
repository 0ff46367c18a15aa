# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared by fleet_scim and fleet_ldap: the people in a directory become Ansible hosts, all of them or none.

Ansible has no location for code shared by such plugins (module_utils is for modules), so each plugin loads this file by
path.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import ssl
import stat
import threading
import unicodedata
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.unsafe_proxy import wrap_var

SAFE_NAME = re.compile(r"(?!(?:localhost|127\.0\.0\.1|all|ungrouped)\Z)[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
"""As SAFE_NAME in fleet/model.py; the excluded names are Ansible's own, for the local machine or for groups."""
LANGUAGE = re.compile(r"([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]{2,8}){0,3}")
VARIABLE = re.compile(r"(?!fleet_|ansible_)[a-z_][a-z0-9_]{0,99}")
FIELDS = ("name", "email", "locale", "subject", "department", "country")
TOLD = 20  # people named in one sentence
MAX_VALUE = 1000  # characters; no useful value about a person is longer
AGAIN = "no hosts were added; run again, and if this recurs, fix its paging."
MAX_SECRET = 64 * 1024  # bytes

Read = Callable[[str], list[str]]
"""Returns the values that one directory entry has for an attribute."""
Answer = TypeVar("Answer")


class DirectoryError(Exception):
    """The directory cannot be used, or not as requested; the text says what to do now."""


class People(BaseInventoryPlugin, Constructable, Cacheable):
    """An inventory plugin whose hosts are people. Data from the directory or the cache is never trusted."""

    trusted_by_default = False
    defaults: dict[str, list[str]]
    """The attributes read for each of FIELDS that has any, unless the option `attributes` overrides them."""

    @staticmethod
    def _sanitize_group_name(name):
        # Regardless of ansible.cfg: Ansible before 2.19 would evaluate braces in a group name as a template.
        return re.sub(r"^(?=\d)|\W", "_", unicodedata.normalize("NFC", str(name)))

    @abstractmethod
    def check_options(self) -> None:
        """Reject conflicting options before anything is requested or read from the cache."""

    @abstractmethod
    def fetch(self, attributes: list[str]) -> Iterable[tuple[str, Read]]:
        """Return all people in the directory, each with the id its admin knows. Raises DirectoryError."""

    @abstractmethod
    def check_attribute(self, attribute: str) -> None:
        """Reject an invalid attribute name."""

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        config = self._read_config_data(path)
        self.folder = Path(path).resolve().parent
        try:
            self._refuse_unknown(config)
            wanted = self._wanted()
            for option in ("page_size", "max_people", "timeout", "max_seconds"):
                if self.get_option(option) < 1:
                    raise DirectoryError(f"{option}: must be at least 1.")
            self.check_options()
            self._add(self._people(path, cache, config, wanted))
        except DirectoryError as error:
            raise AnsibleParserError(f"{self.NAME}: {error}") from None

    def file(self, option: str) -> Path | None:
        """Return the file named by an option, relative to this inventory unless the path is absolute."""
        name = self.get_option(option)
        return self.folder / Path(name).expanduser() if name else None

    def trust(self) -> ssl.SSLContext:
        """Return a context that trusts the system's certificates, or those in `ca_file`. Raises DirectoryError."""
        ca_file = self.file("ca_file")
        try:
            return ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise DirectoryError(f"{ca_file} contains no CA certificates ({error.strerror}); fix the file.") from None

    def _refuse_unknown(self, config):
        known = {"plugin"}
        for name, definition in self.option_definitions.items():
            known |= {
                name,
                *(alias["name"] if isinstance(alias, dict) else alias for alias in definition.get("aliases", ())),
            }
        for key in config:
            if key not in known:
                raise DirectoryError(f"unknown option {shown(key)}; `ansible-doc -t inventory {self.NAME}` lists them.")
        for key in self.get_option("compose") or {}:
            if not VARIABLE.fullmatch(key):
                raise DirectoryError(
                    f"compose: {shown(key)}: must be a plain name without the prefix fleet_ or ansible_; "
                    "accounts and mandates cannot be composed."
                )

    def _wanted(self) -> dict[str, list[str]]:
        """Return the attributes, best first, for `email`, `accounts.SERVICE.profile` and `variables.NAME`."""
        wanted = {field: self.defaults[field] for field in FIELDS if field in self.defaults}
        for field, attributes in _mapping("attributes", self.get_option("attributes")):
            if field not in FIELDS:
                raise DirectoryError(f"attributes: {shown(field)}: unknown field; known fields: {', '.join(FIELDS)}.")
            wanted[field] = attributes
        for service, account in _mapping("accounts", self.get_option("accounts")):
            if not re.fullmatch(r"[a-z0-9_-]{1,100}", str(service)):
                raise DirectoryError(f"accounts: {shown(service)}: not a service name.")
            where = f"accounts.{service}"
            for field, attributes in _mapping(where, account):
                if field not in ("profile", "name"):
                    raise DirectoryError(f"{where}: {shown(field)}: unknown field; known fields: profile, name.")
                wanted[f"{where}.{field}"] = attributes
            if f"{where}.profile" not in wanted:
                raise DirectoryError(f"{where}.profile: missing; set it to the attribute that holds the profile.")
        for variable, attributes in _mapping("variables", self.get_option("variables")):
            if not VARIABLE.fullmatch(str(variable)) or variable in FIELDS:
                raise DirectoryError(
                    f"variables: {shown(variable)}: must be a plain name without the prefix fleet_ or ansible_, "
                    f"other than {', '.join(FIELDS)}."
                )
            wanted[f"variables.{variable}"] = attributes
        for where, attributes in wanted.items():
            attributes = [attributes] if isinstance(attributes, str) else attributes
            if (
                not attributes
                or not isinstance(attributes, list)
                or not all(isinstance(name, str) and name for name in attributes)
            ):
                raise DirectoryError(f"{where}: must be an attribute name, or a list of them, best first.")
            wanted[where] = [str(name) for name in attributes]
            for attribute in wanted[where]:
                self.check_attribute(attribute)
        return wanted

    def _people(self, path, cache, config, wanted) -> list[dict[str, str]]:
        if not self.get_option("cache"):
            return self._fetched(wanted)
        # A cache entry for other options, perhaps from another server, does not apply here.
        asked = json.dumps(config, sort_keys=True, default=str)
        key = f"{self.get_cache_key(path)}_{hashlib.sha256(asked.encode()).hexdigest()[:16]}"
        if cache:
            try:
                return _checked(self._cache[key], wanted)
            except KeyError:
                pass  # never read, or too old
        people = self._fetched(wanted)
        self._cache[key] = people
        return people

    def _fetched(self, wanted) -> list[dict[str, str]]:
        attributes = list(dict.fromkeys(attribute for alternatives in wanted.values() for attribute in alternatives))
        entries = within(self.get_option("max_seconds"), lambda: list(self.fetch(attributes)), self.get_option("url"))
        if not entries:
            raise DirectoryError(
                f"{self.get_option('url')} returned no people; fix filter, or grant access to read them."
            )
        people, bad = [], []
        for identity, read in entries:
            try:
                people.append({"id": identity, **_person(read, wanted)})
            except ValueError as error:
                bad.append(f"{shown(identity)}: {error}")
        often = Counter(person["name"] for person in people)
        bad += [
            f"{shown(person['id'])}: {person['name']} is the name of {often[person['name']]} people"
            for person in people
            if often[person["name"]] > 1
        ]
        if bad:
            told = "; ".join(bad[:TOLD]) + (f"; and {len(bad) - TOLD} more" if len(bad) > TOLD else "")
            count = f"{len(bad)} of {len(entries)} people"
            if self.get_option("on_bad_person") != "skip":
                raise DirectoryError(
                    f"{count} cannot be hosts: {told}. Fix them in the directory, or set on_bad_person: skip."
                )
            self.display.warning(f"{self.NAME}: {self.get_option('url')}: {count} are left out: {told}.")
        hosts = [person for person in people if often[person["name"]] == 1]
        return sorted(hosts, key=lambda person: person["name"])

    def _add(self, people: list[dict[str, str]]) -> None:
        departments: dict[str, set[str]] = {}
        strict = self.get_option("strict")
        for person in people:
            name = self.inventory.add_host(person["name"])
            for variable, value in _variables(person).items():
                self.inventory.set_variable(name, variable, wrap_var(value))
            language = LANGUAGE.fullmatch(person.get("locale", ""))
            groups = {
                "department": person.get("department"),
                "country": person.get("country", "").upper(),
                "language": language[1].lower() if language else None,
            }
            for kind, value in groups.items():
                if value:
                    group = self.inventory.add_group(self._sanitize_group_name(f"{kind}_{value}"))
                    self.inventory.add_child(group, name)
                    departments.setdefault(group, set()).add(value)
            self._set_composite_vars(self.get_option("compose"), self.inventory.get_host(name).get_vars(), name, strict)
            known = self.inventory.get_host(name).get_vars()
            self._add_host_to_composed_groups(self.get_option("groups"), known, name, strict)
            self._add_host_to_keyed_groups(self.get_option("keyed_groups"), known, name, strict)
        for group, values in departments.items():
            if len(values) > 1:
                told = ", ".join(shown(value) for value in sorted(values)[:TOLD])
                url = self.get_option("url")
                self.display.warning(f"{self.NAME}: {url}: {len(values)} departments share the group {group}: {told}.")


def _mapping(where, value):
    if not isinstance(value or {}, dict):
        raise DirectoryError(f"{where}: must be a mapping; see the examples in ansible-doc.")
    return (value or {}).items()


def _person(read: Read, wanted: dict[str, list[str]]) -> dict[str, str]:
    """Return the wanted fields of one entry that are not empty. Raises ValueError if it cannot be a host."""
    person = {}
    for field, attributes in wanted.items():
        values = next((values for attribute in attributes if (values := [one for one in read(attribute) if one])), [])
        if len(values) > 1 and (field == "name" or field.startswith("accounts.")):
            raise ValueError(f"{len(values)} values of {' or '.join(attributes)}, but {field} needs exactly one")
        if values:
            if len(values[0]) > MAX_VALUE:
                raise ValueError(f"the value for {field} is too long ({len(values[0])} characters)")
            person[field] = values[0].encode("utf-8", "backslashreplace").decode()  # lone surrogates are escaped
    if "locale" in person:  # the form of Accept-Language is allowed: de-CH,de;q=0.9
        person["locale"] = re.split("[,;]", person["locale"])[0].strip()
    if not SAFE_NAME.fullmatch(person.get("name", "")):
        raise ValueError(
            f"{shown(person['name'])} is not a valid name (only letters, digits and . _ @ + -, at most 100 characters)"
            if "name" in person
            else f"no {' or '.join(wanted['name'])} to use as the name"
        )
    return person


def _variables(person: dict[str, str]) -> dict[str, object]:
    variables: dict[str, object] = {name: person[name] for name in ("department", "country") if name in person}
    for field in ("email", "locale", "subject"):
        if field in person:
            variables[f"fleet_{field}"] = person[field]
    accounts: dict[str, dict[str, str]] = {}
    for field, value in person.items():
        kind, _, rest = field.partition(".")
        if kind == "variables":
            variables[rest] = value
        elif kind == "accounts":
            service, _, what = rest.partition(".")
            accounts.setdefault(service, {})[what] = value
    accounts = {service: account for service, account in accounts.items() if "profile" in account}
    return {**variables, **({"fleet_accounts": accounts} if accounts else {})}


def _checked(people: object, wanted: dict[str, list[str]]) -> list[dict[str, str]]:
    """Validate the cache, which anyone may have written: it must look like freshly fetched data."""
    fields = {"id", *wanted}
    if isinstance(people, list) and people:
        people = [dict(person) if isinstance(person, dict) else {} for person in people]
        is_each_once = len({str(person.get("name")) for person in people}) == len(people)
        if is_each_once and all(
            person.keys() <= fields
            and all(isinstance(value, str) for value in person.values())
            and SAFE_NAME.fullmatch(person.get("name", ""))
            for person in people
        ):
            return [{str(field): str(value) for field, value in person.items()} for person in people]
    raise DirectoryError("the cache is invalid; run again with --flush-cache.")


def within(seconds: int, work: Callable[[], Answer], url: str) -> Answer:
    """Return the result of `work` within a time limit; socket timeouts do not stop a server that sends byte by byte.

    Raises DirectoryError on timeout; the thread that runs `work` is then abandoned.
    """
    done: list[Answer] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise DirectoryError(f"{url} did not send all people within {seconds} s; try later, or raise max_seconds.")
    return done[0]


def shown(text: object) -> str:
    """Return untrusted text in quotes, at most 120 characters of one line, without control characters."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in str(text))
    return f"'{plain[:120]}{'…' if len(plain) > 120 else ''}'"


def safe_url(text: str, schemes: tuple[str, ...]) -> SplitResult:
    """Return the parts of an address with a host and without password, query or fragment. Raises DirectoryError."""
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_good = False
    if not is_good or parts.username is not None or parts.query or parts.fragment or not text.isprintable():
        raise DirectoryError(
            f"url: {shown(text)} must be {' or '.join(f'{one}://HOST' for one in schemes)}, without user or query."
        )
    return parts


def is_loopback(host: str) -> bool:
    """Return True if data sent to a host stays on this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def read_secret(path: Path) -> str:
    """Return the one line of a private file, checked on the open file descriptor. Raises DirectoryError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise DirectoryError(f"{path} is a symbolic link; use the file that it points to.") from None
        raise DirectoryError(
            f"{path} cannot be read ({error.strerror}); check that it is a file that you own."
        ) from None
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise DirectoryError(f"{path} is not a regular file; put the secret into one.")
        if info.st_uid != os.getuid():
            raise DirectoryError(f"{path} belongs to another user (uid {info.st_uid}); use a file that you own.")
        if info.st_mode & 0o077:
            mode = stat.S_IMODE(info.st_mode)
            raise DirectoryError(f"{path} is accessible to other users (mode {mode:04o}); run: chmod 600 {path}")
        data = os.read(descriptor, MAX_SECRET)
    finally:
        os.close(descriptor)
    try:
        secret = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        secret = ""
    if not secret or not secret.isprintable():
        raise DirectoryError(f"{path} must contain one line of text, the secret only.")
    return secret
