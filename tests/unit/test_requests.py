"""Forms and letters: who signs them says so, nothing is opened for them, and only a confirmation is `submitted`."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fleet.audit.segments import read_records
from fleet.authority.submissions import Submission, Submissions
from fleet.errors import InputError
from fleet.model import Outcome
from fleet.paths import StateDir
from fleet.recipes.catalog import load_catalog
from tests.commands import fleet

RECIPE = """\
service: forum
name: Forum
domains: [forum.example]
session_cookies: [sid]
terms: {automation: forbidden, source: Terms 4, reviewed_on: 2026-10-31}
accounts: personal
identity: {css: 'meta[name=user]', attribute: content}
signed_out: [{address: /login}]
controls:
  posts:
    title: Use my posts
    page: https://forum.example/settings
    kind: switch
    find: {css: '#posts'}
    opted_out: 'off'
    sources: [x]
    verified_live: null
requests:
  objection:
    title: Object to research with my posts
    kind: form
    page: https://forum.example/object
    choices: {en: [I object, Research]}
    text: {en: I object to it.}
    sources: [x]
    verified_live: null
  notice:
    title: Objection of the organization
    kind: letter
    signed_by: organization
    send_to: privacy@forum.example
    text: {en: We object.}
    sources: [x]
    verified_live: null
"""
ANSWER = b"Subject: We received your objection\n\nCase 4711\n"
SHA256 = hashlib.sha256(ANSWER).hexdigest()

REFUSED = [
    (("forum", "--confirmation", "answer.eml", "--request", "objection"), "is signed by each employee"),
    (
        ("forum", "--confirmation", "answer.eml", "--request", "posts"),
        "has no request 'posts'; it has: notice.",
    ),
    (("blog", "--confirmation", "answer.eml"), "There is no recipe for 'blog'. Nothing was recorded."),
    (("../forum", "--confirmation", "answer.eml"), "'../forum' is not a valid service name"),
    (("forum", "--confirmation", "gone.eml"), "gone.eml: cannot be read (No such file or directory)."),
    (("forum", "--confirmation", "empty.eml"), "empty.eml: is empty; save what the service answered."),
    (("forum", "--confirmation", "huge.eml"), "huge.eml: is larger than 64 MiB"),
    (("forum", "--confirmation", "pipe"), "pipe: cannot be read (not a regular file)."),
    (("forum", "--confirmation", "recipes"), "recipes: cannot be read"),
    (("forum", "--confirmation", "answer.eml", "--reference", "a\nb"), "--reference: give one line"),
]
"""Arguments of `fleet services submitted`, and why it records nothing."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two employees at the forum, an inbox, a state, and an answer of the forum."""
    monkeypatch.chdir(tmp_path)
    Path("recipes").mkdir()
    Path("recipes/forum.yml").write_text(RECIPE)
    hosts = {name: {"fleet_accounts": {"forum": {"profile": name}}} for name in ("anna", "ben")}
    Path("staff.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    Path("fleet.yml").write_text("inventory: staff.yml\nstate: state\ninbox: inbox\nrecipes: [recipes]\n")
    assert fleet("init").returncode == 0
    Path("inbox").mkdir()
    Path("answer.eml").write_bytes(ANSWER)
    return tmp_path


def attest(control: str, said: str | None) -> None:
    """Write what Anna says, as the portal does."""
    act = {"v": 1, "act": "attest", "employee": "anna", "service": "forum", "control": control, "said": said}
    act["at"] = datetime.now(UTC).isoformat()
    Path(f"inbox/attest-{secrets.token_hex(16)}.json").write_text(json.dumps(act))


def plan() -> dict[tuple[str, str], tuple[str, str | None]]:
    """How each control would end, by employee and control."""
    done = json.loads(fleet("run", "--plan", "--output", "json").stdout)
    assert done["visits"] == []
    return {(one["employee"], one["control"]): (one["outcome"], one["reason"]) for one in done["left_alone"]}


def recorded() -> list[dict[str, Any]]:
    """The records of confirmed requests."""
    log = read_records(StateDir(Path("state")).audit.log)
    return [dict(one) for one in log if one["event"] == "submission.recorded"]


class TestRecipe:
    @pytest.mark.parametrize(
        ("before", "after", "message"),
        [
            ("    page: https://forum.example/object\n", "", "a form has page and no send_to"),
            ("    kind: form\n", "    kind: form\n    send_to: a@b.example\n", "a letter has send_to and no page"),
            ("    send_to: privacy@forum.example\n", "", "a letter has send_to and no page"),
            ("    text: {en: We object.}\n", "", "a letter has text and no choices"),
            ("example/object", "example/{profile}/object", "the same for everybody, without {profile}"),
            ("forum.example/object", "evil.example/object", "is not on one of the domains (forum.example)"),
            ("  objection:", "  posts:", "requests: posts is also the name of a control; rename one of them"),
            ("kind: form", "kind: fax", "requests.objection.kind: must be 'form' or 'letter'"),
            ("signed_by: organization", "signed_by: dpo", "requests.notice.signed_by: must be"),
        ],
    )
    def test_each_mistake_is_named(self, tmp_path: Path, before: str, after: str, message: str) -> None:
        """What a person could not sign or send is refused with its key."""
        assert before in RECIPE
        (tmp_path / "forum.yml").write_text(RECIPE.replace(before, after, 1))
        with pytest.raises(InputError) as caught:
            load_catalog([tmp_path])
        assert message in str(caught.value)

    def test_no_visit_may_open_a_form(self, tmp_path: Path) -> None:
        """Its address is not among those that the browser may reach."""
        form = RECIPE.replace("https://forum.example/object", "https://forms.forum.example/object")
        (tmp_path / "forum.yml").write_text(form)
        recipe = load_catalog([tmp_path]).recipes["forum"]
        assert recipe.hosts == {"forum.example:443"}
        assert list(recipe.entries) == ["posts", "objection", "notice"]


class TestOutcomes:
    def test_a_person_signs_and_nothing_is_opened(self, place: Path) -> None:
        """With every gate open; then the employee's word counts for themselves alone."""
        text = Path("fleet.yml").read_text() + "terms_accepted: {forum: T}\npersonal_sessions: {forum: P}\n"
        Path("fleet.yml").write_text(text)
        found = plan()
        assert found["anna", "objection"] == ("employee_needed", "employee_signs")
        assert found["anna", "notice"] == ("admin_needed", "organization_signs")
        attest("objection", "sent")
        assert fleet("portal", "ingest").returncode == 0
        found = plan()
        assert found["anna", "objection"] == ("attested", "sent")
        assert found["ben", "objection"] == ("employee_needed", "employee_signs")

    def test_what_nobody_can_have_done_is_refused(self, place: Path) -> None:
        """Whatever the portal wrote: a form is not switched, and no employee speaks for the organization."""
        wanted = {
            ("objection", "switched"): "said: switched does not fit forum.objection",
            ("objection", "was_off"): "said: was_off does not fit forum.objection",
            ("posts", "sent"): "said: sent does not fit forum.posts",
            ("notice", "sent"): "control: forum.notice is signed by the organization",
            ("notice", None): "control: forum.notice is signed by the organization",
        }
        for control, said in wanted:
            attest(control, said)
        answer = json.loads(fleet("portal", "ingest", "--output", "json").stdout)
        assert sorted(one["reason"] for one in answer["refused"]) == sorted(wanted.values())
        assert answer["taken"] == {}

    def test_a_run_ends_as_submitted_after_the_confirmation(self, place: Path) -> None:
        """For everybody, without a visit and without a change; it is counted apart, and no page failed to be read."""
        text = Path("fleet.yml").read_text()
        Path("fleet.yml").write_text(f"{text}sandbox: false\naccepted_by: a test as root\n")
        assert fleet("services", "submitted", "forum", "--confirmation", "answer.eml").returncode == 0
        done = fleet("run", "--control", "notice", "--control", "objection", "--output", "json")
        results = json.loads(done.stdout)["results"]
        assert [(one["employee"], one["control"], one["outcome"]) for one in results] == [
            ("anna", "objection", "employee_needed"),
            ("anna", "notice", "submitted"),
            ("ben", "objection", "employee_needed"),
            ("ben", "notice", "submitted"),
        ]
        assert done.returncode == 3
        assert not any(Outcome(one["outcome"]).is_changed for one in results)
        status = json.loads(fleet("status", "--output", "json").stdout)
        counts = {name: status["fleet"][name] for name in ("submitted", "out", "not_known")}
        assert counts == {"submitted": 2, "out": 0, "not_known": 4}
        could_not = {one["control"] for one in status["controls"] if one["could_not_look"]}
        assert could_not == {"posts"}  # no run has covered it


class TestSubmitted:
    def test_the_log_has_the_digest_and_who_recorded_it(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not a word of the confirmation; it is the organization's to keep."""
        monkeypatch.setenv("SUDO_USER", "carla")
        done = fleet("services", "submitted", "forum", "--confirmation", "answer.eml", "--reference", "DPO-7")
        assert done.stdout == (
            f"Recorded the confirmation with SHA-256 {SHA256}, in the state directory {place / 'state'}.\n"
            "forum.notice is submitted from the next run on. Keep answer.eml.\n"
        )
        [record] = recorded()
        assert {name: record[name] for name in ("service", "control", "confirmation_sha256", "reference")} == {
            "service": "forum",
            "control": "notice",
            "confirmation_sha256": SHA256,
            "reference": "DPO-7",
        }
        assert (record["operator"], record["operator_claimed"]) == (os.getuid(), "carla")
        assert plan()["ben", "notice"] == ("submitted", None)
        written = b"".join(path.read_bytes() for path in Path("state").rglob("*") if path.is_file())
        assert b"4711" not in written and b"We received" not in written
        shown = " ".join(fleet("audit", "show").stdout.split())
        assert f"forum.notice was confirmed to the organization, confirmation {SHA256[:12]}…, reference DPO-7" in shown
        assert "claims to be carla" in shown

    def test_without_a_request_of_the_organization_no_outcome_changes(self, place: Path) -> None:
        """It is recorded all the same: the organization wrote to the service."""
        done = fleet("services", "submitted", "linkedin", "--confirmation", "answer.eml")
        assert "No outcome changes: the recipe of linkedin has no request that the organization signs." in done.stdout
        assert [(one["service"], one["control"]) for one in recorded()] == [("linkedin", None)]
        assert not list(Path("state/submissions").iterdir())

    def test_what_proves_nothing_is_refused(self, place: Path) -> None:
        """Nothing is recorded, and nobody waits for a pipe."""
        Path("empty.eml").touch()
        os.mkfifo("pipe")
        with Path("huge.eml").open("wb") as file:
            file.truncate(64 * 1024 * 1024 + 1)
        for arguments, message in REFUSED:
            done = fleet("services", "submitted", *arguments)
            assert done.returncode == 2, arguments
            assert message in " ".join(done.stderr.split())
        assert recorded() == [] and not list(Path("state/submissions").iterdir())

    def test_one_of_several_is_named(self, place: Path) -> None:
        """Which of them was confirmed is not guessed."""
        second = RECIPE.partition("  notice:")[2]
        Path("recipes/forum.yml").write_text(f"{RECIPE}  second:{second}")
        done = fleet("services", "submitted", "forum", "--confirmation", "answer.eml")
        assert "forum has several requests: notice, second; name one with --request." in done.stderr
        done = fleet("services", "submitted", "forum", "--confirmation", "answer.eml", "--request", "second")
        assert done.returncode == 0
        assert (plan()["anna", "notice"], plan()["anna", "second"]) == (
            ("admin_needed", "organization_signs"),
            ("submitted", None),
        )

    @pytest.mark.parametrize("content", ["", "{", "[]"])
    def test_a_damaged_file_is_no_confirmation(self, tmp_path: Path, content: str) -> None:
        """Nor is one that speaks of another request."""
        submissions = Submissions(tmp_path)
        confirmed = {"recorded_at": datetime.now(UTC), "confirmation_sha256": SHA256}
        submissions.put(Submission(service="forum", control="notice", **confirmed))
        assert ("forum", "notice") in submissions
        (tmp_path / "forum.other.json").write_bytes((tmp_path / "forum.notice.json").read_bytes())
        assert ("forum", "other") not in submissions
        (tmp_path / "forum.notice.json").write_text(content)
        assert ("forum", "notice") not in submissions
