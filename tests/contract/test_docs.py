"""The documents say what the product does: their examples are run, their tables compared with the code."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from docs import reference
from fleet.cli import app
from fleet.model import EXIT_MEANING, OUTCOME_MEANING, Outcome
from fleet.recipes.catalog import load_catalog
from fleet.recipes.recipe import json_schema
from tests.conftest import ROOT

RECIPES = (ROOT / "docs" / "recipes.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def commands(text: str) -> list[list[str]]:
    """Every `fleet …` command line of a document, from indented blocks and from inline code."""
    lines = re.findall(r"^ {4,7}(fleet .+)$", text, re.MULTILINE) + re.findall(r"`(fleet [^`]+)`", text)
    return [shlex.split(line.partition(" # ")[0])[1:] for line in lines]


def mistake_in(arguments: list[str]) -> str | None:
    """What is wrong with a command line as written in a document, or None."""
    command: Any = typer.main.get_command(app)
    path = ["fleet"]
    for word in arguments:
        verbs = getattr(command, "commands", None)  # of a group only
        if verbs is not None and not word.startswith("-"):
            following = verbs.get(word)
            if following is None:
                return f"{' '.join(path)} has no verb {word}"
            command, path = following, [*path, word]
        elif word.startswith("-"):
            known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
            if word not in known:
                return f"{' '.join(path)} has no option {word}"
    return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_exist(document: Path) -> None:
    """Every verb and option that a document shows is one of the command line."""
    assert [problem for line in commands(document.read_text("utf-8")) if (problem := mistake_in(line))] == []


def test_a_planted_command_is_seen() -> None:
    """The guard above fails on a verb and on an option that do not exist."""
    assert mistake_in(["fly"]) == "fleet has no verb fly"
    assert mistake_in(["run", "-i", "x", "--fast"]) == "fleet run has no option --fast"
    assert len(commands(README)) > 5


def swallowed(asked: typer.Typer, *path: str) -> list[str]:
    """Options of a verb, and of the verbs below it, of whose help `--help` does not show every word."""
    shown = CliRunner().invoke(asked, [*path, "--help"], env={"COLUMNS": "400"}).output.split()
    command: Any = typer.main.get_group(asked)
    for name in path:
        command = command.commands[name]
    found = [
        " ".join([*path, option.opts[0]])
        for option in command.params
        if not set((option.help or "").replace("`", "").split()) <= set(shown)
    ]
    return found + [each for name in getattr(command, "commands", {}) for each in swallowed(asked, *path, name)]


def test_a_help_is_shown_as_a_whole() -> None:
    """Of hidden verbs as well. What stands in brackets is a style to Rich, and is not shown: a planted one is seen."""
    assert swallowed(app) == []
    planted = typer.Typer(rich_markup_mode="rich")
    planted.callback()(lambda high=typer.Option(8, "--high", help="How high [env: HIGH]."): None)
    assert swallowed(planted) == ["--high"]


def test_a_help_shows_no_type_for_flags_and_no_braces() -> None:
    """Neither a command nor a group shows `<bool>`, which reads as a value to pass, or `{EMPLOYEE}`, as a choice."""
    every = ["fleet", *(words for words, _ in reference.commands())]
    shown = {words: CliRunner().invoke(app, [*words.split()[1:], "--help"]).output for words in every}
    assert [words for words, text in shown.items() if "Usage: " not in text or "<bool>" in text or "{" in text] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_documents_link_to_exist(document: Path) -> None:
    """No relative link leads nowhere."""
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text("utf-8"))
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert missing == []


class TestRecipes:
    def test_the_example_is_a_recipe(self, tmp_path: Path) -> None:
        """What the page shows as a whole recipe loads as it stands."""
        example = re.search(r"```yaml\n(# yaml-language-server.+?)```", RECIPES, re.DOTALL)
        assert example is not None
        (tmp_path / "wiki.yml").write_text(example[1], "utf-8")
        assert list(load_catalog([tmp_path]).recipes["wiki"].controls) == ["assistant"]

    def test_every_key_is_explained(self) -> None:
        """Each key of the format stands in one of the page's tables, and has a description in the schema."""
        schema = json_schema()
        explained = set(re.findall(r"^\| `(\w+)` \|", RECIPES, re.MULTILINE))
        for model in (schema, *schema["$defs"].values()):
            for key, value in model.get("properties", {}).items():
                assert key in explained or f"`{key}`" in RECIPES, key
                assert "description" in value or "$ref" in value, key

    def test_the_published_schema_is_the_models(self) -> None:
        """docs/recipe.schema.json is what `make schema` writes today."""
        published = json.loads((ROOT / "docs" / "recipe.schema.json").read_text("utf-8"))
        assert published == json_schema(), "run: make schema"


class TestReference:
    def test_the_page_is_what_the_code_says(self) -> None:
        """docs/reference.md is what `make reference` writes today: outcomes, exit codes, settings, commands."""
        assert reference.PAGE.read_text("utf-8") == reference.reference(), "run: make reference"

    def test_the_roles_variables_are_what_the_code_says(self) -> None:
        """So is the role's argument_specs.yml."""
        assert reference.SPECS.read_text("utf-8") == reference.argument_specs(), "run: make reference"

    def test_every_verb_is_documented_and_exists(self) -> None:
        """The verbs of `--help`, hidden ones excepted, are the headings of the page, and each has a help."""
        verbs = {words: command for words, command in reference.commands() if not hasattr(command, "commands")}
        headings = re.findall(r"^### `(fleet [^`]+)`$", reference.PAGE.read_text("utf-8"), re.MULTILINE)
        assert headings == list(verbs)
        assert {"fleet run", "fleet audit verify", "fleet config show"} <= verbs.keys()
        assert not {"fleet agent", "fleet worker serve"} & verbs.keys()
        assert [words for words, command in verbs.items() if not command.help] == []

    def test_every_exit_code_of_a_run_says_what_a_pipeline_should_do(self) -> None:
        """And every outcome has a meaning."""
        assert reference.PIPELINE.keys() == EXIT_MEANING.keys()
        assert OUTCOME_MEANING.keys() == set(Outcome)


class TestReadme:
    def test_both_commands_are_on_the_first_screen(self) -> None:
        """`make demo` and `make test` stand within the first 25 lines."""
        first = README.splitlines()[:25]
        assert any("make demo" in line for line in first) and any("make test" in line for line in first)
