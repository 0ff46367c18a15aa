"""A log of a million records: written by eight at a time, verified, opened, proved.

Each step is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fleet.audit import records
from fleet.audit.keys import create_keys, read_keys, read_signing_key
from fleet.audit.log import AuditLog
from fleet.audit.proof import Prover
from fleet.audit.verify import Verdict, verify
from fleet.paths import AuditDir, make_private_dir

RECORDS = int(os.environ.get("BENCH_RECORDS", "1000000"))
WRITERS = 8
UNDER_WAY = 64
"""Records of each writer that wait for the disk at once: those of one account's visit, some accounts at a time."""
FIELDS = {
    "subject": "s_0123456789abcdef0123456789abcdef",
    "service": "linkedin",
    "control": "ai_training",
    "outcome": "opted_out",
    "reason": None,
    "before": "in",
    "after": "out",
    "read_back": True,
    "duration_ms": 4321,
    "evidence": "0123456789abcdef" * 4,
    "http_status": 200,
    "refused_hosts": [],
    "worker": None,
    "label": None,
}


def open_log(places: AuditDir) -> AuditLog:
    return AuditLog(places, "bench", read_signing_key(places, places.root.parent / "log-key.pem"))


async def _append(places: AuditDir, count: int, under_way: int) -> None:
    log = open_log(places)

    async def writer() -> None:
        for _ in range(count // WRITERS // under_way):
            await asyncio.gather(*(log.append(records.CONTROL_FINISHED, "bench", **FIELDS) for _ in range(under_way)))

    await asyncio.gather(*(writer() for _ in range(WRITERS)))
    log.close()


def append(places: AuditDir) -> int:
    asyncio.run(_append(places, RECORDS, UNDER_WAY))
    return RECORDS


def append_singly(places: AuditDir) -> int:
    count = RECORDS // 10
    asyncio.run(_append(places, count, 1))
    return count


def check(places: AuditDir) -> int:
    found = verify(places, read_keys(places.vkey))
    assert found.verdict is Verdict.OK, found.findings
    return found.records


def reopen(places: AuditDir) -> int:
    open_log(places).close()
    return 1


def prove(places: AuditDir) -> int:
    Prover(places, read_keys(places.vkey)).prove(RECORDS // 3)
    return 1


def read_only(places: AuditDir) -> int:
    """The rival of `verify`: Python's own json over the same lines, and nothing else."""
    count = 0
    for path in sorted(places.log.glob("*.jsonl")):
        with path.open("rb") as lines:
            for line in lines:
                json.loads(line)
                count += 1
    return count


STEPS: dict[str, tuple[Callable[[AuditDir], int], str, float | None]] = {
    "append, 64 under way": (append, "records/s", 20_000),
    "append, one at a time": (append_singly, "records/s", None),
    "json.loads alone": (read_only, "records/s", None),
    "verify": (check, "records/s", 150_000),
    "open for writing": (reopen, "s", 2.0),
    "prove one record": (prove, "s", None),
}


def step(name: str, folder: str) -> None:
    """In a process of its own: what was done, how long it took, and the peak of memory."""
    places = AuditDir(Path(folder) / "audit")
    began = time.perf_counter()
    count = STEPS[name][0](places)
    seconds = time.perf_counter() - began
    print(json.dumps([count, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024]))


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="fleet-bench-"))
    places = AuditDir(folder / "audit")
    make_private_dir(places.root)
    create_keys(places, folder / "log-key.pem")
    print(f"audit log, {RECORDS:,} records, {WRITERS} writers")
    try:
        for name, (_, unit, goal) in STEPS.items():
            done = subprocess.run(
                [sys.executable, "-c", f"from bench.audit import step; step({name!r}, {str(folder)!r})"],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                sys.exit(f"{name} failed:\n{done.stderr}")
            count, seconds, memory = json.loads(done.stdout)
            figure = f"{count / seconds:12,.0f}" if unit == "records/s" else f"{seconds:12.2f}"
            wanted = "" if goal is None else f"  (goal: {'at least' if unit != 's' else 'under'} {goal:,g})"
            print(f"  {name:22} {figure} {unit:9} {memory:5} MB{wanted}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
