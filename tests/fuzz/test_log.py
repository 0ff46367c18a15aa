"""Log lines: what a stranger, a bad disk or another program has left in the files of the audit log."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from fleet.audit import records
from fleet.audit.checkpoints import sizes
from fleet.audit.close_run import close_open_run
from fleet.audit.current_state import current_states
from fleet.audit.export import Format, export
from fleet.audit.keys import read_keys, read_signing_key
from fleet.audit.recovery import recover
from fleet.audit.run_state import RunState
from fleet.audit.segment_writer import SegmentWriter
from fleet.audit.segments import Segment, read_last_run, read_lines, read_records
from fleet.audit.verify import Verdict, verify
from fleet.commands.audit.show import Known, _words
from fleet.errors import AuditError
from fleet.paths import AuditDir
from tests.fuzz.cases import altered, fuzz, mutated, texts, values
from tests.logs import FINISHED, INTENDED, STARTED, open_log

PLANNED = {
    "subject": "s_1",
    "planned": [["linkedin", "ai_training"], [None, None]],
    "authority": "mandate",
    "mandate_hmac": "0",
}
ENDED = {"counts": {"opted_out": 1}, "stopped": None, "exit_code": 0}
OF_THE_LOG = {
    records.LOG_RECOVERED: {"bytes": 3, "sha256": "0", "unsigned": 1},
    records.LOG_HEARTBEAT: {"operator": 0, "operator_claimed": None},
    records.LOG_PRUNED: {"operator": 0, "operator_claimed": None, "before": 1, "keys": []},
    records.MANDATE_MET: {
        "subject": "s_1",
        "mandate_hmac": "0",
        "services": ["linkedin"],
        "granted_on": "2026-01-01",
        "expires_on": "2027-01-01",
        "revoked_on": None,
        "assurance": "claimed",
    },
    records.SUBJECT_ERASED: {"operator": 0, "operator_claimed": None, "subject": "s_1", "sessions": 1, "evidence": 0},
}
WRITTEN: list[tuple[str, str | None, dict[str, Any]]] = [
    (records.RUN_STARTED, "r1", STARTED),
    (records.RUN_PLANNED, "r1", PLANNED),
    (records.CONTROL_INTENDED, "r1", INTENDED),
    (records.CONTROL_FINISHED, "r1", FINISHED),
    (records.RUN_FINISHED, "r1", ENDED),
    *((event, None, fields) for event, fields in OF_THE_LOG.items()),
    (records.RUN_STARTED, "r2", STARTED),
    (records.RUN_PLANNED, "r2", PLANNED),
]
CONTENT = [records.render(seq, *one).removesuffix(b"\n") for seq, one in enumerate(WRITTEN)]
"""A whole run, what else there is, and a run that has not ended: of that nothing is signed."""
SIGNED = len(CONTENT) - 2
DECODED = [json.loads(line) for line in CONTENT]
PLACE = Path(tempfile.gettempdir()) / f"fuzz-log-{os.getpid()}" / "audit"
"""One log for all cases: one each would cost more than what is tested."""


@pytest.fixture(scope="module", autouse=True)
def _log() -> Iterator[None]:
    PLACE.parent.mkdir()
    open_log(PLACE).close()
    places = AuditDir(PLACE)
    key = read_signing_key(places, PLACE.parent / "log-key.pem")
    tail = SegmentWriter(places, [key], recover(places, key.verifier))
    tail.append([line + b"\n" for line in CONTENT[:SIGNED]])
    tail.sign()
    tail.close()
    lay_lines(CONTENT)
    yield
    shutil.rmtree(PLACE.parent)


def lay_lines(lines: list[bytes]) -> None:
    """Make these the lines of the log."""
    Segment(PLACE / "log", 0).path.write_bytes(b"".join(line + b"\n" for line in lines))


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


changed_lines = st.sampled_from(DECODED).flatmap(altered).map(_dumped)
any_lines = (
    changed_lines
    | st.sampled_from(DECODED).map(_dumped)
    | st.sampled_from([line.decode() for line in CONTENT])
    .flatmap(mutated)
    .map(lambda text: text.encode("utf-8", "replace"))
    | values.map(_dumped)
    | texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.binary(max_size=30)
    | st.sampled_from([b"[" * 5000, b'{"seq":0,"at":' * 2000, b"x" * 9000, b"", b"\0" * 50])
)


@st.composite
def logs(draw: st.DrawFn) -> list[bytes]:
    """The log with some of its lines changed, taken out, doubled or moved; or no line of it at all."""
    lines, way = list(CONTENT), draw(st.integers(0, 5))
    if way == 0:
        return draw(st.lists(any_lines, max_size=5))
    if way < 4:  # one value of one field, all else being as it should
        at = draw(st.integers(0, len(lines) - 1))
        lines[at] = _dumped({**DECODED[at], draw(st.sampled_from(sorted(DECODED[at]))): draw(values)})
        return lines
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(lines) - 1))
        action = draw(st.sampled_from(["change", "change", "take", "add", "swap"]))
        if action == "change":
            lines[at] = _dumped(draw(altered(DECODED[at]))) if at < len(DECODED) else draw(any_lines)
        elif action == "take" and len(lines) > 1:
            del lines[at]
        elif action == "add":
            lines.insert(at, draw(any_lines))
        else:
            lines[0], lines[at] = lines[at], lines[0]
    return lines


def read_everything() -> None:
    """All that our commands make of records."""
    everything = list(read_lines(PLACE / "log"))
    for form in Format:
        list(export(form, everything, "origin", {"s_1": "anna"}))
    current_states(record for _, record in everything)
    known = Known({"s_1": "anna"}, {}, PLACE / "evidence", frozenset())
    for _, record in everything:
        assert all(isinstance(word, str) for word in _words(record, known))
    runs = {record["run"] for _, record in everything} | {
        record["run"] for record in read_last_run(PLACE / "log", rehearsal=None)
    }
    for run in runs:
        run_state = RunState.replay(run, read_records(PLACE / "log"))
        run_state.results({"s_1": "anna"})
        run_state.count()


@fuzz(1500, CONTENT, CONTENT[::-1], case=logs())
def test_a_log_with_strange_lines_is_verified_and_read_or_refused(case: list[bytes]) -> None:
    """No signed record is changed unseen; what is read can be shown, counted and exported, and all else is refused."""
    lay_lines(case)
    places = AuditDir(PLACE)
    found = verify(places, read_keys(places.vkey))
    is_whole = case[:SIGNED] == CONTENT[:SIGNED]
    assert (found.signed == SIGNED) is is_whole
    assert is_whole or found.verdict.value >= Verdict.GAP.value
    try:
        read_everything()
    except AuditError as error:
        assert "\n" not in str(error)


async def _open_and_close() -> None:
    log = open_log(PLACE)
    try:
        await close_open_run(PLACE / "log", log)
    finally:
        log.close()


@fuzz(200, [], [b"[" * 5000], case=st.lists(any_lines, max_size=3))
def test_a_writer_goes_on_after_records_alone(case: list[bytes]) -> None:
    """What stands behind the signed records is taken over if it is a record, and else nothing is written any more."""
    lay_lines(CONTENT + case)
    places = AuditDir(PLACE)
    kept = PLACE.with_name("kept")
    shutil.copytree(PLACE, kept)
    try:
        asyncio.run(_open_and_close())
    except AuditError:
        assert max(sizes(places.checkpoints)) == SIGNED
    else:
        assert verify(places, read_keys(places.vkey)).verdict is Verdict.OK
        read_everything()
    finally:
        shutil.rmtree(PLACE)
        kept.rename(PLACE)
