"""`fleet inventory rename`: what is known of an employee is theirs under the new name, and of nobody under the old."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from fleet.agent.remote import RemoteVisitors
from fleet.agent.run import Run
from fleet.audit import records
from fleet.audit.keys import read_keys
from fleet.audit.pseudonyms import Subject, Subjects, known_subjects
from fleet.audit.segments import read_records
from fleet.audit.verify import Verdict, verify
from fleet.authority.attestations import Attestation, Attestations
from fleet.authority.former_names import FormerNames, Rename
from fleet.authority.mandates import Revocations
from fleet.browser.network import Network
from fleet.commands.inventory.rename import _rename
from fleet.commands.options import settings_with_state
from fleet.errors import InputError
from fleet.hr_import.renamed_files import renamed_files
from fleet.inventory.employee import Account, Employee
from fleet.inventory.read import Inventory
from fleet.paths import StateDir, default_identity, default_log_key, default_state
from fleet.plan.plan import RunSpec, read_people
from fleet.recipes.catalog import load_catalog
from fleet.sessions.storage_state import StorageState
from fleet.sessions.store import SessionStore, read_identity
from fleet.settings.resolve import Settings
from fleet.state.acts import settle
from fleet.state.create import make_state
from fleet.state.rename import require_names_of_today
from fleet.state.sent_notices import NoticeKind, SentNotice, SentNotices
from fleet.state.writer import Writer
from tests.commands import fleet
from tests.logs import FINISHED, STARTED
from tests.unit.test_acts import Under, under
from tests.unit.test_crashes import Dying

__all__ = ["under"]

RUN = "20260115T120000Z-abcdef"
TODAY = datetime.now(UTC).date()
COOKIE = {"name": "li_at", "value": "AQED-marker", "domain": ".www.linkedin.com", "path": "/", "expires": 4102444800}
STAFF = """\
# Mandates, as signed in the office.
all:
  hosts:
    anna.keller:  # on leave until May
      fleet_accounts: {linkedin: {profile: anna-k}}
      fleet_mandate:
        employee: "anna.keller"
        reference: M-1
        services: [linkedin]
        granted_on: 2026-01-01
        expires_on: 2099-12-31
      fleet_waivers:
        - {service: linkedin, rationale: Agreed with anna.keller, owner: dpo, expires_on: 2099-12-31}
    anna.keller2: {}
works_council:
  hosts: {anna.keller: }
"""
RENAMED = (
    STAFF.replace("    anna.keller:", "    anna.wyss:")
    .replace('"anna.keller"', '"anna.wyss"')
    .replace("{anna.keller:", "{anna.wyss:")
)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateDir:
    """anna.keller in a hand-written inventory, a run, a revocation, and in everything that a state holds."""
    monkeypatch.chdir(tmp_path)
    state = StateDir(default_state())
    make_state(state, default_identity(), default_log_key())
    Path("staff.yml").write_text(STAFF)
    asyncio.run(fill(state))
    return state


async def fill(state: StateDir) -> None:
    with Writer.opened(state, default_log_key(), RUN) as writer:
        subject = writer.subjects.of({"anna.keller": "de"})["anna.keller"].pseudonym
        writer.subjects.meet({"anna.keller": "fingerprint"})
        await writer.log.append(records.RUN_STARTED, RUN, **STARTED)
        await writer.log.append(records.CONTROL_FINISHED, RUN, **(FINISHED | {"subject": subject}))
        await writer.log.append(records.RUN_FINISHED, RUN, counts={}, stopped=None, exit_code=0)
    recipe = load_catalog().recipes["linkedin"]
    SessionStore(state).seal("anna.keller", recipe, StorageState.model_validate({"cookies": [COOKIE], "origins": []}))
    said = Attestation(service="linkedin", control="ai_training", said="switched", attested_on=date(2026, 3, 1))
    Attestations(state.attestations).put("anna.keller", said)
    at = datetime(2026, 3, 1, tzinfo=UTC)
    notice = SentNotice(id="a" * 32, kind=NoticeKind.FIRST, written_at=at, sent_on=at.date(), controls=())
    SentNotices(state.notices).put("anna.keller", notice)
    Revocations(state.revocations).add("anna.keller", date(2026, 3, 1), at=at, reference="LETTER-1")
    with Writer.opened(state, default_log_key(), RUN) as writer:
        await settle(writer)


def rename(*arguments: str, old: str = "anna.keller", new: str = "anna.wyss") -> subprocess.CompletedProcess[str]:
    return fleet("inventory", "rename", old, new, "-i", "staff.yml", *arguments)


def refusal(*arguments: str, old: str = "anna.keller", new: str = "anna.wyss") -> str:
    """The sentence of a refusal: exit code 2, and everything is as it was."""
    before = files()
    done = rename(*arguments, old=old, new=new)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert files() == before
    return " ".join(done.stderr.split())


def files() -> dict[str, bytes]:
    """Every file of inventory and state by its path from here, but for the log's own lock."""
    found = [path for path in Path().rglob("*") if path.is_file() and path.name != "lock"]
    return {str(path): path.read_bytes() for path in found}


def everything(state: StateDir) -> list[dict[str, Any]]:
    return list(read_records(state.audit.log))


def subject_of(state: StateDir, name: str) -> Subject:
    return known_subjects(state.audit.subjects)[name]


def is_all_under(state: StateDir, name: str) -> bool:
    """True if all that the state held of anna is this name's."""
    recipe, identity = load_catalog().recipes["linkedin"], read_identity(default_identity())
    opened = SessionStore(state).open(name, recipe, identity)
    [said] = Attestations(state.attestations).of(name)
    [notice] = SentNotices(state.notices).of(name)
    [session] = SessionStore(state).list()
    subjects = Subjects(state.audit.subjects)
    met = subjects.met()
    subjects.close()
    assert opened is not None
    return (
        opened.state.cookies[0].value == "AQED-marker"
        and (said.control, said.attested_on) == ("ai_training", date(2026, 3, 1))
        and notice.id == "a" * 32
        and (session.employee, session.expires_at) == (name, 4102444800)
        and set(known_subjects(state.audit.subjects)) == {name}
        and met == {name: "fingerprint"}
        and Revocations(state.revocations).revoked_at(name) == datetime(2026, 3, 1, tzinfo=UTC)
    )


def settings() -> Settings:
    return settings_with_state(["staff.yml"], rehearsal=False)


class TestRenamed:
    def test_everything_is_the_same_persons_under_the_new_name(self, state: StateDir) -> None:
        """Session, statements, notices, revocation, mandate, waiver and history; the log says so without a name."""
        before = subject_of(state, "anna.keller")
        done = rename()
        assert done.returncode == 0, done
        assert " ".join(done.stdout.split()) == (
            f"anna.keller is anna.wyss now, in {Path.cwd()}/staff.yml and in {state.root}, with 1 session."
        )
        assert is_all_under(state, "anna.wyss") and subject_of(state, "anna.wyss") == before
        last = everything(state)[-1]
        assert (last["event"], last["run"], last["subject"]) == ("employee.renamed", None, before.pseudonym)
        assert last["old_hmac"] == before.hmac("name", "anna.keller")
        assert last["new_hmac"] == before.hmac("name", "anna.wyss")
        assert last["operator"] == os.getuid()
        assert verify(state.audit, read_keys(state.audit.vkey)).verdict is Verdict.OK
        shown = " ".join(fleet("audit", "show", "--employee", "anna.wyss").stdout.split())
        assert "control.finished" in shown and "employee.renamed has a new name, operator uid" in shown

    def test_the_old_name_is_left_where_it_says_that_it_was_theirs(self, state: StateDir) -> None:
        """Among the former names, and blocked, as some other inventory may still claim a mandate under it."""
        rename()
        left = {path for path, content in files().items() if "anna.keller" in path or b"anna.keller" in content}
        assert left == {
            "staff.yml",  # anna.keller2, and what the waiver says
            "home/.local/state/fleet/former-names/anna.wyss.json",
            "home/.local/state/fleet/revocations/anna.keller",
        }
        assert "anna.keller" in Revocations(state.revocations)

    def test_in_a_file_nothing_but_the_name_changes(self, state: StateDir) -> None:
        """Comments, order and what only looks like the name stay."""
        rename()
        assert Path("staff.yml").read_text() == RENAMED
        [anna] = [one for one in read_people(settings())[0].employees if one.name == "anna.wyss"]
        assert anna.mandate is not None and anna.mandate.employee == "anna.wyss"
        assert (anna.waivers[0].owner, anna.groups) == ("dpo", ("works_council",))

    def test_one_that_was_in_no_run_is_renamed_too(self, state: StateDir) -> None:
        """There is no revocation, session or record of them: their history begins with this record."""
        assert rename(old="anna.keller2", new="bea").returncode == 0
        last = everything(state)[-1]
        assert (last["event"], last["subject"]) == ("employee.renamed", subject_of(state, "bea").pseudonym)
        assert not Revocations(state.revocations).revoked_at("bea")

    def test_the_second_time_there_is_nothing_to_do(self, state: StateDir) -> None:
        """And nothing is recorded again."""
        rename()
        before = files()
        done = rename()
        assert (done.returncode, done.stdout) == (0, "") and files() == before
        assert " ".join(done.stderr.split()) == ("anna.keller was renamed to anna.wyss before; there is nothing to do.")

    def test_a_rename_can_be_undone_and_followed_by_another(self, state: StateDir) -> None:
        """All earlier names stay known as theirs."""
        assert rename().returncode == rename(old="anna.wyss", new="anna.keller").returncode == 0
        assert is_all_under(state, "anna.keller")
        assert rename(new="anna.wyss").returncode == rename(old="anna.wyss", new="anna").returncode == 0
        assert is_all_under(state, "anna")
        assert FormerNames(state.former_names).all() == {"anna.keller": "anna", "anna.wyss": "anna"}
        assert [one["event"] for one in everything(state)].count("employee.renamed") == 4

    def test_whose_data_is_erased_leaves_no_former_name(self, state: StateDir) -> None:
        """Nor an act of theirs that was taken in under it."""
        for folder, name in (("done", "anna.keller"), ("refused", "brian")):
            (state.portal / folder).mkdir(mode=0o700)
            kept = {"content": json.dumps({"act": "attest", "employee": name})}
            (state.portal / folder / f"attest-{'a' * 32}.json").write_text(json.dumps(kept))
        rename()
        assert fleet("audit", "erase", "anna.wyss").returncode == 0
        assert list(state.former_names.iterdir()) == list((state.portal / "done").iterdir()) == []
        assert len(list((state.portal / "refused").iterdir())) == 1

    def test_an_inventory_that_has_the_new_name_already_is_left_as_it_is(self, state: StateDir) -> None:
        """A directory renames by itself; the operator says so, and the state follows."""
        Path("staff.yml").write_text(RENAMED)
        assert "add --already-there" in refusal()
        assert rename("--already-there").returncode == 0
        assert is_all_under(state, "anna.wyss") and Path("staff.yml").read_text() == RENAMED


class TestRefused:
    @pytest.mark.parametrize(
        ("new", "why"),
        [
            ("anna.keller2", "anna.keller2 is in the inventory already"),
            ("works_council", "is the name of a group in the inventory"),
            ("../anna", "is not a valid employee name"),
            ("-anna", "is not a valid employee name"),
            ("anna\n", "is not a valid employee name"),
            ("localhost", "is not a valid employee name"),
            ("{{ x }}", "is not a valid employee name"),
            ("a" * 101, "is not a valid employee name"),
            ("anna.keller", "is both the old and the new name"),
        ],
    )
    def test_a_name_that_cannot_be_an_employees(self, state: StateDir, new: str, why: str) -> None:
        """Nothing is changed, nothing is recorded."""
        if new.startswith("-"):
            done = fleet("inventory", "rename", "-i", "staff.yml", "anna.keller", "--", new)
            assert done.returncode == 2 and why in " ".join(done.stderr.split())
        else:
            assert why in refusal(new=new)

    @pytest.mark.parametrize(
        ("plant", "why"),
        [
            (lambda s: Subjects(s.audit.subjects).of({"bea": None}), "bea is in the log"),
            (lambda s: (s.sessions / "bea.linkedin.age").write_bytes(b""), "bea has a session in the state"),
            (lambda s: (s.attestations / "bea.json").write_text("{}"), "bea has a file in attestations"),
            (lambda s: (s.mandates / "bea.json").write_text("{}"), "bea has a file in mandates"),
            (lambda s: (s.notices / "bea.json").write_text("{}"), "bea has a file in notices"),
            (lambda s: Revocations(s.revocations).add("bea", TODAY), "bea has a revocation in the state"),
            (
                lambda s: (
                    FormerNames(s.former_names).begin(Rename("bea", "brian"), TODAY)
                    or FormerNames(s.former_names).complete(Rename("bea", "brian"))
                ),
                "bea is a former name of brian",
            ),
        ],
        ids=["log", "session", "attestation", "mandate", "notice", "revocation", "former name"],
    )
    def test_a_name_that_somebody_has_or_had(
        self, state: StateDir, plant: Callable[[StateDir], object], why: str
    ) -> None:
        """Wherever it is known: nobody gets the mandate or the session of another person."""
        plant(state)
        fleet("audit", "checkpoint")  # records the revocation
        assert f"{why}; nothing was renamed." in refusal(new="bea")

    def test_one_whom_nobody_knows(self, state: StateDir) -> None:
        """Most likely a typo."""
        assert "ana.keller is not in the inventory, the log or the state" in refusal(old="ana.keller")

    def test_a_session_that_cannot_be_opened_here(self, state: StateDir) -> None:
        """It is sealed with the employee's name in it, so the identity is needed."""
        default_identity().rename("elsewhere.txt")
        assert "It is needed to seal anna.keller's sessions for the new name." in refusal()
        assert rename("--identity", "elsewhere.txt").returncode == 0

    def test_one_in_no_file_that_can_be_edited(self, state: StateDir) -> None:
        """A script or a range names them: the operator changes it there, and says so."""
        Path("staff.yml").write_text('{all: {hosts: {"anna[1:2]": {}}}}')
        assert "add --already-there" in refusal(old="anna1")

    async def test_while_a_run_is_in_progress(self, under: Under, tmp_path: Path) -> None:
        """The run has planned people under the names of its inventory; nothing is changed, and it goes on."""
        staff = tmp_path / "staff.yml"
        staff.write_text("all: {hosts: {anna: {}}}")
        before = files()
        done = await asyncio.to_thread(fleet, "inventory", "rename", "anna", "bea", "-i", staff)
        assert done.returncode == 2 and files() == before
        assert "is writing to" in done.stderr and "Nothing was renamed." in " ".join(done.stderr.split())
        assert staff.read_text() == "all: {hosts: {anna: {}}}"


class TestInterrupted:
    def test_each_crash_leaves_the_old_name_or_one_command_to_the_new(self, state: StateDir) -> None:
        """Killed at every call that writes: nothing has changed, or the same command completes it, recorded once."""
        pristine, begun = files(), []
        for at in range(1, 300):
            restore(pristine)
            pid = os.fork()
            if pid == 0:
                Dying(at, loses=False)
                carry_out()
                os._exit(0)
            if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0:
                break
            is_begun = (state.former_names / "anna.wyss.json").exists()
            begun.append(is_begun)
            if not is_begun:
                assert (Path("staff.yml").read_text(), is_all_under(state, "anna.keller")) == (STAFF, True)
            # Whoever has revoked is blocked under each name that the inventory may have.
            assert "anna.keller" in Revocations(state.revocations)
            assert "anna.wyss" in Revocations(state.revocations) or "anna.keller:" in Path("staff.yml").read_text()
            carry_out()
            assert (Path("staff.yml").read_text(), is_all_under(state, "anna.wyss")) == (RENAMED, True)
            assert [one["event"] for one in everything(state)].count("employee.renamed") == 1
            assert FormerNames(state.former_names).unfinished() is None
            assert verify(state.audit, read_keys(state.audit.vkey)).verdict is Verdict.OK
        else:
            pytest.fail("never came to its end")
        assert begun == sorted(begun) and set(begun) == {False, True}

    async def test_until_it_is_completed_nothing_else_is_done(self, state: StateDir) -> None:
        """Neither a run nor an act: half of what is known is under each name. A revocation counts all the same."""
        FormerNames(state.former_names).begin(Rename("anna.keller", "anna.wyss"), TODAY)
        wanted = (
            f"The rename of anna.keller to anna.wyss was interrupted; nothing was done in {state.root}. Give that "
            "command again: fleet inventory rename anna.keller anna.wyss"
        )
        assert wanted in " ".join(fleet("audit", "checkpoint").stderr.split())
        assert wanted in refusal(new="bea")
        with pytest.raises(InputError, match="was interrupted"):
            await Run.open(spec(state.root, "anna.keller"), load_catalog(), RemoteVisitors(visited))
        assert fleet("mandates", "revoke", "anna.keller2", "-i", "staff.yml").returncode == 0
        assert rename().returncode == 0 and fleet("audit", "checkpoint").returncode == 0

    async def test_an_inventory_with_the_old_name_runs_no_more(self, state: StateDir) -> None:
        """It was read before the rename, or is another one: as somebody new, they would have no history."""
        rename()
        with pytest.raises(InputError) as caught:
            await Run.open(spec(state.root, "anna.keller"), load_catalog(), RemoteVisitors(visited))
        assert str(caught.value) == (
            "anna.keller was renamed to anna.wyss, and the inventory still has anna.keller; correct it, then run "
            "again. No account was visited."
        )
        both = [Employee("anna.keller"), Employee("anna.wyss")]
        require_names_of_today(state, both)  # a new employee may have the name of a former one
        Subjects(state.audit.subjects).of({"anna.keller": None})
        require_names_of_today(state, both[:1])


async def visited(_employee: object, _worker: object) -> dict[str, Any]:
    """No worker takes part."""
    return {}


def spec(folder: Path, *names: str) -> RunSpec:
    """A run of these people at LinkedIn."""
    account = Account(profile="p", owner="employee")
    people = tuple(Employee(name, accounts={"linkedin": account}) for name in names)
    keys = {"identity": default_identity(), "log_key": default_log_key()}
    of_state = Settings(state=folder, network=Network({"www.linkedin.com:443": "127.0.0.1:1"}), **keys)
    return RunSpec("r2", False, Inventory(("staff.yml",), people, rehearsal=False, digest="0"), of_state)


def restore(pristine: dict[str, bytes]) -> None:
    """Have every file as it was, and no other."""
    for path in files().keys() - pristine.keys():
        Path(path).unlink()
    for path, content in pristine.items():
        Path(path).write_bytes(content)
        Path(path).chmod(0o600)


def carry_out() -> None:
    """The command without Ansible, which costs a second: the inventory has one of the two names."""
    change = Rename("anna.keller", "anna.wyss")
    name = "anna.keller" if "    anna.keller:" in Path("staff.yml").read_text() else "anna.wyss"
    found = renamed_files(["staff.yml"], change)
    asyncio.run(_rename(settings(), change, (Employee(name),), found, already_there=False))
