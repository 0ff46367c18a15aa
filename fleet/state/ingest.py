"""Takes the acts of the portal's inbox into the state: each is checked again, recorded, and then counts."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet.authority.inbox import Act, Arrived, AttestAct, Inbox, RevokeAct, is_ours
from fleet.errors import InputError
from fleet.paths import StateDir, make_private_dir, write_private
from fleet.state.acts import Statement

BATCH = 500
"""Statements recorded together: they share the log's syncs."""


@dataclass(frozen=True)
class Taken:
    """What became of one file: `refusal` is why it was refused, None if it counts now."""

    name: str
    act: Act | None
    refusal: str | None
    is_removed: bool


def ingest(
    inbox: Inbox,
    state: StateDir,
    controls: Mapping[str, Collection[str]],
    employees: Collection[str],
    attest: Callable[[Sequence[Statement]], object],
    revoke: Callable[[Sequence[str]], object],
) -> list[Taken]:
    """Take in every act and move its file into `portal/done` or `portal/refused` in the state. Revocations go first.

    `controls` are the known controls by service, `employees` those of the inventory. Raises InputError if another
    process does the same, and whatever `attest` and `revoke` raise; the files then stay for the next time.
    """
    with _alone(state):
        arrived = [(one, one.refusal or _refusal(one.act, controls, employees)) for one in inbox.arrived()]
        taken = [_moved(inbox, state, one, why) for one, why in arrived if why is not None]
        revoked = [one for one, why in arrived if why is None and isinstance(one.act, RevokeAct)]
        if revoked:
            revoke([one.act.employee for one in revoked if one.act is not None])
            taken += [_moved(inbox, state, one, None) for one in revoked]
        attested = [one for one, why in arrived if why is None and isinstance(one.act, AttestAct)]
        attested.sort(key=_when)
        for start in range(0, len(attested), BATCH):
            batch = attested[start : start + BATCH]
            attest([_statement(one.act) for one in batch if isinstance(one.act, AttestAct)])
            taken += [_moved(inbox, state, one, None) for one in batch]
        return taken


@contextmanager
def _alone(state: StateDir) -> Iterator[None]:
    make_private_dir(state.portal)
    descriptor = os.open(state.portal, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise InputError("Another 'fleet portal ingest' is at work on this state; nothing was done.") from None
    finally:
        os.close(descriptor)


def _when(one: Arrived) -> datetime:
    assert one.act is not None
    return one.act.at


def _statement(act: AttestAct) -> Statement:
    return Statement(
        employee=act.employee,
        service=act.service,
        control=act.control,
        said=act.said,
        attested_on=act.at.astimezone(UTC).date(),
        assurance="oidc_session",
    )


def _refusal(act: Act | None, controls: Mapping[str, Collection[str]], employees: Collection[str]) -> str | None:
    if not isinstance(act, AttestAct):
        return None  # a revocation takes away, whoever is named
    if act.employee not in employees:
        return f"employee: {act.employee} is not in the inventory"
    if act.control not in controls.get(act.service, ()):
        return f"control: no recipe has {act.service}.{act.control}"
    return None


def _moved(inbox: Inbox, state: StateDir, one: Arrived, refusal: str | None) -> Taken:
    """Keep what was read, never the file itself: its writer may still have it open."""
    folder = state.portal / ("done" if refusal is None else "refused")
    make_private_dir(folder)
    name = one.name if is_ours(one.name) else f"{hashlib.sha256(os.fsencode(one.name)).hexdigest()[:32]}.json"
    kept = {"name": one.name, "refusal": refusal, "content": one.content.decode("utf-8", "backslashreplace")}
    write_private(folder / name, json.dumps(kept, indent=1).encode(), durable=True)
    return Taken(one.name, one.act, refusal, inbox.remove(one.name))
