"""`fleet run`: opt out all employees of an inventory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fleet.audit.log import wait_until_free
from fleet.commands.ci_outputs import CiOutputs
from fleet.commands.options import (
    LIMIT,
    OUTPUT,
    Output,
    option,
    people,
    say,
    screen,
    with_settings,
)
from fleet.errors import BusyError, FleetError, InputError, told
from fleet.notify.send import Notifier
from fleet.plan.forecast import forecast, hours_of
from fleet.plan.plan import RunSpec, claimed_operator, new_run_id, read_people
from fleet.plan.selection import EVERYTHING, Selection, require_no_shrink
from fleet.recipes.catalog import Catalog
from fleet.report.envelope import Answer
from fleet.report.forecast import duration, forecast_fields, print_forecast
from fleet.report.notification import run_notice
from fleet.report.result import report_fields
from fleet.report.table import print_report
from fleet.run.execute import execute
from fleet.run.run_report import RunReport
from fleet.run.signals import interruptible
from fleet.settings.resolve import Given, Settings, configure


@with_settings
def run(
    given: Given,
    limit: LIMIT = None,
    check: Annotated[bool, typer.Option("-C", "--check", help="Check mode: read every setting, change none.")] = False,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Show which accounts would be visited and how long it would take; change nothing."),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue where the last run stopped.")] = False,
    new: Annotated[bool, option("new")] = False,
    only_failed: Annotated[str | None, option("only_failed")] = None,
    stale: Annotated[int | None, option("stale")] = None,
    accept_shrink: Annotated[bool, option("accept_shrink")] = False,
    wait: Annotated[
        str,
        typer.Option(
            "--wait",
            metavar="SECONDS",
            help="Wait up to this long for another run to end; 'none': no limit.",
        ),
    ] = "0",
    junit_file: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Also write the results as JUnit XML.")
    ] = None,
    output: OUTPUT = Output.TEXT,
) -> Answer:
    """Opt out every employee in an inventory, read each setting back, and record the result.

    Exit codes: 0 everything done, 3 a person must act, 4 a setting is still opted in,
    5 a setting could not be read or set, 1 the tool failed, 2 invalid input, 130 interrupted.
    With --fail-on, only the outcomes it names give 3, 4 and 5.
    """
    pipeline = CiOutputs(junit_file)
    selection = Selection(resume, new, only_failed, stale)
    spec, notifier = None, Notifier()
    try:
        if not plan:
            pipeline.expect()
        with interruptible() as interruption, interruption.at_once():
            configuration, wait_within = configure(given), _seconds(wait)
            notifier = Notifier(None if plan else configuration.channels)
            prepared = partial(prepare_run, configuration.settings, limit, selection)
            spec, catalog = prepared(check=check, accept_shrink=accept_shrink)
            if not plan and _has_waited(spec.settings, wait_within):
                # Log and inventory may have changed while waiting.
                spec, catalog = prepared(check=check, accept_shrink=accept_shrink)
        if spec.inventory.rehearsal:
            notifier.require_loopback()
        for warning in (*spec.inventory.warnings, *(f"Ansible warns: {remark}" for remark in spec.inventory.remarks)):
            say(warning, "yellow")
        if plan:
            seen = forecast(spec, catalog)
            return Answer(forecast_fields(spec, seen), partial(print_forecast, screen(), spec, seen))
        for sentence in _hours(spec, catalog):
            say(sentence)
        with progress(len(spec.inventory.employees), "Checking" if spec.check else "Opting out") as advance:
            report = RunReport(None, spec.check) if spec.only == frozenset() else execute(spec, catalog, advance)
    except (FleetError, OSError) as error:
        run_id = spec.run_id if spec else None
        why = error if isinstance(error, FleetError) else FleetError(told(error))
        report = RunReport(run_id, check, exit_code=why.exit_code, errors=[str(why)])
    employees = spec.inventory.employees if spec else ()
    found = pipeline.write(report, employees)  # before notifying, so that the file exists even if that fails
    report = _notified(notifier, found, spec)
    if report is not found:
        report = pipeline.write(report, employees)
    pipeline.summarize(report)
    if spec is not None and spec.only == frozenset():
        people.print(_nothing(spec))
    if spec is None or not report.started_at:
        return Answer(report_fields(report), exit_code=report.exit_code, errors=report.errors)
    if output is Output.JSON:
        say(f"Recorded in the state directory {spec.settings.state}.")
    return Answer(report_fields(report), partial(show, spec, report), report.exit_code, report.errors)


def _seconds(wait: str) -> float:
    if wait == "none":
        return math.inf
    if not wait.isdecimal() or len(wait) > 9:
        raise InputError(f"--wait {wait}: give a number of seconds, or none for no limit.")
    return float(wait)


def _has_waited(settings: Settings, within: float) -> bool:
    """Wait until no other run writes to this state; return True if one did. Raises BusyError on timeout."""
    places = settings.state_dir.audit
    try:
        return wait_until_free(places, 0)
    except BusyError as busy:
        if not within:
            raise
        say(f"{busy.owner} is writing to {settings.state}; this run waits until it has ended.")
    return wait_until_free(places, within)


def _notified(notifier: Notifier, report: RunReport, spec: RunSpec | None) -> RunReport:
    """Return the report after sending notifications; a notification that failed is an error of the tool."""
    if not notifier:
        return report  # the notification covers the whole log
    rehearsal = spec is not None and spec.inventory.rehearsal
    notice = run_notice(report, spec.settings.state_dir.audit if spec else None, rehearsal=rehearsal)
    return report.having(notifier.tell(notice)) if notice else report


def _hours(spec: RunSpec, catalog: Catalog) -> Iterator[str]:
    """Yield what people must know about a run that may wait for hours, before it waits."""
    for service, hours in hours_of(spec, catalog):
        opens_in = hours.opens_in(datetime.now())
        waits = f"its accounts wait {duration(opens_in)}" if opens_in else "accounts not reached by then wait"
        yield f"{catalog.recipes[service].name} is visited {hours} only (fleet.yml: hours, local time): {waits}."


def _nothing(spec: RunSpec) -> str:
    if spec.resumes:
        return f"Nothing to resume: run {spec.resumes} completed."
    return "Nothing to do: no account matches these options. Nothing was visited."


def prepare_run(
    settings: Settings,
    limit: str | None,
    selection: Selection = EVERYTHING,
    *,
    check: bool,
    accept_shrink: bool = False,
) -> tuple[RunSpec, Catalog]:
    """Return the run that the options describe, and the recipes used to plan it. Raises InputError."""
    inventory, catalog = read_people(settings, limit)
    settings = settings.of_kind(rehearsal=inventory.rehearsal)
    settings.state_dir.require_kind(rehearsal=inventory.rehearsal)
    spec = RunSpec(new_run_id(), check, inventory, settings, claimed_operator(), recipes_sha256=dict(catalog.digests))
    if not accept_shrink:
        require_no_shrink(spec)
    return selection.of(spec, catalog), catalog


def show(spec: RunSpec, report: RunReport) -> None:
    """Print a report for people."""
    places = spec.settings.state_dir
    evidence = places.evidence / spec.run_id
    print_report(screen(), report, places.audit.log, evidence)
    if not report.results and not report.errors:
        people.print("Nothing was planned: no account matches these options.")


@contextmanager
def progress(total: int, doing: str) -> Iterator[Callable[[str], None]]:
    """Show a progress bar on stderr if that is a terminal; calling the yielded function advances it."""
    columns = (
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[last]}"),
    )
    with Progress(*columns, console=people, transient=True, disable=not people.is_terminal) as bar:
        task = bar.add_task(doing, total=total, last="")
        yield lambda name: bar.update(task, advance=1, last=name)
