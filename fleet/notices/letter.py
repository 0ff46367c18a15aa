"""One notice as a letter: its words in the employee's language, as plain text, as a page and as e-mail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.errors import MessageDefect
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from markupsafe import Markup

from fleet.notices.recipients import Recipient
from fleet.recipes.labels import covers
from fleet.recipes.recipe import Control, Recipe
from fleet.recipes.values import PROFILE
from fleet.report.rendering import asset, digest, templates
from fleet.report.translations import Translator, visible
from fleet.state.sent_notices import NoticeKind

PACKAGE = "fleet.notices"
"""Whose templates these are."""


@dataclass(frozen=True)
class Sender:
    """Who sends it, and whom employees ask. `portal` is the portal's address, if there is one."""

    organization: str
    contact: str
    portal: str | None = None

    @property
    def address(self) -> Address | None:
        """The contact as a mail address with the organization's name; None for a telephone number."""
        return _address(self.contact, self.organization)


@dataclass(frozen=True)
class Item:
    """One control of the employee, in their language."""

    service: str
    purpose: str | None
    label: str
    label_language: str
    is_label_foreign: bool
    """Whether the label is English, and the employee's language another one."""
    link: str
    must_be_on: bool


@dataclass(frozen=True)
class Letter:
    """A notice to one employee, ready to send. `steps` are those of all items, on one line."""

    subject: str
    text: str
    html: str
    steps: str
    items: tuple[Item, ...]


def item_of(recipe: Recipe, control: Control, profile: str | None, locale: str | None, words: Translator) -> Item:
    """Return what a letter says about one control: its label in the employee's language, else in English."""
    names, own = control.find.names, locale or words.language
    wanted = (own, words.language, "en")
    language = next((known for one in wanted for known in names if covers(known, one)), None)
    return Item(
        service=recipe.name,
        purpose=words(control.purpose) if control.purpose else None,
        label=names[language][0] if language else control.title,
        label_language=language or "en",
        is_label_foreign=not covers(language or "en", own),
        link=control.page_for(profile) if profile else service_address(control.page),
        must_be_on=control.opted_out == "on",
    )


def service_address(page: str) -> str:
    """Return a page's address; the service's own where it cannot be named without the employee's profile."""
    before, profile, _ = page.partition(PROFILE)
    return f"{before.rsplit('/', 1)[0]}/" if profile else page


def letter_of(one: Recipient, items: Sequence[Item], sender: Sender, words: Translator) -> Letter:
    """Return the letter to a recipient about these items."""
    subject = {
        NoticeKind.FIRST: words("Your data at online services: what you can switch off"),
        NoticeKind.REMINDER: words("Reminder: your data at online services"),
        NoticeKind.RECEIPT: words("What we did at your account: your receipt"),
    }[one.kind]
    style = asset("notice.css", PACKAGE)
    plain, page = (templates(words, is_page=is_page, package=PACKAGE) for is_page in (False, True))
    content = {
        "kind": one.kind,
        "subject": subject,
        "employee": one.employee.name,
        "items": items,
        "is_last": one.is_last,
        "is_mandated": any(press.is_mandated for press in one.presses),
        "is_claimed": any(press.is_claimed for press in one.presses),
        "sender": sender,
        "steps_of": lambda item: _steps(item, sender, words),
    }
    asked = () if one.kind is NoticeKind.RECEIPT else items
    numbered = (
        f"{item.service}: "
        + " ".join(f"{number}. {step}" for number, step in enumerate(_steps(item, sender, words), 1))
        for item in asked
    )
    html = page.get_template("notice.html.j2").render(
        content,
        style=Markup(style),  # noqa: S704 - our own file
        policy=f"default-src 'none'; style-src '{digest(style)}'; base-uri 'none'; form-action 'none'",
    )
    text = plain.get_template("notice.txt.j2").render(content)
    return Letter(subject, text, html, " ".join(numbered), tuple(items))


def _steps(item: Item, sender: Sender, words: Translator) -> tuple[str, str, str]:
    """Return the three steps as plain text."""
    label = words("Choose this, or switch it on:") if item.must_be_on else words("Switch this off:")
    foreign = f" ({words('label in English')})" if item.is_label_foreign else ""
    second = f'{label} "{visible(item.label)}"{foreign}'
    if sender.portal:
        first = words(
            "Open your page at {address}; it leads you to {service}.", address=sender.portal, service=item.service
        )
        return first, second, words("Tell us on your page what you did.")
    first = f"{words('Open the page and sign in with your own account.')} {item.link}"
    return first, second, words("Load the page again and check that it is as you set it.")


def as_mail(letter: Letter, to: str | None, sender: Sender, receipt: tuple[str, str] | None) -> EmailMessage | None:
    """Return the letter as an e-mail that a mail program opens as a draft; None if `to` is no address.

    `receipt` is the name and the content of a file that is attached.
    """
    recipient = _address(to) if to else None
    if recipient is None:
        return None
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = letter.subject
    if sender.address:
        mail["From"] = sender.address
        mail["Reply-To"] = sender.address
    mail["To"] = recipient
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Unsent"] = "1"
    mail.set_content(letter.text)
    mail.add_alternative(letter.html, subtype="html")
    if receipt is not None:
        name, content = receipt
        mail.add_attachment(content, filename=name)
    return mail


def _address(text: str, name: str = "") -> Address | None:
    """Return a mail address with a name; None if the text is none, or one that not every mail server takes."""
    try:
        address = Address(name, addr_spec=text)
    except (ValueError, MessageDefect, IndexError):
        return None
    return address if address.addr_spec == text and text.isascii() and address.domain else None
