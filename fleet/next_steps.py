"""What a person must do next: one sentence for each outcome and reason."""

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
    ): "Set fleet_mandate on {employee}'s own host entry; a mandate that names someone else is ignored.",
    (
        Outcome.NO_MANDATE,
        Reason.MANDATE_MISSES_SERVICE,
    ): "Ask {employee} whether the mandate may cover {service}; if so, add it to the mandate's services.",
    (
        Outcome.NO_MANDATE,
        Reason.MANDATE_MISSES_CONTROL,
    ): "Ask {employee} whether the mandate may cover this control of {service}; they can give it in the portal.",
    (
        Outcome.NO_MANDATE,
        Reason.MANDATE_TOO_WEAK,
    ): "Ask {employee} to give the mandate in the portal: fleet.yml requires a stronger one (mandates).",
    (
        Outcome.NO_MANDATE,
        Reason.MANDATES_UNREADABLE,
    ): "Administrator: run 'fleet mandates list' to see why given mandates cannot be read.",
    (
        Outcome.NO_MANDATE,
        Reason.ANSWERS_UNREADABLE,
    ): "Administrator: run 'fleet mandates list' to see why the answers of {employee} cannot be read.",
    (
        Outcome.NO_MANDATE,
        Reason.NOT_ALLOWED,
    ): "Leave the account alone: {employee} did not allow it at the desk. They can come again.",
    (Outcome.NO_MANDATE, Reason.CLOSED): "Leave the account alone: {employee} is not asked again.",
    (
        Outcome.EMPLOYEE_NEEDED,
        Reason.PROFILE_UNKNOWN,
    ): "Ask {employee} for their {service} profile: they enter it in the portal, or add it to the inventory.",
    (
        Outcome.EMPLOYEE_NEEDED,
        Reason.EMPLOYEE_SIGNS,
    ): "Ask {employee} to sign and send this request to {service}: the portal shows the address, the choices and the "
    "text.",
    (
        Outcome.ADMIN_NEEDED,
        Reason.ORGANIZATION_SIGNS,
    ): "Administrator: send the organization's request to {service}, then record its confirmation with "
    "'fleet services submitted'.",
    (
        Outcome.NO_MANDATE,
        Reason.REVOCATIONS_UNREADABLE,
    ): "Administrator: run 'fleet mandates list' to see why revocations cannot be read. No setting is changed until "
    "this is fixed.",
    (
        Outcome.NOT_PERMITTED,
        Reason.SERVICE_STOPPED,
    ): "Leave {service} alone: it is stopped for all runs. To lift the stop, run 'fleet services start'.",
    (
        Outcome.NOT_PERMITTED,
        Reason.STOPS_UNREADABLE,
    ): "Administrator: run 'fleet services list' to see why stops cannot be read. No account is visited until this "
    "is fixed.",
    (
        Outcome.NOT_PERMITTED,
        Reason.PERSONAL_SESSION,
    ): "Ask {employee} to opt out in person, or allow personal sessions for {service} in fleet.yml "
    "(personal_sessions).",
    (
        Outcome.NOT_PERMITTED,
        Reason.COUNTRY,
    ): "Ask {employee} to opt out on their own: fleet.yml (desk) does not name their country (fleet_country).",
    (
        Outcome.SIGN_IN_NEEDED,
        Reason.NO_SESSION,
    ): "Ask {employee} to sign in to {service} with 'fleet sessions capture'.",
    (Outcome.CHALLENGED, Reason.CAPTCHA): "Ask {employee} to sign in to {service} and solve the CAPTCHA in person.",
    (Outcome.CHALLENGED, Reason.CODE): "Ask {employee} to sign in to {service} and enter the code it sent.",
    (Outcome.CHALLENGED, Reason.DEVICE_APPROVAL): "Ask {employee} to approve the sign-in to {service} on their device.",
    (
        Outcome.CHALLENGED,
        Reason.RESTRICTION,
    ): "Ask {employee} to resolve the restriction that {service} put on the account; do not run again until then.",
    (
        Outcome.PAGE_CHANGED,
        Reason.IDENTITY,
    ): "Recipe author: could not read who is signed in at {service}; nothing was clicked.",
    (
        Outcome.PAGE_CHANGED,
        Reason.ADDRESS,
    ): "Recipe author: the page that the recipe declares no longer exists at {service} or leads to another one.",
    (Outcome.PAGE_CHANGED, Reason.NOT_FOUND): "Recipe author: the control was not found on the page of {service}.",
    (Outcome.PAGE_CHANGED, Reason.SEVERAL): "Recipe author: {service} shows the control more than once.",
    (Outcome.PAGE_CHANGED, Reason.COVERED): "Recipe author: something covers the control at {service}.",
    **{
        (
            outcome,
            Reason.LABEL,
        ): "Recipe author: {service} labels the control differently. Check what it means now; if the setting is the "
        "same, add the label to the recipe's names."
        for outcome in (Outcome.PAGE_CHANGED, Outcome.UNKNOWN)
    },
    (
        Outcome.PAGE_CHANGED,
        Reason.DEAD,
    ): "Recipe author: no script of {service} listens to the control. Check that the page loads fully and that the "
    "recipe names its Save button.",
    (
        Outcome.PAGE_CHANGED,
        Reason.STATE_UNREADABLE,
    ): "Recipe author: the element found at {service} does not show whether it is on or off, or is of another kind.",
    (
        Outcome.PAGE_CHANGED,
        Reason.UNSTABLE,
    ): "Recipe author: the page of {service} kept changing; check whether the recipe needs `ready`.",
    (Outcome.PAGE_CHANGED, Reason.DISABLED): "Ask {employee} to check the setting: {service} shows the control as "
    "disabled.",
    (
        Outcome.UNKNOWN,
        Reason.NOT_SENT,
    ): "Recipe author: the page of {service} sent nothing when the control was clicked, so no change can be proved "
    "there.",
    (
        Outcome.NOT_SAVED,
        Reason.STILL_IN,
    ): "Recipe author: with {employee}, check the page for a dialog or a Save button; {service} still shows the "
    "control unchanged.",
    (
        Outcome.NOT_SAVED,
        Reason.DIALOG,
    ): "Ask {employee} to opt out in person: {service} asks a question that only a person may answer.",
    (
        Outcome.NOT_SAVED,
        Reason.SAVE_REFUSED,
    ): "Run again later: {service} refused the change. If this persists, ask {employee} to check the page.",
    (
        Outcome.NOT_SAVED,
        Reason.SAVE_UNANSWERED,
    ): "Run again later: {service} did not respond when the change was saved.",
    (Outcome.NOT_SAVED, Reason.SAVE_BUTTON): "Recipe author: {service} showed no Save button to click.",
    (
        Outcome.ERROR,
        Reason.BAD_DATA,
    ): "Fix {employee}'s data in the inventory; 'fleet inventory check' shows the file and field.",
    (Outcome.ERROR, Reason.UNKNOWN_SERVICE): "Write a recipe for '{service}' (docs/recipes.md) or correct the name.",
    (
        Outcome.ERROR,
        Reason.SESSION_UNREADABLE,
    ): "Pass the identity that decrypts {employee}'s session (--identity), or capture the session again.",
    (Outcome.ERROR, Reason.NETWORK): "Check the network connection to {service}, then run again.",
    (
        Outcome.ERROR,
        Reason.REFUSED_HOST,
    ): "Recipe author: {service} led to a host that the recipe does not list; 'fleet audit show' names it.",
    (
        Outcome.ERROR,
        Reason.TIMEOUT,
    ): "Run again later: {service} did not respond in time. If this persists, ask {employee} to check the page.",
    (Outcome.ERROR, Reason.TLS): "Check {service}'s certificate. Behind TLS inspection, trust the company's root CA "
    "(docs/operations.md); on loopback, use --trust-spki.",
    (Outcome.ERROR, Reason.RATE_LIMITED): "Run again later: {service} limits the rate of visits.",
    (Outcome.ERROR, Reason.FORBIDDEN): "Ask {employee} to check the page: {service} denies access (HTTP 403).",
    (Outcome.ERROR, Reason.SERVICE_ERROR): "Run again later: {service} responded with an error.",
    (
        Outcome.ERROR,
        Reason.DATA_MISSING,
    ): "Run again later: {service} did not send all of the page's data, so the reading proves nothing.",
    (
        Outcome.UNKNOWN,
        Reason.DATA_MISSING,
    ): "Run again later: {service} did not send all of the page's data, so the last reading proves nothing.",
    (
        Outcome.ERROR,
        Reason.WORKER_LOST,
    ): "Administrator: check the worker ('fleet audit show' names it), then run again.",
    (
        Outcome.NOT_RUN,
        Reason.CIRCUIT_OPEN,
    ): "Resolve the problem at {service} before running again; the remaining accounts were skipped.",
    (Outcome.NOT_RUN, Reason.AUDIT_FAILED): "Administrator: make the audit log writable again, then run again.",
    (
        Outcome.UNKNOWN,
        Reason.OTHER_PERSON,
    ): "Ask {employee} to sign in with their own {service} account (fleet sessions capture), then run again to read "
    "the setting.",
    (
        Outcome.UNKNOWN,
        Reason.SIGNED_OUT,
    ): "Ask {employee} to sign in to {service} again (fleet sessions capture), then run again to read the setting.",
    **{
        (
            Outcome.UNKNOWN,
            reason,
        ): "Ask {employee} to complete {service}'s sign-in challenge in person; then run again to read the setting."
        for reason in (Reason.CAPTCHA, Reason.CODE, Reason.DEVICE_APPROVAL, Reason.RESTRICTION, Reason.CHALLENGE)
    },
}

_BY_OUTCOME: dict[Outcome, str] = {
    Outcome.WOULD_OPT_OUT: "Run again without --check to opt {employee} out.",
    Outcome.NOT_OFFERED: "{service} does not offer this control to {employee}. Ask {employee} to confirm it once.",
    Outcome.SUBMITTED: "Track {service}'s reply to the request.",
    Outcome.ATTESTED: "Administrator: accept {employee}'s statement about {service} in fleet.yml (attestation).",
    Outcome.NO_MANDATE: "Ask {employee} for a mandate that covers {service}.",
    Outcome.NOT_PERMITTED: "Administrator: accept the risk in fleet.yml (terms_accepted), or ask {employee} to opt "
    "out in person.",
    Outcome.ADMIN_NEEDED: "The administrator of {service} must switch this off for the whole organization.",
    Outcome.EMPLOYEE_NEEDED: "Ask {employee} to do it at {service}: only the employee can.",
    Outcome.SIGN_IN_NEEDED: "Ask {employee} to sign in to {service} again with 'fleet sessions capture'.",
    Outcome.CHALLENGED: "Ask {employee} to sign in to {service} in person and complete its challenge.",
    Outcome.WRONG_ACCOUNT: "Ask {employee} to sign in with their own {service} account (fleet sessions capture).",
    Outcome.PAGE_CHANGED: "Recipe author: the page of {service} does not match the recipe.",
    Outcome.NOT_SAVED: "Ask {employee} to check the setting: {service} did not keep the change. If this persists, "
    "tell the recipe author.",
    Outcome.UNKNOWN: "Run again: the next run reads the setting at {service} before it changes anything.",
    Outcome.ERROR: "Run again; if this persists, report it with the agent's log (runs/ in the state directory).",
    Outcome.NOT_RUN: "Run again: this account was not reached.",
}

MEANINGS: dict[Outcome, str] = {
    Outcome.OPTED_OUT: "We changed it for you, loaded the page again and read it back.",
    Outcome.ALREADY_OPTED_OUT: "We read it: your data was already not used. We changed nothing.",
    Outcome.WOULD_OPT_OUT: "We read it: your data is still used. We changed nothing.",
    Outcome.NOT_OFFERED: "The service does not offer this setting to your account.",
    Outcome.SUBMITTED: "Your organization sent this request, and the service confirmed it.",
    Outcome.WAIVED: "An exception was agreed, so we leave it.",
    Outcome.NO_MANDATE: "You have not instructed us to do it, so we did not visit your account.",
    Outcome.NOT_PERMITTED: "We may not visit accounts at this service. You can do it yourself.",
    Outcome.ADMIN_NEEDED: "Only an administrator of the service can do it.",
    Outcome.EMPLOYEE_NEEDED: "Only you can do it.",
    Outcome.SIGN_IN_NEEDED: "We cannot sign in to your account. You can do it yourself.",
    Outcome.CHALLENGED: "The service asked for a person, so we stopped. You can do it yourself.",
    Outcome.WRONG_ACCOUNT: "Somebody else was signed in, so we stopped. You can do it yourself.",
    Outcome.PAGE_CHANGED: "The page looked different than expected, so we changed nothing.",
    Outcome.NOT_SAVED: "We tried to change it, but the service did not keep the change.",
    Outcome.UNKNOWN: "We tried to change it, but could not read whether it was kept.",
    Outcome.ERROR: "We could not read the page. We will try again.",
    Outcome.NOT_RUN: "We did not get to it. We will try again.",
}
"""What an outcome means to the employee."""

_PAGE_FAILED = (4, 5)
"""Exit codes of outcomes that a refused host may have caused."""

REFUSED_HOSTS = "The page tried to load {hosts}, which the recipe's asset_hosts do not allow."
ACCEPTED = "Nothing to do now: ask {employee} again when this statement expires."
TEMPLATES = (*dict.fromkeys([*_BY_REASON.values(), *_BY_OUTCOME.values()]), REFUSED_HOSTS, ACCEPTED)
"""Every sentence that `next_step` can return, for translators."""


def has_step_of_its_own(outcome: Outcome, reason: Reason) -> bool:
    """Return True if the pair of outcome and reason has a sentence besides the outcome's."""
    return (outcome, reason) in _BY_REASON


def next_step(result: Result, say: Callable[[str], str] = lambda text: text) -> str | None:
    """Return who must do what, in one sentence, or None if nothing is left to do. `say` translates."""
    template = _BY_OUTCOME.get(result.outcome)
    if result.reason is not None:
        template = _BY_REASON.get((result.outcome, result.reason), template)
    if result.outcome is Outcome.ATTESTED and result.is_done:
        template = ACCEPTED
    if result.reason is Reason.CLOSED and result.is_done:
        template = None
    if template is None:
        return None
    service = result.service_name or result.service or say("the service")
    step = say(template).format(employee=result.employee, service=service)
    if result.refused_hosts and result.outcome.exit_code in _PAGE_FAILED:
        step += " " + say(REFUSED_HOSTS).format(hosts=", ".join(result.refused_hosts))
    return step
