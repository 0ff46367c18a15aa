"""`fleet notices`: mail to employees who can do something themselves, and to those in whose account we clicked."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fleet.audit.current_state import current_states
from fleet.audit.pseudonyms import known_subjects
from fleet.audit.segments import of_kind, read_records
from fleet.authority.inbox import Inbox
from fleet.commands.carry_out import carry_out
from fleet.commands.names_shown import record_names_shown
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
from fleet.notices.merge_file import NAME, MergeRow, csv_of, read_rows
from fleet.notices.recipients import Due, Notices, Recipient, answers, open_controls, presses
from fleet.paths import make_private_dir
from fleet.plan.forecast import forecast
from fleet.plan.plan import RunSpec, claimed_operator, new_run_id, read_people
from fleet.recipes.catalog import Catalog
from fleet.report.receipt import Receipts, records_by_subject
from fleet.report.translations import translator_for
from fleet.settings.resolve import Settings
from fleet.state.employee_acts import Attest, Notify, Statement
from fleet.state.ingest import BATCH
from fleet.state.sent_notices import NoticeKind, SentNotices

app = typer.Typer(no_args_is_help=True, help="Write mail to employees, and record what went out.")


@app.command()
def write(
    folder: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="New folder for the notices.")],
    contact: Annotated[
        str | None,
        typer.Option("--contact", metavar="ADDRESS", help="Whom employees ask, if fleet.yml has no portal."),
    ] = None,
    organization: Annotated[
        str | None, typer.Option("--organization", metavar="NAME", help="Who writes, if fleet.yml has no portal.")
    ] = None,
    inventory: INVENTORY = None,
    recipes: RECIPES = None,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> None:
    """Write today's notices as .eml, as HTML, and as notices.csv for a mail merge. Sends nothing.

    Employees whose settings no run may switch learn how to do it themselves: once, then two reminders at most, two
    weeks apart. Two weeks after the second, their settings are closed. Employees in whose account something was clicked
    get their receipt. When the notices are out, run `fleet notices sent`.
    """
    settings = settings_with_state(inventory, state=state, recipes=recipes, log_key=log_key, rehearsal=rehearsal)
    sender = _sender(settings, contact, organization)
    everybody, catalog = read_people(settings)
    everybody.require_own_state(is_rehearsal=rehearsal)
    make_private_dir(folder)
    if any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; name a new folder, so that no old notice goes out again.")
    now = datetime.now(UTC)  # what is recorded from here on is for the next notice
    waiting = _waiting(settings)
    places = settings.state_dir.audit
    log = list(of_kind(read_records(places.log), rehearsal=rehearsal))
    subjects = known_subjects(places.subjects)
    pseudonyms = {name: subject.pseudonym for name, subject in subjects.items()}
    clicked, answered = presses(log), answers(log)
    planned = forecast(RunSpec(new_run_id(), False, everybody, settings), catalog)
    found = Notices(
        open_controls(planned, current_states(log), pseudonyms),
        {name: clicked[pseudonym] for name, pseudonym in pseudonyms.items() if pseudonym in clicked},
        {name: answered[pseudonym] for name, pseudonym in pseudonyms.items() if pseudonym in answered},
        SentNotices(settings.state_dir.notices),
        waiting,
    ).due(everybody.employees, now.date())
    receipts, own = Receipts(places, catalog, now, rehearsal), records_by_subject(log)

    def receipt(one: Recipient) -> str:
        name = one.employee.name
        words = translator_for(one.employee.locale)
        return receipts.of(name, subjects[name], own[pseudonyms[name]], words).text

    shown = len({one.employee.name for one in found.recipients} & pseudonyms.keys())
    record_names_shown(settings, "notices write", shown)
    rows = [_write_one(folder, one, catalog, sender, receipt, now) for one in found.recipients]
    write_output(folder / NAME, csv_of(row for row, _ in rows))
    _close(settings, found, now)
    _tell(found, [row.employee for row, has_mail in rows if not has_mail], len(waiting), folder)


@app.command()
def sent(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=f"The {NAME} of the notices that went out.")],
    inventory: INVENTORY = None,
    rehearsal: REHEARSAL = False,
    state: STATE = None,
    log_key: LOG_KEY = None,
) -> None:
    """Record that the notices of a file went out today. Reminders count from here; a notice counts once."""
    settings = settings_with_state(inventory, state=state, log_key=log_key, rehearsal=rehearsal)
    notices = list(read_rows(file, datetime.now(UTC).date()))
    new = 0
    for start in range(0, len(notices), BATCH):
        act = Notify(notices=notices[start : start + BATCH], operator_claimed=claimed_operator())
        new += carry_out(settings, "fleet notices sent", act).get("new", 0)
    typer.echo(f"Recorded {counted(new, 'notice')}, in the state directory {settings.state}.")


def _sender(settings: Settings, contact: str | None, organization: str | None) -> Sender:
    site = settings.portal
    if site is not None:
        return Sender(organization or site.organization, contact or site.contact, site.url)
    if contact is None or organization is None:
        raise InputError("fleet.yml has no portal: say who writes and whom to ask (--organization, --contact).")
    return Sender(organization, contact)


def _waiting(settings: Settings) -> set[str]:
    """Return the employees with an act in the portal's inbox. Raises InputError if it cannot be read."""
    if settings.inbox is None:
        return set()
    return {one.act.employee for one in Inbox(settings.inbox).arrived() if one.act is not None}


def _write_one(
    folder: Path,
    one: Recipient,
    catalog: Catalog,
    sender: Sender,
    receipt: Callable[[Recipient], str],
    now: datetime,
) -> tuple[MergeRow, bool]:
    """Write a notice's files; return its row of the mail merge, and whether it has an .eml."""
    letter = _letter(one, catalog, sender)
    name = f"{one.employee.name}.{one.kind}"
    attached = None
    if one.kind is NoticeKind.RECEIPT:
        attached = f"{one.employee.name}.receipt.txt", receipt(one)
        write_output(folder / attached[0], attached[1])
    write_output(folder / f"{name}.html", letter.html)
    mail = as_mail(letter, one.employee.email, sender, attached)
    if mail is not None:
        write_output(folder / f"{name}.eml", bytes(mail))
    row = MergeRow(
        id=secrets.token_hex(16),
        written_at=now.isoformat(),
        employee=one.employee.name,
        email=one.employee.email or "",
        language=translator_for(one.employee.locale).language,
        kind=one.kind,
        subject=letter.subject,
        service=_joined(item.service for item in letter.items),
        label=_joined(item.label for item in letter.items),
        link=sender.portal or _joined(item.link for item in letter.items),
        steps=letter.steps,
        page=f"{name}.html",
        receipt=attached[0] if attached else "",
        controls=" ".join(f"{service}.{control}" for service, control in one.controls),
    )
    return row, mail is not None


def _joined(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def _letter(one: Recipient, catalog: Catalog, sender: Sender) -> Letter:
    words, employee = translator_for(one.employee.locale), one.employee
    items = [
        item_of(recipe, recipe.controls[control], employee.accounts[service].profile, employee.locale, words)
        for service, control in one.controls
        if service in employee.accounts and (recipe := catalog.get(service)) is not None and control in recipe.controls
    ]
    return letter_of(one, items, sender, words)


def _close(settings: Settings, found: Due, now: datetime) -> None:
    statements = [
        Statement(employee=employee, service=service, control=control, said="closed", at=now, assurance="oidc_session")
        for employee, service, control in found.closed
    ]
    for start in range(0, len(statements), BATCH):
        act = Attest(statements=statements[start : start + BATCH], operator_claimed=claimed_operator())
        carry_out(settings, "fleet notices write", act)


def _tell(found: Due, without_mail: list[str], waiting: int, folder: Path) -> None:
    for kind, count in sorted(Counter(one.kind for one in found.recipients).items()):
        typer.echo(f"{kind.value}: {counted(count, 'notice')}")
    if without_mail:
        names = ", ".join(sorted(set(without_mail))[:20])
        typer.echo(f"No .eml, because fleet_email is missing or unusual: {names}. Hand over the .html.")
    if found.closed:
        people_closed = len({employee for employee, _, _ in found.closed})
        typer.echo(f"Closed for {counted(people_closed, 'employee')} who did not answer two reminders.")
    if waiting:
        typer.echo(f"Not asked: {counted(waiting, 'employee')} with something in the inbox; run: fleet portal ingest")
    typer.echo(f"Written to {folder}. When they are out: fleet notices sent {folder / NAME}")
