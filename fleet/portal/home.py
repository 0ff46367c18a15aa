"""The employee's page: their controls, what they tell us about them, revoking, and their receipt."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from fleet.authority.attestations import Said
from fleet.authority.inbox import AppointmentAct, AttestAct, CloseAct, RevokeAct, SpotCheckAct
from fleet.portal.context import Context
from fleet.portal.pages import sentence
from fleet.portal.situation import (
    SHADES,
    WORDS,
    Item,
    asked_for_appointment_on,
    is_invited,
    items_of,
    mandates_of,
    revoked_on,
    today,
)

APPOINTMENT = "appointment"
"""What was saved last, if it was about an appointment and not about a control."""
NOT_SEEN, LEAVE, NO_ACCOUNT, WITHDRAW = "not_seen", "leave", "no_account", "withdraw"


async def home(context: Context) -> Response:
    """Show the employee's page."""
    return await _home(context)


async def _home(context: Context, unanswered: str | None = None) -> Response:
    """Show the page; `unanswered` is the control whose form was sent without an answer."""
    pending = await context.pending()
    items = list(items_of(context.person, context.site, pending, context.language))
    saved, context.session.saved = context.session.saved, None
    return context.page(
        "home.html.j2",
        status=422 if unanswered else 200,
        items=items,
        open_count=sum(item.word == "Open" for item in items),
        mandates=mandates_of(context.person, pending, names_of(items), today()),
        revoked_on=revoked_on(pending),
        may_give=may_give(context, items),
        may_ask=context.person.may_ask_for_appointment,
        asked_on=asked_for_appointment_on(context.person, pending),
        is_invited=is_invited(context.person, pending),
        saved=saved,
        unanswered=unanswered,
        answers=answers_for,
        words=WORDS,
        shades=SHADES,
        others={item.name: other_labels(item) for item in items},
        is_revoked=context.person.is_revoked,
        receipt=context.person.receipt is not None,
    )


def answers_for(item: Item) -> list[tuple[str, str]]:
    """Return the answers that the form of a control offers: value and sentence."""
    last = [(LEAVE, sentence("I leave it as it is")), (NO_ACCOUNT, sentence("I do not use this service"))]
    if item.control.request is not None:
        return [("sent", sentence("I sent it and saw the confirmation")), *last]
    if item.control.opted_out == "off":
        done = [("switched", sentence("I switched it off")), ("was_off", sentence("It was off already"))]
    else:
        done = [("switched", sentence("I chose it")), ("was_off", sentence("It was chosen already"))]
    return [*done, (NOT_SEEN, sentence("I do not see it")), *last]


def other_labels(item: Item) -> list[tuple[str, str]]:
    """Return a control's label in the other languages that are known, each with its language."""
    return [(spoken, text) for spoken, text in item.control.labels.items() if text != item.label]


async def answer(context: Context) -> Response:
    """Store what the employee says about one control."""
    fields = await context.form()
    items = items_of(context.person, context.site, (), context.language)
    item = next((one for one in items if [one.name] == fields.get("control")), None)
    if item is None or (item.control.request is not None and item.control.request.is_of_organization):
        raise HTTPException(400)
    [said] = fields.get("answer", [""]) or [""]
    about = {"v": 1, "employee": context.person.employee, "at": datetime.now(UTC)}
    where = {"service": item.service_id, "control": item.control_id}
    if said == NOT_SEEN and item.control.request is None:
        return RedirectResponse(f"/not-seen/{item.name}", 303)
    if said in (LEAVE, NO_ACCOUNT):  # which of them is stored nowhere
        await context.write(CloseAct.model_validate({**about, **where, "act": "close"}))
    elif said == WITHDRAW:
        await context.write(AttestAct.model_validate({**about, **where, "act": "attest", "said": None}))
    elif said in get_args(Said) and said in dict(answers_for(item)):
        await context.write(AttestAct.model_validate({**about, **where, "act": "attest", "said": said}))
    else:
        return await _home(context, unanswered=item.name)
    context.session.saved = item.name
    return RedirectResponse(f"/#{item.name}", 303)


async def not_seen(context: Context) -> Response:
    """Show what to try when the control is not on the service's page. Nothing is stored."""
    items = items_of(context.person, context.site, (), context.language)
    item = next((one for one in items if one.name == context.request.path_params["name"]), None)
    if item is None or item.control.request is not None:
        raise HTTPException(404)
    return context.page("not_seen.html.j2", item=item)


async def appointment(context: Context) -> Response:
    """Ask for an appointment at the desk, or withdraw that."""
    fields = await context.form()
    is_wanted = fields.get("wanted") == ["yes"]
    if not is_wanted and fields.get("wanted") != ["no"]:
        raise HTTPException(400)
    if is_wanted and not context.person.may_ask_for_appointment:
        raise HTTPException(400)
    employee = context.person.employee
    await context.write(
        AppointmentAct(v=1, act="appointment", employee=employee, at=datetime.now(UTC), is_wanted=is_wanted)
    )
    context.session.saved = APPOINTMENT
    return RedirectResponse(f"/#{APPOINTMENT}", 303)


async def spot_check(context: Context) -> Response:
    """Come to the spot check for which the employee was drawn, or not; without an answer nothing is stored."""
    fields = await context.form()
    is_coming = fields.get("coming") == ["yes"]
    if not is_coming and fields.get("coming") != ["no"]:
        raise HTTPException(400)
    if not is_invited(context.person, await context.pending()):
        raise HTTPException(400)
    employee = context.person.employee
    await context.write(
        SpotCheckAct(v=1, act="spot_check", employee=employee, at=datetime.now(UTC), is_coming=is_coming)
    )
    if not is_coming:
        return RedirectResponse("/", 303)
    context.session.saved = APPOINTMENT
    return RedirectResponse(f"/#{APPOINTMENT}", 303)


async def revoke(context: Context) -> Response:
    """Revoke every mandate of the employee, at once."""
    await context.form()
    await context.write(RevokeAct(v=1, act="revoke", employee=context.person.employee, at=datetime.now(UTC)))
    return RedirectResponse("/#mandate", 303)


async def receipt(context: Context) -> Response:
    """Show the employee's receipt."""
    if context.person.receipt is None:
        raise HTTPException(404)
    return context.page("receipt.html.j2", receipt=context.person.receipt)


async def receipt_file(context: Context) -> Response:
    """Return the receipt as a file to keep."""
    if context.person.receipt is None:
        raise HTTPException(404)
    name = f"{context.person.employee}.receipt.txt"
    return PlainTextResponse(context.person.receipt, headers={"content-disposition": f'attachment; filename="{name}"'})


def names_of(items: list[Item]) -> dict[str, str]:
    """Return how controls are called in lists."""
    return {item.name: f"{item.service.name}: {item.label}" for item in items}


def may_give(context: Context, items: list[Item]) -> bool:
    """Return True if a mandate can be given for any control."""
    return bool(context.site.texts) and any(item.may_be_mandated for item in items)
