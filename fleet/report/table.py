"""A run's results for a terminal: what is done in one line, what is not with who must do what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fleet.advice import next_step
from fleet.model import EXIT_MEANING, Outcome, Result, count_outcomes
from fleet.pipeline import RunReport

_STYLE: dict[int, str] = {0: "green", 3: "yellow", 4: "magenta", 5: "red"}


def _outcome(outcome: Outcome) -> Text:
    return Text(outcome.value.replace("_", " "), style=_STYLE[outcome.exit_code])


def results_table(results: list[Result], service_names: Mapping[str, str]) -> Table:
    """Every planned control with its outcome; a row that is not done says who must do what."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", expand=False)
    table.add_column("Employee", no_wrap=True)
    table.add_column("Control", overflow="fold")
    table.add_column("Outcome", no_wrap=True)
    table.add_column("What to do now", overflow="fold", ratio=1)
    for result in results:
        control = ".".join(part for part in (result.service, result.control) if part) or "-"
        step = next_step(result, service_names.get(result.service or "")) or ""
        style = "dim" if result.outcome.is_done else ""
        table.add_row(Text(result.employee), Text(control), _outcome(result.outcome), Text(step, style=style))
    return table


def summary(report: RunReport, log: Path, evidence: Path) -> RenderableType:
    """Counts, the meaning of the exit code, and where log and evidence are."""
    counts = Text("  ").join(
        Text(f"{count} ").append(_outcome(Outcome(name))) for name, count in count_outcomes(report.results).items()
    )
    places = Table.grid(padding=(0, 2, 0, 0))
    places.add_row("Run", Text(report.run_id or "-"))
    places.add_row("Exit code", Text(f"{report.exit_code}: {EXIT_MEANING[report.exit_code]}"))
    places.add_row("Audit log", Text(str(log), overflow="fold"))
    places.add_row("Evidence", Text(str(evidence), overflow="fold"))
    return Group(counts, Text(), places)


def print_report(
    console: Console, report: RunReport, service_names: Mapping[str, str], log: Path, evidence: Path
) -> None:
    """Print table and summary."""
    console.print()
    console.print(results_table(report.results, service_names))
    console.print()
    console.print(Padding(summary(report, log, evidence), (0, 0, 1, 0)))
