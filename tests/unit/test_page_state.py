"""What a page says, judged without a browser: who is signed in, where it led, what stands in the way."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.browser.snapshot import Snapshot
from fleet.browser.traffic import says_error
from fleet.model import Outcome
from fleet.recipes.catalog import load_catalog
from fleet.recipes.labels import shown_label
from fleet.recipes.recipe import Find, Recipe
from fleet.visit.page_state import barrier, leads_to_person, leads_to_somebody, same_address, what_to_look_for

PAGE = "https://wiki.example/settings"


def recipe(**identity: Any) -> Recipe:
    """A recipe that says in this way who is signed in."""
    linkedin = load_catalog().recipes["linkedin"].model_dump()
    control = {**linkedin["controls"]["ai_training"], "page": PAGE}
    changes = {"service": "wiki", "domains": ("wiki.example",), "identity": identity, "controls": {"ai": control}}
    return Recipe.model_validate({**linkedin, **changes})


def snapshot(recipe: Recipe, *identity: str) -> Snapshot:
    """A page without any sign that shows these identities."""
    signs = (False,) * len(what_to_look_for(recipe, recipe.controls["ai"]).signs)
    return Snapshot(PAGE, True, signs, identity, True, ())


def stop(recipe: Recipe, profile: str, *identity: str) -> Outcome | None:
    found = barrier(recipe, snapshot(recipe, *identity), what_to_look_for(recipe, recipe.controls["ai"]), profile)
    return found.outcome if found else None


class TestIdentity:
    @pytest.mark.parametrize("shown", ["anna", " ANNA ", "Anna\n"])
    def test_case_and_space_do_not_matter(self, shown: str) -> None:
        """The same person in another guise."""
        assert stop(recipe(css="b"), "anna", shown) is None

    @pytest.mark.parametrize(
        ("profile", "shown"), [("strasse", "straße"), ("anna", "anna1"), ("fi", "\N{LATIN SMALL LIGATURE FI}")]
    )
    def test_another_name_is_another_person(self, profile: str, shown: str) -> None:
        """However alike the two are written."""
        assert stop(recipe(css="b"), profile, shown) is Outcome.WRONG_ACCOUNT

    def test_all_signs_must_agree(self) -> None:
        """One that names somebody else is enough."""
        assert stop(recipe(css="b"), "anna", "anna", "bob") is Outcome.WRONG_ACCOUNT

    def test_an_accent_may_be_written_in_two_ways(self) -> None:
        """Composed or not, it is the same letter."""
        assert stop(recipe(css="b"), "ren\N{LATIN SMALL LETTER E WITH ACUTE}", "rene\N{COMBINING ACUTE ACCENT}") is None


class TestLanding:
    @pytest.mark.parametrize(
        ("template", "landed", "is_person", "is_somebody"),
        [
            ("https://wiki.example/u/{profile}", "https://wiki.example/u/anna/?tab=1#top", True, True),
            ("https://wiki.example/u/{profile}", "https://wiki.example/u/Anna", True, True),
            ("https://wiki.example/u/{profile}", "https://wiki.example/u/bob", False, True),
            ("https://wiki.example/u/{profile}", "https://wiki.example/login", False, False),
            ("https://wiki.example/u?id={profile}", "https://wiki.example/u?id=anna", True, True),
            ("https://wiki.example/u?id={profile}", "https://wiki.example/u?id=bob", False, True),
            ("https://wiki.example/u?id={profile}", "https://wiki.example/u", False, False),
            ("https://wiki.example/app#/u/{profile}", "https://wiki.example/app#/u/anna", True, True),
            ("https://wiki.example/app#/u/{profile}", "https://wiki.example/app#/u/bob", False, True),
        ],
    )
    def test_an_address_names_its_person(self, template: str, landed: str, is_person: bool, is_somebody: bool) -> None:
        """Path, query or fragment: wherever the recipe has the profile, it must be the employee's."""
        page = "https://wiki.example/me"
        wiki = recipe(page=page, landed=template)
        assert leads_to_person(wiki, landed, "anna") is is_person
        assert leads_to_somebody(wiki, landed, page) is is_somebody

    def test_the_page_that_leads_everybody_on_is_nobodys(self) -> None:
        """Whoever is signed in, the browser is there first: a profile of that word would fit all."""
        page = "https://wiki.example/in/me/"
        wiki = recipe(page=page, landed="https://wiki.example/in/{profile}/")
        assert [leads_to_person(wiki, page, profile) for profile in ("me", "ME", "anna")] == [False, False, False]
        assert leads_to_person(wiki, "https://wiki.example/in/anna/", "anna")


@pytest.mark.parametrize(
    ("landed", "is_same"),
    [
        (PAGE, True),
        ("https://wiki.example:443/settings", True),
        ("https://wiki.example/settings/", False),
        ("https://wiki.example/settings?x=1", False),
        ("https://wiki.example/settings#x", False),
        ("http://wiki.example/settings", False),
        ("https://evil.example/settings", False),
    ],
)
def test_a_page_is_only_its_very_address(landed: str, is_same: bool) -> None:
    """Neighbors such as close-account are one letter away."""
    assert same_address(landed, PAGE) is is_same


OPPOSITE = "Do not use my data"
FIND = Find(
    css="#key", names={"en": ["Use my data"], "pt-BR": ["Usar meus dados"], "es": ["Usar mis datos"]}, weak=["es"]
)


class TestLabel:
    @pytest.mark.parametrize(
        ("label", "language", "locale", "is_contradiction"),
        [
            ("Use my data", "en", None, False),
            ("  USE MY\N{NO-BREAK SPACE}data ", "en-GB", None, False),
            ("Usar mis datos", "en", None, False),
            ("\N{FULLWIDTH LATIN CAPITAL LETTER U}se my data", "en", None, False),
            (OPPOSITE, "en", None, True),
            (OPPOSITE, "en_US", None, True),
            ("Use my data On", "en", None, True),
            ("Não usar meus dados", "pt", None, True),
            ("Não utilizar os meus dados", "pt-PT", None, False),
            ("No usar mis datos", "es", None, False),
            ("Meine Daten nicht verwenden", "de", None, False),
            ("", "en", None, False),
            (" ", "en", None, False),
            (OPPOSITE, "", "en", True),
            (OPPOSITE, "", "de_CH", False),
            (OPPOSITE, "", None, True),
            (OPPOSITE, "#", None, True),
        ],
    )
    def test_a_label_must_be_known_where_its_language_is(
        self, label: str, language: str, locale: str | None, is_contradiction: bool
    ) -> None:
        """Whole, whatever its case and width; no label, a language without names, or weak ones, say nothing."""
        assert FIND.contradicts(label, language, locale) is is_contradiction

    def test_where_no_names_are_known_none_is_wrong(self) -> None:
        """The key alone must do."""
        assert not Find(css="#key").contradicts(OPPOSITE, "en", "en")

    def test_a_label_is_kept_on_one_short_line(self) -> None:
        """What nobody sees is spelled, so that neither a terminal nor an editor hides it."""
        assert shown_label(" Use\n my\t data\x1b[31m\u202e ") == "Use my data\\u001b[31m\\u202e"
        assert shown_label("x" * 500) == "x" * 200


@pytest.mark.parametrize(
    ("body", "is_error"),
    [
        (b'{"data": null, "errors": [{"message": "upstream timed out"}]}', True),
        (b'{"errors": {"base": ["no"]}}', True),
        (b'[{"data": {}}, {"errors": [{}]}]', True),
        (b'{"jsonrpc": "2.0", "error": {"code": -32000}}', True),
        (b'{"error": "no"}', True),
        (b'{"data": {"errors": [1]}, "errors": [], "error": null}', False),
        (b'{"on": false}', False),
        (b'"errors"', False),
        (b"errors", False),
        (b"", False),
        (b"[" * 100_000, False),
        (b'{"errors": ["' + b"x" * 300_000 + b'"]}', False),
    ],
)
def test_an_answer_may_say_that_it_is_an_error(body: bytes, is_error: bool) -> None:
    """At its top, where GraphQL, JSON:API and JSON-RPC do; an answer that is large is not read."""
    assert says_error(body) is is_error
