"""Storage states: what a browser keeps of a signed-in person, in Playwright's format; and which of it is a session."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from fleet.recipes.recipe import Recipe

MAX_BYTES = 5 * 1024 * 1024
"""Browsers keep at most 5 MB of stored data per origin; a larger file is no session."""

LATEST = 253402300799
"""The end of the year 9999, in seconds since 1970: Playwright takes no later expiry."""


class _Part(BaseModel):
    # Other keys come and go with Playwright versions; what is not known here is dropped.
    model_config = ConfigDict(extra="ignore", populate_by_name=True)


def _origin(value: str) -> str:
    urlsplit(value)  # raises ValueError for what is no address
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
        """What a browser knows it by: two cookies with one key are one."""
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
    """One IndexedDB database with all that is in it, as Playwright exports it with `indexedDB: true`."""

    name: str
    version: int = Field(ge=1)
    stores: list[_Store]


class Origin(_Part):
    """What one origin has stored."""

    origin: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,300}$"), AfterValidator(_origin)]
    local_storage: list[_Item] = Field(default_factory=list, alias="localStorage")
    indexed_db: list[Database] | None = Field(default=None, alias="indexedDB")

    @property
    def host(self) -> str:
        """The origin's host."""
        return urlsplit(self.origin).hostname or ""

    def named_by(self, recipe: Recipe) -> Origin:
        """What the recipe names of it."""
        items = [item for item in self.local_storage if item.name in recipe.session.local_storage]
        databases = [one for one in self.indexed_db or () if one.name in recipe.session.databases]
        return self.model_copy(update={"local_storage": items, "indexed_db": databases or None})

    @property
    def is_empty(self) -> bool:
        """True if nothing is stored."""
        return not self.local_storage and not self.indexed_db


class StorageState(_Part):
    """Playwright's storage state, strictly."""

    cookies: list[Cookie] = Field(default_factory=list)
    origins: list[Origin] = Field(default_factory=list)

    def as_playwright(self) -> dict[str, Any]:
        """The dictionary that `browser.new_context(storage_state=…)` takes."""
        return self.model_dump(by_alias=True, exclude_none=True)

    def own_part(self, recipe: Recipe) -> StorageState:
        """What the recipe calls a session: the cookies of its domains, and there the storage and databases it names.

        Whatever else a page keeps in the browser could make it show what the service does not say any more.
        """
        cookies = [cookie for cookie in self.cookies if recipe.owns_host(cookie.domain)]
        origins = [origin.named_by(recipe) for origin in self.origins if recipe.owns_host(origin.host)]
        return StorageState(cookies=cookies, origins=[origin for origin in origins if not origin.is_empty])

    def left_by_visit(self, recipe: Recipe, given: StorageState) -> StorageState:
        """The session after a visit that began with `given`.

        Of cookies that the recipe does not name, those that came with the session stay: as they were where scripts can
        write them, since a page may keep there what it has shown.
        """
        state, came = self.own_part(recipe), {cookie.key: cookie for cookie in given.cookies}
        state.cookies = [
            cookie if cookie.name in recipe.session.cookies or cookie.http_only else came[cookie.key]
            for cookie in state.cookies
            if cookie.name in recipe.session.cookies or cookie.key in came
        ]
        return state

    def foreign_to(self, recipe: Recipe) -> list[str]:
        """The hosts and origins in it that are not the service's."""
        foreign = {cookie.domain.lstrip(".") for cookie in self.cookies if not recipe.owns_host(cookie.domain)}
        return sorted(foreign | {origin.origin for origin in self.origins if not recipe.owns_host(origin.host)})

    def expires_at(self, recipe: Recipe) -> float | None:
        """When the session ends by its cookies, in seconds since 1970; None if they do not say.

        The earliest of the recipe's session cookies; where it names none, the latest of all.
        """
        named = [cookie.expires for cookie in self.cookies if cookie.name in recipe.session.cookies]
        lasting = [expires for expires in named if expires > 0]
        if named:
            return min(lasting, default=None)
        return max((cookie.expires for cookie in self.cookies if cookie.expires > 0), default=None)


def as_json(content: object) -> bytes:
    """JSON in UTF-8, no longer than it was when it was read: `\\u00e9` for each é would treble it."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def is_storable(state: Any) -> bool:
    """True if a storage state (a dictionary, or None) is no larger than one that would be taken again."""
    return state is not None and len(as_json(state)) <= MAX_BYTES
