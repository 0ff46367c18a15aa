"""`fleet audit show`: print the records."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.table import Column, Table
from rich.text import Text

from fleet.audit import records
from fleet.audit.evidence import EvidenceKind, read_evidence
from fleet.audit.pseudonyms import Subject, known_names, known_subjects
from fleet.audit.segments import Growing, runs_of_kind
from fleet.commands.audit.record_filter import EMPLOYEE, NAMES, OUTCOME, RUN, SERVICE, SINCE, Choice
from fleet.commands.names_shown import record_names_shown
from fleet.commands.options import BESIDE, LOG_KEY, REHEARSAL, STATE, Output, people, screen, settings_of, with_log
from fleet.model import EXIT_INTERRUPTED, control_name, counted
from fleet.paths import StateDir
from fleet.report.envelope import Answer
from fleet.report.table import plain
from fleet.report.translations import visible

POLL_SECONDS = 0.5
ENOUGH_OF_A_PSEUDONYM = 14
"""Characters of a pseudonym in the table, which must fit a terminal; --output json has all."""
_CHANGES_KNOWN = (records.SUBJECT_ERASED, records.EMPLOYEE_RENAMED, records.RUN_STARTED)


def show(
    run: RUN = None,
    employee: EMPLOYEE = None,
    service: SERVICE = None,
    outcome: OUTCOME = None,
    since: SINCE = None,
    with_names: NAMES = False,
    follow: Annotated[bool, typer.Option("-F", "--follow", help="Keep printing records as they are written.")] = False,
    output: Annotated[
        Output, typer.Option("--output", help="text, or one JSON object (with --follow one for each record).")
    ] = Output.TEXT,
    rehearsal: REHEARSAL = False,
    inventory: BESIDE = None,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> Answer:
    """Show records, oldest first. Employees are pseudonyms, as in the log, unless --with-names is passed."""
    settings = with_log(settings_of(inventory, state=state, log_key=log_key), rehearsal=rehearsal)
    places, known = settings.state_dir.audit, Known.at(settings.state_dir, with_names=with_names)
    names = known_names(places.subjects)
    choice = Choice.of(places, names, run, employee, service, outcome, since, rehearsal=rehearsal, with_others=True)
    is_recorded = with_names or employee is not None
    if follow:
        if is_recorded:
            record_names_shown(settings, "audit show", 1 if employee else len(names), employee)
        try:
            _follow(settings.state_dir, choice, output, with_names=with_names)
        except KeyboardInterrupt:  # the usual way to end; a program got one record per line and gets no envelope
            raise typer.Exit(EXIT_INTERRUPTED) from None
    chosen = [record for _, record in choice.read(places)]
    if is_recorded:
        record_names_shown(settings, "audit show", choice.people(chosen), employee)
    return Answer({"records": [known.named(record) for record in chosen]}, partial(_print, chosen, known))


def _print(chosen: list[dict[str, Any]], known: Known) -> None:
    if chosen:
        screen().print(_table(chosen, known, is_headed=True))
    else:
        people.print("No record matches.")


@dataclass(frozen=True)
class Known:
    """What the state, outside the log, holds about the log's pseudonyms."""

    names: Mapping[str, str] | None
    """Employees by pseudonym; None if pseudonyms are to be shown."""
    subjects: Mapping[str, Subject]
    evidence: Path
    rehearsals: frozenset[str]
    """The runs whose records say nothing about real accounts."""

    @classmethod
    def at(cls, state: StateDir, *, with_names: bool) -> Known:
        """Read it from a state."""
        people_there = known_subjects(state.audit.subjects)
        subjects = {subject.pseudonym: subject for subject in people_there.values()}
        return cls(
            {subject.pseudonym: name for name, subject in people_there.items()} if with_names else None,
            subjects,
            state.evidence,
            runs_of_kind(state.audit.log, rehearsal=True),
        )

    def named(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return a record with its employee, if names are shown, the kind of its run, and a renamed control's label."""
        record = dict(record) | ({"rehearsal": record["run"] in self.rehearsals} if record["run"] else {})
        if "subject" not in record:
            return record
        label = self.label(record)
        more: dict[str, str | None] = {} if label is None else {"label_text": label}
        if self.names is not None:
            more["employee"] = self.names.get(record["subject"] or "")
        return {**record, **more}

    def who(self, record: Mapping[str, Any]) -> str:
        """Return how the table names the employee: by pseudonym where no name is known or to be shown."""
        subject = record.get("subject") or ""
        return (self.names or {}).get(subject, subject[:ENOUGH_OF_A_PSEUDONYM])

    def label(self, record: Mapping[str, Any]) -> str | None:
        """Return the service's label of the control, if it was kept and matches the record."""
        if record.get("label") is None:
            return None
        who, folder = self.subjects.get(record["subject"]), self.evidence / (record["run"] or "")
        kept = read_evidence(folder, who, record["service"], record["control"], EvidenceKind.LABEL, record["label"])
        return kept.decode("utf-8", "replace") if kept is not None else None


def _follow(state: StateDir, choice: Choice, output: Output, *, with_names: bool) -> NoReturn:
    """Print each new record until Ctrl-C. Polls the file, because appending sends no notification."""
    console, log, is_headed = screen(), Growing(state.audit.log), True
    known = Known.at(state, with_names=with_names)
    while True:
        read = [record for _, record in log.new()]
        about = {record["subject"] for record in read if record.get("subject")}
        if about - known.subjects.keys() or any(record["event"] in _CHANGES_KNOWN for record in read):
            known = Known.at(state, with_names=with_names)  # a run may have added employees, or an employee was erased
        found = [record for record in read if choice.includes(record)]
        for record in found:
            if output is Output.JSON:
                typer.echo(json.dumps(known.named(record)))
        if found and output is Output.TEXT:
            console.print(_table(found, known, is_headed=is_headed))
            is_headed = False
        time.sleep(POLL_SECONDS)


def _table(chosen: list[dict[str, Any]], known: Known, *, is_headed: bool) -> Table:
    widths = {"Seq": 6, "Time (UTC)": 19, "Employee": 14}
    columns = (Column(heading, no_wrap=True, min_width=width) for heading, width in widths.items())
    table = plain(*columns, Column("Event", overflow="fold", ratio=1), has_header=is_headed)
    for record in chosen:
        table.add_row(
            str(record["seq"]),
            record["at"][:19].replace("T", " "),
            Text(visible(known.who(record))),
            Text(record["event"], "bold")
            .append(" (rehearsal)" if record["run"] in known.rehearsals else "", "yellow")
            .append("\n" + visible(", ".join(_words(record, known))), "not bold"),
        )
    return table


def _words(record: Mapping[str, Any], known: Known) -> Iterator[str]:
    event = record["event"]
    if event == records.RUN_STARTED:
        yield f"run {record['run']}"
        yield "check mode" if record["check"] else "setting"
        yield f"{record['employees']} employees, {record['controls']} controls"
    elif event == records.RUN_PLANNED:
        yield ", ".join(_name(service, control) for service, control in record["planned"]) or "nothing"
        yield f"authority {record['authority'] or 'none'}"
    elif event == records.CONTROL_INTENDED:
        yield _name(record["service"], record["control"])
        yield f"reads {record['before']}"
        yield "about to be clicked"
        yield f"authority {record['authority']}"
        if record["worker"]:
            yield f"at {record['worker']}"
    elif event == records.CONTROL_FINISHED:
        yield _name(record["service"], record["control"])
        yield record["outcome"] + (f" ({record['reason']})" if record["reason"] else "")
        if record["before"] or record["after"]:
            yield f"{record['before'] or '?'} → {record['after'] or '?'}"
        if record["read_back"]:
            yield "read back"
        if (record["http_status"] or 0) >= 400:
            yield f"HTTP {record['http_status']}"
        if record.get("label"):
            label = known.label(record)
            yield "label no longer kept" if label is None else f"label there: “{label}”"
        if record["refused_hosts"]:
            yield f"refused hosts: {', '.join(record['refused_hosts'])}"
        if record["worker"]:
            yield f"at {record['worker']}"
    elif event == records.RUN_FINISHED:
        yield ", ".join(f"{count} {outcome}" for outcome, count in record["counts"].items()) or "nothing planned"
        if record["stopped"]:
            yield f"stopped: {record['stopped']}"
    elif event == records.LOG_RECOVERED:
        if record["bytes"]:
            yield f"a torn last line of {counted(record['bytes'], 'byte')} was set aside"
        if record["unsigned"]:
            yield f"{counted(record['unsigned'], 'record')} had not been signed"
    elif event == records.LOG_KEY_ROTATED:
        yield f"signed from now on with {record['vkey']}"
    elif event == records.LOG_PRUNED:
        yield f"records before {record['before']} were deleted"
    elif event == records.DATA_EXPIRED:
        yield f"{counted(record['pictures'], 'picture')} older than {counted(record['pictures_days'] or 0, 'day')}"
        yield f"{counted(record['tokens'], 'token')} and {counted(record['acts'], 'act')} older than " + counted(
            record["tokens_days"] or 0, "day"
        )
    elif event == records.SUBJECT_ERASED:
        yield f"{counted(record['sessions'], 'session')}, {counted(record['evidence'], 'screenshot')}"
    elif event == records.MANDATE_MET:
        yield f"for {', '.join(record['services']) or 'no nameable service'}"
        yield f"from {record['granted_on']} to {record['expires_on']}"
        if record["revoked_on"]:
            yield f"revoked on {record['revoked_on']}"
        yield record["assurance"]
    elif event == records.CONTROL_ATTESTED:
        yield _name(record["service"], record["control"])
        yield f"{record['said'] or 'withdrawn'} on {record['attested_on']}, says the employee ({record['assurance']})"
    elif event == records.CONTROL_CLOSED:
        yield _name(record["service"], record["control"])
        yield f"closed on {record['closed_on']}: not to be asked again"
    elif event == records.MANDATE_GIVEN:
        yield f"for {', '.join(record['controls'])}"
        yield f"from {record['granted_on']} to {record['expires_on']}"
        yield f"{record['assurance']}, signed at {record['issuer']}"
        yield f"text {record['text_version']} ({record['language']})"
    elif event == records.NOTICE_SENT:
        yield f"{record['kind']} on {record['sent_on']}"
    elif event == records.SPOT_CHECK_DRAWN:
        yield f"{record['drawn']} of {counted(record['among'], 'employee')} drawn"
    elif event == records.SPOT_CHECK_ENDED:
        yield f"{counted(record['checked'], 'employee')} checked, {record['wrong']} wrong"
    elif event == records.SESSION_CAPTURED:
        yield f"signed in to {record['service']}"
    elif event == records.NAMES_SHOWN:
        yield f"fleet {record['command']}"
        yield counted(record["people"], "employee")
    elif event in (
        *(records.MANDATE_REVOKED, records.MANDATE_RENEWED, records.EMPLOYEE_RENAMED),
        *(records.SERVICE_STOPPED, records.SERVICE_STARTED, records.SUBMISSION_RECORDED),
    ):
        yield from _words_of_authority(record)
    if "operator" in record:
        yield "operator unknown" if record["operator"] is None else f"operator uid {record['operator']}"
        if record["operator_claimed"]:
            yield f"claims to be {record['operator_claimed']}"


def _words_of_authority(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an operator's act blocked or allowed, and on what reference."""
    event = record["event"]
    if event == records.MANDATE_REVOKED:
        yield f"since {record['revoked_on']}"
    elif event == records.MANDATE_RENEWED:
        yield "valid again"
    elif event == records.SERVICE_STOPPED:
        yield f"{record['service']} is stopped for all runs since {record['stopped_on']}"
    elif event == records.SUBMISSION_RECORDED:
        yield f"{control_name(record['service'], record['control'])} was confirmed to the organization"
        yield f"confirmation {record['confirmation_sha256'][:12]}…"
    elif event == records.EMPLOYEE_RENAMED:
        yield "has a new name"
    else:
        yield f"{record['service']} is no longer stopped"
    if record.get("reference"):
        yield f"reference {record['reference']}"
    elif record.get("reference_hmac"):
        yield "with a reference"


def _name(service: str | None, control: str | None) -> str:
    return control_name(service, control, "(unreadable account)")
