"""docs/records.md says what the code writes: neither may change without the other."""

from __future__ import annotations

import hashlib
import hmac
import re

import pytest

from fleet.audit import records
from fleet.audit.subjects import Subject
from fleet.model import Outcome, Reason
from tests.conftest import ROOT

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
