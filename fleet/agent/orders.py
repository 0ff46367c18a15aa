"""Orders and what comes back of them, as they cross to a worker; and what a worker may say of one, and when."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from fleet.browser.tab import MAX_REFUSED_HOSTS
from fleet.errors import AuditError
from fleet.model import Outcome, Reading
from fleet.optout import Ending, Finding, Journal, Order

MAX_PICTURE = 4 * 1024 * 1024
"""Bytes; a control is a part of a page."""
MAX_DURATION = 24 * 60 * 60 * 1000
"""Milliseconds."""
_HOST = re.compile(r"[!-~]{1,300}")

_OF_GATES = {Outcome.WAIVED, Outcome.NOT_PERMITTED, Outcome.ADMIN_NEEDED, Outcome.SUBMITTED, Outcome.NOT_RUN}
"""How no visit ends."""

ORDER = TypeAdapter(Order)
_FINDING = TypeAdapter(Finding)
_ENDING = TypeAdapter(Ending)


def dump_finding(finding: Finding) -> dict[str, Any]:
    """A finding as JSON has it."""
    fields = {name: getattr(finding, name) for name in Finding.__dataclass_fields__}
    picture = finding.picture
    return fields | {"picture": base64.b64encode(picture).decode() if picture is not None else None}


def load_finding(fields: Mapping[str, Any]) -> Finding:
    """The finding that `dump_finding` has written. Raises ValueError or TypeError if it is none."""
    picture = fields["picture"]
    found = _FINDING.validate_python({**fields, "picture": None if picture is None else _load_picture(picture)})
    hosts, status = found.refused_hosts, found.http_status
    if len(hosts) > MAX_REFUSED_HOSTS or not all(map(_HOST.fullmatch, hosts)):
        raise ValueError("refused hosts that are none")
    if not 0 <= found.duration_ms <= MAX_DURATION or not (status is None or 0 < status < 1000):
        raise ValueError("a number that is none")
    return found


def _load_picture(text: str) -> bytes:
    picture = base64.b64decode(text, validate=True)
    if not picture.startswith(b"\x89PNG") or len(picture) > MAX_PICTURE:
        raise ValueError("no picture of a control")
    return picture


def load_ending(fields: object) -> Ending:
    """The ending of a visit. Raises ValueError if it is none."""
    ending = _ENDING.validate_python(fields)
    if ending.retry_after is not None and not 0 <= ending.retry_after < math.inf:
        raise ValueError("a time that is none")
    return ending


@dataclass
class Ordered:
    """One visit under way at a worker: what it may still say of it. Raises ValueError for all else."""

    order: Order
    journal: Journal
    permitted: set[str] = field(default_factory=set)
    intended: set[str] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)
    failure: AuditError | None = None
    """The log could not be written: nothing further is recorded."""

    async def permit(self, control: str) -> dict[str, Any]:
        """Look at the mandate."""
        self._require(control)
        reason = await self.journal.permit(control)
        if reason is None:
            self.permitted.add(control)
        return {"reason": reason}

    async def intend(self, control: str, before: str, picture: str) -> dict[str, Any]:
        """Note an intent: at most one for a control, after it was permitted, and none in check mode."""
        self._require(control)
        if self.order.check or control in self.intended or control not in self.permitted:
            raise ValueError("a second intent, or one that was not permitted")
        self.intended.add(control)
        await self.journal.intend(control, Reading(before), _load_picture(picture))
        return {}

    async def finish(self, finding: Mapping[str, Any]) -> dict[str, Any]:
        """Note how a control ended, if this visit can have come to that."""
        found = load_finding(finding)
        self._require(found.control)
        is_out = found.after is Reading.OUT
        is_proved = found.before is Reading.IN and is_out and found.read_back and found.control in self.intended
        is_possible = {
            Outcome.OPTED_OUT: is_proved,
            Outcome.ALREADY_OPTED_OUT: is_out,
            Outcome.WOULD_OPT_OUT: self.order.check,
        }
        if not is_possible.get(found.outcome, found.outcome not in _OF_GATES):
            raise ValueError("an end that this visit cannot have")
        self.finished.add(found.control)
        await self.journal.finish(found)
        return {}

    def _require(self, control: str) -> None:
        if control not in self.order.controls or control in self.finished:
            raise ValueError("not a control of this visit, or not any more")
