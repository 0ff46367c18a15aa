"""The one JSON object of `--output json`."""

from __future__ import annotations

import json

from fleet.agent.protocol import result_fields
from fleet.model import count_outcomes
from fleet.run.execute import RunReport

VERSION = 1


def envelope(report: RunReport) -> str:
    """The report as one line of JSON, also when the run failed before it began."""
    return json.dumps(
        {
            "version": VERSION,
            "run_id": report.run_id,
            "check": report.check,
            "started_at": report.started_at,
            "finished_at": report.finished_at,
            "counts": count_outcomes(report.results),
            "results": list(map(result_fields, report.results)),
            "exit_code": report.exit_code,
            "errors": report.errors,
        },
        ensure_ascii=False,
    )
