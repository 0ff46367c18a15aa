"""Every sentence of reports, receipts and the portal exists in every language, with the same placeholders."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from fleet.model import Outcome
from fleet.next_steps import TEMPLATES
from fleet.portal.situation import SENTENCES as SITUATIONS
from fleet.recipes.catalog import load_catalog
from fleet.report.held_data import ACTS, EVENTS, SAID
from fleet.report.held_data import NOTICES as SENT_NOTICES
from fleet.report.held_data import OTHERS as OTHER_FILES
from fleet.report.receipt import ATTESTED, NOT_OURS, NOT_TOUCHED, SENT, SENTENCES
from fleet.report.translations import LANGUAGES, LOCALE, translator_for
from tests.conftest import ROOT

REPORT = ROOT / "fleet" / "report"
PORTAL = ROOT / "fleet" / "portal"
NOTICES = ROOT / "fleet" / "notices"
DESK = ROOT / "fleet" / "desk"
_SAID = re.compile(r"""(?:\bsay|\bwords)\(\s*"((?:[^"\\]|\\.)*)\"""")
OTHERS = {"in", "out", "before", "after", "the service", "all", "others"}
"""Said through variables, so that no search finds them."""


def said() -> set[str]:
    """All that is said anywhere."""
    sources = [*REPORT.glob("*.py"), *REPORT.glob("templates/*.j2")]
    found = {text for path in sources for text in _SAID.findall(path.read_text("utf-8"))}
    outcomes = {outcome.value.replace("_", " ") for outcome in Outcome}
    pages = [path for folder in (DESK, PORTAL, NOTICES) for path in folder.glob("templates/*.j2")]
    for path in [*pages, *NOTICES.glob("*.py")]:
        found.update(_SAID.findall(path.read_text("utf-8")))
    for path in PORTAL.glob("*.py"):
        found.update(marked(path.read_text("utf-8")))
    found.update(SITUATIONS)
    found.update(text for texts in (ACTS, EVENTS, SAID, SENT_NOTICES, OTHER_FILES) for text in texts.values())
    found.update(one.purpose for recipe in load_catalog() for one in recipe.controls.values() if one.purpose)
    return found | outcomes | OTHERS | {*TEMPLATES, *SENTENCES.values(), NOT_TOUCHED, NOT_OURS, ATTESTED, SENT}


def marked(source: str) -> Iterator[str]:
    """The sentences that a module marks with `sentence(...)`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sentence":
            yield ast.literal_eval(node.args[0])


def placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"\{\w+\}", text))


def messages(language: str) -> dict[str, str]:
    with Path(LOCALE / f"{language}.po").open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id}


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
class TestTranslation:
    def test_all_that_is_said_is_translated_and_nothing_else_is(self, language: str) -> None:
        """A sentence that was changed in English must be looked at in the others."""
        assert sorted(said() - messages(language).keys()) == []
        assert sorted(messages(language).keys() - said()) == []

    def test_placeholders_are_the_same(self, language: str) -> None:
        """A name that is missing in one language would be missing in its report."""
        for text, translated in messages(language).items():
            assert translated, text
            assert placeholders(text) == placeholders(translated), text


class TestWords:
    def test_a_language_is_found_by_its_first_part(self) -> None:
        """And English stands in for those that are missing."""
        assert [translator_for(name).language for name in ("de", "de-AT", "fr_CH", "FR", "tlh", None)] == [
            *("de", "de", "fr", "fr"),
            *("en", "en"),
        ]

    def test_a_hundred_percent_is_said_of_all_alone(self) -> None:
        """999 of 1,000 are 99 %."""
        assert (translator_for("en").percent(0.999), translator_for("en").percent(1.0)) == ("99%", "100%")
        assert translator_for("fr").number(12345) == "12\u202f345"
