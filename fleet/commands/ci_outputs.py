"""Output of a run for CI systems, beside its exit code: JUnit XML, and GitHub's summary and annotations."""

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

NO_END = "The run did not complete, or never began; 'fleet audit show --run last' shows how far it came."


@dataclass(frozen=True)
class CiOutputs:
    """The CI job around a run. `junit_file` is where to write JUnit XML."""

    junit_file: Path | None

    def expect(self) -> None:
        """Before the run: check that the file can be written.

        Until the run has ended the file contains one error, so that a killed job does not show earlier results.
        Raises InputError.
        """
        if self.junit_file is not None:
            never_ended = RunReport(None, False, exit_code=EXIT_TOOL_FAILED, errors=[NO_END])
            write_output(self.junit_file, junit(never_ended))

    def write(self, report: RunReport, employees: Iterable[Employee]) -> RunReport:
        """After the run: write the file, if requested. Returns the report, with an error if that failed."""
        if self.junit_file is not None:
            try:
                write_output(self.junit_file, junit(report, employees))
            except InputError as error:
                report = report.having([str(error)]) if str(error) not in report.errors else report
        return report

    def summarize(self, report: RunReport) -> None:
        """At the end: write GitHub's summary and annotations, once, if there is a place for them."""
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            try:
                # Opening a pipe without a reader would block forever.
                descriptor = os.open(summary, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600)
                with os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(job_summary(report))
            except OSError as error:  # the job still has its exit code and its output
                say(f"The job's summary cannot be written to {summary} ({error.strerror}).", "yellow")
            for line in job_annotations(report):
                typer.echo(line, err=True)  # stdout may be one JSON object; GitHub reads both
