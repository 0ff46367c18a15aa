"""What an inventory and an exported session can hold: an HR export and a browser's file, both written by strangers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from fleet.agent.start import SPEC
from fleet.audit import records
from fleet.errors import InputError
from fleet.inventory.read import gaps_in_mandates, inventory_of
from fleet.model import SAFE_NAME
from fleet.paths import REHEARSAL_RECIPES
from fleet.plan.plan import RunSpec, plan_accounts
from fleet.recipes.catalog import load_catalog
from fleet.sessions.convert import read_session
from fleet.sessions.storage_state import StorageState, as_json
from fleet.settings.resolve import Settings
from tests.fuzz.cases import altered, fuzz, mutated, texts, values

CATALOG = load_catalog([REHEARSAL_RECIPES])
SERVICES = CATALOG.recipes
SETTINGS = Settings(Path("/nowhere"), Path("/nowhere"), Path("/nowhere"))

ANNA = {
    "fleet_email": "anna@company.example",
    "fleet_locale": "fr",
    "fleet_accounts": {
        "linkedin": {"profile": "anna-k", "name": "Anna Keller", "owner": "employee"},
        "intranet": {"profile": "anna.keller"},
    },
    "fleet_mandate": {
        "employee": "anna",
        "reference": "M1",
        "services": ["linkedin"],
        "granted_on": "2026-01-01",
        "expires_on": "2027-01-01",
        "revoked_on": None,
    },
    "fleet_waivers": [{"service": "linkedin", "rationale": "r", "owner": "o", "expires_on": "2027-01-01"}],
    "fleet_rehearsal_case": {"linkedin": "switched_on"},
}
LISTING = {
    "_meta": {
        "hostvars": {"anna": ANNA, "bob": {"fleet_accounts": {"intranet": {"profile": "b", "owner": "company"}}}}
    },
    "all": {"children": ["ungrouped", "lyon", "staff"]},
    "staff": {"children": ["lyon"], "vars": {"fleet_locale": "de"}},
    "lyon": {"hosts": ["anna", "bob"], "vars": {"fleet_email": "x@y"}},
}


def employee(variables: Any) -> dict[str, Any]:
    """A listing of Ansible's with one employee, who has these variables."""
    return {"_meta": {"hostvars": {"anna": variables}}, "all": {"children": ["ungrouped"]}, "ungrouped": {}}


def variables() -> st.SearchStrategy[dict[str, Any]]:
    """Any variables: a whole employee with something wrong, or anything under the names that we know."""
    known = st.sampled_from([*ANNA, "fleet_rehearsal", "fleet_x", "ansible_connection"])
    return altered(ANNA).filter(lambda data: isinstance(data, dict)) | st.dictionaries(
        known | texts, values, max_size=4
    )


def listings() -> st.SearchStrategy[dict[str, Any]]:
    """What Ansible may list: it is Ansible's own JSON, so hosts and groups have their form, and variables have none."""
    names = st.dictionaries(texts | st.just("anna"), variables(), min_size=1, max_size=3)
    groups = st.dictionaries(
        texts | st.sampled_from(["all", "lyon"]),
        st.fixed_dictionaries(
            {},
            optional={
                "hosts": st.lists(texts | st.just("anna"), max_size=3),
                "children": st.lists(texts | st.sampled_from(["all", "lyon"]), max_size=3),
                "vars": variables(),
            },
        ),
        max_size=3,
    )
    return variables().map(employee) | st.builds(
        lambda hosts, of_groups: {**of_groups, "_meta": {"hostvars": hosts}}, names, groups
    )


@fuzz(1500, LISTING, employee(ANNA), case=listings())
def test_whatever_ansible_lists_is_read_planned_and_handed_to_the_agent(case: dict[str, Any]) -> None:
    """One employee's bad data is that employee's: the plan of all still reaches the agent, and fits into the log."""
    listing = json.loads(json.dumps(case))
    try:
        inventory = inventory_of(listing, ["staff.yml"], lambda _: SERVICES)
    except InputError:
        return
    spec = RunSpec("20260101T000000Z-000000", True, inventory, SETTINGS)
    crossed = SPEC.validate_python(json.loads(json.dumps(SPEC.dump_python(spec, mode="json"))))
    assert [one.name for one in crossed.inventory.employees] == [one.name for one in inventory.employees]
    assert all(isinstance(str(problem), str) for problem in (*inventory.all_problems(), *gaps_in_mandates(inventory)))
    for one in crossed.inventory.employees:
        assert one.is_name_safe is bool(SAFE_NAME.fullmatch(one.name))
        planned = [[each.service, name] for each in plan_accounts(one, SETTINGS, CATALOG) for name in each.controls]
        fields = {"subject": "s_" + "0" * 32, "authority": "mandate", "mandate_hmac": "0" * 64, "planned": planned}
        assert len(records.render(10**9, records.RUN_PLANNED, spec.run_id, fields)) <= records.MAX_LINE_BYTES


STATE = {
    "cookies": [
        {
            "name": "li_at",
            "value": "x",
            "domain": ".linkedin.com",
            "path": "/",
            "expires": 2000000000.5,
            "httpOnly": True,
            "secure": True,
            "sameSite": "None",
            "partitionKey": "https://linkedin.com",
            "_crHasCrossSiteAncestor": False,
        },
        {"name": "b", "value": "x", "domain": "www.linkedin.com", "expires": -1},
    ],
    "origins": [
        {
            "origin": "https://www.linkedin.com",
            "localStorage": [{"name": "a", "value": "b"}],
            "indexedDB": [{"name": "d", "version": 1, "stores": []}],
        }
    ],
}
LINKEDIN = CATALOG.recipes["linkedin"]


def of_host(text: str) -> str:
    """A state with a cookie and an origin of a host of this name."""
    origin, domain = {"origin": text if "//" in text else f"https://{text}.linkedin.com"}, f"{text}.linkedin.com"
    return json.dumps({"cookies": [{"name": "a", "value": "b", "domain": domain}], "origins": [origin]})


@fuzz(
    2000,
    json.dumps(STATE),
    of_host("http://["),
    case=altered(STATE).map(json.dumps)
    | texts.map(of_host)
    | values.map(json.dumps)
    | mutated(json.dumps(STATE))
    | texts,
)
def test_a_file_that_is_no_session_is_refused_in_one_sentence(case: str) -> None:
    """What is taken keeps to the service's own hosts, names the foreign ones without anything that a terminal obeys,
    and can be sealed and opened again.
    """
    data = case.encode("utf-8", "surrogatepass")
    try:
        read = read_session(data, "anna.json", LINKEDIN)
    except InputError as error:
        assert "\n" not in str(error)
        return
    assert all(LINKEDIN.owns_host(cookie.domain) for cookie in read.state.cookies)
    assert all(said.isprintable() for said in read.left_out)
    assert StorageState.model_validate(json.loads(as_json(read.state.as_playwright()))) == read.state
    assert read.state.expires_at(LINKEDIN) is None or read.state.expires_at(LINKEDIN) < 253402300800
