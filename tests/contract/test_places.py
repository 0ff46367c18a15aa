"""Every place of the state directory is known to what shows, erases and prunes a person's data.

A new place of `StateDir` fails here until it says what these three do with it and `tests/held.py` fills it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.paths import AuditDir, StateDir
from tests.commands import fleet
from tests.held import ANNA, BEN, act_of, everything, fill, inventory, kept, mandate_of, places_with


@dataclass(frozen=True)
class Place:
    """What happens to a person's data in one place of the state."""

    shown: str | None
    """A word in what `fleet people show` writes of it; None if nothing there is about a person."""
    erased: bool = False
    """Whether `fleet audit erase` deletes it."""
    pruned: bool = False
    """Whether `retention` deletes it."""


NOBODY = Place(None)
PLACES = {
    "recipients": NOBODY,
    "sessions": Place('"sealed_at": "2026-02-', erased=True),
    "audit": Place('"event": "control.finished"'),  # pseudonymous; the row that leads to the person is erased
    "evidence": Place(f"LABEL {ANNA.profile}", erased=True, pruned=True),
    "runs": NOBODY,  # codes and times
    "revocations": Place('"revoked_at": "20'),  # kept on purpose: an old mandate must not count again
    "attestations": Place('"said": "switched"', erased=True),
    "mandates": Place(str(mandate_of(ANNA).id_token), erased=True, pruned=True),
    "notices": Place('"kind": "first"', erased=True),
    "appointments": Place('"asked_at"', erased=True),
    "spot_checks": Place('"ends_on"', erased=True),
    "former_names": Place('"until": "2025-05-05"', erased=True),
    "submissions": NOBODY,  # the organization's own requests
    "portal": Place("is gone", erased=True, pruned=True),
    "stopped_services": NOBODY,
    "mark": NOBODY,
}
AUDIT = {
    **dict.fromkeys(("log", "checkpoints", "torn", "vkey", "pem", "lock", "ballast"), NOBODY),  # pseudonyms, or nothing
    "subjects": Place('"pseudonym": "s_', erased=True),
}
KEPT = {"revocations"}
"""Places in which a name may be left after it was erased."""


def properties(kind: type) -> set[str]:
    return {name for name, value in vars(kind).items() if isinstance(value, property) and not name.startswith("_")}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateDir:
    monkeypatch.chdir(tmp_path)
    Path("staff.yml").write_text(json.dumps(inventory()))
    Path("fleet.yml").write_text(
        "inventory: staff.yml\nstate: state\ninbox: inbox\nretention: {pictures: 90, tokens: 400}\n"
    )
    Path("inbox").mkdir()
    place = StateDir(tmp_path / "state")
    fill(place)
    return place


def test_every_place_is_decided_on() -> None:
    """Each property of the state directory and of its audit folder has its row; files per employee are erased."""
    assert properties(StateDir) - {"by_employee"} == PLACES.keys()
    assert properties(AuditDir) == AUDIT.keys()
    here = StateDir(Path("state"))
    for folder in (*here.by_employee, here.former_names):
        place = PLACES[folder.name.replace("-", "_")]
        assert place.shown is not None and place.erased


def test_the_state_of_these_tests_has_something_in_each(state: StateDir) -> None:
    """Otherwise nothing would be tried there."""
    for name, place in PLACES.items():
        where = getattr(state, name)
        root = where.root if isinstance(where, AuditDir) else where
        assert place.shown is None or any(path.is_file() for path in root.rglob("*")), name


def test_all_of_it_is_shown_and_nothing_of_others(state: StateDir) -> None:
    """Every place's word is in the folder; nothing that leads to anybody else is, nor the sealed session."""
    (Path("inbox") / f"mandate-{'2' * 32}.json").write_text(json.dumps(act_of(ANNA)))
    done = fleet("people", "show", ANNA.name, "-o", "out")
    assert done.returncode == 0, done.stderr
    found = b"\0".join(everything(Path("out")).values()).decode("utf-8", "replace")
    for name, place in {**PLACES, **AUDIT}.items():
        assert place.shown is None or place.shown in found, name
    for word in ANNA.words:
        assert word in found
    assert places_with(Path("out"), *BEN.words, str(mandate_of(BEN).id_token), "olga.operator", "olaf.owner") == set()
    assert "SEALED" not in found


def test_nothing_of_it_is_left_once_it_is_erased(state: StateDir) -> None:
    """Searched for in every file, name and database: only the revocation is left, and the other person's data."""
    before = everything(state.root)
    whole = (*ANNA.words, str(mandate_of(ANNA).id_token), mandate_of(ANNA).reference)
    # What a crash left, damaged acts, and an act of somebody else with her token.
    (state.attestations / f".{ANNA.name}.json.abcd1234").write_text(f'{{"employee": "{ANNA.name}", "att')
    (state.portal / "done" / f".mandate-{'3' * 32}.json.abcd1234").write_text(kept(json.dumps(act_of(ANNA)))[:200])
    (state.portal / "refused" / f"{'4' * 32}.json").write_text(kept(f"{{broken {ANNA.name}"))
    early = json.dumps(act_of(ANNA)).replace(ANNA.name, ANNA.former)
    (state.portal / "done" / f"mandate-{'7' * 32}.json").write_text(kept(early))
    stolen = act_of(BEN) | {"id_token": mandate_of(ANNA).id_token}
    (state.portal / "refused" / f"{'5' * 32}.json").write_text(kept(json.dumps(stolen)))
    escaped = json.dumps({"employee": ANNA.name}).replace("anna", "\\u0061nna")
    (state.portal / "refused" / f"{'6' * 32}.json").write_text(kept(escaped))
    assert fleet("audit", "erase", ANNA.name).returncode == 0
    left = {path.split("/")[0] for path in places_with(state.root, *whole)}
    assert left == KEPT
    after = everything(state.root)
    for path in places_with(state.root, *BEN.words):
        assert path.startswith(("audit/", "revocations/")) or after[path] == before[path]
    for name, place in PLACES.items():
        if place.erased:
            folder = getattr(state, name).name
            assert any(path.startswith(f"{folder}/") for path in places_with(state.root, *BEN.words)), name
    assert "OK" in fleet("audit", "verify").stdout


def test_nothing_of_it_is_left_in_the_portal(state: StateDir) -> None:
    """Neither what waits in the inbox nor the page; a revocation stays, and so does what is the other's."""
    Path("fleet.yml").write_text(Path("fleet.yml").read_text() + "portal_data: pages\n")
    Path("pages/people").mkdir(parents=True)
    for number, person in enumerate((ANNA, BEN)):
        page = {"v": 1, "employee": person.name, "subject": person.subject, "receipt": f"of {person.profile}"}
        Path(f"pages/people/{number}.json").write_text(json.dumps(page))
        (Path("inbox") / f"mandate-{str(number) * 32}.json").write_text(json.dumps(act_of(person)))
        (Path("inbox") / f"attest-{str(number) * 32}.json").write_text(f"{{broken {person.name}")
        revoke = {"v": 1, "act": "revoke", "employee": person.name, "at": "2026-11-01T10:00:00Z"}
        (Path("inbox") / f"revoke-{str(number) * 32}.json").write_text(json.dumps(revoke))
    shown = fleet("people", "show", ANNA.name, "-o", "out")
    assert shown.returncode == 0, shown.stderr
    data = json.loads(Path("out/data.json").read_text())["portal"]
    assert data["page"]["receipt"] == f"of {ANNA.profile}"
    assert [one["where"] for one in data["acts"]].count("waiting") == 3
    assert places_with(Path("out"), *BEN.words) == set()
    before = places_with(Path("inbox"), *BEN.words) | places_with(Path("pages"), *BEN.words)
    done = fleet("audit", "erase", ANNA.name)
    assert done.returncode == 0, done.stderr
    assert places_with(Path("inbox"), *ANNA.words, str(mandate_of(ANNA).id_token)) == {f"revoke-{'0' * 32}.json"}
    assert places_with(Path("pages"), *ANNA.words) == set()
    assert places_with(Path("inbox"), *BEN.words) | places_with(Path("pages"), *BEN.words) == before
    (Path("inbox") / f"mandate-{'0' * 32}.json").write_text(json.dumps(act_of(ANNA)))
    assert "is erased from the portal" in fleet("audit", "erase", ANNA.name).stdout
    assert "There is no data about" in fleet("audit", "erase", ANNA.name).stderr


def test_what_is_old_is_pruned_and_the_rest_stays(state: StateDir) -> None:
    """Pictures, tokens and acts; nothing else of the two people is touched."""
    before = everything(state.root)
    assert fleet("audit", "prune").returncode == 0
    after = everything(state.root)
    gone = {path.split("/")[0] for path in before.keys() - after.keys()}
    changed = {path.split("/")[0] for path in before.keys() & after.keys() if before[path] != after[path]}
    assert gone == {"evidence", "portal"} and changed == {"audit", "mandates", "revocations"}  # those are recorded now
    assert gone | changed >= {name for name, place in PLACES.items() if place.pruned}
    assert places_with(state.root, *(str(mandate_of(person).id_token) for person in (ANNA, BEN))) == set()
    assert "OK" in fleet("audit", "verify").stdout
