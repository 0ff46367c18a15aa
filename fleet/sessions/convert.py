"""Reads exported sessions in the formats of common tools, and accepts only what a browser would accept.

Supported are Playwright's storage state, cookies as JSON (Cookie-Editor, EditThisCookie, Puppeteer, Selenium) and
Netscape's cookies.txt. No message contains a cookie's value.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError

from fleet.errors import InputError
from fleet.recipes.recipe import Recipe
from fleet.sessions.cookies import ExportedCookie, fault, host_of, is_sent
from fleet.sessions.storage_state import MAX_BYTES, Cookie, Origin, StorageState
from fleet.validation import mistakes

Model = TypeVar("Model", Origin, ExportedCookie)
HOW = "export a Playwright storage state, or the cookies as JSON or cookies.txt"


@dataclass(frozen=True)
class Imported:
    """A session read from a file, and notes on what was left out."""

    state: StorageState
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class _Export:
    """Cookies with their places in the file, and origins, as exported."""

    cookies: list[tuple[str, Mapping[str, Any]]]
    origins: list[tuple[str, Mapping[str, Any]]]


def read_session(data: bytes, path: str, recipe: Recipe) -> Imported:
    """Return the session of the recipe's service in a file.

    Raises InputError that names the file, the place and the fix, and never a value.
    """
    export = _read(data, path)
    cookies, origins = [], []
    foreign: set[str] = set()
    expired: set[str] = set()
    for place, raw in export.cookies:
        domain = raw.get("domain")
        if isinstance(domain, str) and domain.isprintable() and not recipe.owns_host(domain):
            foreign.add(domain.lstrip("."))
            continue
        cookie = _cookie(raw, f"{path}: {place}")
        if 0 < cookie.expires <= time.time() and cookie.name not in recipe.session.cookies:
            expired.add(cookie.name if cookie.name.isprintable() else "(unprintable name)")
            continue
        _require_taken(cookie, f"{path}: {place}", recipe)
        cookies.append(cookie)
    for place, raw in export.origins:
        origin = raw.get("origin")
        if isinstance(origin, str) and origin.isprintable() and not recipe.owns_host(host_of(origin)):
            foreign.add(origin)
        else:
            origins.append(_validated(Origin, raw, f"{path}: {place}"))
    whole = StorageState(cookies=list({cookie.key: cookie for cookie in cookies}.values()), origins=origins)
    state = whole.own_part(recipe)
    if expired and not whole.cookies and not whole.origins:
        raise InputError(f"{path}: its cookies have expired; sign in to {recipe.name} and export again.")
    if not whole.cookies and not whole.origins:
        raise InputError(f"{path} contains nothing of {', '.join(recipe.domains)}; export it from {recipe.name}.")
    _require_session(state, path, recipe)
    left_out = []
    if foreign:
        left_out.append(f"data of {', '.join(sorted(foreign))}")
    if expired:
        left_out.append(f"expired cookies: {', '.join(sorted(expired))}")
    if state.origins != whole.origins:
        left_out.append(f"storage that the recipe of {recipe.name} does not name")
    return Imported(state, tuple(left_out))


def _cookie(raw: Mapping[str, Any], where: str) -> Cookie:
    if not isinstance(raw.get("domain"), str):
        raise InputError(f"{where}: no domain; {HOW}.")
    name = raw.get("name")
    exported = _validated(ExportedCookie, raw, f"{where}{_called(name)}")
    return Cookie.model_validate(exported.model_dump(by_alias=True))


def _validated(model: type[Model], raw: Mapping[str, Any], where: str) -> Model:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        location, what = next(mistakes(error))
        at = ".".join(str(step) for step in location)
        fix = "" if ";" in what else "; export it again"
        raise InputError(f"{where}: {at}: {what}{fix}.") from None


def _called(name: object) -> str:
    """Return a cookie's name for a message; empty if it is not printable or too long."""
    return f" '{name}'" if isinstance(name, str) and name.isprintable() and 0 < len(name) <= 60 else ""


def _require_session(state: StorageState, path: str, recipe: Recipe) -> None:
    """Raise InputError if anything required for being signed in is missing."""
    parts, again = recipe.session, f"sign in to {recipe.name} and export again"
    for name in recipe.session_cookies:
        named = [cookie for cookie in state.cookies if cookie.name == name]
        if not named:
            raise InputError(f"{path}: no cookie '{name}', which a signed-in session needs; {again}.")
        if not any(is_sent(cookie, page, recipe) for cookie in named for page in recipe.pages):
            hosts = ", ".join(sorted({urlsplit(page).hostname or "" for page in recipe.pages}))
            raise InputError(
                f"{path}: cookie '{name}' of {named[0].domain} is not sent to {hosts}; fix its domain and path."
            )
    stored = {item.name for origin in state.origins for item in origin.local_storage}
    databases = {one.name for origin in state.origins for one in origin.indexed_db or ()}
    for what, wanted, found in (
        ("localStorage key", parts.local_storage, stored),
        ("database", parts.databases, databases),
    ):
        for name in sorted(wanted - found):
            how = " with indexedDB: true" if what == "database" else ""
            raise InputError(f"{path}: no {what} '{name}', which a signed-in session needs; {again}{how}.")
    if not state.cookies and not state.origins:
        raise InputError(
            f"{path}: the recipe of {recipe.name} does not name its storage; "
            "add it there to session_local_storage or session_databases."
        )


def _require_taken(cookie: Cookie, where: str, recipe: Recipe) -> None:
    """Raise InputError with the fix if a browser would silently drop the cookie."""
    wrong = fault(cookie, recipe.name)
    if wrong is not None:
        raise InputError(f"{where}{_called(cookie.name)}: {wrong}.")


def _read(data: bytes, path: str) -> _Export:
    if len(data) > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES // 1024 // 1024} MiB, so it is not a session; {HOW}.")
    try:
        text = data.decode(json.detect_encoding(data), "surrogatepass")
        if not text.lstrip().startswith(("{", "[")):
            return _Export(list(_netscape(text, path)), [])
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not valid JSON; {HOW}.") from None
    if isinstance(content, list):
        content = {"cookies": content}
    cookies, origins = content.get("cookies", []), content.get("origins", [])
    if not {"cookies", "origins"} & content.keys() or not isinstance(cookies, list) or not isinstance(origins, list):
        raise InputError(f"{path} is not a session; {HOW}.")
    return _Export(list(_objects(cookies, "cookies", path)), list(_objects(origins, "origins", path)))


def _objects(items: list[Any], what: str, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            raise InputError(f"{path} is not a session: {what}.{number} must be an object; {HOW}.")
        yield f"{what}.{number}", item


def _netscape(text: str, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the cookies of a cookies.txt: domain, subdomains, path, secure, expires, name, value, separated by tabs."""
    lines = [line.rstrip("\r") for line in text.split("\n")]
    if not any("\t" in line for line in lines):
        raise InputError(f"{path} is not a session; {HOW}.")
    for number, line in enumerate(lines, 1):
        http_only = line.startswith("#HttpOnly_")
        fields = line.removeprefix("#HttpOnly_").split("\t")
        if not line.strip() or (line.startswith("#") and not http_only):
            continue
        if len(fields) != 7:
            raise InputError(f"{path}:{number}: cookies.txt needs 7 tab-separated fields, not {len(fields)}; {HOW}.")
        domain, subdomains, at, secure, expires, name, value = fields
        yield (
            f"line {number}",
            {
                "domain": domain,
                "hostOnly": subdomains.upper() != "TRUE",
                "path": at,
                "secure": secure.upper() == "TRUE",
                "expires": expires,
                "name": name,
                "value": value,
                "httpOnly": http_only,
            },
        )
