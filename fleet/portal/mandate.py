"""Giving a mandate: choose, see the whole text, sign in afresh. Nothing counts before the last step."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby

from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from fleet.authority.instruction import MAX_STATEMENT, Instruction, TextId, nonce_of
from fleet.portal.context import Context
from fleet.portal.home import may_give, names_of
from fleet.portal.published import PublishedService
from fleet.portal.sign_in import send_to_provider
from fleet.portal.situation import Item, items_of, mandates_of, today
from fleet.recipes.profile_address import typed_profile

MAX_PROFILE = 500
"""Characters of an address that somebody may type."""


@dataclass
class Choice:
    """One service on the form."""

    service_id: str
    service: PublishedService
    items: list[Item]
    typed: str
    """The profile: as known, or as the employee typed it."""
    ticked: set[str] = field(default_factory=set)
    is_wrong: bool = False
    """Whether what was typed is not a profile."""
    profile: str = ""


async def choose(context: Context) -> Response:
    """Show what a mandate can be given for, nothing ticked."""
    return await _form(context, _choices(context), _text_language(context))


async def prepare(context: Context) -> Response:
    """Check the form and keep the instruction for the review."""
    fields = await context.form()
    choices = _choices(context)
    ticked = set(fields.get("control", ()))
    for choice in choices:
        choice.ticked = ticked & {item.name for item in choice.items}
        choice.typed = "".join(fields.get(f"profile.{choice.service_id}", ()))[:MAX_PROFILE].strip()
        if choice.ticked:
            _read_profile(choice)
    chosen = [choice for choice in choices if choice.ticked]
    language = "".join(fields.get("text", ())) or _text_language(context)
    text = context.site.texts.get(language)
    if not chosen or any(choice.is_wrong for choice in chosen) or text is None:
        return await _form(context, choices, language, is_empty=not chosen, status=422)
    granted_on = today()
    instruction = Instruction(
        v=1,
        employee=context.person.employee,
        controls=tuple(sorted(name for choice in chosen for name in choice.ticked)),
        profiles={choice.service_id: choice.profile for choice in chosen},
        text=TextId.model_validate(text.model_dump(exclude={"text"})),
        granted_on=granted_on,
        expires_on=granted_on + timedelta(days=context.site.mandate_days),
        random=secrets.token_hex(32),
    )
    statement = instruction.model_dump_json()
    if len(statement.encode()) > MAX_STATEMENT:
        return await _form(context, choices, language, status=422)
    context.session.statement = statement
    return RedirectResponse("/mandate/review", 303)


async def review(context: Context) -> Response:
    """Show the whole instruction, with its text, before it counts."""
    instruction = _under_review(context)
    if instruction is None:
        return RedirectResponse("/mandate", 303)
    items = list(items_of(context.person, context.site, (), context.language))
    return context.page(
        "review.html.j2",
        instruction=instruction,
        chosen=[item for item in items if item.name in instruction.controls],
        text=context.site.texts[instruction.text.language],
        digest=nonce_of(context.session.statement or ""),
    )


async def sign(context: Context) -> Response:
    """Send the employee to sign in afresh, which signs just the instruction that they saw."""
    statement = context.session.statement
    if _under_review(context) is None or statement is None:
        return RedirectResponse("/mandate", 303)
    if nonce_of(statement) != context.request.query_params.get("of"):  # seen in another tab, and changed since
        return RedirectResponse("/mandate/review", 303)
    return await send_to_provider(context.portal, context.request, context.site, statement, context.session_id)


async def given(context: Context) -> Response:
    """Say that the mandate was given."""
    pending = await context.pending()
    items = list(items_of(context.person, context.site, pending, context.language))
    mandates = mandates_of(context.person, pending, names_of(items), today())
    if not any(one.is_new for one in mandates):
        return RedirectResponse("/", 303)
    return context.page("given.html.j2", mandate=[one for one in mandates if one.is_new][-1])


async def _form(
    context: Context, choices: list[Choice], language: str, *, is_empty: bool = False, status: int = 200
) -> Response:
    items = list(items_of(context.person, context.site, (), context.language))
    return context.page(
        "mandate.html.j2",
        status=status,
        choices=choices,
        refused=[
            next(group)[1]
            for _, group in groupby(
                ((item.service_id, item.service) for item in items if not item.service.may_be_mandated),
                key=lambda one: one[0],
            )
        ],
        may_give=may_give(context, items),
        text_language=language,
        is_empty=is_empty,
    )


def _choices(context: Context) -> list[Choice]:
    items = [item for item in items_of(context.person, context.site, (), context.language) if item.may_be_mandated]
    return [
        Choice(service_id, of_one[0].service, of_one, context.person.profiles.get(service_id, ""))
        for service_id, of_one in ((key, list(group)) for key, group in groupby(items, key=lambda one: one.service_id))
    ]


def _read_profile(choice: Choice) -> None:
    profile = typed_profile(choice.typed, choice.service)
    choice.profile, choice.is_wrong = profile or choice.profile, profile is None


def _text_language(context: Context) -> str:
    """Return the page's language if the organization approved a text in it; else one that it approved."""
    texts = context.site.texts
    return context.language if context.language in texts else next(iter(texts), "en")


def _under_review(context: Context) -> Instruction | None:
    """Return the instruction to review; None if there is none, or if the day or the approved text changed since."""
    if context.session.statement is None:
        return None
    try:
        instruction = Instruction.model_validate_json(context.session.statement)
    except ValidationError:
        return None
    text = context.site.texts.get(instruction.text.language)
    is_same = text is not None and TextId.model_validate(text.model_dump(exclude={"text"})) == instruction.text
    return instruction if is_same and instruction.granted_on == today() else None
