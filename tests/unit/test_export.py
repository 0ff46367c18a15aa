"""Exports: valid in the schema of the other side, without personal values unless they are asked for."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from fleet.audit import records
from fleet.audit.export import Format, export
from fleet.audit.segments import read_lines
from fleet.audit.tree import leaf_hash
from fleet.model import Outcome
from tests.logs import FINISHED, INTENDED, STARTED, open_log

SCHEMA = json.loads((Path(__file__).parent / "vectors" / "ocsf-1.8.0.json").read_text())
CLASSES = {2003: "compliance_finding", 3004: "entity_management", 6002: "application_lifecycle"}
PLANNED = {"subject": "s_1", "planned": [["linkedin", "ai_training"]], "authority": None, "mandate_hmac": None}
ACT = {"operator": 1000, "operator_claimed": "ops"}
OTHERS = [
    (records.LOG_RECOVERED, {"bytes": None, "sha256": None, "unsigned": 3}),
    (records.LOG_HEARTBEAT, ACT),
    (records.LOG_KEY_ROTATED, ACT | {"vkey": "name+id+key"}),
    (records.LOG_PRUNED, ACT | {"before": 3, "keys": ["name+id+key"]}),
    (
        records.DATA_EXPIRED,
        ACT | {"pictures_days": 90, "tokens_days": None, "pictures": 2, "tokens": 0, "acts": 0},
    ),
    (records.SUBJECT_ERASED, ACT | {"subject": "s_1", "sessions": 1, "evidence": 1}),
    (records.SUBJECT_ERASED, ACT | {"subject": None, "sessions": 1, "evidence": 0}),
    (
        records.MANDATE_MET,
        {
            "subject": "s_1",
            "mandate_hmac": "0",
            "services": ["linkedin"],
            "granted_on": "2026-01-01",
            "expires_on": "2026-12-31",
            "revoked_on": None,
            "assurance": "claimed",
        },
    ),
    (records.MANDATE_REVOKED, {"subject": "s_1", **ACT, "reference_hmac": "0", "revoked_on": "2026-03-01"}),
    (
        records.MANDATE_REVOKED,
        {
            "operator": None,
            "operator_claimed": None,
            "subject": None,
            "reference_hmac": None,
            "revoked_on": "2026-03-01",
        },
    ),
    (records.MANDATE_RENEWED, {"subject": "s_1", **ACT, "reference_hmac": "0"}),
    (
        records.CONTROL_ATTESTED,
        {
            "subject": "s_1",
            "service": "linkedin",
            "control": "ai_training",
            **ACT,
            "said": "switched",
            "attested_on": "2026-03-01",
            "assurance": "oidc_session",
        },
    ),
    (
        records.CONTROL_CLOSED,
        {
            "subject": "s_1",
            "service": "linkedin",
            "control": "ai_training",
            **ACT,
            "closed_on": "2026-03-01",
        },
    ),
    (
        records.MANDATE_GIVEN,
        {
            "subject": "s_1",
            **ACT,
            "mandate_hmac": "0",
            "controls": ["linkedin.ai_training"],
            "granted_on": "2026-03-01",
            "expires_on": "2027-03-01",
            "assurance": "oidc",
            "issuer": "https://sso.example.com",
            "token_hmac": "0",
            "key_thumbprint": "0",
            "text_sha256": "0",
            "text_version": "1",
            "language": "en",
        },
    ),
    (
        records.NOTICE_SENT,
        {"subject": "s_1", **ACT, "kind": "first", "sent_on": "2026-03-01"},
    ),
    (records.NAMES_SHOWN, ACT | {"command": "audit receipt", "subject": "s_1", "people": 1}),
    (records.NAMES_SHOWN, ACT | {"command": "report", "subject": None, "people": 500}),
    (records.EMPLOYEE_RENAMED, {"subject": "s_1", **ACT, "old_hmac": "0", "new_hmac": "1"}),
    (records.SESSION_CAPTURED, {"subject": "s_1", **ACT, "service": "linkedin"}),
    (records.SERVICE_STOPPED, {"service": "linkedin", **ACT, "reference": None, "stopped_on": "2026-03-01"}),
    (records.SERVICE_STARTED, {"service": "linkedin", **ACT, "reference": "OPS-7"}),
    (
        records.SPOT_CHECK_DRAWN,
        {"among": 20, "drawn": 5, **ACT},
    ),
    (
        records.SPOT_CHECK_ENDED,
        {"checked": 4, "wrong": 1, **ACT},
    ),
    (
        records.SUBMISSION_RECORDED,
        {"service": "linkedin", "control": None, "confirmation_sha256": "0", **ACT, "reference": None},
    ),
]


@pytest.fixture
async def lines(tmp_path: Path) -> list[tuple[bytes, dict[str, Any]]]:
    """A log with every event and every outcome."""
    log = open_log(tmp_path / "audit")
    await log.append(records.RUN_STARTED, "r1", **STARTED)
    await log.append(records.RUN_PLANNED, "r1", **PLANNED)
    await log.append(records.CONTROL_INTENDED, "r1", **INTENDED)
    for outcome in Outcome:
        after = "in" if outcome is Outcome.NOT_SAVED else None
        await log.append(records.CONTROL_FINISHED, "r1", **(FINISHED | {"outcome": outcome, "after": after}))
    await log.append(records.CONTROL_FINISHED, "r1", **(FINISHED | {"service": None, "control": None}))
    await log.append(records.RUN_FINISHED, "r1", counts={"opted_out": 1}, stopped=None, exit_code=0)
    for event, fields in OTHERS:
        await log.append(event, None, **fields)
    log.close()
    return list(read_lines(tmp_path / "audit" / "log"))


def test_every_event_is_among_them(lines: list[tuple[bytes, dict[str, Any]]]) -> None:
    """What is tested below is tested for all."""
    assert {record["event"] for _, record in lines} == set(records.FIELDS)


class TestJsonl:
    def test_lines_are_those_of_the_log(self, lines: list[tuple[bytes, dict[str, Any]]]) -> None:
        """Byte for byte, so that a proof fits them."""
        assert [text.encode() for text in export(Format.JSONL, lines, "log", {})] == [line + b"\n" for line, _ in lines]

    def test_a_name_is_added_where_it_is_asked_for(self, lines: list[tuple[bytes, dict[str, Any]]]) -> None:
        """To the records that are about somebody."""
        named = [json.loads(text) for text in export(Format.JSONL, lines, "log", {"s_1": "anna.keller"})]
        assert {record.get("employee") for record in named if record.get("subject")} == {"anna.keller"}


class TestCsv:
    def test_every_field_is_a_column(self, lines: list[tuple[bytes, dict[str, Any]]]) -> None:
        """One row for each record, read back by Python's own reader."""
        rows = list(csv.DictReader(io.StringIO("".join(export(Format.CSV, lines, "log", {})))))
        assert len(rows) == len(lines)
        for row, (_, record) in zip(rows, lines, strict=True):
            assert set(row) == {*records.COMMON, *(field for fields in records.FIELDS.values() for field in fields)}
            assert row["seq"] == str(record["seq"]) and row["event"] == record["event"]
            assert row["outcome"] == record.get("outcome", "")
        assert rows[1]["planned"] == '[["linkedin","ai_training"]]'

    @pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
    def test_no_name_is_a_formula(self, lines: list[tuple[bytes, dict[str, Any]]], name: str) -> None:
        """A spreadsheet shows it as text."""
        rows = list(csv.DictReader(io.StringIO("".join(export(Format.CSV, lines, "log", {"s_1": name})))))
        assert rows[1]["employee"] == "'" + name.replace("\t", " ")


def problems(value: dict[str, Any], kind: dict[str, Any], where: str) -> list[str]:
    """What the schema has against a value: required and unknown attributes, types, enumerated values."""
    found = [f"{where}.{name} is required" for name in kind["required"] if name not in value]
    if kind["at_least_one"] and not set(kind["at_least_one"]) & set(value):
        found.append(f"{where} needs one of {kind['at_least_one']}")
    for name, each in value.items():
        attribute = kind["attributes"].get(name)
        if attribute is None:
            found.append(f"{where}.{name} is unknown")
            continue
        for one in each if attribute.get("is_array") else [each]:
            if attribute.get("object", "object") != "object":
                inner = SCHEMA["objects"].get(attribute["object"])
                found += problems(one, inner, f"{where}.{name}") if inner else [f"{where}.{name}: no vector"]
            elif "enum" in attribute and str(one) not in attribute["enum"]:
                found.append(f"{where}.{name} cannot be {one}")
            elif attribute["type"] in ("integer_t", "long_t", "timestamp_t") and type(one) is not int:
                found.append(f"{where}.{name} is no number")
            elif attribute["type"] == "string_t" and type(one) is not str:
                found.append(f"{where}.{name} is no text")
    return found


class TestOcsf:
    def test_every_event_is_valid(self, lines: list[tuple[bytes, dict[str, Any]]]) -> None:
        """By the published schema: required attributes there, no unknown ones, values among those enumerated."""
        for names in ({}, {"s_1": "anna.keller"}):
            for text in export(Format.OCSF, lines, "log", names):
                event = json.loads(text)
                assert problems(event, SCHEMA["classes"][CLASSES[event["class_uid"]]], "event") == []
                assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
                assert event["category_uid"] == event["class_uid"] // 1000

    def test_a_planted_mistake_is_found(self, lines: list[tuple[bytes, dict[str, Any]]]) -> None:
        """The check above can fail."""
        [event, *_] = [json.loads(text) for text in export(Format.OCSF, lines, "log", {})]
        kind = SCHEMA["classes"][CLASSES[event["class_uid"]]]
        wrong = {**event, "severity_id": 77, "hello": 1, "time": "now"}
        del wrong["app"]
        assert sorted(problems(wrong, kind, "event")) == [
            "event.app is required",
            "event.hello is unknown",
            "event.severity_id cannot be 77",
            "event.time is no number",
        ]

    def test_the_line_and_its_digest_are_in_it(self, lines: list[tuple[bytes, dict[str, Any]]]) -> None:
        """So that whoever has only the SIEM can still compare."""
        for text, (line, record) in zip(export(Format.OCSF, lines, "log", {}), lines, strict=True):
            event = json.loads(text)
            assert event["raw_data"].encode() == line
            assert event["raw_data_hash"]["value"] == hashlib.sha256(line).hexdigest()
            assert event["metadata"]["sequence"] == record["seq"]

    def test_only_what_was_read_out_passes(self, lines: list[tuple[bytes, dict[str, Any]]]) -> None:
        """Fail is said only of what was read and is in; what nobody could read is a warning."""
        status = {}
        for text, (_, record) in zip(export(Format.OCSF, lines, "log", {}), lines, strict=True):
            if record["event"] == records.CONTROL_FINISHED:
                status.setdefault(record["outcome"], json.loads(text)["compliance"]["status_id"])
        passed = {outcome for outcome, value in status.items() if value == 1}
        assert passed == {"already_opted_out", "opted_out"}
        assert {outcome for outcome, value in status.items() if value == 3} == {"not_saved"}


class TestEcs:
    def test_the_fields_are_those_of_ecs(self, lines: list[tuple[bytes, dict[str, Any]]]) -> None:
        """With its allowed values for kind, category, type and outcome."""
        allowed = {
            "process": {"start", "end"},
            "configuration": {"change", "deletion", "info"},
            "iam": {"change", "creation", "info"},
        }
        for text, (line, record) in zip(export(Format.ECS, lines, "log", {}), lines, strict=True):
            document = json.loads(text)
            event = document["event"]
            assert document["@timestamp"] == record["at"] and event["kind"] == "event"
            [category], [type_] = event["category"], event["type"]
            assert type_ in allowed[category]
            assert event.get("outcome", "unknown") in ("success", "failure", "unknown")
            assert (event["sequence"], event["hash"]) == (record["seq"], leaf_hash(line).hex())
            assert set(document) <= {"@timestamp", "ecs", "event", "observer", "user", "fleet"}

    def test_a_duration_is_in_nanoseconds(self, lines: list[tuple[bytes, dict[str, Any]]]) -> None:
        """ECS says so."""
        [duration] = {
            json.loads(text)["event"].get("duration")
            for text, (_, record) in zip(export(Format.ECS, lines, "log", {}), lines, strict=True)
            if record["event"] == records.CONTROL_FINISHED
        }
        assert duration == 1_000_000


@pytest.mark.parametrize("form", Format)
def test_no_name_is_exported_unless_asked_for(form: Format, lines: list[tuple[bytes, dict[str, Any]]]) -> None:
    """And it is, if it is."""
    assert "anna.keller" not in "".join(export(form, lines, "log", {}))
    assert "anna.keller" in "".join(export(form, lines, "log", {"s_1": "anna.keller"}))
