"""`fleet notices`: mail to employees who can do something themselves, and to those whose setting was switched."""

from __future__ import annotations

import csv
import io
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from fleet.audit.current_state import current_states
from fleet.audit.keys import read_keys
from fleet.audit.proof import Prover
from fleet.audit.pseudonyms import known_subjects
from fleet.audit.segments import of_kind, read_records
from fleet.commands.carry_out import carry_out
from fleet.commands.options import (
    INVENTORY,
    LOG_KEY,
    RECIPES,
    REHEARSAL,
    STATE,
    settings_with_state,
    write_output,
)
from fleet.errors import InputError
from fleet.model import counted
from fleet.notices.letter import Letter, Sender, as_mail, item_of, letter_of
from fleet.notices.recipients import Due, Recipient, due, last_pressed, open_controls
from fleet.paths import make_private_dir, read_regular
from fleet.plan.forecast import forecast
from fleet.plan.plan import RunSpec, new_run_id, read_people
from fleet.recipes.catalog import Catalog
from fleet.report.receipt import entries_of, render_receipt
from fleet.report.translations import translator_for
from fleet.settings.resolve import Settings
from fleet.state.employee_acts import Attest, Notify, Statement, WrittenNotice
from fleet.state.sent_notices import NoticeKind, SentNotices

app = typer.Typer(no_args_is_help=True, help="Write mail to employees, and record what went out.")

ROWS = "notices.csv"
MAX_BYTES = 64 * 1024 * 1024
COLUMNS = ("id", "employee", "email", "language", "kind", "subject", "service", "setting", "label", "link", "file")


@app.command()
def write(
    folder: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write the notices to.")],
    inventory: INVENTORY = None,
    recipes: RECIPES = None,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> None:
    """Write today's notices as .eml, as HTML, and as notices.csv for a mail merge. Sends nothing.

    Employees whose settings no run may switch learn how to do it themselves: once, then two reminders at most, two
    weeks apart. Two weeks after the second, their settings are closed. Employees whose setting was switched for them
    get their receipt. When the notices are out, run `fleet notices sent`.
    """
    settings = settings_with_state(inventory, state=state, recipes=recipes, log_key=log_key, rehearsal=rehearsal)
    sender = _sender(settings)
    everybody, catalog = read_people(settings)
    everybody.require_own_state(is_rehearsal=rehearsal)
    spec = RunSpec(new_run_id(), False, everybody, settings)
    places = settings.state_dir.audit
    log = list(of_kind(read_records(places.log), rehearsal=rehearsal))
    subjects = known_subjects(places.subjects)
    pseudonyms = {name: subject.pseudonym for name, subject in subjects.items()}
    pressed = last_pressed(log)
    today = datetime.now(UTC).date()
    found = due(
        everybody.employees,
        open_controls(forecast(spec, catalog).left_alone, current_states(log), pseudonyms),
        {name: pressed[pseudonym] for name, pseudonym in pseudonyms.items() if pseudonym in pressed},
        SentNotices(settings.state_dir.notices),
        today,
    )
    if found.closed:
        carry_out(settings, "fleet notices write", Attest(statements=list(_closing(found))))

    @cache  # without records there is no checkpoint either
    def prover() -> Prover:
        return Prover(places, read_keys(places.vkey))

    def receipt(one: Recipient) -> str:
        name = one.employee.name
        entries = entries_of(subjects[name], log, catalog, prover().prove)
        key, words = read_keys(places.vkey)[0], translator_for(one.employee.locale)
        now = datetime.now(UTC)
        return render_receipt(name, subjects[name], entries, key, words, now, rehearsal=rehearsal).text

    make_private_dir(folder)
    rows: list[tuple[str, ...]] = []
    for one in found.recipients:
        attached = receipt(one) if one.kind is NoticeKind.RECEIPT else None
        rows += _write_one(folder, one, _letter(one, catalog, sender, attached), sender, attached)
    write_output(folder / ROWS, _csv(rows))
    _tell(found, folder)


@app.command()
def sent(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=f"The {ROWS} of the notices that went out.")],
    inventory: INVENTORY = None,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> None:
    """Record that the notices of a file went out today. Reminders count from here; a file counts once."""
    settings = settings_with_state(inventory, state=state, log_key=log_key, rehearsal=rehearsal)
    today = datetime.now(UTC).date()
    written = list(_read(file, today))
    answer = carry_out(settings, "fleet notices sent", Notify(notices=written))
    typer.echo(f"Recorded {counted(int(answer.get('new', 0)), 'notice')}, in the state directory {settings.state}.")


def _sender(settings: Settings) -> Sender:
    site = settings.portal
    if site is None:
        raise InputError("fleet.yml has no portal: notices need its organization and contact (docs/notices.md).")
    if "@" not in site.contact:
        raise InputError("portal.contact in fleet.yml is no e-mail address; notices are sent from it.")
    return Sender(site.organization, site.contact, None if settings.portal_data is None else site.url)


def _letter(one: Recipient, catalog: Catalog, sender: Sender, receipt: str | None) -> Letter:
    words = translator_for(one.employee.locale)
    items = [
        item_of(
            catalog.recipes[service],
            catalog.recipes[service].controls[control],
            one.employee.accounts[service].profile,
            words,
        )
        for service, control in one.controls
    ]
    return letter_of(one.kind, one.employee.name, items, sender, words, receipt)


def _write_one(
    folder: Path, one: Recipient, letter: Letter, sender: Sender, receipt: str | None
) -> Iterator[tuple[str, ...]]:
    """Write one employee's files and yield the rows of the mail merge: one for each setting, with the same id."""
    name, email = one.employee.name, one.employee.email or ""
    file = f"{name}.{one.kind}"
    write_output(folder / f"{file}.html", letter.html)
    if email:
        write_output(folder / f"{file}.eml", bytes(as_mail(letter, email, sender, name, receipt)))
    number, language = secrets.token_hex(16), translator_for(one.employee.locale).language
    told = (number, name, email, language, one.kind.value, letter.subject)
    if not letter.items:
        yield (*told, "", "", "", sender.portal or "", f"{file}.html")
    for item in letter.items:
        yield (*told, item.service, item.title, item.label, sender.portal or item.link, f"{file}.html")


def _closing(found: Due) -> Iterator[Statement]:
    now = datetime.now(UTC)
    for employee, service, control in found.closed:
        yield Statement(
            employee=employee, service=service, control=control, said="closed", at=now, assurance="oidc_session"
        )


def _csv(rows: list[tuple[str, ...]]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    table.writerow(COLUMNS)
    # A spreadsheet would execute such a cell as a formula.
    table.writerows([f"'{cell}" if cell[:1] in "=+-@\t\r" and cell else cell for cell in row] for row in rows)
    return text.getvalue()


def _read(file: Path, today: date) -> Iterator[WrittenNotice]:
    """Yield the notices of a file that `write` wrote, each once. Raises InputError with the line."""
    try:
        text = read_regular(file, MAX_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'}).") from None
    rows = csv.DictReader(io.StringIO(text))
    if not {"id", "employee", "kind"} <= set(rows.fieldnames or ()):
        raise InputError(
            f"{file}:1: not a {ROWS} of 'fleet notices write': the columns id, employee, kind are missing."
        )
    seen: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        try:
            one = WrittenNotice(id=row["id"], employee=row["employee"], kind=NoticeKind(row["kind"]), sent_on=today)
        except ValueError:
            raise InputError(
                f"{file}:{rows.line_num}: not a row of 'fleet notices write'; nothing was recorded."
            ) from None
        if one.id not in seen:
            seen[one.id] = row
            yield one


def _tell(found: Due, folder: Path) -> None:
    for kind, count in sorted(Counter(one.kind for one in found.recipients).items()):
        typer.echo(f"{kind.value}: {counted(count, 'notice')}")
    without = sorted({one.employee.name for one in found.recipients if not one.employee.email})
    if without:
        typer.echo(f"No .eml for lack of fleet_email: {', '.join(without[:20])}.")
    if found.closed:
        people_closed = len({employee for employee, _, _ in found.closed})
        typer.echo(f"Closed for {counted(people_closed, 'employee')} who did not answer two reminders.")
    typer.echo(f"Written to {folder}. When they are out: fleet notices sent {folder / ROWS}")
