"""What a person must do next, in one sentence for each outcome and reason (promise 5 of the design)."""

from __future__ import annotations

from collections.abc import Callable

from fleet.model import Outcome, Reason, Result

_BY_REASON: dict[tuple[Outcome, Reason], str] = {
    (Outcome.NO_MANDATE, Reason.NO_MANDATE_GIVEN): "Ask {employee} for a mandate and add it as fleet_mandate.",
    (Outcome.NO_MANDATE, Reason.MANDATE_EXPIRED): "Ask {employee} to renew the mandate; it has expired.",
    (Outcome.NO_MANDATE, Reason.MANDATE_NOT_YET_VALID): "Wait until {employee}'s mandate begins, then run again.",
    (Outcome.NO_MANDATE, Reason.MANDATE_REVOKED): "Leave the account alone: {employee} has revoked the mandate.",
    (
        Outcome.NO_MANDATE,
        Reason.MANDATE_OF_ANOTHER,
    ): "Give {employee} a mandate of their own, among their own variables; one that names somebody else opens nothing.",
    (
        Outcome.NO_MANDATE,
        Reason.MANDATE_MISSES_SERVICE,
    ): "Ask {employee} whether the mandate may cover {service}, and add it to its services.",
    (
        Outcome.NO_MANDATE,
        Reason.REVOCATIONS_UNREADABLE,
    ): "Administrator: 'fleet mandates list' says why revocations cannot be read; until then, nothing is pressed.",
    (
        Outcome.NOT_PERMITTED,
        Reason.SERVICE_STOPPED,
    ): "Leave {service} alone: it was stopped for all runs. 'fleet services start' opens it again.",
    (
        Outcome.NOT_PERMITTED,
        Reason.STOPS_UNREADABLE,
    ): "Administrator: 'fleet services list' says why stops cannot be read; until then, nobody is visited.",
    (
        Outcome.NOT_PERMITTED,
        Reason.PERSONAL_SESSION,
    ): "Ask {employee} to do it in person, or decide in fleet.yml (personal_sessions) to use personal sessions at "
    "{service}.",
    (Outcome.SIGN_IN_NEEDED, Reason.NO_SESSION): "Ask {employee} to sign in to {service}, then import that session.",
    (Outcome.CHALLENGED, Reason.CAPTCHA): "Ask {employee} to sign in to {service} and solve the CAPTCHA in person.",
    (Outcome.CHALLENGED, Reason.CODE): "Ask {employee} to sign in to {service} and enter the code it sent.",
    (Outcome.CHALLENGED, Reason.DEVICE_APPROVAL): "Ask {employee} to approve the sign-in to {service} on their device.",
    (
        Outcome.CHALLENGED,
        Reason.RESTRICTION,
    ): "Ask {employee} to settle the restriction that {service} has put on the account; do not run again before.",
    (
        Outcome.PAGE_CHANGED,
        Reason.IDENTITY,
    ): "Recipe author: the sign of who is signed in was not readable at {service}; nothing was clicked.",
    (
        Outcome.PAGE_CHANGED,
        Reason.ADDRESS,
    ): "Recipe author: the page that the recipe declares is not at {service} any more, or leads to another one.",
    (Outcome.PAGE_CHANGED, Reason.NOT_FOUND): "Recipe author: the control was not found on the page of {service}.",
    (Outcome.PAGE_CHANGED, Reason.SEVERAL): "Recipe author: {service} shows the control more than once.",
    (Outcome.PAGE_CHANGED, Reason.COVERED): "Recipe author: something covers the control at {service}.",
    **{
        (
            outcome,
            Reason.LABEL,
        ): "Recipe author: {service} shows another label at the control. Check what it means now; "
        "if the setting is the same, add it to the recipe's names."
        for outcome in (Outcome.PAGE_CHANGED, Outcome.UNKNOWN)
    },
    (
        Outcome.PAGE_CHANGED,
        Reason.DEAD,
    ): "Recipe author: no script of {service} listens to the control. Check that the page loads fully, "
    "and that the recipe names its Save button.",
    (
        Outcome.PAGE_CHANGED,
        Reason.STATE_UNREADABLE,
    ): "Recipe author: what is found at {service} does not say whether it is on or off, or is of another kind.",
    (
        Outcome.PAGE_CHANGED,
        Reason.UNSTABLE,
    ): "Recipe author: the page of {service} did not come to rest; look whether the recipe needs `ready`.",
    (Outcome.PAGE_CHANGED, Reason.DISABLED): "Look once as {employee}: {service} shows the control disabled.",
    (
        Outcome.UNKNOWN,
        Reason.NOT_SENT,
    ): "Recipe author: {service} sent nothing when the control was pressed; nothing can be proved on this page.",
    (
        Outcome.NOT_SAVED,
        Reason.STILL_IN,
    ): "Recipe author: {service} shows the control as it was; look as {employee} for a dialog or a Save button.",
    (
        Outcome.NOT_SAVED,
        Reason.DIALOG,
    ): "Ask {employee} to switch it off by hand: {service} asks a question first, which only a person may answer.",
    (
        Outcome.NOT_SAVED,
        Reason.SAVE_REFUSED,
    ): "Run again later: {service} refused the change. If it stays so, look at the page as {employee}.",
    (
        Outcome.NOT_SAVED,
        Reason.SAVE_UNANSWERED,
    ): "Wait: {service} did not answer when the change was saved. Run again later.",
    (Outcome.NOT_SAVED, Reason.SAVE_BUTTON): "Recipe author: the Save button of {service} was not there to press.",
    (
        Outcome.ERROR,
        Reason.BAD_DATA,
    ): "Mend {employee}'s data in the inventory; 'fleet inventory check' names file and field.",
    (Outcome.ERROR, Reason.UNKNOWN_SERVICE): "Write a recipe for '{service}' (docs/recipes.md) or mend the name.",
    (
        Outcome.ERROR,
        Reason.SESSION_UNREADABLE,
    ): "Give the identity that opens {employee}'s session (--identity), or import the session again.",
    (Outcome.ERROR, Reason.NETWORK): "Check the network between here and {service}, then run again.",
    (
        Outcome.ERROR,
        Reason.REFUSED_HOST,
    ): "Recipe author: {service} led to a host that the recipe does not list; 'fleet audit show' names it.",
    (
        Outcome.ERROR,
        Reason.TIMEOUT,
    ): "Run again later; if it stays so, look at the page as {employee}: {service} did not answer in time.",
    (Outcome.ERROR, Reason.TLS): "Check the certificate of {service}, or pass its key with --trust-spki on loopback.",
    (Outcome.ERROR, Reason.RATE_LIMITED): "Wait: {service} asked for fewer visits. Run again later.",
    (Outcome.ERROR, Reason.FORBIDDEN): "Look once as {employee}: {service} refuses them the page (HTTP 403).",
    (Outcome.ERROR, Reason.SERVICE_ERROR): "Wait: {service} answered with an error. Run again later.",
    (
        Outcome.ERROR,
        Reason.DATA_MISSING,
    ): "Wait: {service} did not give its page all data, so what it shows proves nothing. Run again later.",
    (
        Outcome.UNKNOWN,
        Reason.DATA_MISSING,
    ): "Run again later: {service} did not give its page all data, so what it showed at last proves nothing.",
    (
        Outcome.ERROR,
        Reason.WORKER_LOST,
    ): "Administrator: see what became of the worker ('fleet audit show' names it), then run again.",
    (
        Outcome.NOT_RUN,
        Reason.CIRCUIT_OPEN,
    ): "Settle first what stopped the others at {service}; only then run again: nobody else was visited there.",
    (Outcome.NOT_RUN, Reason.AUDIT_FAILED): "Administrator: make the audit log writable again, then run again.",
    (
        Outcome.UNKNOWN,
        Reason.OTHER_PERSON,
    ): "Ask {employee} to sign in with their own {service} account, import that session, and run again to read it.",
    (
        Outcome.UNKNOWN,
        Reason.SIGNED_OUT,
    ): "Ask {employee} to sign in to {service} again, import the new session, and run again to read what it holds.",
    **{
        (
            Outcome.UNKNOWN,
            reason,
        ): "Ask {employee} to answer in person what {service} asks at sign-in; then run again to read what it holds."
        for reason in (Reason.CAPTCHA, Reason.CODE, Reason.DEVICE_APPROVAL, Reason.RESTRICTION, Reason.CHALLENGE)
    },
}

_BY_OUTCOME: dict[Outcome, str] = {
    Outcome.WOULD_OPT_OUT: "Run again without --check to opt {employee} out.",
    Outcome.NOT_OFFERED: "Nothing to do: {service} does not offer this control to {employee}. Look once by hand.",
    Outcome.SUBMITTED: "Track the reply of {service} to {employee}'s request.",
    Outcome.NO_MANDATE: "Ask {employee} for a mandate that covers {service}.",
    Outcome.NOT_PERMITTED: "Administrator: accept the risk in fleet.yml (terms_accepted), or ask {employee} to do it.",
    Outcome.ADMIN_NEEDED: "The administrator of {service} must switch this off for the whole organization.",
    Outcome.SIGN_IN_NEEDED: "Ask {employee} to sign in to {service} again, then import the new session.",
    Outcome.CHALLENGED: "Ask {employee} to sign in to {service} in person and answer what it asks.",
    Outcome.WRONG_ACCOUNT: "Ask {employee} to sign in with their own {service} account, then import that session.",
    Outcome.PAGE_CHANGED: "Recipe author: the page of {service} is not the one the recipe describes.",
    Outcome.NOT_SAVED: "Recipe author: {service} did not keep the change; look at the page as {employee}.",
    Outcome.UNKNOWN: "Run again: the next run reads what {service} holds before it does anything.",
    Outcome.ERROR: "Run again; if it stays so, report it with the agent's log (runs/ in the state directory).",
    Outcome.NOT_RUN: "Run again: this account was not reached.",
}


_PAGE_FAILED = (4, 5)
"""Exit codes of outcomes in which a host that was refused may have had a part."""


REFUSED_HOSTS = "The page asked in vain for {hosts}, not among the recipe's asset_hosts."
TEMPLATES = (*dict.fromkeys([*_BY_REASON.values(), *_BY_OUTCOME.values()]), REFUSED_HOSTS)
"""Every sentence that `next_step` may say, for those who translate them."""


def has_step_of_its_own(outcome: Outcome, reason: Reason) -> bool:
    """True if the reason says more than the outcome alone."""
    return (outcome, reason) in _BY_REASON


def next_step(result: Result, say: Callable[[str], str] = lambda text: text) -> str | None:
    """The sentence that says who must do what, or None where nothing is left to do; `say` translates."""
    template = _BY_OUTCOME.get(result.outcome)
    if result.reason is not None:
        template = _BY_REASON.get((result.outcome, result.reason), template)
    if template is None:
        return None
    service = result.service_name or result.service or say("the service")
    step = say(template).format(employee=result.employee, service=service)
    if result.refused_hosts and result.outcome.exit_code in _PAGE_FAILED:
        step += " " + say(REFUSED_HOSTS).format(hosts=", ".join(result.refused_hosts))
    return step
