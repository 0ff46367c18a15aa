"""A service's profile id in a cell: a profile address in any of its forms, or the id itself."""

from __future__ import annotations

import re
from urllib.parse import unquote

from fleet.hr_import.normalize import danger
from fleet.recipes.recipe import PROFILE, Recipe


def read_profile(text: str, recipe: Recipe) -> str:
    """Return the profile in a cell, by the recipe's forms. Raises ValueError with the mistake and the fix."""
    form = recipe.profile
    if form is None:
        return text
    text = re.sub(r"^<(.*)>$", r"\1", text).strip()
    read = next((found for one in form.addresses if (found := _in_address(text, one, recipe))), text)
    profile = unquote(read)
    if what := danger(profile):
        raise ValueError(what)
    is_broken = "\N{REPLACEMENT CHARACTER}" in profile
    if fault := recipe.fault_of_profile(profile) or (is_broken and f"is not a profile at {recipe.name}"):
        raise ValueError(f"{fault}; copy the profile's address, such as {form.example}")
    return profile


def _in_address(text: str, form: str, recipe: Recipe) -> str | None:
    """Return the part of an address where a form has the profile; None if form or host does not match."""
    host, path = re.fullmatch(r"(?:https://([^/]+))?(/.*)", form).groups()  # type: ignore[union-attr]
    steps = "/+".join(re.escape(step) for step in path.removesuffix(PROFILE).strip("/").split("/") if step)
    own = rf"{steps}/+" if steps else ""
    before = r"(?:(?:https?:|/)*([a-z0-9.-]+)(?::[0-9]+)?/+|/*)"
    found = re.fullmatch(rf"{before}{own}([^/?#\s,;]+)(?:[/?#,;].*)?", text, re.IGNORECASE)
    if found is None:
        return None
    there = (found[1] or "").lower()
    if host is None:
        is_ours = not there or recipe.owns_host(there)
    else:
        is_ours = there.removeprefix("www.") == host.removeprefix("www.")
    return found[2] if is_ours else None
