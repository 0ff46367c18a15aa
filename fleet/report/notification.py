"""The notification about a run: counts from its report and from the log."""

from __future__ import annotations

from contextlib import suppress

from fleet.audit.current_state import current_states
from fleet.audit.segments import of_kind, read_records
from fleet.errors import FleetError
from fleet.model import count_outcomes
from fleet.notify.notification import Event, Notification
from fleet.paths import AuditDir
from fleet.report.drift import of_run
from fleet.run.run_report import RunReport


def run_notice(report: RunReport, places: AuditDir | None, *, rehearsal: bool) -> Notification | None:
    """Return the notification of a run that ended or failed to begin; None if there was nothing to do.

    `places` holds the run's log.
    """
    if not report.results and not report.errors:
        return None
    drifted = not_looked_at = None
    if report.started_at and report.run_id and places is not None:
        with suppress(FleetError):  # an unreadable log was reported as an error already
            drifted, not_looked_at = of_run(
                current_states(of_kind(read_records(places.log), rehearsal=rehearsal)).values(), report.run_id
            )
    return Notification(
        Event.RUN_ENDED if report.started_at else Event.RUN_NOT_BEGUN,
        report.exit_code,
        report.meaning,
        report.run_id,
        report.check,
        count_outcomes(report.results),
        drifted,
        not_looked_at,
    )
