"""How a command writes to the audit log: directly, or through the run that holds the log."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from fleet.agent.client import AgentClient, AgentGone, AgentHangs
from fleet.authority.blocklist import Blocklist
from fleet.errors import AgentError, AuditError, BusyError, FleetError, InputError
from fleet.paths import require_private
from fleet.plan.plan import claimed_operator
from fleet.settings.resolve import Settings
from fleet.state.acts import Act, Draw, EndSpotCheck, Erase, Prune, Settle, perform
from fleet.state.employee_acts import Attest, Give, Notify
from fleet.state.writer import Writer

ANSWER_WITHIN = 5.0
"""Seconds for a healthy agent to answer."""
WORK_WITHIN = 600.0
"""Seconds for it to erase or draw many people, prune a long log or take in many statements."""
FREE_WITHIN = 20.0
"""Seconds after which a command gives up because other commands keep writing."""
_POLL = 0.1


def reference_of(text: str) -> str:
    """Return an act's reference in the form that the log can hold. Raises InputError."""
    reference = text.strip()
    if not reference or len(reference) > 200 or not reference.isprintable():
        raise InputError("--reference: give one line of 1 to 200 characters, such as the number of a letter.")
    return reference


def block(
    settings: Settings, blocklist: Blocklist, name: str, reference: str | None, command: str, subject: str, done: str
) -> None:
    """Block a name for all runs at once, report it, and record it: "The mandate of anna" (subject) "is revoked" (done).

    Raises InputError if it cannot be blocked, and AuditError if it is blocked but not recorded yet.
    """
    is_new = add_to(blocklist, name, None if reference is None else reference_of(reference))
    how = f"is {done} as of now" if is_new else f"was {done} already"
    typer.echo(f"{subject} {how}, in the state directory {settings.state}.")
    try:
        carry_out(settings, command, Settle(), lambda: blocklist.is_recorded(name))
    except FleetError as error:
        raise AuditError(
            f"{subject} is {done}, but it is not in the audit log yet: {error} "
            "The next command or run that writes records it."
        ) from None


def add_to(blocklist: Blocklist, name: str, reference: str | None, at: datetime | None = None) -> bool:
    """Block a name as of `at` or now, in the operator's name; False if it was blocked. Raises InputError as `add`."""
    return blocklist.add(
        name,
        datetime.now(UTC).date(),
        at=at,
        reference=reference,
        operator=os.getuid(),
        operator_claimed=claimed_operator(),
    )


def carry_out(settings: Settings, owner: str, act: Act, is_done: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """Perform an act on the state of `settings`, here or through a run; return the result of `perform`.

    `owner` is shown to other writers meanwhile. If another command does the same work first, `is_done` ends the wait.

    Raises InputError, AuditError and AgentError: then it is not done, or not recorded.
    """
    deadline = time.monotonic() + FREE_WITHIN
    while True:
        try:
            return asyncio.run(_here(settings, owner, act))
        except BusyError as busy:
            if busy.socket is not None:
                try:
                    return _beside(busy, Path(busy.socket), act)
                except AgentGone:
                    if time.monotonic() > deadline:
                        raise AgentError(
                            f"{busy.owner} holds the audit log of {settings.state}, and its agent is unreachable at "
                            f"{busy.socket} from here; wait until it has ended."
                        ) from None
            elif time.monotonic() > deadline:
                raise
        if is_done():
            return {}
        time.sleep(_POLL)


async def _here(settings: Settings, owner: str, act: Act) -> dict[str, Any]:
    with Writer.opened(settings.state_dir, settings.log_key, owner) as writer:
        return await perform(act, writer)


def _beside(busy: BusyError, socket: Path, act: Act) -> dict[str, Any]:
    """Let the agent at `socket` do it and return its answer. Raises AgentGone if it is gone, AgentError if it hangs."""
    try:
        require_private(socket.parent)  # so that no other user can have put a socket there
    except OSError:
        raise AgentGone from None
    client = AgentClient(socket)
    try:
        if not isinstance(act, Erase | Prune | Attest | Give | Notify | Draw | EndSpotCheck):
            return client.require("act", ANSWER_WITHIN, act=act.model_dump(mode="json"))
        client.require("act", ANSWER_WITHIN, act=Settle().model_dump(mode="json"))  # checks that it answers
        return client.require("act", WORK_WITHIN, act=act.model_dump(mode="json"))
    except AgentHangs as error:
        raise AgentError(f"{busy.owner} holds the audit log and may hang: {error} Nothing more was done.") from None
