"""A run for GitHub Actions: the summary of its job, and annotations.

Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html import escape

from fleet.model import EXIT_NOT_PROVED, Outcome, Result, control_name, count_outcomes, counted
from fleet.next_steps import next_step
from fleet.report.translations import visible
from fleet.run.run_report import RunReport

MAX_ROWS = 500
"""A summary may have 1 MiB; a row has a few hundred bytes at most."""
MAX_ANNOTATIONS = 10
"""GitHub's limit for each kind of annotation in a step."""


def job_summary(report: RunReport) -> str:
    """Return Markdown: counts, then the next steps. It names employees, as the job's output does."""
    has_nothing = report.run_id is None and not report.errors
    lines = [f"## Fleet Opt-Out: {'nothing to do' if has_nothing else report.meaning}", ""]
    lines += [f"> {_cell(error)}" for error in report.errors]
    if report.run_id:
        mode = "check mode, nothing was changed" if report.check else "real run"
        lines += ["", f"Run `{report.run_id}`, {mode}, exit code {report.exit_code}."]
    if report.results:
        lines += ["", "| outcome | controls |", "|---|--:|"]
        lines += [f"| {_words(name)} | {count} |" for name, count in count_outcomes(report.results).items()]
    open_ends = [result for result in report.results if not result.is_done]
    if open_ends:
        lines += ["", "| employee | control | outcome | next step |", "|---|---|---|---|"]
        lines += ["| " + " | ".join(map(_cell, _row(result))) + " |" for result in open_ends[:MAX_ROWS]]
    if len(open_ends) > MAX_ROWS:
        lines += ["", f"… and {len(open_ends) - MAX_ROWS:,} more; `--output json` and `--junit` list all."]
    return "\n".join(lines) + "\n\n"


def job_annotations(report: RunReport) -> Iterator[str]:
    """Yield workflow commands: an error for each sentence about the tool, then one line per service and outcome.

    No names: everyone who can see the repository can see annotations.
    """
    for error in report.errors[:MAX_ANNOTATIONS]:
        yield _command("error", "Fleet Opt-Out", error)
    open_ends = Counter((result.service, result.outcome) for result in report.results if not result.is_done)
    for (service, outcome), count in open_ends.most_common(MAX_ANNOTATIONS):
        kind = "error" if outcome.exit_code == EXIT_NOT_PROVED else "warning"
        kind = kind if outcome in report.fail_on else "notice"
        yield _command(
            kind, f"{service or 'unreadable'}: {_words(outcome)}", f"{counted(count, 'control')}: {_words(outcome)}."
        )


def _row(result: Result) -> tuple[str, str, str, str]:
    step = next_step(result) or ""
    return result.employee, control_name(result.service, result.control, "-"), _words(result.outcome), step


def _words(outcome: str) -> str:
    return Outcome(outcome).value.replace("_", " ")


def _cell(text: str) -> str:
    """Escape text for a Markdown table cell: no markup, no HTML, no line break."""
    return re.sub(r"([\\`*_{}\[\]#!|~@])", r"\\\1", escape(" ".join(visible(text).split()), quote=False))


def _command(kind: str, title: str, message: str) -> str:
    return f"::{kind} title={_escaped(title, ':,')}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
