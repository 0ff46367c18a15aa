"""Recipes: how a service's controls are found, set and proved, as data. One YAML file per service, without code.

docs/recipes.md explains each key to authors; docs/recipe.schema.json is generated from these models.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, Field, model_validator

from fleet.model import ControlKind, Reason
from fleet.recipes.labels import covers, is_one_of, plain_language
from fleet.recipes.request import Request
from fleet.recipes.values import PROFILE, Date, Host, Labels, Language, Page, Slug, Strict, Text, page
from fleet.validation import Shape

SHOWS_WITHIN = 30
"""Seconds for a page to show a control and react to it, unless its recipe sets another limit."""


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error:
        raise ValueError("must be a regular expression") from None
    return value


class Sign(Strict):
    """A sign that identifies a page: exactly one of an address, a CSS selector or a heading."""

    address: Text | None = Field(
        default=None,
        description="Path on the service's own hosts (/login), or https://host/path; a trailing * means 'and below'.",
    )
    css: Text | None = Field(default=None, description="A CSS selector with a visible match.")
    heading: Text | None = Field(default=None, description="Words that a visible heading contains; case is ignored.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.address, self.css, self.heading)) != 1:
            raise ValueError("give exactly one of address, css, heading")
        if self.address and not re.match(r"/|https://[^/]+/", self.address):
            raise ValueError("address: must be a path such as /login, or https://host/path")
        if self.address and not self.address.startswith("/"):
            page(self.address)
        return self


class ChallengeSign(Sign):
    """A sign of a challenge, and its kind: a person must answer it, never this tool."""

    kind: Literal["captcha", "code", "device_approval", "restriction", "challenge"] = Field(
        default="challenge", description="Kind of challenge; it decides what the employee is asked to do."
    )

    @property
    def reason(self) -> Reason:
        """Reason code recorded when this sign is found."""
        return Reason(self.kind)


class Identity(Strict):
    """Where the service shows who is signed in. Read before anything is clicked.

    Either `landed`: the address to which `page` leads the signed-in person, or `css`: elements on the control's
    page (or on `page`), all of whose matches must show the employee's profile.
    """

    page: Page | None = Field(
        default=None, description="A separate page to read the sign from, before the control's page."
    )
    landed: Page | None = Field(
        default=None, description="Where `page` leads the signed-in person: an address with {profile} in it."
    )
    css: Text | None = Field(default=None, description="Elements that show who is signed in; all of them must agree.")
    attribute: Annotated[str, Shape(r"^[a-zA-Z][\w-]*$", "the name of an attribute, such as href")] | None = Field(
        default=None, description="Read this attribute of the element; without it, its text."
    )
    equals: Text = Field(default=PROFILE, description="What must be read; {profile} is the employee's profile.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.landed is None) == (self.css is None):
            raise ValueError("give exactly one of landed (with page) and css")
        if self.landed is not None and (self.page is None or PROFILE not in self.landed):
            raise ValueError("landed needs page, and must contain {profile}")
        if self.is_page_itself(PROFILE):
            raise ValueError("landed must be another address than page: page leads everyone there")
        if self.css is not None and PROFILE not in self.equals:
            raise ValueError("equals must contain {profile}: a sign that does not name the person proves nothing")
        return self

    def is_page_itself(self, profile: str) -> bool:
        """Return True if this profile's address is the identity page, where the browser is for any signed-in person."""
        if self.landed is None or self.page is None:
            return False
        own = (fill_profile(address, profile) for address in (self.page, self.landed))
        return len({landing_key(address, self.landed) for address in own}) == 1


class ProfileForm(Strict):
    """Form of the service's profiles, so that a word that identifies no person is refused."""

    pattern: Annotated[Text, AfterValidator(_pattern)] = Field(
        default=".+", description="A regular expression for a whole profile: its id, not its address."
    )
    never: tuple[Text, ...] = Field(default=(), description="Words that are never a profile; case is ignored.")
    addresses: tuple[Text, ...] = Field(
        default=(),
        description="Addresses with {profile}: a path on the service's own hosts, or https://host/path. What follows "
        "the profile does not matter.",
    )
    example: Text = Field(description="Example to copy, shown for an invalid value, such as a whole address.")

    @model_validator(mode="after")
    def _usable(self) -> Self:
        for address in self.addresses:
            if not re.fullmatch(r"(https://[a-z0-9.-]+)?(/[\w.-]+)*/\{profile\}", address):
                raise ValueError("addresses: must be paths such as /in/{profile}, or https://host/in/{profile}")
        return self

    def fault_of(self, profile: str, service_name: str) -> str | None:
        """Return why a profile cannot identify a person; None if it can."""
        if _folded(profile) in map(_folded, self.never):
            return f"identifies no one at {service_name}"
        return None if re.fullmatch(self.pattern, profile) else f"is not a profile at {service_name}"


class Find(Strict):
    """How an element is found: first by a stable attribute, then by its accessible name in a known language."""

    css: Text | None = Field(default=None, description="The service's own setting key or another stable attribute.")
    names: Labels = Field(default_factory=dict, description="Exact accessible names (labels) by language.")
    weak: tuple[Language, ...] = Field(
        default=(),
        description="Languages whose names were not read from the page itself: another label does not contradict them.",
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.css is None and not self.names:
            raise ValueError("give css, names, or both")
        unnamed = [language for language in self.weak if language not in self.names]
        if unnamed:
            raise ValueError(f"weak: no names in {', '.join(unnamed)}")
        return self

    @property
    def all_names(self) -> tuple[str, ...]:
        """All labels of all languages, without duplicates."""
        return tuple(dict.fromkeys(name for names in self.names.values() for name in names))

    def contradicts(self, label: str, language: str, locale: str | None) -> bool:
        """Return True if the element found has a label unknown to the recipe, on a page in `language`.

        If the page does not state its language, the employee's `locale` counts; without it, all names do.
        """
        if not self.names or not label.strip() or is_one_of(label, self.all_names):
            return False
        spoken = plain_language(language) or plain_language(locale or "")
        return any(not spoken or covers(one, spoken) for one in self.names if one not in self.weak)


class Control(Strict):
    """One thing to switch off: where it is, how to find it, how to set it, how to prove it."""

    title: Text = Field(description="Display name of the setting, for lists and reports.")
    purpose: Text | None = Field(
        default=None, description="What the service does with data of employees while the setting is on, in a sentence."
    )
    page: Page = Field(description="The exact address of the page; after loading, the browser must be exactly there.")
    kind: ControlKind = Field(description="What the control is on its page.")
    find: Find = Field(description="The control. For a radio: the option that means opted out.")
    opted_out: Literal["on", "off"] = Field(
        description="Which state means opted out: off for most switches, on for a chosen radio option.",
    )
    save: Find | None = Field(default=None, description="The Save button; omit it if a change saves itself.")
    ready: Text | None = Field(
        default=None, description="A CSS selector that matches only once the page reacts to clicks."
    )
    shows_within: int = Field(
        default=SHOWS_WITHIN, ge=5, le=90, description="Seconds that the page may take to show the control."
    )
    not_offered: tuple[Sign, ...] = Field(
        default=(), description="Signs by which the page shows that this account does not have the control."
    )
    sources: tuple[Text, ...] = Field(min_length=1, description="Where each fact above comes from.")
    verified_live: Date | None = Field(description="When this recipe was seen working on the live service, or null.")

    @model_validator(mode="after")
    def _radio_is_on(self) -> Self:
        if self.kind is ControlKind.RADIO and self.opted_out != "on":
            raise ValueError("a radio names the option that means opted out, so opted_out is on")
        return self

    def page_for(self, profile: str) -> str:
        """Return the address of this control's page for one profile."""
        return fill_profile(self.page, profile)


REVIEW_AFTER = timedelta(days=180)
"""Time after which a service's terms should be read again."""


class Terms(Strict):
    """What the service's terms say about automated access."""

    automation: Literal["allowed", "silent", "forbidden"] = Field(
        description="Where forbidden, a live run needs the organization's terms_accepted in fleet.yml."
    )
    source: Text = Field(description="Source of this statement in the terms.")
    reviewed_on: Date = Field(description="When they were last read, YYYY-MM-DD.")

    @property
    def review_by(self) -> date:
        """The last day before they are due to be read again."""
        return min(date.fromisoformat(self.reviewed_on), date.max - REVIEW_AFTER) + REVIEW_AFTER


@dataclass(frozen=True)
class SessionParts:
    """Names of everything that makes up a session: other data in the browser proves nothing."""

    cookies: frozenset[str] = frozenset()
    local_storage: frozenset[str] = frozenset()
    databases: frozenset[str] = frozenset()


ANY_COOKIES = SessionParts()
"""Used for recipes that name nothing: all cookies of their domains, and nothing else."""


class Recipe(Strict):
    """Everything known about one service."""

    service: Slug = Field(description="The service's name in inventories and results; the same as the file's name.")
    name: Text = Field(description="The service's display name.")
    domains: tuple[Host, ...] = Field(
        min_length=1, description="Domains whose cookies belong to a session; subdomains included."
    )
    asset_hosts: tuple[Host, ...] = Field(
        default=(), description="Other hosts that its pages load scripts, styles and data from."
    )
    session_cookies: tuple[Text, ...] = Field(
        default=(),
        description="Cookies required for being signed in; the proof trusts no others.",
    )
    session_local_storage: tuple[Text, ...] = Field(
        default=(), description="Local storage keys required for being signed in; no other key is kept."
    )
    session_databases: tuple[Text, ...] = Field(
        default=(), description="IndexedDB databases required for being signed in; no other database is kept."
    )
    terms: Terms = Field(description="What the service's terms say about automated access.")
    accounts: Literal["personal", "organization", "either"] = Field(
        default="either",
        description="Who owns the accounts according to the service's terms: the member, the organization or, with "
        "either, the `owner` given for each account. Live runs use stored sessions of personal accounts only where "
        "fleet.yml has personal_sessions for the service.",
    )
    identity: Identity = Field(description="How to read who is signed in.")
    profile: ProfileForm | None = Field(default=None, description="Form of profiles; if omitted, any text is accepted.")
    sign_in: Page | None = Field(
        default=None,
        description="Where a person signs in; without it, the first control's page, which leads there.",
    )
    signed_out: tuple[Sign, ...] = Field(min_length=1, description="Signs of being signed out; any one counts.")
    challenges: tuple[ChallengeSign, ...] = Field(
        default=(), description="Signs that the service asks for a CAPTCHA, a code or the like; any one counts."
    )
    controls: dict[Slug, Control] = Field(min_length=1, description="The controls by name, such as ai_training.")
    requests: dict[Slug, Request] = Field(
        default_factory=dict, description="Forms and letters that a person signs, by name, such as objection."
    )

    @cached_property
    def entries(self) -> dict[str, Control | Request]:
        """Everything that is planned for an account, by name: the controls, then the requests."""
        return {**self.controls, **self.requests}

    @cached_property
    def page_hosts(self) -> frozenset[str]:
        """`host:port` of every page that this recipe declares."""
        return frozenset(host_port(page) for page in self.pages)

    @cached_property
    def hosts(self) -> frozenset[str]:
        """`host:port` of everything the browser may connect to for this service."""
        assets = (host if ":" in host else f"{host}:443" for host in self.asset_hosts)
        return self.page_hosts | frozenset(assets)

    @cached_property
    def session(self) -> SessionParts:
        """What makes up a session of this service."""
        names = (self.session_cookies, self.session_local_storage, self.session_databases)
        return SessionParts(*map(frozenset, names))

    def owns_host(self, host: str) -> bool:
        """Return True if a cookie or stored data of `host` belongs to this service's session."""
        return is_on_domains(host, self.domains)

    def fault_of_profile(self, profile: str) -> str | None:
        """Return why a profile cannot identify a person; None if it can."""
        if self.identity.is_page_itself(profile):
            return f"identifies no one at {self.name}"
        return self.profile.fault_of(profile, self.name) if self.profile else None

    def sign_in_page(self, profile: str) -> str:
        """Return the address at which a person's sign-in begins."""
        return self.sign_in or next(iter(self.controls.values())).page_for(profile)

    def selectors(self) -> Iterator[tuple[str, str]]:
        """Yield every CSS selector with its key, such as `controls.ai_training.find.css`."""
        dumped = self.model_dump(exclude_none=True)
        yield from _selectors(dumped, "")

    @cached_property
    def pages(self) -> tuple[str, ...]:
        """Every address that a visit may open, with {profile} left in place."""
        further = (self.identity.page, self.identity.landed)
        return (*(control.page for control in self.controls.values()), *filter(None, further))

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        both = self.controls.keys() & self.requests.keys()
        if both:
            raise ValueError(f"requests: {min(both)} is also the name of a control; rename one of them")
        return self

    @model_validator(mode="after")
    def _pages_belong(self) -> Self:
        forms = (request.page for request in self.requests.values() if request.page is not None)
        for address in (*self.pages, *forms):
            host = urlsplit(address).hostname or ""
            if not self.owns_host(host):
                raise ValueError(f"{address} is not on one of the domains ({', '.join(self.domains)})")
        return self


def is_on_domains(host: str, domains: Iterable[str]) -> bool:
    """Return True if a host is one of the domains or below one."""
    host = host.lstrip(".").lower()
    return any(host == domain or host.endswith("." + domain) for domain in domains)


def _selectors(part: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key in ("css", "ready") and isinstance(value, str):
                yield where + key, value
            else:
                yield from _selectors(value, f"{where}{key}.")
    elif isinstance(part, (list, tuple)):
        for number, value in enumerate(part, 1):
            yield from _selectors(value, f"{where}{number}.")


def json_schema() -> dict[str, Any]:
    """Return the format as JSON Schema (2020-12), for completion and checks in editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Recipe.model_json_schema(),
        "title": "A recipe of Fleet Opt-Out",
    }


def fill_profile(template: str, profile: str) -> str:
    """Insert a profile into an address; characters that would change the address are percent-encoded."""
    return template.replace(PROFILE, quote(profile, safe=""))


def landing_key(address: str, template: str) -> str:
    """Return an address to compare where an identity page led; query and fragment only if the template has them."""
    key = address
    if "#" not in template:
        key = key.partition("#")[0]
    if "?" not in template:
        key = key.partition("?")[0]
    return key.rstrip("/").lower()


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def host_port(address: str) -> str:
    """Return `host:port` of an address, with the default port of its scheme."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    return f"{'[' + host + ']' if ':' in host else host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
