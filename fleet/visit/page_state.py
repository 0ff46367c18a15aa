"""Judges a snapshot: is it the declared page, for the right person, with exactly one control?

Pure functions over a Snapshot; nothing here touches a browser.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from urllib.parse import urlsplit

from fleet.browser.snapshot import Seen, Snapshot, Wanted
from fleet.model import Outcome, Reading, Reason
from fleet.recipes.labels import shown_label
from fleet.recipes.recipe import Control, Recipe, Sign, fill_profile, host_port, landing_key
from fleet.recipes.values import PROFILE


class Stop(Exception):
    """The page did not behave as required: this is the control's outcome. `label` is an unexpected control's label."""

    def __init__(self, outcome: Outcome, reason: Reason | None = None, label: str | None = None) -> None:
        super().__init__(outcome.value)
        self.outcome = outcome
        self.reason = reason
        self.label = label


def what_to_look_for(recipe: Recipe, control: Control | None, *, is_proof: bool = False) -> Wanted:
    """Return what a snapshot of a control's page (or, without a control, of the identity page) must collect.

    After a press only the property counts: some pages never update the attribute.
    """
    identity = recipe.identity
    read_here = identity.css is not None and (identity.page is None or control is None)
    return Wanted(
        signs=(*recipe.challenges, *recipe.signed_out, *(control.not_offered if control else ())),
        identity_css=identity.css if read_here else None,
        identity_attribute=identity.attribute,
        ready=control.ready if control else None,
        find=control.find if control else None,
        kind=control.kind if control else None,
        strictly=not is_proof,
    )


def reading_of(seen: Seen, control: Control) -> Reading:
    """Return the reading of a control's state, by its recipe's polarity."""
    return Reading.OUT if seen.state is (control.opted_out == "on") else Reading.IN


def barrier(recipe: Recipe, snapshot: Snapshot, wanted: Wanted, profile: str) -> Stop | None:
    """Return a Stop if the account is challenged, signed out, or signed in as someone else; None otherwise."""
    shown = {sign for sign, is_shown in zip(wanted.signs, snapshot.signs, strict=True) if is_shown}
    for challenge in recipe.challenges:
        if challenge in shown or matches_sign(snapshot.address, challenge, recipe.page_hosts):
            # The address often shows only that there is a challenge; the page shows which.
            kinds = [sign.reason for sign in recipe.challenges if sign in shown]
            return Stop(Outcome.CHALLENGED, kinds[0] if kinds else challenge.reason)
    for sign in recipe.signed_out:
        if sign in shown or matches_sign(snapshot.address, sign, recipe.page_hosts):
            return Stop(Outcome.SIGN_IN_NEEDED, Reason.SIGNED_OUT)
    if snapshot.asks_password:
        return Stop(Outcome.SIGN_IN_NEEDED, Reason.SIGNED_OUT)
    equals = recipe.identity.equals.replace(PROFILE, profile)
    if snapshot.identity and any(_fold(value) != _fold(equals) for value in snapshot.identity):
        return Stop(Outcome.WRONG_ACCOUNT)
    return None


def missing(snapshot: Snapshot, control: Control, address: str, locale: str | None, *, to_press: bool) -> Stop | None:
    """Return what keeps a snapshot from being a reading, or None. Missing parts may still load."""
    reason = _missing_reason(snapshot, control, address, locale, to_press)
    label = shown_label(snapshot.controls[0].label) if reason is Reason.LABEL else None
    return Stop(Outcome.PAGE_CHANGED, reason, label) if reason else None


def _missing_reason(
    snapshot: Snapshot, control: Control, address: str, locale: str | None, to_press: bool
) -> Reason | None:
    if not same_address(snapshot.address, address):
        return Reason.ADDRESS
    if snapshot.identity == ():
        return Reason.IDENTITY
    if not snapshot.loaded or not snapshot.ready:
        return Reason.UNSTABLE
    if not snapshot.controls:
        return Reason.NOT_FOUND
    if len(snapshot.controls) > 1:
        return Reason.SEVERAL
    [seen] = snapshot.controls
    if control.find.contradicts(seen.label, seen.language, locale):
        return Reason.LABEL
    if seen.state is None:
        return Reason.STATE_UNREADABLE
    # A disabled control may be waiting for the stored state, so neither of its states is trusted.
    if to_press and not seen.enabled:
        return Reason.DISABLED
    if to_press and reading_of(seen, control) is Reading.IN and not seen.uncovered:
        return Reason.COVERED
    return None


def is_not_offered(snapshot: Snapshot, control: Control) -> bool:
    """Return True if the page shows that this account does not have the control."""
    return any(snapshot.signs[len(snapshot.signs) - len(control.not_offered) :])


def leads_to_person(recipe: Recipe, landed: str, profile: str) -> bool:
    """Return True if the identity page led to this profile's own address, other than the page's own."""
    template = recipe.identity.landed or ""
    if recipe.identity.is_page_itself(profile):
        return False
    return landing_key(landed, template) == landing_key(fill_profile(template, profile), template)


def leads_to_somebody(recipe: Recipe, landed: str, page: str) -> bool:
    """Return True if the identity page led to the address of any profile, other than its own."""
    template = recipe.identity.landed or ""
    before, _, after = landing_key(template, template).partition(PROFILE)
    key = landing_key(landed, template)
    return key != landing_key(page, template) and key.startswith(before) and key.endswith(after)


def sign_in_host(recipe: Recipe, refused_hosts: Sequence[str]) -> bool:
    """Return True if the page led to a sign-in host that the recipe names only as a sign: it is never loaded."""
    hosts = {host.removesuffix(":443") for host in refused_hosts}
    return any(
        sign.address is not None and any(sign.address.startswith(f"https://{host}/") for host in hosts)
        for sign in recipe.signed_out
    )


def same_address(landed: str, declared: str) -> bool:
    """Return True if scheme, host, port, path, query and fragment are all as declared."""
    one, other = urlsplit(landed), urlsplit(declared)
    return (
        one.scheme == other.scheme
        and host_port(landed) == host_port(declared)
        and (one.path or "/") == (other.path or "/")
        and one.query == other.query
        and one.fragment == other.fragment
    )


def matches_sign(address: str, sign: Sign, page_hosts: frozenset[str]) -> bool:
    """Return True if `address` matches an address sign."""
    if sign.address is None:
        return False
    parts = urlsplit(address)
    if sign.address.startswith("/"):
        on_host, pattern = host_port(address) in page_hosts, sign.address
    else:
        wanted = urlsplit(sign.address)
        on_host, pattern = host_port(address) == host_port(sign.address), wanted.path
    if pattern.endswith("*"):
        return on_host and parts.path.startswith(pattern[:-1])
    return on_host and parts.path.rstrip("/") == pattern.rstrip("/")


def _fold(text: str) -> str:
    # No casefold and no NFKC: they would make `strasse` and `straße` the same person.
    return " ".join(unicodedata.normalize("NFC", text).split()).lower()
