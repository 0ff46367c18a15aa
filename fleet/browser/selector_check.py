"""Checks recipes' selectors with the browser itself: a selector that it rejects would never match."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from fleet.browser.liveness import BrowserGone
from fleet.errors import FleetError, InputError
from fleet.recipes.catalog import Catalog
from fleet.recipes.recipe import Recipe


class Browser(Protocol):
    """A browser that can be asked: an Engine here, or a worker."""

    async def refused_selectors(self, hosts: frozenset[str], selectors: Collection[str]) -> set[str]:
        """Return those of `selectors` that the browser for `hosts` rejects as CSS."""


async def require_selectors(
    browser: Browser, hosts: frozenset[str], catalog: Catalog, recipes: Iterable[Recipe]
) -> None:
    """Check every selector of `recipes` with the browser for `hosts`, launching it if necessary.

    Raises InputError with file and key of each rejected selector, FleetError if the browser does not start.
    """
    stated = [(catalog.paths[recipe.service], where, css) for recipe in recipes for where, css in recipe.selectors()]
    if not stated:
        return
    try:
        refused = await browser.refused_selectors(hosts, {css for _, _, css in stated})
    except BrowserGone as error:
        raise FleetError(f"The browser cannot be used: {error}. 'fleet doctor' tells what is missing.") from None
    mistakes = [f"{path}: {where}: {css} is no CSS selector; mend it." for path, where, css in stated if css in refused]
    if mistakes:
        raise InputError("\n".join(mistakes))
