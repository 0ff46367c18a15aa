"""The plan of a run before it starts, for a terminal and as JSON: who, what, at which pace, how long."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from fleet.agent.protocol import result_fields
from fleet.model import control_name
from fleet.plan.forecast import Forecast, ServiceForecast
from fleet.plan.plan import PlannedAccount, RunSpec
from fleet.report.table import plain, results_table
from fleet.report.translations import visible


def duration(seconds: float) -> str:
    """Format seconds for people: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


def span(seconds: tuple[float, float]) -> str:
    """Format the shortest and the longest time; only one if both read the same."""
    low, high = (duration(one) for one in seconds)
    return low if low == high else f"{low} to {high}"


def print_forecast(console: Console, spec: RunSpec, forecast: Forecast) -> None:
    """Print what would be visited, in order, what would be left alone, at which pace, and how long it would take."""
    console.print()
    if forecast.visits:
        console.print(_visits(forecast.visits, check=spec.check))
    if forecast.left_alone:
        console.print(Text("\nLeft alone, without a visit:\n", style="bold"))
        console.print(results_table(list(forecast.left_alone)))
    console.print()
    if not forecast.visits:
        console.print("No account would be visited.\n")
        _print_lacking(console, forecast)
        return
    console.print(_services(spec, forecast))
    console.print()
    limits = spec.settings.breaker
    if limits:
        console.print(
            f"A service is left alone for the rest of the run once, of its last {limits.visits} visits, "
            f"{limits.challenges} employees were challenged, {limits.page_changes} found the page changed, or "
            f"{limits.rate_limits} were rate limited."
        )
    else:
        console.print("The circuit breaker is off.")
    console.print(f"The whole run takes about {span(forecast.seconds)}. Nothing was touched.")
    console.print()
    _print_lacking(console, forecast)


def _print_lacking(console: Console, forecast: Forecast) -> None:
    if forecast.lacking:
        console.print(Text("Missing for this run:", style="bold"))
        for sentence in forecast.lacking:
            console.print(Text(visible(sentence)), soft_wrap=True)
        console.print()


def _visits(visits: tuple[PlannedAccount, ...], *, check: bool) -> Table:
    table = plain(Column("Employee", no_wrap=True), "Control", "What would be done")
    before = None
    for visit in visits:
        name = "" if visit.employee.name == before else visit.employee.name
        controls = "\n".join(control_name(visit.service, control) for control in visit.controls)
        table.add_row(Text(name), Text(controls), "read" if check else "read; if in, set and read back")
        before = visit.employee.name
    return table


def _services(spec: RunSpec, forecast: Forecast) -> Table:
    counts = (Column(heading, justify="right") for heading in ("Accounts", "Controls"))
    table = plain("Service", *counts, "How", "Takes about")
    for one in forecast.services:
        table.add_row(Text(one.name), str(one.accounts), str(one.controls), _pace(spec, one), span(one.seconds))
    return table


def _pace(spec: RunSpec, service: ServiceForecast) -> str:
    pace, count = service.pace, len(spec.settings.workers)
    at_a_time = f"{spec.settings.forks} at a time" + (f" on each of {count} workers" if count > 1 else "")
    if pace is None:
        return f"on this machine: {at_a_time}"
    how = f"one at a time, {pace.shortest:g} to {pace.longest:g} s apart" if pace.has_pauses else at_a_time
    return f"live: {how}" + (f", begun {pace.hours} only" if pace.hours else "")


def forecast_fields(spec: RunSpec, forecast: Forecast) -> dict[str, Any]:
    """Return the forecast for programs; times are in seconds."""
    low, high = forecast.seconds
    visits = [
        {"employee": visit.employee.name, "service": visit.service, "control": control}
        for visit in forecast.visits
        for control in visit.controls
    ]
    services = [
        {
            "service": one.service,
            "accounts": one.accounts,
            "controls": one.controls,
            "live": one.pace is not None,
            "pause": {"shortest": one.pace.shortest, "longest": one.pace.longest} if one.pace else None,
            "hours": str(one.pace.hours) if one.pace and one.pace.hours else None,
            "seconds": [round(bound) for bound in one.seconds],
        }
        for one in forecast.services
    ]
    return {
        "check": spec.check,
        "resumes": spec.resumes,
        "visits": visits,
        "left_alone": list(map(result_fields, forecast.left_alone)),
        "services": services,
        "breaker": spec.settings.breaker.model_dump() if spec.settings.breaker else None,
        "pause": spec.settings.pause.model_dump(),
        "seconds": [round(low), round(high)],
        "lacking": list(forecast.lacking),
    }
