"""The one JSON object of `--output json`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from fleet.agent.protocol import result_fields
from fleet.model import count_outcomes
from fleet.next_steps import next_step
from fleet.run.execute import RunReport

VERSION = 1


def envelope(report: RunReport, service_names: Mapping[str, str]) -> str:
    """The report as one line of JSON, also when the run failed before it began."""
    results = [
        result_fields(result, next_step(result, service_names.get(result.service or ""))) for result in report.results
    ]
    return json.dumps(
        {
            "version": VERSION,
            "run_id": report.run_id,
            "check": report.check,
            "started_at": report.started_at,
            "finished_at": report.finished_at,
            "counts": count_outcomes(report.results),
            "results": results,
            "exit_code": report.exit_code,
            "errors": report.errors,
        },
        ensure_ascii=False,
    )
