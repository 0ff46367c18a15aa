"""People, outside the log: a pseudonym and a key for each."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from fleet.audit.pseudonyms import Subjects
from fleet.errors import AuditError


class TestSubjects:
    def test_a_person_keeps_the_pseudonym(self, tmp_path: Path) -> None:
        """In later runs too, whoever else is in them; and it can be shown to those who may know."""
        store = Subjects(tmp_path / "subjects.sqlite")
        first = store.of(dict.fromkeys(["anna.keller"]))["anna.keller"]
        store.close()
        store = Subjects(tmp_path / "subjects.sqlite")
        assert store.of(dict.fromkeys(["brian.walsh", "anna.keller"]))["anna.keller"] == first
        assert store.everybody()["anna.keller"].pseudonym == first.pseudonym
        store.close()

    def test_a_pseudonym_is_random(self, tmp_path: Path) -> None:
        """The same name in another store gets another one: nobody can compute it from the name."""
        stores = [Subjects(tmp_path / f"{number}.sqlite") for number in range(2)]
        one, other = (store.of(dict.fromkeys(["anna.keller"]))["anna.keller"] for store in stores)
        assert one.pseudonym != other.pseudonym and one.key != other.key
        assert len(one.pseudonym) == 34 and one.pseudonym.startswith("s_") and len(one.key) == 32

    def test_equal_values_of_two_people_look_different(self, tmp_path: Path) -> None:
        """Each has a key of their own, and each kind of value its label."""
        people = Subjects(tmp_path / "subjects.sqlite").of(dict.fromkeys(["anna.keller", "brian.walsh"]))
        anna, brian = people["anna.keller"], people["brian.walsh"]
        assert anna.hmac("mandate", "M-1") == anna.hmac("mandate", b"M-1")
        assert len({anna.hmac("mandate", "M-1"), brian.hmac("mandate", "M-1"), anna.hmac("profile", "M-1")}) == 3

    def test_who_is_removed_comes_back_as_somebody_else(self, tmp_path: Path) -> None:
        """What the log said of them is linked to nobody any more."""
        store = Subjects(tmp_path / "subjects.sqlite")
        before = store.of(dict.fromkeys(["anna.keller"]))["anna.keller"]
        with sqlite3.connect(tmp_path / "subjects.sqlite") as database:
            database.execute("DELETE FROM subjects WHERE employee = 'anna.keller'")
        assert store.everybody() == {}
        after = store.of(dict.fromkeys(["anna.keller"]))["anna.keller"]
        assert after.pseudonym != before.pseudonym and after.key != before.key

    def test_the_store_is_private(self, tmp_path: Path) -> None:
        """It alone says who is who."""
        Subjects(tmp_path / "subjects.sqlite").of(dict.fromkeys(["anna.keller"]))
        assert stat.S_IMODE((tmp_path / "subjects.sqlite").stat().st_mode) == 0o600

    def test_an_older_sqlite_can_read_it(self, tmp_path: Path) -> None:
        """RHEL 9 has 3.34: nothing in the file needs a newer one, and wrong types are refused all the same."""
        store = Subjects(tmp_path / "subjects.sqlite")
        store.close()
        with sqlite3.connect(tmp_path / "subjects.sqlite") as database:
            schemas = database.execute("SELECT sql FROM sqlite_master WHERE type = 'table'").fetchall()
            assert schemas and not any("STRICT" in schema for (schema,) in schemas)  # came with 3.37
            for row in ((b"anna", "s_1", b"key", None), ("anna", b"s_1", b"key", None), ("anna", "s_1", "key", None)):
                with pytest.raises(sqlite3.IntegrityError, match="CHECK constraint failed"):
                    database.execute("INSERT INTO subjects VALUES (?, ?, ?, ?)", row)

    def test_a_store_of_before_goes_on(self, tmp_path: Path) -> None:
        """Those that were made with STRICT keep everybody, and take on who is new."""
        with sqlite3.connect(tmp_path / "subjects.sqlite") as database:
            database.execute(
                "CREATE TABLE subjects"
                " (employee TEXT PRIMARY KEY, pseudonym TEXT NOT NULL UNIQUE, key BLOB NOT NULL, locale TEXT) STRICT"
            )
            database.execute("INSERT INTO subjects VALUES ('anna.keller', 's_1', x'00', 'de')")
        store = Subjects(tmp_path / "subjects.sqlite")
        assert store.of({"anna.keller": "fr", "brian.walsh": None})["anna.keller"].pseudonym == "s_1"
        assert set(store.everybody()) == {"anna.keller", "brian.walsh"}
        store.close()

    def test_a_store_that_needs_a_newer_sqlite_says_so(self, tmp_path: Path) -> None:
        """And not that the disk is full."""
        path = tmp_path / "subjects.sqlite"
        Subjects(path).close()
        with sqlite3.connect(path) as database:
            # What this SQLite does not know, as older ones do not know STRICT.
            database.execute("PRAGMA writable_schema = ON")
            database.execute("UPDATE sqlite_master SET sql = sql || ' NEWER' WHERE type = 'table'")
        with pytest.raises(AuditError, match=r"SQLite [0-9.]+ is too old for it: give this Python 3\.37 or newer"):
            Subjects(path)

    @pytest.mark.parametrize("content", [b"no database, " * 100, None])
    def test_a_store_that_cannot_be_used_is_said_in_a_sentence(self, tmp_path: Path, content: bytes | None) -> None:
        """Damaged, or a folder in its place: the run does not begin."""
        path = tmp_path / "subjects.sqlite"
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
        with pytest.raises(AuditError, match=r"subjects\.sqlite cannot be opened"):
            Subjects(path)
