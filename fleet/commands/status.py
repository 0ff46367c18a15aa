"""`fleet status`: the fleet's current state from the last readings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from fleet.audit.current_state import CurrentState, current_states
from fleet.audit.pseudonyms import Subject, known_subjects
from fleet.audit.run_state import ControlKey
from fleet.audit.segments import of_kind, read_records
from fleet.commands.names_shown import record_names_shown
from fleet.commands.options import (
    INVENTORY,
    LOG_KEY,
    NOTIFY,
    NOTIFY_FILE,
    OUTPUT,
    RECIPES,
    REHEARSAL,
    STATE,
    Output,
    people,
    screen,
    with_log,
)
from fleet.errors import InputError
from fleet.inventory.read import Inventory
from fleet.model import EXIT_OK, EXIT_TOOL_FAILED
from fleet.notify.notification import Notification
from fleet.notify.send import Notifier
from fleet.plan.expiring import endings
from fleet.plan.gates import today
from fleet.plan.plan import catalog_for, plan_accounts, read_people
from fleet.recipes.catalog import Catalog
from fleet.report.drift import DriftReport, drift_fields, print_drift
from fleet.report.envelope import Answer
from fleet.report.expiring import ExpiringReport
from fleet.report.spot_check import LastSpotCheck, SpotCheck
from fleet.report.status import STATES, Coverage, Row, by_group, by_language, by_service, next_steps, status_fields
from fleet.report.table import plain
from fleet.report.translations import translator_for, visible, whole_percents
from fleet.settings.resolve import Given, Settings, configure
from fleet.state.spot_checks import Found, Invitations

MAX_STEPS = 20


def status(
    inventory: INVENTORY = None,
    stale_days: Annotated[
        int,
        typer.Option(
            "--stale-days", metavar="DAYS", min=1, max=36500, help="Count a reading as stale after this many days."
        ),
    ] = 90,
    drift: Annotated[
        bool,
        typer.Option(
            "--drift",
            help="Show only settings that were opted out and are opted in again; exit code 6 if there are any.",
        ),
    ] = False,
    expiring: Annotated[
        int | None,
        typer.Option(
            "--expiring",
            metavar="DAYS",
            min=0,
            max=36500,
            help="Show only what ends within this many days, by date: mandates, waivers, attestations, sessions, "
            "reviews of terms, keys.",
        ),
    ] = None,
    notify: NOTIFY = None,
    notify_file: NOTIFY_FILE = None,
    output: OUTPUT = Output.TEXT,
    recipes: RECIPES = None,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> Answer:
    """Show how many settings are opted out, how old the readings are, and who must act. Visits no account.

    With -i, every employee of the inventory is counted, including those no run has visited, and groups are shown.
    With --drift, the exit code is 6 if there is drift, and --notify sends a notification if there is drift or a setting
    could not be read. Names that are shown are recorded in the log. With --expiring, the exit code is 0, and --notify
    sends a notification if anything ends.
    """
    given = Given(
        inventory=tuple(inventory or ()),
        state=state,
        log_key=log_key,
        recipes=tuple(recipes or ()),
        notify=tuple(notify or ()),
        notify_file=notify_file,
    )
    is_watch = drift or expiring is not None
    if (given["notify"] or given["notify_file"]) and not is_watch:
        raise InputError(
            "--notify works only with --drift or --expiring; otherwise this command sends no notification."
        )
    if drift and expiring is not None:
        raise InputError("--drift and --expiring are two questions; give one of them.")
    configuration = configure(given)
    everybody, catalog = None, None
    if configuration.settings.inventory:
        everybody, catalog = read_people(configuration.settings)
        if rehearsal and not inventory and not everybody.rehearsal:
            everybody, catalog = None, None  # fleet.yml names the real people; rehearsals have their own log
        else:
            everybody.require_own_state(is_rehearsal=rehearsal)
    catalog = catalog or catalog_for(configuration.settings, rehearsal=rehearsal)
    notifier = Notifier(configuration.channels if is_watch else None)
    if rehearsal:
        notifier.require_loopback()
    if expiring is not None:
        settings = configuration.settings.of_kind(rehearsal=rehearsal)
        settings.state_dir.check(rehearsal=rehearsal)
        day, employees = today(), everybody.employees if everybody else None
        ending = endings(settings, employees, catalog, day + timedelta(days=expiring), rehearsal=rehearsal)
        report = ExpiringReport.of(ending, day, expiring)
        return _notified(report.notice, notifier, report.fields(), partial(report.print, screen()))
    settings = with_log(configuration.settings, rehearsal=rehearsal)
    places = settings.state_dir.audit
    known = known_subjects(places.subjects)
    last, drawn = LastSpotCheck(), Found(Invitations(settings.state_dir.spot_checks).all(), known)
    log = of_kind(read_records(places.log), rehearsal=rehearsal)
    found = current_states(last.watch(drawn.watch(log)))
    if everybody:
        rows = list(_of_inventory(everybody, settings, catalog, known, found))
    else:
        rows = list(_of_log(known, found, catalog, settings))
    now, stale = datetime.now(UTC), timedelta(days=stale_days)
    if drift:
        drifting = DriftReport(tuple(rows))
        _record_names(settings, known, (*drifting.drifted, *drifting.not_looked_at))
        show = partial(print_drift, screen(), drifting, now)
        return _notified(drifting.notice, notifier, drift_fields(drifting, now), show)
    _record_names(
        settings, known, rows if output is Output.JSON else [row for row, _ in islice(next_steps(rows), MAX_STEPS)]
    )
    spot_check = last.result(drawn)
    return Answer(
        status_fields(rows, now, stale) | {"spot_check": spot_check.fields if spot_check else None},
        partial(_print, rows, now, stale, spot_check),
    )


def _record_names(settings: Settings, known: Mapping[str, Subject], rows: Iterable[Row]) -> None:
    """Record how many people are shown; of those whom no run has covered, the log says nothing."""
    record_names_shown(settings, "status", len({row.employee for row in rows if row.current} & known.keys()))


def _notified(
    notice: Notification | None, notifier: Notifier, fields: dict[str, Any], show: Callable[[], None]
) -> Answer:
    """Send the notification, if there is one, and return the answer. If sending fails, drift keeps its exit code."""
    errors = notifier.tell(notice) if notice else []
    found = notice.exit_code if notice else EXIT_OK
    return Answer(fields, show, found or (EXIT_TOOL_FAILED if errors else EXIT_OK), errors)


def rows_of_inventory(everybody: Inventory, settings: Settings, catalog: Catalog, *, rehearsal: bool) -> list[Row]:
    """Return one row for each control of the inventory, with its state in the log."""
    places = settings.state_dir.audit
    found = current_states(of_kind(read_records(places.log), rehearsal=rehearsal))
    return list(_of_inventory(everybody, settings, catalog, known_subjects(places.subjects), found))


def _of_inventory(
    inventory: Inventory,
    settings: Settings,
    catalog: Catalog,
    known: dict[str, Subject],
    found: dict[ControlKey, CurrentState],
) -> Iterator[Row]:
    for employee in inventory.employees:
        subject = known.get(employee.name)
        for account in plan_accounts(employee, settings, catalog):
            for control in account.controls:
                current = found.get((subject.pseudonym, account.service, control)) if subject else None
                language = employee.locale or "not stated"
                name = account.recipe.name if account.recipe else None
                accepted = settings.accepted.by(account.service, current.reason if current else None)
                yield Row(employee.name, account.service, control, employee.groups, language, current, name, accepted)


def _of_log(
    known: dict[str, Subject], found: dict[ControlKey, CurrentState], catalog: Catalog, settings: Settings
) -> Iterator[Row]:
    names = {subject.pseudonym: (name, subject.locale) for name, subject in known.items()}
    for (pseudonym, service, control), current in found.items():
        name, language = names.get(pseudonym, (pseudonym, None))
        accepted = settings.accepted.by(service, current.reason)
        yield Row(name, service, control, (), language or "not stated", current, catalog.name_of(service), accepted)


def _print(rows: list[Row], now: datetime, stale: timedelta, spot_check: SpotCheck | None) -> None:
    console, everything = screen(), Coverage("all", tuple(rows))
    if not rows:
        people.print("No controls are known: no run has ended yet.")
        return
    share = everything.share_out
    headline = Text(f"{everything.count('out'):,} of {len(rows) - everything.count('not offered'):,} controls read out")
    headline.append("" if share is None else f", {_percent(share)}")
    console.print(Text("\n").append(headline).append("\n"), style="bold")
    for title, parts in (
        ("Service", by_service(rows)),
        ("Group", by_group(rows)),
        ("Language", by_language(rows)),
    ):
        if parts:
            console.print(_coverage_table(title, parts, now, stale))
            console.print()
    old = everything.stale(now, stale)
    if old:
        days = f"{stale.days} days"
        console.print(f"{old:,} readings are older than {days}: run again, with --check to change nothing.\n")
    if spot_check is not None:
        console.print(f"{spot_check.sentence}\n")
    steps = list(next_steps(rows))
    if steps:
        what_to_do = Column("Next step", overflow="fold", ratio=1)
        table = plain(Column("Employee", no_wrap=True), "Control", what_to_do)
        for row, step in steps[:MAX_STEPS]:
            table.add_row(Text(visible(row.employee)), Text(row.name), Text(step))
        console.print(table)
        if len(steps) > MAX_STEPS:
            console.print(f"… and {len(steps) - MAX_STEPS:,} more; --output json lists all.")
    else:
        console.print("Nothing to do.")


def _coverage_table(title: str, parts: list[Coverage], now: datetime, stale: timedelta) -> Table:
    # In a narrow terminal, columns without a number would cut off those with one.
    states = [state for state in STATES if state in ("out", "in") or any(one.count(state) for one in parts)]
    headings = (*(state.capitalize() for state in states), "Share out", "Stale")
    numbers = (Column(heading, justify="right", no_wrap=True) for heading in headings)
    table = plain(Column(title, min_width=12), *numbers, Column("Oldest reading", no_wrap=True))
    for one in parts:
        counts = [str(one.count(state) or "") for state in states]
        share, oldest = one.share_out, one.oldest(now)
        table.add_row(
            Text(one.name),
            *counts,
            "" if share is None else _percent(share),
            str(one.stale(now, stale) or ""),
            "" if oldest is None else f"{translator_for('en').age(oldest)} ago",
        )
    return table


def _percent(share: float) -> str:
    return f"{whole_percents(share)} %"
