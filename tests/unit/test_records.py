"""docs/records.md says what the code writes: neither may change without the other."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleet.audit import records
from fleet.audit.keys import read_keys
from fleet.audit.pseudonyms import Subject
from fleet.audit.segments import read_records
from fleet.audit.verify import verify
from fleet.errors import AuditError
from fleet.model import Outcome, Reason
from fleet.paths import AuditDir
from tests.conftest import ROOT
from tests.logs import FINISHED, STARTED, log_path, open_log, write

DOCUMENT = (ROOT / "docs" / "records.md").read_text("utf-8")


def section(heading: str) -> str:
    """What stands under a heading, up to the next one of any level."""
    [text] = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    return str(text)


def named_in(heading: str) -> list[str]:
    """The names in the first column of a section's table."""
    return re.findall(r"^\| `([^`|]+)` \|", section(heading), re.MULTILINE)


class TestDocument:
    def test_each_event_has_a_section_and_nothing_else_has(self) -> None:
        """In the order in which a run writes them."""
        assert re.findall(r"^### `(.+)`$", DOCUMENT, re.MULTILINE) == list(records.FIELDS)

    @pytest.mark.parametrize("event", records.FIELDS)
    def test_each_field_is_described_once_and_no_other_is(self, event: str) -> None:
        """The section's table has exactly the fields of the allow-list."""
        assert sorted(named_in(f"`{event}`")) == sorted(records.FIELDS[event])

    def test_the_fields_of_every_record_are_described(self) -> None:
        """The common ones have a table of their own."""
        assert sorted(named_in("Every record")) == sorted(records.COMMON)

    def test_each_outcome_and_each_reason_is_described(self) -> None:
        """In the order of the code, none missing, none invented."""
        assert named_in("Outcomes") == [outcome.value for outcome in Outcome]
        assert named_in("Reasons") == [reason.value for reason in Reason]

    def test_a_reason_stands_with_outcomes_that_exist(self) -> None:
        """The second column of the reasons names outcomes only, and at least one."""
        rows = re.findall(r"^\| `\w+` \| (.+?) \|", section("Reasons"), re.MULTILINE)
        assert len(rows) == len(Reason)
        assert {name.strip("`") for row in rows for name in row.split(", ")} <= {outcome.value for outcome in Outcome}

    def test_version_and_length_are_those_of_the_code(self) -> None:
        """The document is about the version that is written."""
        assert f"version {records.SCHEMA_VERSION}" in DOCUMENT
        assert f"at most {records.MAX_LINE_BYTES:,} bytes" in DOCUMENT

    def test_an_hmac_is_made_as_described(self) -> None:
        """A reader without our code gets the same digits; the expected ones are those of openssl."""
        key = bytes(range(32))
        ours = Subject("s_0", key).hmac("mandate", "M-2026-001")
        assert ours == hmac.new(key, b"mandate\0" + b"M-2026-001", hashlib.sha256).hexdigest()
        assert ours == "4babb19eb8fb78518d3d465824cf602574f88511d4a4a992651a03e2b2df8ed7"


def written(event: str, fields: dict[str, Any], **changed: Any) -> bytes:
    """A record as it is written today, without its LF, with common fields changed."""
    record = json.loads(records.render(0, event, "r1", fields)) | changed
    return json.dumps(record, separators=(",", ":")).encode()


class TestVersions:
    """Records keep the version that they were written with, and a newer log is refused with a sentence."""

    @pytest.mark.parametrize(
        ("event", "fields", "later"),
        [
            (
                records.RUN_STARTED,
                STARTED,
                {
                    "sandbox_accepted_by": None,
                    "terms_accepted": {},
                    "personal_sessions": {},
                    "attestations_accepted": {},
                    "closed_accepted": False,
                    "assurance_required": None,
                    "attended": False,
                },
            ),
            (records.CONTROL_FINISHED, FINISHED, {"label": None, "attested_on": None, "attended": False}),
        ],
    )
    def test_a_record_of_version_1_is_read_with_what_came_later(
        self, event: str, fields: dict[str, Any], later: dict[str, Any]
    ) -> None:
        """It lacks the later fields, which are read as nothing; one that has them is not of version 1."""
        old = {name: value for name, value in fields.items() if name not in later}
        record = json.loads(written(event, fields)) | {"v": 1}
        assert records.parse(json.dumps(record).encode()) is None
        for name in later:
            del record[name]
        assert records.parse(json.dumps(record).encode()) == record | old | later

    def test_a_record_of_today_must_have_all_fields(self) -> None:
        """What an older version may lack, this one may not."""
        record = json.loads(written(records.CONTROL_FINISHED, FINISHED))
        del record["label"]
        assert records.parse(json.dumps(record).encode()) is None

    def test_what_came_later_is_described_as_such(self) -> None:
        """The table under Versions has each field that a version added."""
        rows = re.findall(r"^\| (\d+) \| `([a-z._]+)` \| (.+?) \|", section("Versions"), re.MULTILINE)
        described = {
            (int(version), event, name.strip("` ")) for version, event, names in rows for name in names.split(",")
        }
        assert described == {
            (version, event, name)
            for version, events in records.ADDED.items()
            for event, fields in events.items()
            for name in fields
        }

    def test_what_is_new_in_a_record_raises_the_version(self) -> None:
        """A new outcome, reason, event or field: an earlier version must say "update", not "the log was changed"."""
        fields = {event: sorted(kinds) for event, kinds in records.FIELDS.items()}
        content = json.dumps([sorted(Outcome), sorted(Reason), fields], sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        assert (records.SCHEMA_VERSION, digest) == (5, "292a7c46bcfcb5f3"), (
            "raise SCHEMA_VERSION, then change this pair"
        )

    @pytest.mark.parametrize(
        "attempt",
        [
            lambda folder: list(read_records(folder / "log")),
            lambda folder: open_log(folder),
            lambda folder: verify(AuditDir(folder), read_keys(AuditDir(folder).vkey)),
        ],
        ids=["read", "continue", "verify"],
    )
    def test_a_newer_log_is_refused_with_a_sentence(self, tmp_path: Path, attempt: Callable[[Path], object]) -> None:
        """Whether it is read, continued or verified: nothing in it is guessed at, and nothing is written to it."""
        folder = tmp_path / "audit"
        asyncio.run(write(folder, 2))
        newer = written(records.CONTROL_FINISHED, FINISHED, v=6, seq=2, whatever=[1])
        with log_path(folder).open("ab") as file:
            file.write(newer + b"\n")
        before = log_path(folder).read_bytes()
        with pytest.raises(
            AuditError, match="holds records of version 6, and this Fleet Opt-Out reads versions up to 5"
        ):
            attempt(folder)
        assert log_path(folder).read_bytes() == before
