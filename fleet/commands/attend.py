"""`fleet attend`: one employee at a time, beside the operator."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column

from fleet.commands.audit.receipt import write_receipt
from fleet.commands.options import LIMIT, OUTPUT, Output, people, say, with_settings
from fleet.commands.run import prepare_run
from fleet.desk.steps import Step, Told
from fleet.errors import FleetError, InputError
from fleet.model import EXIT_INTERRUPTED, EXIT_TOOL_FAILED, Outcome, Reason, control_name, exit_code_of
from fleet.next_steps import next_step
from fleet.plan.attendance import Attendance, Invited, Queue, Why, queue_of, require_attended
from fleet.plan.forecast import hours_of
from fleet.plan.plan import RunSpec
from fleet.recipes.catalog import Catalog
from fleet.report.envelope import Answer
from fleet.report.forecast import duration
from fleet.report.result import report_fields
from fleet.report.table import plain
from fleet.run.execute import execute
from fleet.run.run_report import RunReport
from fleet.settings.resolve import Given, Settings, configure
from fleet.state.appointments import Appointments
from fleet.state.spot_checks import Invitations

_WHY = {
    Why.APPOINTMENT: "asked for an appointment",
    Why.CHALLENGED: "the last visit was challenged",
    Why.SPOT_CHECK: "comes to a spot check",
    Why.COMPANY: "account of the organization",
}
_STEPS = {
    Step.AGREE: "The screen asks for the mandate.",
    Step.SIGN: "{service}: they sign a form or letter in a plain window. The screen asks whether it was confirmed.",
    Step.SIGN_IN: "{service}: signing in, in a plain window. It is closed when they are done.",
    Step.NOT_SIGNED_IN: "{service}: nobody is signed in. The screen asks whether to try again.",
    Step.OTHER_PERSON: "{service}: somebody else is signed in. The screen asks whether to try again.",
    Step.READ: "{service}: reading.",
    Step.ALLOW: "{service}: the screen asks: Allow?",
    Step.CHALLENGE: "{service}: asks for the person. They answer in the window, then press Continue.",
    Step.SET: "{service}: allowed. Setting it, and reading it back.",
    Step.RESULT: "{service}: the screen shows the result.",
    Step.TROUBLE: "{sentence}",
}
_NOT_THERE = (Reason.INTERRUPTED, Reason.AGENT_ENDED, Reason.PLAY_ENDED, Reason.WORKER_LOST)
"""Reasons for which an appointment stays open: the employee was not served."""


@with_settings
def attend(
    given: Given,
    limit: LIMIT = None,
    queue: Annotated[bool, typer.Option("--queue", help="Only open appointments, in the order of asking.")] = False,
    check: Annotated[bool, typer.Option("-C", "--check", help="Check mode: read every setting, change none.")] = False,
    yes: Annotated[
        bool, typer.Option("-y", "--yes", help="Begin with each employee at once, without asking the operator.")
    ] = False,
    receipts: Annotated[
        Path | None, typer.Option("-o", "--receipts", metavar="DIR", help="Folder to write each employee's receipt to.")
    ] = None,
    only_list: Annotated[
        bool, typer.Option("--list", help="Show who would be attended, in this order, and why; change nothing.")
    ] = False,
    output: OUTPUT = Output.TEXT,
) -> Answer:
    """Opt out employees who are here in person: they sign in themselves, see what is read, and allow each change.

    One employee at a time, each in a run of their own: those with an open appointment, those who were challenged, spot
    checks, and accounts of the organization. The session stays in memory and ends with the visit. With --worker, the
    screen is on that machine. Stop at any employee with q or Ctrl-C; the next command goes on there.
    Exit codes as for fleet run.
    """
    settings = configure(given).settings
    # Workers in fleet.yml are for runs; a desk is named here.
    settings = replace(settings, workers=settings.workers if given["workers"] else (), forks=1)
    if len(settings.workers) > 1:
        raise InputError("--worker: an employee sits at one desk; name one machine.")
    spec, catalog = prepare_run(settings, limit, check=check, accept_shrink=True)
    for warning in spec.inventory.warnings:
        say(warning, "yellow")
    found = queue_of(spec, catalog, _invited(spec.settings))
    if queue:
        found = replace(found, attended=tuple(one for one in found.attended if one.why is Why.APPOINTMENT))
    if only_list:
        return Answer(
            {"attended": list(map(_fields, found.attended)), "not_attended": dict(found.refused)}, partial(_list, found)
        )
    _say_who_is_not(found, limit)
    require_attended(found, limit)
    _require_hours(spec, catalog)
    if not yes and not sys.stdin.isatty():
        raise InputError("There is no terminal to ask when an employee is ready; add --yes. Nobody was attended.")
    reports = _attend_each(spec, catalog, found.attended, receipts, yes=yes)
    results = [result for report in reports for result in report.results]
    errors = [error for report in reports for error in report.errors]
    exit_code = EXIT_TOOL_FAILED if errors else exit_code_of(results, spec.settings.fail_on)
    if any(report.exit_code == EXIT_INTERRUPTED for report in reports):
        exit_code = EXIT_INTERRUPTED
    fields = {"runs": [report_fields(report) for report in reports], "not_attended": dict(found.refused)}
    return Answer(fields, partial(_show_end, len(reports), len(found.attended)), exit_code, errors)


def _invited(settings: Settings) -> Invited:
    """Return whom the portal's acts bring to the desk. Raises InputError for a file that cannot be read."""
    state = settings.state_dir
    appointments = {one.employee: one.asked_at for one in Appointments(state.appointments).open()}
    invitations = {one.employee: one for one in Invitations(state.spot_checks).all() if one.coming_at is not None}
    return Invited(appointments, invitations)


def _fields(one: Attendance) -> dict[str, Any]:
    """Return who would be attended, for JSON."""
    controls = sorted(control_name(service, control) for _, service, control in one.only)
    since = one.since.isoformat() if one.since else None
    return {"employee": one.employee, "why": one.why, "since": since, "controls": controls}


def _list(queue: Queue) -> None:
    """Print who would be attended, and why others are not."""
    table = plain(Column("employee", no_wrap=True), "why", "controls")
    for one in queue.attended:
        table.add_row(one.employee, _why(one), ", ".join(_fields(one)["controls"]))
    if queue.attended:
        people.print(table)
    for name, why in queue.refused.items():
        say(f"{name} is not attended: {why}", "dim")


def _why(one: Attendance) -> str:
    return _WHY[one.why] + (f" on {one.since.date().isoformat()}" if one.since else "")


def _say_who_is_not(queue: Queue, limit: str | None) -> None:
    """Say why employees that --limit names, or who asked for an appointment, are not attended."""
    if limit is not None and queue.attended:
        for name, why in queue.refused.items():
            say(f"{name} is not attended: {why}", "yellow")


def _require_hours(spec: RunSpec, catalog: Catalog) -> None:
    """Raise InputError outside the hours of a service: a visit would wait, and the employee with it."""
    for service, hours in hours_of(spec, catalog):
        opens_in = hours.opens_in(datetime.now())
        if opens_in:
            raise InputError(
                f"{catalog.recipes[service].name} is visited {hours} only (fleet.yml: hours); come back in "
                f"{duration(opens_in)}, or leave it out with --service."
            )


def _attend_each(
    spec: RunSpec, catalog: Catalog, attended: Iterable[Attendance], receipts: Path | None, *, yes: bool
) -> list[RunReport]:
    """Run each employee's visit once they are ready; end early if the operator stops."""
    reports: list[RunReport] = []
    attended = list(attended)
    for number, one in enumerate(attended, 1):
        services = ", ".join(sorted({str(service) for _, service, _ in one.only}))
        say(f"\n{number} of {len(attended)}  {one.employee}  {services}  ({_why(one)})", "bold")
        answer = "" if yes else _ready()
        if answer == "q":
            break
        if answer == "s":
            continue
        report = execute(one.run(spec), catalog, on_told=_say_step)
        reports.append(report)
        _show(report)
        if report.exit_code == EXIT_INTERRUPTED:
            break
        _served(spec, one, report, receipts)
    return reports


def _ready() -> str:
    """Ask the operator; return an empty text to begin, `s` to skip or `q` to stop."""
    question = "Enter when they sit at the screen, s to skip, q to stop"
    while (answer := typer.prompt(question, default="", show_default=False, err=True).strip().lower()) not in "sq":
        pass
    return str(answer)


def _say_step(told: Told) -> None:
    style = "red" if told.step is Step.TROUBLE else "dim" if told.step is not Step.ALLOW else None
    say(f"  {datetime.now():%H:%M:%S}  {_STEPS[told.step].format(service=told.service, sentence=told.sentence)}", style)


def _show(report: RunReport) -> None:
    """Print how each control ended, and what to do next."""
    styles = {0: "green", 3: "yellow", 4: "magenta", 5: "red"}
    for result in report.results:
        reason = f" ({result.reason.replace('_', ' ')})" if result.reason else ""
        step = next_step(result)
        ended = f"{result.service}.{result.control}: {result.outcome.replace('_', ' ')}{reason}"
        say(f"  {ended}" + (f"\n    {step}" if step else ""), styles[result.exit_code])
    for error in report.errors:
        say(f"  {error}", "red")


def _served(spec: RunSpec, one: Attendance, report: RunReport, receipts: Path | None) -> None:
    """Close the appointment of an employee who was there, and write their receipt."""
    was_there = any(
        result.outcome not in (Outcome.NOT_RUN, Outcome.ERROR) and result.reason not in _NOT_THERE
        for result in report.results
    )
    if not was_there:
        return
    Appointments(spec.settings.state_dir.appointments).close(one.employee)
    if receipts is None:
        say(f"  Receipt: fleet audit receipt {one.employee}{' --rehearsal' if spec.inventory.rehearsal else ''}", "dim")
        return
    try:
        files = write_receipt(spec.settings, one.employee, receipts, rehearsal=spec.inventory.rehearsal)
        say(f"  Receipt: {files[-1]}", "dim")
    except FleetError as error:
        report.errors.append(str(error))
        say(f"  {error}", "red")


def _show_end(served: int, total: int) -> None:
    if served < total:
        say(f"\n{served} of {total} attended. The same command goes on with the others.")
