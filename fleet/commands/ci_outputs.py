"""What the machines around a run read of it, beside its exit code: JUnit XML, and GitHub's summary and annotations."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import typer

from fleet.commands.options import say, write_output
from fleet.errors import InputError
from fleet.inventory.employee import Employee
from fleet.model import EXIT_TOOL_FAILED
from fleet.report.github import job_annotations, job_summary
from fleet.report.junit import junit
from fleet.run.run_report import RunReport

NO_END = "The run did not come to its end, or never began; 'fleet audit show --run last' tells how far it came."


@dataclass(frozen=True)
class CiOutputs:
    """The job that a run is a step of. `junit_file` is where JUnit XML was asked for."""

    junit_file: Path | None

    def expect(self) -> None:
        """Before anything else: see that the file can be written.

        Until the run has ended it says so, that a job which was killed does not show what an earlier one has found.
        Raises InputError.
        """
        if self.junit_file is not None:
            never_ended = RunReport(None, False, exit_code=EXIT_TOOL_FAILED, errors=[NO_END])
            write_output(self.junit_file, junit(never_ended))

    def write(self, report: RunReport, employees: Iterable[Employee]) -> RunReport:
        """After the run: the file that was asked for. The answer is the report, with what failed as an error."""
        if self.junit_file is not None:
            try:
                write_output(self.junit_file, junit(report, employees))
            except InputError as error:
                report = report.having([str(error)]) if str(error) not in report.errors else report
        return report

    def summarize(self, report: RunReport) -> None:
        """At the end: GitHub's summary and annotations, once, where there is a place for them."""
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            try:
                # A pipe that nobody reads would be waited for without end.
                descriptor = os.open(summary, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600)
                with os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(job_summary(report))
            except OSError as error:  # the job has its exit code and its output all the same
                say(f"The job's summary cannot be written to {summary} ({error.strerror}).", "yellow")
            for line in job_annotations(report):
                typer.echo(line, err=True)  # stdout may be one JSON object; GitHub listens to both
