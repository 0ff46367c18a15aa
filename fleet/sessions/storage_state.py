"""Storage states: a signed-in person's browser data in Playwright's format, and which part of it is the session."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from fleet.recipes.recipe import Recipe

MAX_BYTES = 5 * 1024 * 1024
"""Browsers keep at most 5 MB of stored data per origin; a larger file is not a session."""

LATEST = 253402300799
"""The end of the year 9999, in seconds since 1970: Playwright accepts no later expiry."""


class _Part(BaseModel):
    # Other keys vary with the Playwright version; unknown keys are dropped.
    model_config = ConfigDict(extra="ignore", populate_by_name=True)


def _origin(value: str) -> str:
    urlsplit(value)  # raises ValueError if it is not an address
    return value


class Cookie(_Part):
    """One cookie, in Playwright's spelling. `expires` is in seconds since 1970, -1 for a session cookie."""

    name: str = Field(min_length=1, max_length=4096)
    value: str = Field(max_length=16384)
    domain: str = Field(pattern=r"^[!-~]{1,255}$")
    path: str = "/"
    expires: float = Field(default=-1, ge=-1, le=LATEST)
    http_only: bool = Field(default=False, alias="httpOnly")
    secure: bool = False
    same_site: Literal["Strict", "Lax", "None"] = Field(default="Lax", alias="sameSite")
    partition_key: str | None = Field(default=None, alias="partitionKey")
    has_cross_site_ancestor: bool | None = Field(default=None, alias="_crHasCrossSiteAncestor")

    @property
    def key(self) -> tuple[str, ...]:
        """A cookie's identity in a browser: two cookies with the same key are one."""
        return self.name, self.domain, self.path, self.partition_key or ""


class _Item(_Part):
    name: str
    value: str


class _Index(_Part):
    name: str
    key_path: str | None = Field(default=None, alias="keyPath")
    key_path_array: list[str] | None = Field(default=None, alias="keyPathArray")
    multi_entry: bool = Field(alias="multiEntry")
    unique: bool


class _Store(_Part):
    name: str
    auto_increment: bool = Field(alias="autoIncrement")
    key_path: str | None = Field(default=None, alias="keyPath")
    key_path_array: list[str] | None = Field(default=None, alias="keyPathArray")
    records: list[dict[str, Any]]
    indexes: list[_Index]


class Database(_Part):
    """One IndexedDB database with its contents, as Playwright exports it with `indexedDB: true`."""

    name: str
    version: int = Field(ge=1)
    stores: list[_Store]


class Origin(_Part):
    """The storage of one origin."""

    origin: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,300}$"), AfterValidator(_origin)]
    local_storage: list[_Item] = Field(default_factory=list, alias="localStorage")
    indexed_db: list[Database] | None = Field(default=None, alias="indexedDB")

    @property
    def host(self) -> str:
        """The origin's host."""
        return urlsplit(self.origin).hostname or ""

    def named_by(self, recipe: Recipe) -> Origin:
        """Return the parts of it that the recipe names."""
        items = [item for item in self.local_storage if item.name in recipe.session.local_storage]
        databases = [one for one in self.indexed_db or () if one.name in recipe.session.databases]
        return self.model_copy(update={"local_storage": items, "indexed_db": databases or None})

    @property
    def is_empty(self) -> bool:
        """True if nothing is stored."""
        return not self.local_storage and not self.indexed_db


class StorageState(_Part):
    """Playwright's storage state, validated strictly."""

    cookies: list[Cookie] = Field(default_factory=list)
    origins: list[Origin] = Field(default_factory=list)

    def as_playwright(self) -> dict[str, Any]:
        """Return the dictionary for `browser.new_context(storage_state=…)`."""
        return self.model_dump(by_alias=True, exclude_none=True)

    def own_part(self, recipe: Recipe) -> StorageState:
        """Return the session as the recipe defines it: cookies of its domains, and the storage and databases it names.

        Other data that a page stores in the browser could make it show a state that is no longer the service's.
        """
        cookies = [cookie for cookie in self.cookies if recipe.owns_host(cookie.domain)]
        origins = [origin.named_by(recipe) for origin in self.origins if recipe.owns_host(origin.host)]
        return StorageState(cookies=cookies, origins=[origin for origin in origins if not origin.is_empty])

    def left_by_visit(self, recipe: Recipe, given: StorageState) -> StorageState:
        """Return the session after a visit that began with `given`.

        Cookies that the recipe does not name are kept only if they came with the session. Those writable by scripts get
        their old values back, since a page may store there what it has shown.
        """
        state, came = self.own_part(recipe), {cookie.key: cookie for cookie in given.cookies}
        state.cookies = [
            cookie if cookie.name in recipe.session.cookies or cookie.http_only else came[cookie.key]
            for cookie in state.cookies
            if cookie.name in recipe.session.cookies or cookie.key in came
        ]
        return state

    def foreign_to(self, recipe: Recipe) -> list[str]:
        """Return the hosts and origins in it that do not belong to the service."""
        foreign = {cookie.domain.lstrip(".") for cookie in self.cookies if not recipe.owns_host(cookie.domain)}
        return sorted(foreign | {origin.origin for origin in self.origins if not recipe.owns_host(origin.host)})

    def expires_at(self, recipe: Recipe) -> float | None:
        """Return when the session expires by its cookies, in seconds since 1970; None if unknown.

        This is the earliest expiry of the recipe's session cookies or, if it names none, the latest of all cookies.
        """
        named = [cookie.expires for cookie in self.cookies if cookie.name in recipe.session.cookies]
        lasting = [expires for expires in named if expires > 0]
        if named:
            return min(lasting, default=None)
        return max((cookie.expires for cookie in self.cookies if cookie.expires > 0), default=None)


def as_json(content: object) -> bytes:
    """Return JSON in UTF-8, no longer than when it was read: `\\u00e9` for each é would triple it."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def is_storable(state: Any) -> bool:
    """Return True if a storage state (a dictionary, or None) is small enough to be read again."""
    return state is not None and len(as_json(state)) <= MAX_BYTES
