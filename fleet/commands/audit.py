"""`fleet audit`: read the audit log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleet.audit import records
from fleet.audit.log import read_records
from fleet.audit.subjects import known_names
from fleet.commands.options import STATE, people, settings_of
from fleet.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Read the audit log.")


@app.callback()
def _group() -> None:
    pass


@app.command()
def show(
    run: Annotated[str | None, typer.Option("--run", help="Only this run; 'last' for the newest.")] = None,
    employee: Annotated[str | None, typer.Option("--employee", help="Only this employee.")] = None,
    service: Annotated[str | None, typer.Option("--service", help="Only this service.")] = None,
    outcome: Annotated[str | None, typer.Option("--outcome", help="Only this outcome.")] = None,
    rehearsal: Annotated[
        bool, typer.Option("--rehearsal", help="The log of rehearsals, not of the real runs.")
    ] = False,
    state: STATE = None,
) -> None:
    """Show records, oldest first. Employees are named from the side store; the log itself has pseudonyms only."""
    settings = settings_of(state)
    places = (settings.for_rehearsal() if rehearsal else settings).state_dir
    if not rehearsal or places.root.exists():  # the first rehearsal makes its own
        places.check()
    if not places.subjects.exists():
        raise InputError(f"There is no audit log in {places.root} yet; it begins with the first run.")
    names = known_names(places.subjects)
    if employee is not None and employee not in names.values():
        raise InputError(f"The log has nothing of '{employee}'; mend the name, or leave --employee out.")
    everything = list(read_records(places.audit))
    chosen = [
        record
        for record in everything
        if (service is None or record.get("service") == service)
        and (outcome is None or record.get("outcome") == outcome)
        and (employee is None or names.get(record.get("subject", "")) == employee)
    ]
    if run is not None:
        wanted = _last_run(everything) if run == "last" else run
        if all(record.get("run") != wanted for record in everything):
            raise InputError(f"The log has no run '{run}'; 'fleet audit show' without --run lists all.")
        chosen = [record for record in chosen if record.get("run") == wanted]
    if not chosen:
        people.print("No record matches.")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("Seq", "Time (UTC)", "Employee"):
        table.add_column(heading, no_wrap=True)
    table.add_column("Event", overflow="fold", ratio=1)
    for record in chosen:
        who = names.get(record["subject"], record["subject"]) if "subject" in record else ""
        table.add_row(
            str(record["seq"]),
            record["at"][:19].replace("T", " "),
            Text(who),
            Text(record["event"], "bold").append(f"\n{', '.join(_words(record))}", "not bold"),
        )
    Console(highlight=False).print(table)


def _last_run(everything: Sequence[Mapping[str, Any]]) -> str | None:
    runs = [record["run"] for record in everything if record["event"] == records.RUN_STARTED]
    return runs[-1] if runs else None


def _words(record: Mapping[str, Any]) -> Iterator[str]:
    event = record["event"]
    if event == records.RUN_STARTED:
        yield f"run {record['run']}"
        yield "check mode" if record["check"] else "real"
        yield f"{record['employees']} employees, {record['controls']} controls"
        yield f"operator uid {record['operator']}"
    elif event == records.RUN_PLANNED:
        yield ", ".join(_name(service, control) for service, control in record["planned"]) or "nothing"
        yield f"authority {record['authority'] or 'none'}"
    elif event == records.CONTROL_INTENDED:
        yield _name(record["service"], record["control"])
        yield f"reads {record['before']}"
        yield "about to be pressed"
        yield f"authority {record['authority']}"
    elif event == records.CONTROL_FINISHED:
        yield _name(record["service"], record["control"])
        yield record["outcome"] + (f" ({record['reason']})" if record["reason"] else "")
        if record["before"] or record["after"]:
            yield f"{record['before'] or '?'} → {record['after'] or '?'}"
        if record["read_back"]:
            yield "read back"
        if (record["http_status"] or 0) >= 400:
            yield f"HTTP {record['http_status']}"
        if record["refused_hosts"]:
            yield f"refused hosts: {', '.join(record['refused_hosts'])}"
    elif event == records.RUN_FINISHED:
        yield ", ".join(f"{count} {outcome}" for outcome, count in record["counts"].items()) or "nothing planned"
        if record["stopped"]:
            yield f"stopped: {record['stopped']}"
    elif event == records.LOG_RECOVERED:
        yield f"a torn last line of {record['bytes']} bytes was put aside"


def _name(service: str | None, control: str | None) -> str:
    return ".".join(part for part in (service, control) if part) or "(unreadable account)"
