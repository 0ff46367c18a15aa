"""`fleet people show`: a folder for one person, whole or not there, with nothing of anybody else."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fleet.audit.segments import read_records
from fleet.authority.given import GivenMandates
from fleet.commands import people
from fleet.paths import StateDir, default_log_key
from tests.commands import FLEET, fleet
from tests.full_disk import NEEDS_ROOT
from tests.held import ANNA, BEN, RUN, act_of, everything, fill, inventory, kept, mandate_of, places_with
from tests.unit.test_commands import refusal


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateDir:
    monkeypatch.chdir(tmp_path)
    Path("staff.yml").write_text(json.dumps(inventory()))
    Path("fleet.yml").write_text("inventory: staff.yml\nstate: state\ninbox: inbox\n")
    Path("inbox").mkdir()
    place = StateDir(tmp_path / "state")
    fill(place)
    return place


def shown(*more: str, name: str = ANNA.name) -> dict[str, Any]:
    """What data.json says; nothing is wrong."""
    done = fleet("people", "show", name, "-o", "out", *more)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(Path("out/data.json").read_text())
    return answer


class _Page(HTMLParser):
    """The words and the links of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if tag == "a" and name == "href"]

    def handle_data(self, data: str) -> None:
        self.words += data


class TestFolder:
    def test_it_is_private_and_has_all_of_it(self, state: StateDir) -> None:
        """Folders 0700 and files 0600; every link of the page leads to a file; the page is in the person's language."""
        shown()
        modes = {path.is_dir(): path.stat().st_mode & 0o777 for path in (Path("out"), *Path("out").rglob("*"))}
        assert modes == {True: 0o700, False: 0o600}
        page = _Page(Path("out/index.html").read_text())
        assert {"data.json", "receipt.html", "proofs.tlog-proof", "log.vkey", "mandates/1/verify.sh"} <= {*page.links}
        assert [link for link in page.links if not (Path("out") / link).is_file()] == []
        assert '<html lang="de">' in Path("out/index.html").read_text()
        for words in (
            "Was über anna.keller gespeichert ist",
            ANNA.email,
            "LinkedIn ai_training: Ich habe es ausgeschaltet",
        ):
            assert words in page.words
        assert not re.search(r"https?://", Path("out/index.html").read_text())
        assert "<script" not in Path("out/index.html").read_text()

    def test_records_and_mandates_can_be_checked_with_it_alone(self, state: StateDir) -> None:
        """The records' proofs with the public key, the mandate with openssl; one with an operator's name has none."""
        log = shown()["log"]["records"]
        assert [(one["event"], one["is_proved"]) for one in log] == [
            ("run.planned", True),
            ("control.finished", True),
            ("notice.sent", False),
            ("mandate.revoked", False),
            ("names.shown", True),
        ]
        assert all("operator" not in one and "operator_claimed" not in one for one in log)
        done = fleet("audit", "verify-proof", "out/proofs.tlog-proof", "--key", "out/log.vkey")
        assert done.returncode == 0 and done.stdout.count("Proved: record") == 3
        done = subprocess.run(["sh", "out/mandates/1/verify.sh"], capture_output=True, text=True, check=False)
        assert done.stdout.endswith("The mandate is as it was signed.\n"), done.stderr
        assert Path("out/mandates/1/token.jwt").read_text() == mandate_of(ANNA).id_token

    def test_it_is_itself_a_record_of_that_person(self, state: StateDir) -> None:
        """Before it is written, and in it."""
        shown()
        [record] = [one for one in read_records(state.audit.log) if one["event"] == "names.shown"]
        assert (record["command"], record["people"], record["operator"]) == ("people show", 1, os.getuid())
        assert record["subject"] == json.loads(Path("out/data.json").read_text())["log"]["pseudonym"]

    def test_what_waits_in_the_inbox_is_in_it(self, state: StateDir) -> None:
        """The person's own acts alone."""
        for number, person in enumerate((ANNA, BEN)):
            (Path("inbox") / f"mandate-{str(number) * 32}.json").write_text(json.dumps(act_of(person)))
        acts = shown()["portal"]["acts"]
        assert sorted(one["where"] for one in acts) == ["done", "refused", "waiting"]
        assert places_with(Path("out"), *BEN.words) == set()

    def test_an_act_that_names_two_people_is_only_counted(self, state: StateDir) -> None:
        """Whoever of the two asks."""
        act = act_of(BEN) | {"statement": mandate_of(ANNA).statement}
        (state.portal / "refused" / f"mandate-{'9' * 32}.json").write_text(kept(json.dumps(act), "names another"))
        assert shown()["portal"]["left_out"] == 1
        assert places_with(Path("out"), *BEN.words, str(mandate_of(BEN).id_token)) == set()

    def test_of_a_session_it_is_said_that_there_is_one(self, state: StateDir) -> None:
        """Where and since when; never what is in it."""
        assert shown()["sessions"] == [
            {"service": "linkedin", "sealed_at": "2026-02-02T02:40:00+00:00", "expires_at": None}
        ]
        assert b"SEALED" not in b"".join(everything(Path("out")).values())

    def test_a_mandate_whose_token_expired_is_shown_without_it(self, state: StateDir) -> None:
        """What was agreed to is; and the page says so."""
        Path("fleet.yml").write_text(Path("fleet.yml").read_text() + "retention: {tokens: 30}\n")
        assert fleet("audit", "prune").returncode == 0
        shown("--language", "en")
        assert sorted(path.name for path in Path("out/mandates/1").iterdir()) == ["instruction.json", "text.txt"]
        assert "The token that proves it is no longer kept." in Path("out/index.html").read_text()

    def test_someone_of_the_inventory_alone_is_shown_that(self, state: StateDir) -> None:
        """And a person who is in no inventory, what the state has."""
        staff = inventory()
        staff["all"]["hosts"] = {"carla.new": {"fleet_email": "carla@company.example"}}
        Path("staff.yml").write_text(json.dumps(staff))
        data = shown(name="carla.new")
        assert data["inventory"]["fleet_email"] == "carla@company.example" and data["log"]["records"] == []
        Path("out").rename("carla")
        assert shown()["inventory"] is None and places_with(Path("out"), "carla.new") == set()

    def test_a_copy_that_cannot_be_written_can_be_shown(self, state: StateDir) -> None:
        """With a sentence that nothing was recorded."""
        default_log_key().unlink()
        done = fleet("people", "show", ANNA.name, "-o", "out")
        assert done.returncode == 0 and "Not recorded in the log" in done.stderr


class TestRefused:
    def test_a_folder_that_exists_is_not_written_to(self, state: StateDir, tmp_path: Path) -> None:
        """Nor one in place of which there is a link, a file, or what a killed command left."""
        (tmp_path / "empty").mkdir()
        (tmp_path / "file").write_text("")
        (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
        (tmp_path / "left.partial").mkdir()
        for name in ("empty", "file", "nowhere", "left"):
            assert "exists; name a new folder" in refusal("people", "show", ANNA.name, "-o", name)
        assert not (tmp_path / "missing").exists() and list((tmp_path / "empty").iterdir()) == []
        assert [one for one in read_records(state.audit.log) if one["event"] == "names.shown"] == []

    @pytest.mark.parametrize("name", ["nobody", "../anna", "anna", "anna.keller.jr"])
    def test_a_name_that_is_none_is_refused(self, state: StateDir, name: str) -> None:
        """Nothing is written and nothing is recorded."""
        said = refusal("people", "show", name, "-o", "out")
        assert f"Nothing is held of '{name}'" in said or f"'{name}' is not a valid employee name" in said
        assert not Path("out").exists()
        assert [one for one in read_records(state.audit.log) if one["event"] == "names.shown"] == []

    @pytest.mark.parametrize("place", ["attestations", "mandates", "notices", "appointments", "evidence"])
    def test_a_link_is_not_followed(self, state: StateDir, place: str) -> None:
        """To another person's file, or to one that no writer put there: an error names it."""
        folder = getattr(state, place)
        own = next(
            path for path in sorted(folder.rglob("*")) if path.is_file() and b"anna" in path.read_bytes() + bytes(path)
        )
        other = next(
            path
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix == own.suffix and b"ben" in path.read_bytes() + bytes(path)
        )
        own.unlink()
        own.symlink_to(other)
        assert own.name in refusal("people", "show", ANNA.name, "-o", "out")
        assert not Path("out").exists() and not Path("out.partial").exists()

    def test_a_file_of_another_person_under_her_name_is_refused(self, state: StateDir) -> None:
        """Copied over hers."""
        folder = state.notices
        (folder / f"{ANNA.name}.json").write_bytes((folder / f"{BEN.name}.json").read_bytes())
        assert "names another employee" in refusal("people", "show", ANNA.name, "-o", "out")
        assert not Path("out").exists()

    def test_an_inbox_that_cannot_be_read_is_not_left_out(self, state: StateDir) -> None:
        """What waits there would be missing."""
        Path("inbox").rmdir()
        assert "inbox cannot be read" in refusal("people", "show", ANNA.name, "-o", "out")
        assert not Path("out").exists()


class TestInterrupted:
    def test_a_full_disk_leaves_nothing(self, state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
        """At any file: no folder is there, nor another with part of it."""
        real, written = people.write_private, 0

        def full(path: Path, content: bytes, **how: Any) -> None:
            nonlocal written
            written += 1
            if written == at:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            real(path, content, **how)

        monkeypatch.setattr(people, "write_private", full)
        from typer.testing import CliRunner

        from fleet.cli import app

        for at in (1, 5, 12):  # noqa: B007 - `full` reads it
            written = 0
            done = CliRunner().invoke(app, ["people", "show", ANNA.name, "-o", "out"])
            assert "No space left on device" in str(done.exception)
            assert not Path("out").exists() and not Path("out.partial").exists()

    @NEEDS_ROOT
    def test_a_disk_that_is_really_full(self, state: StateDir, tmp_path: Path) -> None:
        """A small file system: the sentence names the folder, and nothing stays on it."""
        small = tmp_path / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k,mode=0700", "tmpfs", str(small)], check=True)
        try:
            assert "small/out cannot be written (No space left on device)" in refusal(
                "people", "show", ANNA.name, "-o", "small/out"
            )
            assert list(small.iterdir()) == []
        finally:
            subprocess.run(["umount", str(small)], check=True)

    def test_killed_at_any_moment_the_folder_is_whole_or_not_there(self, state: StateDir, tmp_path: Path) -> None:
        """SIGKILL while it writes: what is left is named `.partial`, and the next command says so."""
        for number in range(2000):
            folder = state.evidence / RUN
            pseudonym = next(folder.glob("s_*")).name.partition(".")[0]
            (folder / f"{pseudonym}.linkedin.c{number}.before.png").write_bytes(b"picture")
        command = [FLEET, "people", "show", ANNA.name, "-o", "out"]
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        partial = tmp_path / "out.partial" / "pictures"
        while running.poll() is None and time.monotonic() < deadline and not partial.exists():
            time.sleep(0.001)
        running.send_signal(signal.SIGKILL)
        running.wait()
        if Path("out").exists():  # it was quicker
            assert Path("out/index.html").is_file()
            return
        assert not (tmp_path / "out.partial" / "index.html").exists()
        assert "out.partial exists" in refusal("people", "show", ANNA.name, "-o", "out")


def test_a_mandate_whose_text_is_missing_is_said(state: StateDir) -> None:
    """A folder without it would not be all."""
    for path in GivenMandates(state.mandates).texts.iterdir():
        path.unlink()
    done = fleet("people", "show", ANNA.name, "-o", "out")
    assert done.returncode in (1, 2) and "texts" in done.stderr and "Traceback" not in done.stderr
    assert not Path("out").exists()
