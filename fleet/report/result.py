"""The results of a run as `fleet run --output json` has them."""

from __future__ import annotations

from typing import Any

from fleet.agent.protocol import result_fields
from fleet.model import Outcome, count_outcomes
from fleet.run.run_report import RunReport


def report_fields(report: RunReport) -> dict[str, Any]:
    """What the object says of a run beside its exit code and errors, also of one that failed before it began."""
    return {
        "run_id": report.run_id,
        "check": report.check,
        "started_at": report.started_at,
        "finished_at": report.finished_at,
        "fail_on": [outcome for outcome in Outcome if outcome in report.fail_on],
        "counts": count_outcomes(report.results),
        "results": list(map(result_fields, report.results)),
    }
