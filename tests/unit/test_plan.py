"""The plan: what of an employee's data becomes an entry that must end in the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.agent.remote import RemoteVisitor, RemoteVisitors
from fleet.agent.run import Run
from fleet.errors import InputError
from fleet.inventory.employee import Account, Employee, Problem
from fleet.inventory.read import Inventory
from fleet.model import Reason
from fleet.paths import CATALOG as CATALOG_FOLDER
from fleet.plan.plan import RunSpec, plan_accounts
from fleet.recipes.catalog import load_catalog
from fleet.report.translations import translator_for
from fleet.settings.resolve import Settings

CATALOG = load_catalog()


def planned(employee: Employee, **settings: tuple[str, ...]) -> list[tuple[str | None, tuple[str | None, ...]]]:
    """Service and controls of each planned account."""
    given = Settings(state=Path("state"), identity=Path("identity"), log_key=Path("key"), **settings)
    return [(account.service, account.controls) for account in plan_accounts(employee, given, CATALOG)]


def without_recipe(service: str) -> Problem:
    return Problem("anna", "fleet_accounts", "unknown service", "staff.yml", service, Reason.UNKNOWN_SERVICE)


async def test_a_recipe_that_was_edited_since_it_was_planned_is_not_used(tmp_path: Path) -> None:
    """What was shown and asked for is what is done: the run is refused before it has made or touched anything."""
    (tmp_path / "recipes").mkdir()
    recipe, folder = tmp_path / "recipes" / "wiki.yml", tmp_path / "state"
    text = (CATALOG_FOLDER / "linkedin.yml").read_text("utf-8").replace("service: linkedin", "service: wiki")
    recipe.write_text(text, "utf-8")
    settings = Settings(folder, tmp_path / "identity", tmp_path / "key", recipes=(recipe.parent,))
    inventory = Inventory(
        ("staff.yml",), (Employee("anna", accounts={"wiki": Account(profile="anna")}),), rehearsal=True, digest="0"
    )
    digests = dict(load_catalog(settings.recipes).digests)
    recipe.write_text(text + "# edited\n", "utf-8")
    with pytest.raises(InputError, match=r"wiki\.yml was edited after this run was planned; run again\."):
        spec = RunSpec("r1", False, inventory, settings, recipes_sha256=digests)
        await Run.open(spec, load_catalog(settings.recipes), RemoteVisitors(never), translator_for)
    assert not folder.exists()


async def never(_employee: object, _worker: RemoteVisitor) -> dict[str, object]:
    """No worker asks in these tests."""
    raise AssertionError


class TestPlan:
    def test_an_account_is_planned_with_all_controls_of_its_recipe(self) -> None:
        """No filter, nothing left out."""
        anna = Employee("anna", accounts={"linkedin": Account(profile="anna")})
        assert planned(anna) == [("linkedin", ("ai_training",))]

    def test_filters_take_out_the_rest(self) -> None:
        """A service or a control that was not asked for is not planned."""
        anna = Employee("anna", accounts={"linkedin": Account(profile="anna")})
        assert planned(anna, services=("intranet",)) == []
        assert planned(anna, controls=("linkedin.ai_training",)) == [("linkedin", ("ai_training",))]
        assert planned(anna, controls=("newsletter",)) == []

    def test_a_service_without_recipe_is_planned_by_name(self) -> None:
        """So that its end is in the log."""
        assert planned(Employee("anna", problems=(without_recipe("myspace"),))) == [("myspace", (None,))]

    def test_services_that_the_log_cannot_name_are_one_entry(self) -> None:
        """Free text stays out of the log; two of them would be two ends of the same entry there."""
        anna = Employee("anna", problems=(without_recipe("My Space"), without_recipe("Anna's blog")))
        assert planned(anna) == [(None, (None,))]

    def test_an_employee_whose_data_cannot_be_read_is_planned(self) -> None:
        """Nobody of the inventory is passed over in silence."""
        anna = Employee("anna", problems=(Problem("anna", "fleet_accounts", "must map", "staff.yml"),))
        assert planned(anna) == [(None, (None,))]
        assert planned(Employee("anna")) == []
