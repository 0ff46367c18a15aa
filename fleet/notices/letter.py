"""One notice as a letter: its words in the employee's language, as plain text, as a page and as e-mail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fleet.recipes.recipe import PROFILE, Control, Recipe
from fleet.report.translations import Translator
from fleet.state.sent_notices import NoticeKind


@dataclass(frozen=True)
class Sender:
    """Who sends it. `portal` is the portal's address, if there is one."""

    organization: str
    contact: str
    portal: str | None


@dataclass(frozen=True)
class Item:
    """One setting that the employee can switch, in their language."""

    service: str
    title: str
    purpose: str | None
    label: str
    label_language: str
    link: str
    must_be_on: bool


@dataclass(frozen=True)
class Letter:
    """A notice to one employee, ready to send."""

    subject: str
    text: str
    html: str
    items: tuple[Item, ...]


def item_of(recipe: Recipe, control: Control, profile: str | None, words: Translator) -> Item:
    """Return what a letter says about one control: its label in the employee's language, else in English."""
    names = control.find.names
    language = words.language if words.language in names else "en" if "en" in names else next(iter(names), "en")
    return Item(
        service=recipe.name,
        title=control.title,
        purpose=words(control.purpose) if control.purpose else None,
        label=names[language][0] if names else control.title,
        label_language=language,
        link=control.page_for(profile) if profile else service_address(control.page),
        must_be_on=control.opted_out == "on",
    )


def service_address(page: str) -> str:
    """Return a page's address; the service's own where it cannot be named without the employee's profile."""
    before, profile, _ = page.partition(PROFILE)
    return f"{before.rsplit('/', 1)[0]}/" if profile else page


def letter_of(
    kind: NoticeKind,
    employee: str,
    items: Sequence[Item],
    sender: Sender,
    words: Translator,
    receipt: str | None = None,
) -> Letter:
    """Return the letter; `receipt` is what was done for the employee, for that kind."""
    subject = {
        NoticeKind.FIRST: words("Your data at online services: you can switch this off"),
        NoticeKind.REMINDER: words("Reminder: your data at online services"),
        NoticeKind.RECEIPT: words("We switched something off for you"),
    }[kind]
    content = {
        "kind": kind,
        "subject": subject,
        "employee": employee,
        "items": items,
        "sender": sender,
        "receipt": receipt,
        "style": Markup(files("fleet.notices").joinpath("templates", "notice.css").read_text("utf-8")),  # noqa: S704
    }
    text, html = (
        _templates(words, is_page).get_template(f"notice.{suffix}.j2").render(content)
        for suffix, is_page in (
            ("txt", False),
            ("html", True),
        )
    )
    return Letter(subject, text, html, tuple(items))


def as_mail(letter: Letter, to: str, sender: Sender, employee: str, receipt: str | None = None) -> EmailMessage:
    """Return the letter as an e-mail; a receipt is attached."""
    mail = EmailMessage()
    mail["Subject"] = letter.subject
    mail["From"] = sender.contact
    mail["To"] = to
    mail["Date"] = formatdate(localtime=False)
    mail["Message-ID"] = make_msgid(domain=sender.contact.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(letter.text)
    mail.add_alternative(letter.html, subtype="html")
    if receipt is not None:
        mail.add_attachment(receipt, filename=f"{employee}.receipt.txt")
    return mail


def _templates(words: Translator, is_page: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("fleet.notices"),
        autoescape=is_page,  # noqa: S701 - the other one is plain text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["say"] = words
    return environment
