"""The results of a run for `fleet run --output json`."""

from __future__ import annotations

from typing import Any

from fleet.agent.protocol import result_fields
from fleet.model import Outcome, count_outcomes
from fleet.run.run_report import RunReport


def report_fields(report: RunReport) -> dict[str, Any]:
    """Return a run's fields beside exit code and errors, also for a run that failed before it began."""
    return {
        "run_id": report.run_id,
        "check": report.check,
        "started_at": report.started_at,
        "finished_at": report.finished_at,
        "fail_on": [outcome for outcome in Outcome if outcome in report.fail_on],
        "counts": count_outcomes(report.results),
        "results": list(map(result_fields, report.results)),
    }
