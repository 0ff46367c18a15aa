"""Orders and their results as sent to and from a worker, and the checks on what a worker may report and when."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Awaitable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from pydantic import TypeAdapter

from fleet.agent.json_rpc import Refused
from fleet.browser.tab import MAX_REFUSED_HOSTS
from fleet.desk.agreement import Agreed, Agreement
from fleet.desk.signing import Signing
from fleet.desk.steps import Told
from fleet.model import Outcome, Reading, Reason
from fleet.recipes.labels import shown_label
from fleet.sessions.storage_state import is_storable
from fleet.visit.visit import ControlResult, Ending, Journal, Order

MAX_PICTURE = 4 * 1024 * 1024
"""Bytes; a control is a small part of a page."""
MAX_DURATION = 24 * 60 * 60 * 1000
"""Milliseconds."""
_HOST = re.compile(r"[!-~]{1,300}")

_WITHOUT_INTENT = {Outcome.NOT_OFFERED, Outcome.PAGE_CHANGED, Outcome.ERROR}
_WITH_INTENT = {Outcome.NOT_SAVED, Outcome.UNKNOWN}
_EITHER_WAY = {Outcome.SIGN_IN_NEEDED, Outcome.CHALLENGED, Outcome.WRONG_ACCOUNT}
"""Barriers can appear before or after a press. The two sets above need a control without an intent, or with one."""

T = TypeVar("T")

ORDER = TypeAdapter(Order)
AGREEMENT = TypeAdapter(Agreement)
AGREED = TypeAdapter(Agreed | None)
TOLD = TypeAdapter(Told)
SIGNING = TypeAdapter(Signing)
_RESULT = TypeAdapter(ControlResult)
_ENDING = TypeAdapter(Ending)


def dump_result(result: ControlResult) -> dict[str, Any]:
    """Return a control's result as a JSON-compatible dict."""
    picture = result.picture
    return asdict(result) | {"picture": base64.b64encode(picture).decode() if picture is not None else None}


def load_result(fields: Mapping[str, Any]) -> ControlResult:
    """Return the result that `dump_result` wrote. Raises ValueError or TypeError if invalid."""
    picture = fields["picture"]
    found = _RESULT.validate_python({**fields, "picture": None if picture is None else _load_picture(picture)})
    hosts, status = found.refused_hosts, found.http_status
    if len(hosts) > MAX_REFUSED_HOSTS or not all(map(_HOST.fullmatch, hosts)):
        raise ValueError("refused hosts that are none")
    if found.label is not None and not (found.label and found.label == shown_label(found.label)):
        raise ValueError("a label that is none")
    if not 0 <= found.duration_ms <= MAX_DURATION or not (status is None or 0 < status < 1000):
        raise ValueError("a number that is none")
    return found


def _load_picture(text: str) -> bytes:
    picture = base64.b64decode(text, validate=True)
    if not picture.startswith(b"\x89PNG") or len(picture) > MAX_PICTURE:
        raise ValueError("no picture of a control")
    return picture


def dump_ending(ending: Ending) -> dict[str, Any]:
    """Return an ending as a JSON-compatible dict; a session too large to store is left out."""
    state = ending.rotated_state
    return {"rotated_state": state if is_storable(state) else None, "retry_after": ending.retry_after}


def load_ending(fields: object) -> Ending:
    """Return the ending of a visit. Raises ValueError if invalid."""
    ending = _ENDING.validate_python(fields)
    if ending.retry_after is not None and not 0 <= ending.retry_after < math.inf:
        raise ValueError("a time that is none")
    return ending


@dataclass
class Ordered:
    """One visit in progress on a worker; accepts only what the worker may still report. Raises ValueError otherwise."""

    order: Order
    journal: Journal
    ending: Ending
    permitted: set[str] = field(default_factory=set)
    intended: set[str] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    failure: Exception | None = None
    """Failure of the agent, not of the worker; nothing more is recorded."""

    async def permit(self, control: str) -> dict[str, Any]:
        """Check mandate and service."""
        self._require(control)
        reason = await self._kept(self.journal.permit(control))
        (self.permitted if reason is None else self.refused).add(control)
        return {"reason": reason}

    async def intend(self, control: str, before: str, picture: str) -> dict[str, Any]:
        """Record an intent: at most one per control, only after `permit`, and none in check mode."""
        self._require(control)
        if self.order.check or control in self.intended or control not in self.permitted:
            raise ValueError("a second intent, or one that was not permitted")
        if Reading(before) is not Reading.IN:
            raise ValueError("nothing to press")
        shown = _load_picture(picture)
        self.intended.add(control)
        await self._kept(self.journal.intend(control, Reading.IN, shown))
        return {}

    async def finish(self, finding: Mapping[str, Any], ending: Mapping[str, Any]) -> dict[str, Any]:
        """Record a control's outcome, if it is possible for this visit, and the ending so far."""
        found, left = load_result(finding), load_ending(ending)
        self._require(found.control)
        if not self._is_possible(found):
            raise ValueError("an end that this visit cannot have")
        self.finished.add(found.control)
        self.ending.rotated_state, self.ending.retry_after = left.rotated_state, left.retry_after
        await self._kept(self.journal.finish(found))
        return {}

    def _is_possible(self, found: ControlResult) -> bool:
        readings, is_intended = (found.before, found.after), found.control in self.intended
        if (found.read_back and not is_intended) or (found.label is not None and found.reason is not Reason.LABEL):
            return False
        match found.outcome:
            case Outcome.OPTED_OUT:
                return is_intended and found.read_back and readings == (Reading.IN, Reading.OUT)
            case Outcome.ALREADY_OPTED_OUT:
                return not is_intended and readings == (Reading.OUT, Reading.OUT)
            case Outcome.WOULD_OPT_OUT:
                return self.order.check and readings == (Reading.IN, Reading.IN)
            case Outcome.NO_MANDATE if self.order.attended and found.reason is Reason.NOT_ALLOWED:
                return not is_intended
            case Outcome.NO_MANDATE | Outcome.NOT_PERMITTED:
                return not is_intended and found.control in self.refused
            case outcome:
                return outcome in _EITHER_WAY | (_WITH_INTENT if is_intended else _WITHOUT_INTENT)

    async def _kept(self, keeping: Awaitable[T]) -> T:
        """Await a journal call. A failure is the agent's, not the worker's, and ends the visit as a local one does."""
        try:
            return await keeping
        except Exception as error:
            self.failure = error
            raise Refused("it cannot be recorded") from None

    def _require(self, control: str) -> None:
        if control not in self.order.controls or control in self.finished:
            raise ValueError("not a control of this visit, or not any more")
