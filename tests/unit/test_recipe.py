"""Recipes: what the strict format lets through, and what it refuses with file, line and mend."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fleet.errors import InputError
from fleet.paths import CATALOG, REHEARSAL_RECIPES, read_regular
from fleet.recipes.catalog import load_catalog
from fleet.recipes.recipe import Recipe, fill_profile, host_port
from fleet.yamlfile import load_model

LINKEDIN = (CATALOG / "linkedin.yml").read_text("utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "recipes"
    folder.mkdir()
    return folder


def refusal(folder: Path, text: str, name: str = "wiki.yml") -> str:
    (folder / name).write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        load_catalog([folder])
    return str(caught.value)


class TestCatalog:
    def test_linkedin_declares_the_page_and_key_of_the_ai_setting(self) -> None:
        """The one recipe of the catalog points at LinkedIn's AI setting, off meaning out, not yet seen live."""
        control = load_catalog().recipes["linkedin"].controls["ai_training"]
        assert control.page == "https://www.linkedin.com/mypreferences/d/settings/data-for-ai-improvement"
        assert control.find.css == 'input[aria-labelledby="allowDataForGenerativeAI"]'
        assert control.opted_out == "off"
        assert control.verified_live is None
        assert sorted(control.find.names) == ["de", "en", "es", "fr", "it", "nl", "pl", "pt-BR"]

    def test_every_recipe_is_short_enough_to_review(self) -> None:
        """A recipe fits on a page or so: at most 90 lines."""
        for path in [*CATALOG.glob("*.yml"), *REHEARSAL_RECIPES.glob("*.yml")]:
            assert len(path.read_text("utf-8").splitlines()) <= 90, path

    def test_a_second_recipe_of_one_service_is_refused(self, folder: Path) -> None:
        """Two recipes for one service would make it a matter of luck which one counts."""
        assert "already has a recipe for 'linkedin'; keep one of them" in refusal(folder, LINKEDIN, "linkedin.yml")

    def test_the_file_is_named_after_its_service(self, folder: Path) -> None:
        """A recipe is found by its file name."""
        text = refusal(folder, LINKEDIN.replace("service: linkedin", "service: wiki"), "other.yml")
        assert "service is 'wiki', so the file must be wiki.yml" in text

    def test_the_digest_is_that_of_what_was_read(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The log names the recipe that acted, also where somebody saves the file meanwhile."""
        text = LINKEDIN.replace("service: linkedin", "service: wiki")
        (folder / "wiki.yml").write_text(text, "utf-8")

        def read_and_edit(path: Path, most: int) -> bytes:
            content = read_regular(path, most)
            if path.parent == folder:
                path.write_text("edited", "utf-8")
            return content

        # No test can edit a file at just that moment.
        monkeypatch.setattr("fleet.yamlfile.read_regular", read_and_edit)
        assert load_catalog([folder]).digests["wiki"] == hashlib.sha256(text.encode()).hexdigest()

    def test_an_empty_folder_is_refused(self, folder: Path) -> None:
        """A mistyped --recipes must not silently mean no recipes."""
        with pytest.raises(InputError, match="contains no recipe"):
            load_catalog([folder])


class TestProfiles:
    @pytest.mark.parametrize(
        ("profile", "fault"),
        [
            ("me", "identifies no one at LinkedIn"),
            ("ME", "identifies no one at LinkedIn"),
            ("none", "identifies no one at LinkedIn"),
            ("Anna Keller", "is not a profile at LinkedIn"),
            ("anna@company.example", "is not a profile at LinkedIn"),
            ("ACoAAB12345", "is not a profile at LinkedIn"),
            ("anna-keller-4b1a2", None),
            ("josé-garcía", None),
            ("राज-कुमार", None),
            ("mercedes", None),
        ],
    )
    def test_what_is_nobodys_id_is_a_fault(self, profile: str, fault: str | None) -> None:
        """It would fit whoever is signed in, or nobody; ids of every script are fine."""
        assert load_catalog().recipes["linkedin"].fault_of_profile(profile) == fault

    def test_without_rules_the_identity_page_is_nobodys_all_the_same(self) -> None:
        """The address that leads everybody on follows from the recipe itself."""
        data = load_catalog().recipes["linkedin"].model_dump() | {"profile": None}
        assert Recipe.model_validate(data).fault_of_profile("me") == "identifies no one at LinkedIn"


class TestRefusals:
    @pytest.mark.parametrize(
        ("before", "after", "message"),
        [
            ("    kind: switch", "    kind: switch\n    javascript: alert(1)", "javascript: unknown key"),
            ("opted_out: 'off'", "opted_out: maybe", "opted_out: must be 'on' or 'off'"),
            ("https://www.linkedin.com/mypref", "http://www.linkedin.com/mypref", "an https:// address"),
            ("https://www.linkedin.com/mypref", "https://evil.example/mypref", "is not on one of the domains"),
            ("automation: forbidden", "automation: perhaps", "terms.automation"),
            ("  - address: /login*", "  - {address: /login*, css: a}", "give exactly one of address, css, heading"),
            ("{profile}/\n\nprofile", "x/\n\nprofile", "must contain {profile}"),
            (
                "page: https://www.linkedin.com/in/me/",
                "page: https://www.linkedin.com/in/{profile}",
                "page leads everyone there",
            ),
            ("pattern: '(", "pattern: '((", "profile.pattern: must be a regular expression"),
            (
                "    verified_live: null",
                "    verified_live: yesterday",
                "verified_live: must be a date such",
            ),
            ("name: LinkedIn", "name: 5", "name: must be text; put it in quotes"),
            ("domains: [linkedin.com]", "domains: linkedin.com", "domains: must be a list"),
            ("domains: [linkedin.com]", "domains: []", "domains: must not be empty"),
            ("weak: [es]", "weak: [sv]", "weak: no names in sv"),
            ("    kind: switch", "    kind: switch\n    shows_within: 600", "shows_within: must be 90 or less"),
            ("    kind: switch", "    kind: switch\n    save: yes", "save: must be a mapping of keys to values"),
        ],
    )
    def test_each_mistake_is_named_with_its_key(self, folder: Path, before: str, after: str, message: str) -> None:
        """A wrong recipe is refused whole, and the message names the key."""
        assert before in LINKEDIN
        text = refusal(folder, LINKEDIN.replace("service: linkedin", "service: wiki").replace(before, after))
        assert message in text

    def test_a_mistake_carries_file_and_line(self, folder: Path) -> None:
        """The author is sent to the very line."""
        text = refusal(
            folder, LINKEDIN.replace("service: linkedin", "service: wiki").replace("kind: switch", "kind: knob")
        )
        line = LINKEDIN.splitlines().index("    kind: switch") + 1
        assert f"wiki.yml:{line}: controls.ai_training.kind:" in text

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a: 1\na: 2\n", "wiki.yml:2: duplicate key 'a'"),
            ("a: &x 1\nb: *x\n", "wiki.yml:2: aliases"),
            ("a: [1\n", "not valid YAML"),
            ("a: !!python/name:os.system x\n", "the tag"),
            ("[" * 3000 + "]" * 3000, "nested too deeply"),
            ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ],
    )
    def test_yaml_that_could_mean_two_things_is_refused(self, folder: Path, text: str, message: str) -> None:
        """Duplicates, aliases, tags and broken YAML end in a sentence with file and line."""
        assert message in refusal(folder, text)

    def test_yes_and_no_are_words(self, folder: Path) -> None:
        """`no` is Norwegian and `off` a state: plain YAML 1.1 would make both false."""
        recipe = LINKEDIN.replace("service: linkedin", "service: wiki").replace("opted_out: 'off'", "opted_out: off")
        (folder / "wiki.yml").write_text(
            recipe.replace("        es:", "        no:").replace("weak: [es]", "weak: [no]"), "utf-8"
        )
        control = load_model(folder / "wiki.yml", Recipe).controls["ai_training"]
        assert control.opted_out == "off"
        assert "no" in control.find.names


class TestAddresses:
    def test_a_profile_cannot_leave_its_place_in_an_address(self) -> None:
        """Slashes and question marks of a profile are encoded."""
        assert (
            fill_profile("https://a.example/u/{profile}/s", "x/../y?z#é")
            == "https://a.example/u/x%2F..%2Fy%3Fz%23%C3%A9/s"
        )

    def test_the_port_follows_the_scheme(self) -> None:
        """https means 443, http 80, a named port itself."""
        assert [host_port(a) for a in ("https://a.example/", "http://localhost/", "https://a.example:8443/")] == [
            "a.example:443",
            "localhost:80",
            "a.example:8443",
        ]

    def test_only_the_services_own_domains_own_a_cookie(self) -> None:
        """A domain that merely ends alike is foreign."""
        recipe = load_catalog().recipes["linkedin"]
        owned = [
            recipe.owns_host(host)
            for host in (".linkedin.com", "www.linkedin.com", "evillinkedin.com", "linkedin.com.evil")
        ]
        assert owned == [True, True, False, False]
