"""`fleet audit prune` with `retention` in fleet.yml: what is old goes and is counted in the log; the rest stays."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet.audit import records
from fleet.audit.keys import read_signing_key
from fleet.audit.log import AuditLog
from fleet.audit.segments import read_records
from fleet.authority.given import GivenMandates
from fleet.authority.in_force import MandateInForce, Mandates
from fleet.authority.mandates import Revocations
from fleet.errors import AuditError
from fleet.model import Reason
from fleet.paths import StateDir, default_log_key
from fleet.state import retention
from fleet.state.acts import Prune, perform
from fleet.state.retention import Expired
from fleet.state.writer import Writer
from tests.commands import fleet
from tests.held import ANNA, RUN, everything, fill, mandate_of
from tests.logs import STARTED
from tests.unit.test_commands import refusal

DAY = 86400


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateDir:
    monkeypatch.chdir(tmp_path)
    place = StateDir(tmp_path / "state")
    fill(place)
    Path("fleet.yml").write_text("state: state\nretention: {pictures: 90, tokens: 400}\n")
    return place


def expired(place: StateDir) -> list[dict[str, Any]]:
    """The records of what expired, without what all records have."""
    found = (one for one in read_records(place.audit.log) if one["event"] == "data.expired")
    return [{name: value for name, value in one.items() if name not in records.COMMON} for one in found]


def pruned(place: StateDir, pictures: int | None = 90, tokens: int | None = 400) -> Expired:
    act = Prune(before=None, pictures_days=pictures, tokens_days=tokens, operator_claimed="ops")
    with Writer.opened(place, default_log_key(), "a test") as writer:
        return Expired(**asyncio.run(perform(act, writer))["expired"])


class TestPrune:
    def test_what_is_old_goes_and_is_counted(self, state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
        """Pictures and labels, tokens, and the portal's acts; a second time there is nothing to do or to record."""
        monkeypatch.setenv("SUDO_USER", "ops")
        done = fleet("audit", "prune")
        assert done.returncode == 0, done.stderr
        assert " ".join(done.stdout.split()) == (
            f"Deleted by retention in {state.root}: 4 pictures, 2 tokens, 4 acts of the portal."
        )
        assert fleet("audit", "prune").returncode == 0
        assert expired(state) == [
            {
                "operator": os.getuid(),
                "operator_claimed": "ops",
                "pictures_days": 90,
                "tokens_days": 400,
                "pictures": 4,
                "tokens": 2,
                "acts": 4,
            }
        ]
        assert [*state.evidence.iterdir(), *(state.portal / "done").iterdir()] == []
        shown = " ".join(fleet("audit", "show").stdout.split())
        assert "4 pictures older than 90 days" in shown

    def test_what_is_younger_stays(self, state: StateDir) -> None:
        """By a day: pictures by their run's id, whatever the times of their files; the others by when they came."""
        began = datetime.now(UTC) - timedelta(days=90)
        for name, moment in (("young", began + timedelta(hours=1)), ("old", began - timedelta(hours=1))):
            folder = state.evidence / f"{moment:%Y%m%dT%H%M%SZ}-{name.encode().hex()[:6]}"
            folder.mkdir()
            (folder / f"{name}.png").write_bytes(b"picture")
        for name, days in (("young", 399), ("old", 401)):
            path = state.portal / "done" / f"{name}.json"
            path.write_text("{}")
            os.utime(path, (time.time() - days * DAY,) * 2)
        pruned(state)
        assert [path.name for path in state.evidence.glob("*/*")] == ["young.png"]
        assert [path.name for path in (state.portal / "done").iterdir()] == ["young.json"]

    @pytest.mark.parametrize(
        ("setting", "left"),
        [("{pictures: 90}", (0, 2, 4)), ("{tokens: 400}", (4, 0, 0)), ("{pictures: 36500}", (4, 2, 4))],
    )
    def test_what_is_not_named_never_expires(self, state: StateDir, setting: str, left: tuple[int, int, int]) -> None:
        """Nor what is to be kept for longer."""
        Path("fleet.yml").write_text(f"state: state\nretention: {setting}\n")
        assert fleet("audit", "prune").returncode == 0
        given = [json.loads(path.read_text())["mandates"][0] for path in state.mandates.glob("*.json")]
        tokens = [one for one in given if one["id_token"]]
        assert (len([*state.evidence.glob("*/*")]), len(tokens), len([*state.portal.glob("*/*")])) == left

    def test_nothing_says_what_is_old(self, state: StateDir) -> None:
        """Without the setting and without a day the command is refused; a day alone deletes no token."""
        Path("fleet.yml").write_text("state: state\n")
        assert "add retention to fleet.yml, or give --before DAY" in refusal("audit", "prune")
        done = fleet("audit", "prune", "--before", "2999-01-01")
        assert done.returncode == 0 and "retention" not in done.stdout
        assert GivenMandates(state.mandates).of(ANNA.name).mandates[0].id_token is not None

    @pytest.mark.parametrize("setting", ["{pictures: 0}", "{tokens: 1.5}", "{pictures: true}", "{films: 3}", "90"])
    def test_a_wrong_period_is_refused_by_its_line(self, state: StateDir, setting: str) -> None:
        """Whole days from 1 on."""
        Path("fleet.yml").write_text(f"state: state\nretention: {setting}\n")
        assert "fleet.yml:2" in refusal("audit", "prune")
        assert expired(state) == []

    def test_pictures_of_a_run_in_progress_stay(self, state: StateDir) -> None:
        """However long it has been at it."""

        async def begin() -> None:
            log = AuditLog(state.audit, "a test", read_signing_key(state.audit, default_log_key()))
            await log.append(records.RUN_STARTED, RUN, **STARTED)
            log.close()

        asyncio.run(begin())
        assert pruned(state).pictures == 0 and len([*state.evidence.glob("*/*")]) == 4

    def test_a_link_goes_and_what_it_leads_to_stays(self, state: StateDir, tmp_path: Path) -> None:
        """In place of a run's folder, of a picture, and of an act."""
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "mine.png").write_bytes(b"mine")
        (state.evidence / "20250101T000000Z-aaaaaa").symlink_to(outside)
        (state.evidence / RUN / "link.png").symlink_to(outside / "mine.png")
        act = state.portal / "done" / "link.json"
        act.symlink_to(outside / "mine.png")
        os.utime(act, (0, 0), follow_symlinks=False)
        assert pruned(state).pictures == 6
        assert (outside / "mine.png").read_bytes() == b"mine" and list(state.evidence.iterdir()) == []
        assert not act.is_symlink()


class TestToken:
    def test_a_mandate_without_its_token_counts_as_before(self, state: StateDir) -> None:
        """In force, misses another control, and revoked: judged by what was agreed to, which stays."""
        store = GivenMandates(state.mandates)
        Revocations(state.revocations).remove(ANNA.name)
        mandates = Mandates(Revocations(state.revocations), store)
        day = datetime.now(UTC).date()
        asked = [("linkedin", "ai_training"), ("linkedin", "other"), ("jira", None)]
        before = [mandates.find(ANNA.name, None, *one, day) for one in asked]
        assert pruned(state).tokens == 2
        after = store.of(ANNA.name).mandates[0]
        assert after == mandate_of(ANNA).model_copy(update={"id_token": None})
        assert [mandates.find(ANNA.name, None, *one, day) for one in asked] == before
        assert before[0] == MandateInForce(mandate_of(ANNA).reference, mandate_of(ANNA).assurance, ANNA.profile)
        assert before[1:] == [Reason.MANDATE_MISSES_CONTROL, Reason.MANDATE_MISSES_SERVICE]
        assert mandates.find(ANNA.name, None, "linkedin", "ai_training", after.instruction.expires_on) == before[0]
        late = after.instruction.expires_on + timedelta(days=1)
        assert mandates.find(ANNA.name, None, "linkedin", "ai_training", late) is Reason.MANDATE_EXPIRED
        Revocations(state.revocations).add(ANNA.name, day, operator=0)
        assert mandates.find(ANNA.name, None, "linkedin", "ai_training", day) is Reason.MANDATE_REVOKED

    def test_its_proof_can_no_longer_be_exported(self, state: StateDir) -> None:
        """With a sentence; the list has it as before."""
        listed = fleet("mandates", "list").stderr
        pruned(state)
        assert "no longer kept (retention in fleet.yml)" in refusal("mandates", "export", ANNA.name, "-o", "proof")
        assert fleet("mandates", "list").stderr == listed and ANNA.name in listed


class TestInterrupted:
    def test_a_prune_that_is_killed_is_completed_by_the_next(
        self, state: StateDir, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After each deletion and each mandate: the next deletes and counts the rest, and the log is whole."""
        steps, stop, real_unlink, real_put = 0, 0, Path.unlink, GivenMandates.put

        class Killed(BaseException):
            """Stands in for SIGKILL, which would take the test with it."""

        def step() -> None:
            nonlocal steps
            steps += 1
            if steps == stop:
                raise Killed

        def unlink(self: Path, missing_ok: bool = False) -> None:
            if self.is_relative_to(state.evidence) or self.is_relative_to(state.portal):
                step()
            real_unlink(self, missing_ok=missing_ok)

        def put(self: GivenMandates, *given: Any) -> None:
            step()
            real_put(self, *given)

        monkeypatch.setattr(Path, "unlink", unlink)
        monkeypatch.setattr(GivenMandates, "put", put)
        for moment in (1, 3, 6, 9):
            steps, stop = 0, moment
            with suppress(Killed):
                pruned(state)
        stop = 0
        pruned(state)
        assert [*state.evidence.glob("*/*"), *state.portal.glob("done/*"), *state.portal.glob("refused/*")] == []
        assert all(one.id_token is None for one in GivenMandates(state.mandates).of(ANNA.name).mandates)
        assert len(expired(state)) > 1
        assert "OK" in fleet("audit", "verify").stdout

    def test_what_cannot_be_recorded_is_not_deleted(self, state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
        """A full disk: everything is there afterwards."""
        before = everything(state.root)

        async def full(*_: Any, **__: Any) -> None:
            raise AuditError("the disk is full")

        with Writer.opened(state, default_log_key(), "a test") as writer:
            monkeypatch.setattr(writer.log, "append", full)
            with pytest.raises(AuditError):
                asyncio.run(retention.expire(writer, 90, 400, retention.Operator(None)))
        after = everything(state.root)
        assert {path: after.get(path) for path in before if not path.startswith("audit/")} == {
            path: content for path, content in before.items() if not path.startswith("audit/")
        }

    def test_a_mandate_that_cannot_be_written_keeps_its_token(
        self, state: StateDir, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file is replaced whole or not at all."""

        def full(self: GivenMandates, *_: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", "mandates")

        with monkeypatch.context() as patched:
            patched.setattr(GivenMandates, "put", full)
            with pytest.raises(OSError, match="No space"):
                pruned(state)
        assert GivenMandates(state.mandates).of(ANNA.name).mandates == (mandate_of(ANNA),)
        assert pruned(state).tokens == 2
