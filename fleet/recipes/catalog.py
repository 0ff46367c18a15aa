"""The catalog: all recipes of a run, built-in and the organization's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fleet.errors import InputError
from fleet.model import Result
from fleet.paths import CATALOG, REHEARSAL_RECIPES
from fleet.recipes.recipe import Recipe
from fleet.yamlfile import read_model


@dataclass(frozen=True)
class Catalog:
    """All recipes of a run, by service. Two recipes for one service are an error."""

    recipes: dict[str, Recipe]
    digests: dict[str, str]
    paths: dict[str, Path]

    def get(self, service: str) -> Recipe | None:
        """The recipe of a service, or None."""
        return self.recipes.get(service)

    def name_of(self, service: str | None) -> str | None:
        """Return a service's display name, such as `LinkedIn`; None if it has no recipe."""
        recipe = self.recipes.get(service or "")
        return recipe.name if recipe else None

    def named(self, results: Iterable[Result]) -> list[Result]:
        """Return the same results, each with its service's display name."""
        return [replace(result, service_name=self.name_of(result.service)) for result in results]

    def __iter__(self) -> Iterator[Recipe]:
        return iter(self.recipes.values())


def load_catalog(folders: Iterable[Path] = (), *, rehearsal: bool = False) -> Catalog:
    """Load the built-in catalog, then the organization's own `folders`.

    With `rehearsal`, also load the recipes for rehearsals only, each unless the organization has its own.

    Raises InputError that lists every error in every recipe, and for two recipes of one service.
    """
    recipes: dict[str, Recipe] = {}
    digests: dict[str, str] = {}
    paths: dict[str, Path] = {}
    mistakes: list[str] = []
    for folder in (CATALOG, *folders, *([REHEARSAL_RECIPES] if rehearsal else [])):
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder of recipes; give a folder with one YAML file per service.")
        files = sorted(path for path in folder.iterdir() if path.suffix in (".yml", ".yaml"))
        if not files:
            raise InputError(f"{folder} contains no recipe (*.yml); docs/recipes.md shows how to write one.")
        for path in files:
            try:
                recipe, document = read_model(path, Recipe)
            except InputError as error:
                mistakes.append(str(error))
                continue
            if recipe.service != path.stem:
                mistakes.append(f"{path}: service is '{recipe.service}', so the file must be {recipe.service}.yml.")
            elif recipe.service in recipes and folder == REHEARSAL_RECIPES:
                continue
            elif recipe.service in recipes:
                mistakes.append(
                    f"{path}: {paths[recipe.service]} already has a recipe for '{recipe.service}'; keep one of them."
                )
            else:
                recipes[recipe.service] = recipe
                digests[recipe.service] = document.sha256
                paths[recipe.service] = path
    if mistakes:
        raise InputError("\n".join(mistakes))
    return Catalog(recipes, digests, paths)
