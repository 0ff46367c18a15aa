"""Requests: forms and letters that a person signs and sends. No page is opened for them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fleet.model import RequestKind
from fleet.recipes.values import PROFILE, Date, Labels, Language, LongText, Page, Strict, Text


class Request(Strict):
    """A form or a letter that a person signs and sends. Nothing of this tool touches it: no page is opened for it.

    An employee's word that the service confirmed it is `attested`, reason `sent`. One that the organization signs is
    `submitted` once `fleet services submitted` has recorded the confirmation.
    """

    title: Text = Field(description="Display name of the request, for lists, reports and the portal.")
    purpose: Text | None = Field(
        default=None, description="What the service does with data of employees until it has the request."
    )
    kind: RequestKind = Field(description="form: filled in at `page`; letter: sent to `send_to`.")
    signed_by: Literal["employee", "organization"] = Field(
        default="employee", description="Who signs it: each employee for themselves, or the organization once for all."
    )
    page: Page | None = Field(default=None, description="Of a form: its address.")
    send_to: Text | None = Field(default=None, description="Of a letter: the e-mail or postal address that it goes to.")
    choices: Labels = Field(
        default_factory=dict, description="Of a form: the exact labels to choose, in their order, by language."
    )
    text: dict[Language, LongText] = Field(
        default_factory=dict, description="Text to copy into the form or the letter, by language."
    )
    sources: tuple[Text, ...] = Field(min_length=1, description="Where each fact above comes from.")
    verified_live: Date | None = Field(description="When somebody saw the service confirm such a request, or null.")

    @model_validator(mode="after")
    def _can_be_sent(self) -> Self:
        if (self.kind is RequestKind.FORM) is (self.page is None) or (self.kind is RequestKind.LETTER) is (
            self.send_to is None
        ):
            raise ValueError("a form has page and no send_to, a letter has send_to and no page")
        if self.kind is RequestKind.LETTER and (not self.text or self.choices):
            raise ValueError("a letter has text and no choices")
        if self.page is not None and PROFILE in self.page:
            raise ValueError("the page of a form is the same for everybody, without {profile}")
        return self
