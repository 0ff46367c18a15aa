"""An employee's profile at a service, as people write it: its address in any of its forms, or the id itself."""

from __future__ import annotations

import re
from typing import Protocol
from urllib.parse import unquote

from fleet.recipes.recipe import ProfileForm
from fleet.recipes.values import PROFILE

_LONGEST = 200
"""Characters of a profile, as in an inventory."""


class HasProfiles(Protocol):
    """A service's recipe, or what the portal is told of it."""

    @property
    def name(self) -> str:
        """Display name."""

    @property
    def profile(self) -> ProfileForm | None:
        """Form of its profiles."""

    def owns_host(self, host: str) -> bool:
        """Return True if a host is the service's."""

    def fault_of_profile(self, profile: str) -> str | None:
        """Return why a profile cannot identify a person; None if it can."""


def read_profile(text: str, service: HasProfiles) -> str:
    """Return the profile in a text, by the service's forms. Raises ValueError with the mistake and the fix."""
    profile = profile_in(text, service)
    require_profile(profile, service)
    return profile


def typed_profile(text: str, service: HasProfiles) -> str | None:
    """Return the profile that an employee typed about themselves; None if it can identify nobody."""
    try:
        profile = read_profile(text, service)
    except ValueError:
        return None
    return profile if 0 < len(profile) <= _LONGEST and profile.isprintable() else None


def profile_in(text: str, service: HasProfiles) -> str:
    """Return the part of a text that is the profile, decoded; the whole text if it is no address of the service."""
    form = service.profile
    if form is None:
        return text
    text = re.sub(r"^<(.*)>$", r"\1", text).strip()
    return unquote(next((found for one in form.addresses if (found := _in_address(text, one, service))), text))


def require_profile(profile: str, service: HasProfiles) -> None:
    """Refuse what identifies nobody. Raises ValueError with the mistake and the fix."""
    form = service.profile
    if form is None:
        return
    is_broken = "\N{REPLACEMENT CHARACTER}" in profile
    if fault := service.fault_of_profile(profile) or (is_broken and f"is not a profile at {service.name}"):
        raise ValueError(f"{fault}; copy the profile's address, such as {form.example}")


def _in_address(text: str, form: str, service: HasProfiles) -> str | None:
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
        is_ours = not there or service.owns_host(there)
    else:
        is_ours = there.removeprefix("www.") == host.removeprefix("www.")
    return found[2] if is_ours else None
