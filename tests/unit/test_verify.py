"""Verifying a log: each way of tampering with it is found and told apart, and a whole one passes."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymerkle
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.audit import records, segment_writer, segments
from fleet.audit.anchors import Anchor, read_anchors
from fleet.audit.checkpoints import read_newest, read_note, sizes
from fleet.audit.keys import read_keys, read_signing_key
from fleet.audit.maintenance import beat, rotate_key
from fleet.audit.operator import Operator
from fleet.audit.signed_note import Checkpoint, SigningKey
from fleet.audit.tree import Frontier
from fleet.audit.verify import Verdict, Verification, verify
from fleet.errors import AuditError, InputError
from fleet.paths import AuditDir
from tests.logs import finish, log_path, open_log, shrink, write
from tests.sizes import sizes as small_and_full


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of 16 records and a signature after 5, so that a small log has all that a large one has."""
    shrink(monkeypatch, 16, 5)


def check(folder: Path, *anchors: str) -> Verification:
    places = AuditDir(folder)
    return verify(places, read_keys(places.vkey), [Anchor("a mail", note) for note in anchors])


def says(folder: Path, *anchors: str) -> tuple[Verdict, list[str]]:
    found = check(folder, *anchors)
    return found.verdict, [finding.what for finding in found.findings]


def edit(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change the lines of a file."""
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log of 40 records: two full segments and one of eight."""
    asyncio.run(write(tmp_path / "audit", 40))
    return tmp_path / "audit"


@pytest.fixture
def place(folder: Path) -> AuditDir:
    return AuditDir(folder)


class TestWholeLog:
    def test_it_passes(self, folder: Path) -> None:
        """Everything is signed; each stored checkpoint was compared; there is no anchor."""
        found = check(folder)
        assert (found.verdict, found.findings) == (Verdict.OK, [])
        assert (found.records, found.signed, found.anchored) == (40, 40, 0)
        assert sizes(folder / "ckpt") == [0, 5, 10, 15, 16, 21, 26, 31, 32, 37, 40]
        assert found.checkpoints == 11

    def test_segments_are_named_by_their_first_record(self, folder: Path) -> None:
        """A full one has its root beside it."""
        assert sorted(path.name for path in (folder / "log").iterdir()) == [
            "000000000000.jsonl",
            "000000000000.root",
            "000000000016.jsonl",
            "000000000016.root",
            "000000000032.jsonl",
        ]

    def test_the_root_is_that_of_another_implementation(self, folder: Path) -> None:
        """pymerkle, fed with the lines."""
        tree = pymerkle.InmemoryTree(algorithm="sha256")
        for line in b"".join(path.read_bytes() for path in sorted((folder / "log").glob("*.jsonl"))).splitlines():
            tree.append_entry(line)
        newest = check(folder).newest
        assert newest is not None and newest.root == tree.get_root()

    def test_openssl_confirms_a_checkpoint_as_the_document_says(self, folder: Path) -> None:
        """With the commands of docs/records.md."""
        script = """
            sed '/^$/,$d' $1/ckpt/000000000040 > $2/body
            awk '/^— /{print $3}' $1/ckpt/000000000040 | head -1 | base64 -d | tail -c +5 > $2/signature
            openssl pkeyutl -verify -pubin -inkey $1/log.pub.pem -rawin -in $2/body -sigfile $2/signature"""
        done = subprocess.run(
            ["sh", "-c", script, "sh", str(folder), str(folder.parent)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (0, "Signature Verified Successfully\n"), done

    async def test_it_can_be_verified_while_it_is_written(self, tmp_path: Path) -> None:
        """What is not signed yet is said to be so; half a line is on its way, and not torn."""
        folder = tmp_path / "audit"
        log = open_log(folder)
        for number in range(7):
            await finish(log, f"c{number}")
        with log_path(folder).open("ab") as file:
            file.write(b'{"v":1')
        what = "the last 2 records are not signed yet: the log is being written"
        assert says(folder) == (Verdict.UNSIGNED_TAIL, [what])
        log.close()

    def test_a_lock_on_another_disk_hides_no_tear(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Files are numbered disk by disk; the log is being written only while its own lock is held."""
        shared = Path("/dev/shm")
        if shared.stat().st_dev == folder.stat().st_dev:
            pytest.skip("needs two disks: /dev/shm is not one of its own here")
        with log_path(folder).with_name("000000000032.jsonl").open("ab") as file:
            file.write(b'{"v":1')
        inode = (folder / "lock").stat().st_ino
        with tempfile.TemporaryDirectory(dir=shared) as elsewhere:
            # No number can be asked for, so the kernel's list has the other lock under the number of ours.
            other = Path(elsewhere) / "lock"
            other.touch()
            with other.open() as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                said = Path("/proc/locks").read_text().replace(f":{other.stat().st_ino} ", f":{inode} ")
            assert f":{inode} " in said
            (listed := Path(elsewhere) / "locks").write_text(said)
            monkeypatch.setattr("fleet.audit.verify.Path", lambda path: listed if path == "/proc/locks" else Path(path))
            assert check(folder).verdict is Verdict.TORN_TAIL

    def test_an_empty_log_passes(self, tmp_path: Path) -> None:
        """There is nothing to sign."""
        open_log(tmp_path / "audit").close()
        assert says(tmp_path / "audit") == (Verdict.OK, [])

    def test_it_is_opened_by_its_last_segment_alone(self, folder: Path) -> None:
        """The others need not even be readable; their roots are proved by the newest checkpoint."""
        first = log_path(folder)
        first.rename(first.with_suffix(".aside"))
        first.symlink_to("/dev/full")
        asyncio.run(write(folder, 3))
        first.unlink()
        first.with_suffix(".aside").rename(first)
        assert (check(folder).verdict, check(folder).records) == (Verdict.OK, 43)

    @pytest.mark.parametrize("content", [None, "", "00" * 32, "hello"])
    def test_a_remembered_root_is_made_again(self, folder: Path, content: str | None) -> None:
        """Missing or wrong: the lines decide."""
        root = folder / "log" / "000000000000.root"
        right = root.read_text()
        root.unlink() if content is None else root.write_text(content)
        asyncio.run(write(folder, 1))
        assert (check(folder).verdict, root.read_text()) == (Verdict.OK, right)


def flip(line: bytes) -> bytes:
    """The same record with another outcome."""
    return line.replace(b'"opted_out"', b'"not_saved"')


def renumbered(lines: list[bytes], start: int) -> list[bytes]:
    return [
        json.dumps(json.loads(line) | {"seq": start + number}, separators=(",", ":")).encode() + b"\n"
        for number, line in enumerate(lines)
    ]


class TestTampering:
    def test_a_changed_record(self, folder: Path) -> None:
        """The range between the last checkpoint that fits and the first that does not."""
        edit(log_path(folder), lambda lines: [*lines[:7], flip(lines[7]), *lines[8:]])
        assert says(folder) == (Verdict.MODIFIED, ["records 5 to 9: different from what was signed"])

    def test_a_record_that_is_taken_out(self, folder: Path) -> None:
        """The next one has the wrong number."""
        edit(folder / "log" / "000000000032.jsonl", lambda lines: lines[:2] + lines[3:])
        assert says(folder) == (
            Verdict.MODIFIED,
            [
                "record 34 has the number 35",
                "records 32 to 36: different from what was signed",
            ],
        )

    def test_a_record_that_is_taken_out_and_all_numbers_mended(self, folder: Path) -> None:
        """The hashes tell."""
        edit(folder / "log" / "000000000032.jsonl", lambda lines: renumbered(lines[:2] + lines[3:], 32))
        assert says(folder)[0] is Verdict.MODIFIED

    def test_two_records_that_change_places(self, folder: Path) -> None:
        """Also with their numbers mended."""
        edit(log_path(folder), lambda lines: renumbered([lines[1], lines[0], *lines[2:]], 0))
        assert says(folder) == (Verdict.MODIFIED, ["records 0 to 4: different from what was signed"])

    def test_a_record_that_is_put_in(self, folder: Path) -> None:
        """The segment is too long, and nothing after it can be in its place."""
        edit(log_path(folder), lambda lines: renumbered([lines[0], *lines], 0))
        assert says(folder)[0] is Verdict.MODIFIED

    def test_a_tail_that_is_cut(self, folder: Path) -> None:
        """Fewer records than were signed."""
        edit(folder / "log" / "000000000032.jsonl", lambda lines: lines[:-1])
        what = "there are 39 records, and a checkpoint signs 40: the last one is missing"
        assert says(folder) == (Verdict.TRUNCATED, [what])

    def test_a_last_segment_that_is_gone(self, folder: Path) -> None:
        """The same."""
        (folder / "log" / "000000000032.jsonl").unlink()
        assert says(folder)[0] is Verdict.TRUNCATED

    @pytest.mark.parametrize(
        ("name", "what"), [("000000000000", "records 0 to 15"), ("000000000016", "records 16 to 31")]
    )
    def test_a_segment_that_is_gone(self, folder: Path, name: str, what: str) -> None:
        """From the beginning or from the middle."""
        (folder / "log" / f"{name}.jsonl").unlink()
        assert says(folder) == (Verdict.GAP, [f"{what}: missing"])

    def test_records_that_are_added_to_the_end(self, folder: Path) -> None:
        """No error, but nothing proves them; the next writer says how many they were before it signs them."""
        edit(folder / "log" / "000000000032.jsonl", lambda lines: lines + renumbered(lines[:2], 40))
        assert says(folder) == (Verdict.UNSIGNED_TAIL, ["the last 2 records are not signed"])
        asyncio.run(write(folder, 0))
        last = list(segments.read_records(folder / "log"))[-1]
        assert (last["event"], last["unsigned"]) == ("log.recovered", 2)
        assert says(folder) == (Verdict.OK, [])

    def test_a_torn_tail(self, folder: Path) -> None:
        """What a crash leaves; nothing that was signed is lost."""
        with (folder / "log" / "000000000032.jsonl").open("ab") as file:
            file.write(b'{"v":1,"se')
        assert says(folder) == (Verdict.TORN_TAIL, ["10 bytes after the last record: an interrupted write"])

    def test_a_tear_may_be_long(self, folder: Path) -> None:
        """What a power cut leaves of a whole batch is no tampering."""
        with (folder / "log" / "000000000032.jsonl").open("ab") as file:
            file.write(bytes(900_000))
        assert says(folder)[0] is Verdict.TORN_TAIL

    def test_a_tear_in_the_middle(self, folder: Path) -> None:
        """No crash does that."""
        with log_path(folder).open("ab") as file:
            file.write(b'{"v":1,"se')
        assert says(folder) == (Verdict.MODIFIED, ["000000000000.jsonl ends in 10 bytes that are not a record"])

    def test_a_line_that_is_longer_than_any_record(self, folder: Path) -> None:
        """It is not read into memory."""
        edit(log_path(folder), lambda lines: [lines[0], bytes(300_000) + b"\n", *lines[1:]])
        verdict, [what, *_] = says(folder)
        assert verdict is Verdict.MODIFIED and "more than 8192 bytes" in what

    def test_a_changed_checkpoint(self, folder: Path) -> None:
        """Any one of them, not only the newest."""
        path = folder / "ckpt" / "000000000010"
        path.write_text(path.read_text().replace("\n10\n", "\n11\n"))
        verdict, [what] = says(folder)
        assert verdict is Verdict.MODIFIED and what.startswith("checkpoint 10: the signature of")

    def test_a_checkpoint_under_another_name(self, folder: Path) -> None:
        """It signs another size than its name says."""
        shutil.copy(folder / "ckpt" / "000000000010", folder / "ckpt" / "000000000011")
        assert says(folder) == (Verdict.MODIFIED, ["checkpoint 11 signs 10 records"])

    def test_a_checkpoint_with_another_s_key(self, folder: Path, tmp_path: Path) -> None:
        """Whoever has no key of the log cannot sign for it."""
        thief = tmp_path / "thief"
        asyncio.run(write(thief / "audit", 40))
        key = read_signing_key(AuditDir(thief / "audit"), thief / "log-key.pem")
        name = read_keys(AuditDir(folder).vkey)[0].name
        newest = check(folder).newest
        assert newest is not None
        (folder / "ckpt" / "000000000040").write_text(newest.signed([SigningKey(name, key.private)]))
        assert says(folder) == (Verdict.UNKNOWN_KEY, ["checkpoint 40 is not signed with a key that this log had then"])
        assert check(folder).signed == 37

    @pytest.mark.parametrize("change", ["a record", "the tail", "the checkpoint", "a segment"])
    def test_the_writer_refuses_what_is_not_as_signed(self, folder: Path, change: str) -> None:
        """And says so; not a byte is changed by it."""
        last = folder / "log" / "000000000032.jsonl"
        if change == "a record":
            edit(last, lambda lines: [flip(lines[0]), *lines[1:]])
        elif change == "the tail":
            edit(last, lambda lines: lines[:-1])
        elif change == "the checkpoint":
            path = folder / "ckpt" / "000000000040"
            path.write_text(path.read_text().replace("\n40\n", "\n39\n"))
        else:
            (folder / "log" / "000000000016.jsonl").unlink()
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}
        with pytest.raises(AuditError, match=r"was changed: .*Run 'fleet audit verify' for details"):
            open_log(folder)
        after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}
        assert after == before


class TestEveryByte:
    @pytest.mark.parametrize("step", small_and_full(7, 1))
    def test_no_flipped_bit_of_a_signed_record_passes(self, tmp_path: Path, step: int) -> None:
        """At each byte of the file, one bit: the verdict is never OK, and never a mere tail."""
        folder = tmp_path / "audit"
        asyncio.run(write(folder, 6))
        path = log_path(folder)
        whole = path.read_bytes()
        for at in range(0, len(whole), step):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
            assert check(folder).verdict.value >= Verdict.GAP.value, at

    @pytest.mark.parametrize("step", small_and_full(7, 1))
    def test_no_cut_of_a_signed_log_passes(self, tmp_path: Path, step: int) -> None:
        """At each byte: never OK; and the writer refuses unless nothing signed is lost."""
        folder = tmp_path / "audit"
        asyncio.run(write(folder, 6))
        path = log_path(folder)
        whole = path.read_bytes()
        for at in range(0, len(whole), step):
            path.write_bytes(whole[:at])
            assert check(folder).verdict is Verdict.TRUNCATED, at
        for at in range(0, len(whole), 97):
            path.write_bytes(whole[:at])
            with pytest.raises(AuditError, match="6 were signed"):
                open_log(folder)

    def test_no_flipped_bit_of_a_checkpoint_passes(self, tmp_path: Path) -> None:
        """Nor is the log then written to."""
        folder = tmp_path / "audit"
        asyncio.run(write(folder, 3))
        path = folder / "ckpt" / "000000000003"
        whole = path.read_bytes()
        for at in range(len(whole)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
            assert check(folder).verdict is not Verdict.OK, at


class TestAnchors:
    def test_a_rollback_is_found_by_an_anchor_alone(self, folder: Path) -> None:
        """Records and checkpoints cut together: without what was kept elsewhere nobody can tell."""
        anchor = read_newest(folder / "ckpt")
        (folder / "ckpt" / "000000000040").unlink()
        edit(folder / "log" / "000000000032.jsonl", lambda lines: lines[:5])
        assert says(folder) == (Verdict.OK, [])
        what = "there are 37 records, and the anchor in a mail signs 40: the last 3 are missing"
        assert says(folder, anchor) == (Verdict.TRUNCATED, [what])

    def test_a_rewritten_history_is_found_by_an_anchor_alone(self, folder: Path) -> None:
        """A thief with the key writes everything anew."""
        anchor = read_note(folder / "ckpt", 10)
        shutil.rmtree(folder / "log")
        shutil.rmtree(folder / "ckpt")
        asyncio.run(write(folder, 40))
        assert says(folder) == (Verdict.OK, [])
        verdict, [what] = says(folder, anchor)
        assert verdict is Verdict.FORK and "another history of the first 10 records" in what

    def test_an_anchor_that_fits_says_how_far_it_reaches(self, folder: Path) -> None:
        """Of two the longer."""
        found = check(folder, read_note(folder / "ckpt", 10), read_note(folder / "ckpt", 31))
        assert (found.verdict, found.anchors, found.anchored) == (Verdict.OK, 2, 31)

    def test_an_anchor_of_another_log(self, folder: Path, tmp_path: Path) -> None:
        """It proves nothing here."""
        asyncio.run(write(tmp_path / "other" / "audit", 3))
        assert says(folder, read_newest(tmp_path / "other" / "audit" / "ckpt"))[0] is Verdict.UNKNOWN_KEY

    @pytest.mark.parametrize(
        "around",
        [
            lambda note: note,
            lambda note: note.replace("\n", "\r\n"),
            lambda note: "Dear all,\nkeep this:\n\n" + "".join(f"> {line}\n" for line in note.splitlines()) + "\nBye",
            lambda note: f"<html><body><pre>{note.replace('+', '&#43;')}</pre></body></html>",
        ],
        ids=["alone", "from Windows", "in a mail", "in a report"],
    )
    def test_an_anchor_is_found_in_what_surrounds_it(
        self, folder: Path, tmp_path: Path, around: Callable[[str], str]
    ) -> None:
        """As people keep it."""
        note = read_newest(folder / "ckpt")
        path = tmp_path / "kept"
        path.write_bytes(around(note).encode())
        assert [anchor.note for anchor in read_anchors(path)] == [note]

    def test_a_file_without_anchor_is_refused(self, tmp_path: Path) -> None:
        """With what to give instead."""
        (tmp_path / "kept").write_text("nothing\n")
        with pytest.raises(InputError, match="contains no checkpoint; give a file with its lines"):
            read_anchors(tmp_path / "kept")
        with pytest.raises(InputError, match="cannot be read"):
            read_anchors(tmp_path / "missing")


class TestKeys:
    def rotate(self, place: AuditDir) -> None:
        asyncio.run(rotate_key(place, place.root.parent / "log-key.pem", Operator(None)))

    def test_the_log_introduces_its_next_key(self, place: AuditDir) -> None:
        """Whoever knows the first key alone can check what all later ones have signed."""
        [first] = read_keys(place.vkey)
        for _ in range(2):
            self.rotate(place)
            asyncio.run(write(place.root, 3))
        found = verify(place, [first])
        assert (found.verdict, len(found.keys), found.records) == (Verdict.OK, 3, 48)
        assert read_keys(place.vkey) == found.keys

    def test_the_old_key_signs_nothing_any_more(self, place: AuditDir) -> None:
        """A checkpoint after the rotation counts with the new key only."""
        path = place.root.parent / "log-key.pem"
        old = read_signing_key(place, path)
        self.rotate(place)
        asyncio.run(write(place.root, 1))
        newest = check(place.root).newest
        assert newest is not None
        (place.checkpoints / "000000000042").write_text(newest.signed([old]))
        assert check(place.root).verdict is Verdict.UNKNOWN_KEY

    def test_a_rotation_that_is_cut_short_leaves_a_key_that_fits(self, place: AuditDir) -> None:
        """The public key is told, the private one is not in its place yet."""
        path = place.root.parent / "log-key.pem"
        old = path.read_bytes()
        self.rotate(place)
        path.rename(path.with_name("log-key.pem.next"))
        path.write_bytes(old)
        path.chmod(0o600)
        asyncio.run(write(place.root, 1))
        assert (check(place.root).verdict, path.with_name("log-key.pem.next").exists()) == (Verdict.OK, False)

    def test_another_log_s_key_is_refused(self, place: AuditDir, tmp_path: Path) -> None:
        """And so is a file that is none, or that others can read."""
        asyncio.run(write(tmp_path / "other" / "audit", 1))
        with pytest.raises(InputError, match=r"is not the key that the log in .* is signed with"):
            read_signing_key(place, tmp_path / "other" / "log-key.pem")
        path = tmp_path / "other" / "log-key.pem"
        path.write_text("hello")
        with pytest.raises(InputError, match="is not a private key in PEM format"):
            read_signing_key(place, path)
        path.chmod(0o644)
        with pytest.raises(InputError, match="chmod 600"):
            read_signing_key(place, path)
        path.unlink()
        with pytest.raises(InputError, match="There is no signing key at"):
            read_signing_key(place, path)

    def test_a_heartbeat_is_a_record_and_a_checkpoint(self, place: AuditDir) -> None:
        """So that a day without runs is not a day without trace."""
        log = open_log(place.root)
        asyncio.run(beat(log, Operator(None)))
        log.close()
        last = list(segments.read_records(place.log))[-1]
        assert (last["seq"], last["event"], last["run"]) == (40, records.LOG_HEARTBEAT, None)
        assert sizes(place.checkpoints)[-1] == 41


class TestSignatures:
    async def test_a_failed_signature_does_not_take_an_acknowledgement_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The record is durable, and is told so; the log is shut after it."""
        folder = tmp_path / "audit"
        log = open_log(folder)
        for number in range(4):
            await finish(log, f"c{number}")

        def broken(*_: Any) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(segment_writer, "write_checkpoint", broken)  # no disk here breaks when asked to
        assert (await finish(log, "c4"))["seq"] == 4
        with pytest.raises(AuditError, match="Input/output error"):
            await finish(log, "c5")
        monkeypatch.undo()
        log.close()
        assert len(log_path(folder).read_bytes().splitlines()) == 5

    def test_a_checkpoint_says_what_c2sp_asks_for(self, folder: Path) -> None:
        """Name, size and root in base64, an empty line, a signature of four bytes of key id and 64 more."""
        [key] = read_keys(AuditDir(folder).vkey)
        name, size, root, empty, signature = read_newest(folder / "ckpt").splitlines()
        assert (name, size, empty) == (key.name, "40", "")
        assert len(root) == 44
        assert signature.startswith(f"— {key.name} ")
        assert hashlib.sha256(f"{key.name}\n".encode() + b"\x01" + key.public).digest()[:4] == key.id
        assert isinstance(check(folder).newest, Checkpoint)


class TestForgery:
    """Somebody who can write to the folder has no key, but the next writer has one: it must not sign for them."""

    def sign_as_thief(self, place: AuditDir, thief: SigningKey, size: int | None = None) -> None:
        """Write a checkpoint of what is there now, with a key that is not the log's."""
        tree = Frontier(leaf for segment in segments.segments(place.log) for leaf, _ in segment.entries())
        for path in place.checkpoints.iterdir():
            path.unlink()
        note = Checkpoint(thief.name, tree.size, tree.root).signed([thief])
        (place.checkpoints / f"{tree.size if size is None else size:012}").write_text(note)

    def thief_of(self, place: AuditDir) -> SigningKey:
        return SigningKey(read_keys(place.vkey)[0].name, Ed25519PrivateKey.generate())

    def add(self, place: AuditDir, event: str, **fields: Any) -> None:
        """Append a record that nobody has signed."""
        last = list(segments.read_records(place.log))[-1]
        line = records.render(last["seq"] + 1, event, None, fields)
        with (place.log / f"{last['seq'] // 16 * 16:012}.jsonl").open("ab") as file:
            file.write(line)

    def test_a_key_that_is_added_to_the_file_opens_nothing(self, place: AuditDir) -> None:
        """A history rewritten and signed with another key: the writer goes by the key in its hand."""
        thief, original = self.thief_of(place), place.vkey.read_bytes()
        edit(log_path(place.root), lambda lines: [flip(line) for line in lines])
        self.sign_as_thief(place, thief)
        place.vkey.write_bytes(f"{thief.verifier}\n".encode() + original)
        with pytest.raises(AuditError, match="checkpoint 40: no known key has signed it"):
            open_log(place.root)

    def test_a_forged_rotation_introduces_no_key(self, place: AuditDir) -> None:
        """Not even once a writer has signed the record: the checkpoint that hands over must be signed with both."""
        thief, first = self.thief_of(place), read_keys(place.vkey)
        self.add(place, records.LOG_KEY_ROTATED, operator=0, operator_claimed=None, vkey=str(thief.verifier))
        asyncio.run(write(place.root, 1))
        found = verify(place, first)
        assert (found.verdict, found.keys, found.recovered) == (Verdict.OK, first, [(40, 40)])
        newest = found.newest
        assert newest is not None
        (place.checkpoints / f"{newest.size:012}").write_text(newest.signed([thief]))
        assert verify(place, first).verdict is Verdict.UNKNOWN_KEY

    def test_a_forged_pruning_excuses_no_gap(self, place: AuditDir) -> None:
        """Before a writer has signed it, and after."""
        leaves = [leaf for leaf, _ in segments.Segment(place.log, 0).entries()]
        log_path(place.root).with_suffix(".hashes").write_bytes(b"".join(leaves[:12]))
        edit(log_path(place.root), lambda lines: lines[12:])
        keys = [str(key) for key in read_keys(place.vkey)]
        self.add(place, records.LOG_PRUNED, operator=0, operator_claimed=None, before=12, keys=keys)
        for _ in range(2):
            verdict, findings = says(place.root)
            assert verdict is Verdict.GAP
            assert "records 0 to 11: deleted without a signed record of pruning" in findings
            asyncio.run(write(place.root, 1))

    def test_a_log_without_any_checkpoint_is_not_as_it_was(self, place: AuditDir) -> None:
        """The first is written before any record, so there is always one."""
        shutil.rmtree(place.checkpoints)
        assert says(place.root)[0] is Verdict.MODIFIED
        with pytest.raises(AuditError, match="it has records but no checkpoint"):
            open_log(place.root)

    def test_what_was_signed_only_by_the_next_writer_is_named(self, place: AuditDir) -> None:
        """With the newest checkpoints gone, a change after the last that is left looks like what a crash leaves."""
        for size in (37, 40):
            (place.checkpoints / f"{size:012}").unlink()
        edit(place.log / "000000000032.jsonl", lambda lines: [flip(line) for line in lines])
        asyncio.run(write(place.root, 0))
        found = check(place.root)
        assert (found.verdict, found.recovered) == (Verdict.OK, [(32, 39)])

    @pytest.mark.parametrize("line", [b'{"seq":40,"event":"run.started","run":"x"}', b'{"seq":40}', b"[]", b'"x"'])
    def test_a_line_that_is_no_record_is_not_signed(self, place: AuditDir, line: bytes) -> None:
        """It would stand in every reader's way for ever."""
        with (place.log / "000000000032.jsonl").open("ab") as file:
            file.write(line + b"\n")
        with pytest.raises(AuditError, match="record 40 is not a record"):
            open_log(place.root)
        assert check(place.root).verdict.value >= Verdict.UNSIGNED_TAIL.value

    @pytest.mark.parametrize("clock", [-1, 10**12 + 1, 10**30, 1.5, True, None, "0"])
    def test_a_clock_that_no_reader_takes_is_no_record_to_anybody(self, place: AuditDir, clock: object) -> None:
        """Not even where the log's own key signs it: reader and verifier say so of the same record."""
        planted = json.loads(log_path(place.root).read_bytes().splitlines()[0])
        line = json.dumps(planted | {"seq": 40, "monotonic_ms": clock}, separators=(",", ":")).encode()
        with (place.log / "000000000032.jsonl").open("ab") as file:
            file.write(line + b"\n")
        self.sign_as_thief(place, read_signing_key(place, place.root.parent / "log-key.pem"))
        with pytest.raises(AuditError, match="has a line that is not a record"):
            list(segments.read_records(place.log))
        assert says(place.root) == (Verdict.MODIFIED, ["record 40 is not a record"])

    @pytest.mark.parametrize(
        "line",
        [
            b'{"seq":40,"at":5,"event":"x"}',
            b'{"seq":40,"at":"x","event":"log.pruned","before":"x","keys":[]}',
            b'{"seq":40,"at":"x","event":"log.pruned","before":1,"keys":[5,"x"]}',
            b'{"seq":40,"at":"x","event":"log.recovered","unsigned":"x"}',
            b'{"seq":40,"at":"x","event":"log.key_rotated"}',
            b'{"seq":"\\u001b[2JOK","at":"x","event":"x"}',
        ],
    )
    def test_no_line_stops_a_verification(self, place: AuditDir, line: bytes) -> None:
        """Whatever it holds; and nothing of it reaches a terminal."""
        with (place.log / "000000000032.jsonl").open("ab") as file:
            file.write(line + b"\n")
        verdict, findings = says(place.root)
        assert verdict is not Verdict.OK and "\x1b" not in "".join(findings)

    def test_no_file_stops_a_verification(self, place: AuditDir) -> None:
        """A folder, a pipe, a link to what never ends, a name in other digits."""
        os.mkfifo(place.checkpoints / "000000000041")
        (place.checkpoints / "000000000042").symlink_to("/dev/zero")
        (place.checkpoints / "000000000043").mkdir()
        (place.checkpoints / "\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0665").touch()
        assert check(place.root).verdict is Verdict.MODIFIED
        log_path(place.root).rename(place.root / "aside")
        log_path(place.root).symlink_to(place.root / "aside")
        assert any("is not a file written by the log" in what for what in says(place.root)[1])

    def test_a_link_in_the_lock_s_place_is_not_written_to(self, place: AuditDir) -> None:
        """The signing key must not be overwritten with a run's name."""
        key = place.root.parent / "log-key.pem"
        before = key.read_bytes()
        place.lock.unlink()
        place.lock.symlink_to(key)
        with pytest.raises(AuditError, match="cannot be opened for writing"):
            open_log(place.root)
        assert key.read_bytes() == before


class TestRotationThatIsCutShort:
    def once_then(self, dies: Callable[..., None]) -> Callable[..., SigningKey]:
        """The first time as always, the second time the end."""
        left = [read_signing_key]
        return lambda *given: left.pop()(*given) if left else dies()  # type: ignore[return-value] # it never returns

    @pytest.mark.parametrize("step", ["append", "hand_over", "publish", "replace"])
    def test_it_is_finished_or_undone(self, place: AuditDir, step: str) -> None:
        """Killed before each of its steps: the next writer has a key that fits, and the log verifies from the first."""
        first, key = read_keys(place.vkey), place.root.parent / "log-key.pem"

        async def killed(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        def dies(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patched:
            if step == "append":
                patched.setattr("fleet.audit.log.AuditLog.append", killed)
            elif step == "hand_over":
                patched.setattr("fleet.audit.log.AuditLog.hand_over", dies)
            elif step == "publish":
                patched.setattr("fleet.audit.maintenance.publish", dies)
            else:
                patched.setattr("fleet.audit.maintenance.read_signing_key", self.once_then(dies))
            with pytest.raises(KeyboardInterrupt):
                asyncio.run(rotate_key(place, key, Operator(None)))
        asyncio.run(write(place.root, 2))
        assert verify(place, first).verdict is Verdict.OK
        asyncio.run(rotate_key(place, key, Operator(None)))
        asyncio.run(write(place.root, 2))
        assert verify(place, first).verdict is Verdict.OK
        assert not key.with_name("log-key.pem.next").exists()
