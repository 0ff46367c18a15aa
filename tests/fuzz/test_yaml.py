"""Files in YAML: recipes, fleet.yml, revocations; and inventories, of which only the lines are looked for."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

from fleet.authority.mandates import Revocations
from fleet.browser.network import Network
from fleet.errors import InputError
from fleet.inventory.source_lines import SourceLines
from fleet.paths import CATALOG, REHEARSAL_RECIPES
from fleet.recipes.labels import exact_names
from fleet.recipes.recipe import Recipe, host_port
from fleet.settings.resolve import Given, resolve_settings
from fleet.visit.page_state import matches_sign
from fleet.yamlfile import load_model, read_yaml
from tests.fuzz.cases import altered, fuzz, mutated, texts, values

LINKEDIN = (CATALOG / "linkedin.yml").read_text("utf-8")
RECIPES = [path.read_text("utf-8") for path in (*CATALOG.glob("*.yml"), *REHEARSAL_RECIPES.glob("*.yml"))]
FLEET_YML = """
state: ~/state
identity: keys/identity.txt
recipes: [mine]
forks: 8
resolve: ['example.com:443=127.0.0.1:8443']
terms_accepted: {linkedin: D-1}
breaker: {challenges: 3}
sandbox: false
accepted_by: Anna
"""
TRICKS = (
    "a: &x [1, *x]\n",
    "a: &x {b: *x}\n",
    "".join(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}\n" if n else "a0: &a0 {hosts: {}}\n" for n in range(30)),
    "a: 1\na: 2\n",
    "? [a, b]\n: c\n",
    "a: !!python/object/apply:os.system ['id']\n",
    "a: !!binary x\n",
    "a: !!timestamp x\n",
    "!!set {a, b}\n",
    'a: "\\UFFFFFFFF"\n',
    'a: "\\ud800"\n',
    "%YAML 1." + "9" * 5000 + "\n---\na\n",
    "%TAG ! tag:x,2000:\n---\n!y z\n",
    "a: 2026-02-30\n",
    "a: 0001-01-01 00:00:00 -23:59\n",
    "<<: {a: 1}\n",
    "[" * 3000,
    "[" * 100_000,
    "- " * 500,
    "{a: " * 400 + "1" + "}" * 400,
    "a: " + "9" * 5000 + "\n",
    "a: |2-\n\n",
    "--- a\n--- b\n",
    "\ufeffa: 1",
    "a:\tb",
    "\0",
    "\x85",
    "",
    "null",
    "[]",
)
FILE = Path()
"""One place for all cases, in a folder of the tests' own: a file each would cost more than what is tested."""


@pytest.fixture(scope="module", autouse=True)
def _file(tmp_path_factory: pytest.TempPathFactory) -> None:
    global FILE
    FILE = tmp_path_factory.mktemp("fuzz") / "case.yml"


def written(text: str) -> Path:
    FILE.write_bytes(text.encode("utf-8", "surrogatepass"))
    return FILE


def yamls(*bases: str) -> st.SearchStrategy[str]:
    """Texts that are nearly one of `bases`: changed as a text, changed as data, or not like it at all."""
    of_text = st.sampled_from(bases).flatmap(mutated)
    of_data = st.sampled_from([yaml.safe_load(base) for base in bases]).flatmap(altered)
    anything = st.sampled_from(TRICKS) | st.lists(st.sampled_from(TRICKS) | texts, max_size=4).map("".join)
    dumped = (of_data | values).map(_dump)
    return of_text | dumped | anything | st.text(alphabet="-:?[]{},&*!|>'\"%@`# \na1\t", max_size=30)


def _dump(data: Any) -> str:
    try:
        return str(yaml.safe_dump(data, allow_unicode=True))
    except (yaml.YAMLError, ValueError, RecursionError):
        return json.dumps(data)  # what PyYAML cannot write can still be written: JSON is YAML


def rules(arguments: list[str]) -> Iterator[str]:
    """The single rules of Chromium's host resolver, as Chromium takes them apart."""
    [given] = [one for one in arguments if one.startswith("--host-resolver-rules=")]
    yield from (rule.strip() for rule in given.partition("=")[2].split(","))


def of_host(text: str) -> str:
    """A recipe whose pages stand on a host of this name."""
    return LINKEDIN.replace("https://www.", f"https://{text}www.")


@fuzz(1400, *RECIPES, of_host("a,EXCLUDE *,"), case=yamls(*RECIPES) | texts.map(of_host))
def test_a_recipe_is_read_or_refused_and_what_is_read_can_be_used(case: str) -> None:
    """Each mistake with its line; nothing of a recipe that was taken fails later, nor lets the browser out."""
    try:
        recipe = load_model(written(case), Recipe)
    except InputError as error:
        assert all(line.startswith(str(FILE)) for line in str(error).splitlines())
        return
    for rule in rules(Network().arguments(recipe.hosts)):
        assert re.fullmatch(r"MAP \* ~NOTFOUND|MAP ([a-z0-9.:\[\]-]+) \1", rule), rule
    assert all(isinstance(css, str) for _, css in recipe.selectors())
    for control in recipe.controls.values():
        assert host_port(control.page_for("a/../b?c#d")) == host_port(control.page)
        assert control.page_for("..%2f").count("/") == control.page.count("/")
        if control.find.names:
            exact_names(control.find.all_names)
    for sign in (*recipe.signed_out, *recipe.challenges):
        matches_sign("https://www.linkedin.com/login", sign, recipe.page_hosts)
    assert len({name for name in recipe.controls if re.fullmatch(r"[a-z][a-z0-9_]*", name)}) == len(recipe.controls)


@fuzz(500, FLEET_YML, FLEET_YML.replace("~/", "~nobody-here/"), case=yamls(FLEET_YML))
def test_settings_are_read_or_refused(case: str) -> None:
    """In words that name the file, before anything is done by them."""
    path = written(case)
    os.environ["FLEET_CONFIG"] = str(path)  # the test's own environment is put back after it
    try:
        settings = resolve_settings(Given())
    except InputError:
        return
    assert 1 <= settings.forks <= 64
    assert not settings.state.is_symlink()


@fuzz(300, "anna: 2026-01-01\n", case=yamls("anna: 2026-01-01\nbob: 2026-12-31\n"))
def test_a_damaged_list_of_revocations_never_reads_as_an_empty_one(case: str) -> None:
    """Nobody's mandate counts again because a file was damaged."""
    try:
        revoked = Revocations(written(case).with_suffix("")).all()
    except InputError:
        return
    assert revoked or read_yaml(FILE).data == {}


INVENTORY = """
all:
  vars: {fleet_rehearsal: true}
  children:
    dublin:
      vars: {fleet_locale: en}
      hosts:
        anna.keller:
          fleet_accounts: {linkedin: {profile: anna-keller}}
          fleet_mandate: {employee: anna.keller, reference: M1, services: [linkedin], expires_on: 2099-12-31}
          fleet_waivers: []
"""


@fuzz(700, INVENTORY, case=yamls(INVENTORY))
def test_the_line_of_a_mistake_is_found_or_not_but_always_told(case: str) -> None:
    """Ansible may have read what plain YAML cannot; the answer is then the file alone."""
    path = written(case)
    lines = SourceLines([str(path)])
    for where in ("fleet_mandate.expires_on", "fleet_accounts.²", "fleet_waivers.٣.x", "fleet_waivers." + "9" * 5000):
        assert lines.of_host("anna.keller", where).startswith(str(path))
    assert lines.of_group("dublin", "fleet_locale").startswith(str(path))
    assert all("not a date" in line for line in lines.impossible_dates())
