"""`fleet audit verify`: whether the log is complete and matches its signatures."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from fleet.audit.anchors import read_anchors
from fleet.audit.keys import read_keys
from fleet.audit.segments import SEGMENT_RECORDS, segments
from fleet.audit.verify import Verdict, Verification
from fleet.audit.verify import verify as check
from fleet.commands.options import BESIDE, OUTPUT, REHEARSAL, STATE, Output, people, screen, settings_of, with_log
from fleet.errors import InputError
from fleet.model import counted
from fleet.paths import AuditDir
from fleet.report.envelope import Answer
from fleet.report.table import plain

SAYS = {
    Verdict.OK: "OK: all records are present and match their signatures.",
    Verdict.UNSIGNED_TAIL: "UNSIGNED TAIL: signed records are intact; no checkpoint covers the newest records yet.",
    Verdict.TORN_TAIL: "TORN TAIL: signed records are intact. The last write was cut short; the next run moves it "
    "to torn/.",
    Verdict.UNKNOWN_KEY: "UNKNOWN KEY: a checkpoint is signed with a key this log never used.",
    Verdict.GAP: "GAP: records are missing from the middle.",
    Verdict.TRUNCATED: "TRUNCATED: records are missing from the end.",
    Verdict.MODIFIED: "MODIFIED: the log does not match its signatures.",
    Verdict.FORK: "FORK: two different histories are signed with the same key.",
}


def verify(
    anchor: Annotated[
        list[Path] | None,
        typer.Option("--anchor", metavar="FILE", help="Checkpoint that was kept elsewhere. Repeatable."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Public key of the log, kept elsewhere.")
    ] = None,
    output: OUTPUT = Output.TEXT,
    rehearsal: REHEARSAL = False,
    inventory: BESIDE = None,
    state: STATE = None,
) -> Answer:
    """Verify every record and every checkpoint, and list the kinds of tampering that cannot be ruled out.

    Exit codes: 0 OK, 10 unsigned tail, 11 torn tail, 12 unknown key, 13 gap,
    14 truncated, 15 modified, 16 fork, 2 invalid input.
    """
    places = with_log(settings_of(inventory, state=state), rehearsal=rehearsal).state_dir.audit
    if key is None and not places.vkey.exists():
        raise InputError(f"{places.vkey} is missing; give the public key of the log with --key.")
    keys = read_keys(key or places.vkey)
    anchors = [found for path in anchor or () for found in read_anchors(path)]
    columns = (TextColumn("Checking"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=people, transient=True, disable=not people.is_terminal) as bar:
        task = bar.add_task("", total=_estimate(places))
        found = check(places, keys, anchors, lambda records: bar.advance(task, records))
    show = partial(_print, places, found, is_key_from_elsewhere=key is not None)
    return Answer(_fields(found), show, found.verdict.value)


def _estimate(places: AuditDir) -> int:
    """Estimate the number of records: that of the last segment follows from its size."""
    present = segments(places.log)
    rest = present[-1].path.stat().st_size // 400 if present and present[-1].path.exists() else 0
    return max(0, len(present) - 1) * SEGMENT_RECORDS + rest


def _print(places: AuditDir, found: Verification, *, is_key_from_elsewhere: bool) -> None:
    table = plain(Column(no_wrap=True), "", has_header=False)
    table.add_row("Log", f"{places.root}\n{found.keys[0].name}")
    pruned = f"; of the first {found.pruned:,} only the hashes remain (pruned)" if found.pruned else ""
    table.add_row("Records", f"{found.records:,}, of which {found.signed:,} signed{pruned}")
    table.add_row("Checkpoints", f"{found.checkpoints:,} checked against the records")
    table.add_row(
        "Anchors", f"{found.anchors:,}" + (f", up to record {found.anchored - 1:,}" if found.anchored else "")
    )
    if found.recovered:
        spans = ", ".join(f"{first:,} to {last:,}" for first, last in found.recovered[:5])
        table.add_row("Recovered", f"records {spans}: unsigned when the next writer found them")
    if found.set_back:
        table.add_row("Clock", f"set back before {counted(len(found.set_back), 'record')}, first {found.set_back[0]:,}")
    console = screen()
    console.print(table)
    console.print()
    console.print(SAYS[found.verdict], style="bold green" if found.verdict is Verdict.OK else "bold red")
    for finding in found.findings:
        console.print(f"- {finding.what}", soft_wrap=True)
    console.print()
    for line in _doubts(found, is_key_from_elsewhere=is_key_from_elsewhere):
        console.print(line, soft_wrap=not console.is_terminal)


def _doubts(found: Verification, *, is_key_from_elsewhere: bool) -> list[str]:
    doubts = []
    if found.anchored < found.records:
        what = f"the records after the first {found.anchored:,}" if found.anchored else "the log"
        doubts.append(
            f"This does not rule out another history of {what}: records at the end may be gone together with "
            "their checkpoints, or rewritten by someone with the signing key. Only a checkpoint kept elsewhere rules "
            "that out (--anchor)."
        )
    if found.recovered:
        doubts.append(
            "Recovered records may be left from a crash or added by someone: nothing proves what they "
            "were before the next writer signed them."
        )
    if not is_key_from_elsewhere:
        doubts.append("The public key was read from the log's folder; write access allows replacing both (--key).")
    return doubts


def _fields(found: Verification) -> dict[str, Any]:
    return {
        "verdict": found.verdict.name.lower(),
        "origin": found.keys[0].name,
        "records": found.records,
        "signed": found.signed,
        "anchored": found.anchored,
        "pruned": found.pruned,
        "checkpoints": found.checkpoints,
        "anchors": found.anchors,
        "recovered": found.recovered,
        "set_back": found.set_back,
        "findings": [{"verdict": one.verdict.name.lower(), "what": one.what} for one in found.findings],
    }
