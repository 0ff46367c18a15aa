"""Pauses and hours for visits to each live service, from fleet.yml and the terms in its recipe."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.errors import InputError
from fleet.recipes.catalog import Catalog
from fleet.recipes.recipe import Recipe
from fleet.settings.hours import Hours
from fleet.settings.resolve import Settings
from fleet.settings.values import MIN_PAUSE


@dataclass(frozen=True)
class Pace:
    """Pauses between two visits, in seconds, and the hours in which they may begin; `hours` is None for any time."""

    shortest: float
    longest: float
    hours: Hours | None = None

    @property
    def has_pauses(self) -> bool:
        """Return True if the service is visited one account at a time."""
        return self.longest > 0


def pace_of(recipe: Recipe, settings: Settings) -> Pace:
    """Return the pace of a live service. If its terms allow automation, it has no pauses unless fleet.yml sets some."""
    hours = settings.hours.get(recipe.service)
    own = settings.pause.services.get(recipe.service)
    if own is not None:
        return Pace(own.shortest, own.longest, hours)
    if recipe.terms.automation == "allowed":
        return Pace(0, 0, hours)
    return Pace(settings.pause.shortest, settings.pause.longest, hours)


def check_paces(settings: Settings, catalog: Catalog) -> None:
    """Refuse paces of unknown services, and short pauses where the terms do not allow automation. Raises InputError."""
    for key, services in (("pause: services", settings.pause.services), ("hours", settings.hours)):
        for service in services:
            if catalog.get(service) is None:
                known = ", ".join(sorted(catalog.recipes))
                raise InputError(f"fleet.yml: {key}: {service}: no recipe; known services: {known}.")
    for service, pause in settings.pause.services.items():
        if pause.shortest < MIN_PAUSE and catalog.recipes[service].terms.automation != "allowed":
            raise InputError(
                f"fleet.yml: pause: services: {service}: its terms do not allow automation, so shortest must be at "
                f"least {MIN_PAUSE:g}."
            )
