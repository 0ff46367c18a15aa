"""A run's results for a terminal: one line for what is done, the next step for what is not."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from rich.columns import Columns
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from fleet.model import Outcome, Result, control_name, count_outcomes
from fleet.next_steps import next_step
from fleet.report.translations import visible
from fleet.run.run_report import RunReport

_STYLE: dict[int, str] = {0: "green", 3: "yellow", 4: "magenta", 5: "red"}


def plain(*headings: Column | str, has_header: bool = True) -> Table:
    """Return a table without borders, as every command prints it; a plain heading is a column that folds long words."""
    columns = (Column(one, overflow="fold") if isinstance(one, str) else one for one in headings)
    return Table(*columns, box=None, padding=(0, 2, 0, 0), header_style="bold", show_header=has_header)


def _outcome(outcome: Outcome) -> Text:
    return Text(outcome.value.replace("_", " "), style=_STYLE[outcome.exit_code])


def _rows(results: list[Result]) -> Iterator[list[Result]]:
    """Yield rows; controls of one account with the same outcome and reason share a row."""
    for _, alike in groupby(results, lambda one: (one.employee, one.service, one.outcome, one.reason)):
        yield list(alike)


def results_table(results: list[Result]) -> Table:
    """Return every planned control with its outcome; a row that is not done shows the next step."""
    outcome = Column("Outcome and next step", overflow="fold", ratio=1)
    table = plain(Column("Employee", no_wrap=True), "Control", outcome)
    before = None
    for row in _rows(results):
        first = row[0]
        controls = "\n".join(control_name(one.service, one.control, "-") for one in row)
        step = next_step(first)
        said = _outcome(first.outcome)
        if step:
            said.append(f"\n{visible(step)}", style="dim" if first.is_done else "default")
        name = "" if first.employee == before else first.employee
        table.add_row(Text(visible(name)), Text(controls), said)
        before = first.employee
    return table


def shown(path: Path) -> str:
    """Return a path for people, with the home folder as ~."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)


def print_report(console: Console, report: RunReport, log: Path, evidence: Path) -> None:
    """Print the table, the counts, the meaning of the exit code, and the paths of log and evidence."""
    console.print()
    console.print(results_table(report.results))
    console.print()
    counts = [
        Text(f"{count} ").append_text(_outcome(Outcome(name))) for name, count in count_outcomes(report.results).items()
    ]
    console.print(Columns(counts, padding=(0, 3)))
    console.print()
    for name, words in (
        ("Run", report.run_id or "-"),
        ("Exit code", f"{report.exit_code}: {report.meaning}"),
        ("Audit log", shown(log)),
        ("Evidence", shown(evidence)),
    ):
        # Paths are not wrapped, so that they can be copied.
        console.print(Text(f"{name:10} {words}"), soft_wrap=True)
    console.print()
